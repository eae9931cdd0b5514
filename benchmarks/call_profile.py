"""Runs a daemon under a profile function and writes down what one job runs through.

`python -P call_profile.py OUT TREE ROOT WORDS...` is `hotfolder WORDS...` with the daemon of the
source tree TREE on the hot folder ROOT; OUT gets the counts as JSON. job_path.py says what they
mean.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

_PACKAGES = ("daemon", "config", "pipeline")


@dataclass
class _Thread:
    """Where a thread stands in our own code."""

    files: list[str] = field(default_factory=list)  # of the frames that have not returned
    name: str = ""  # its outermost function of ours
    importing: int = 0


class JobProfile:
    """Counts from the first scan of the inbox until the job is filed, in all threads."""

    def __init__(self, tree: Path, root: Path) -> None:
        self._tree, self._root = f"{tree}/", root
        self._threads: defaultdict[int, _Thread] = defaultdict(_Thread)
        self._own: dict[CodeType, str] = {}  # the file within the tree, "" for what is not ours
        self._is_counting = self._is_claimed = self._is_filed = False
        self._files: set[str] = set()
        self._functions: set[tuple[str, str, int]] = set()
        self._calls = self._fsyncs = self._walks = self._id_reads = 0
        self._folders = 0
        self._moves: Counter[str] = Counter()
        self._deepest: Counter[str] = Counter()

    def on_event(self, frame: FrameType, event: str, argument: object) -> None:
        """What Python calls at every call and return: sys.setprofile."""
        if event == "c_call":
            self._fsyncs += argument is os.fsync and self._is_claimed and self._is_counting
        elif event in ("call", "return") and (file := self._file(frame.f_code)):
            thread = self._threads[threading.get_ident()]
            if event == "call":
                self._entered(thread, frame.f_code, file)
            else:
                self._left(thread, frame.f_code)

    def on_audit(self, event: str, arguments: tuple[object, ...]) -> None:
        """What Python calls at every opening of a file: sys.addaudithook."""
        if event == "open" and self._is_claimed and self._is_counting:
            path, _, flags = arguments
            self._walks += isinstance(path, str) and Path(path) == self._root
            is_name = isinstance(path, str) and not path.startswith("/")
            self._folders += is_name and isinstance(flags, int) and bool(flags & os.O_PATH)
            self._id_reads += path == "id"  # by its name alone: in a folder that is held open

    def as_json(self) -> dict[str, object]:
        """The counts; raises AssertionError where no job was seen from its scan to its filing."""
        assert self._is_claimed, "no claim was seen"
        assert self._is_filed, "no filing was seen"
        return {
            "files": len(self._files),
            **{
                f"files of {package}": sum(file.startswith(f"{package}/") for file in self._files)
                for package in _PACKAGES
            },
            "functions": len(self._functions),
            "calls": self._calls,
            "moves between files": self._moves.total(),
            **{
                f"moves between files in {name}": count
                for name, count in self._moves.items()
                if count
            },
            "deepest stack": max(self._deepest.values()),
            **{f"deepest stack in {name}": depth for name, depth in self._deepest.items()},
            "fsync calls from the claim on": self._fsyncs,
            "walks from the root from the claim on": self._walks,
            "folders entered from the claim on": self._folders,
            "reads of the id from the claim on": self._id_reads,
        }

    def _file(self, code: CodeType) -> str:
        file = self._own.get(code)
        if file is None:
            file = code.co_filename.removeprefix(self._tree)
            if file.partition("/")[0] not in _PACKAGES:
                file = ""
            self._own[code] = file
        return file

    def _entered(self, thread: _Thread, code: CodeType, file: str) -> None:
        caller = thread.files[-1] if thread.files else file
        thread.name = thread.name if thread.files else f"{code.co_qualname} of {file}"
        thread.files.append(file)
        thread.importing += code.co_name == "<module>"
        self._is_counting |= file == "daemon/inbox/scan.py" and code.co_name == "scan"
        self._is_counting &= not self._is_filed
        if not self._is_counting or thread.importing:
            return
        self._is_claimed |= file.endswith("/spool.py") and code.co_name == "claim"
        self._files.add(file)
        if not code.co_name.startswith("<"):  # comprehensions are none in later versions of Python
            self._functions.add((file, code.co_qualname, code.co_firstlineno))
        self._calls += 1
        self._moves[thread.name] += caller != file
        self._deepest[thread.name] = max(self._deepest[thread.name], len(thread.files))

    def _left(self, thread: _Thread, code: CodeType) -> None:
        if not thread.files:
            return
        thread.files.pop()
        thread.importing -= code.co_name == "<module>"
        self._is_filed |= self._is_counting and code.co_name == "filed"


def main() -> int:
    """Run the daemon to its end; returns its exit code."""
    out, tree, root, *words = sys.argv[1:]
    from daemon import cli

    profile = JobProfile(Path(tree), Path(root))
    sys.addaudithook(profile.on_audit)
    threading.setprofile(profile.on_event)
    sys.setprofile(profile.on_event)
    code = cli.main(words)
    sys.setprofile(None)
    threading.setprofile(None)
    Path(out).write_text(json.dumps(profile.as_json()), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
