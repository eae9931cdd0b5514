"""Breaks promises on purpose, in copies of the tree, and looks whether a test notices.

    python tests/sabotage/run.py [--some COUNT] [WORD ...]

Every test of the table has to pass in a copy as it is, and to fail in one with its sabotage.
--some takes so many of the table by turns: other ones at every commit, and one that is slow.
Words choose the sabotages that have one of them in their file, test or fault. Exit code 1: one
was not noticed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sabotage.table import Sabotage, problems, read_table

TOP = Path(__file__).resolve().parents[2]
_SIDE_BY_SIDE = 2
_LEFT_OUT = {".git", ".venv", "__pycache__"}
_LONGEST_SECONDS = 300.0  # that one test of the table may take
# A test that waits in vain is to say so soon.
_SOONER = ("tests/harness.py", "DEADLINE_SECONDS = 180.0", "DEADLINE_SECONDS = 40.0")
_PACKAGES = ("config", "pipeline", "daemon")
# A sabotage that does not even run breaks no promise.
_NO_ASSERTION = ("ImportError", "ModuleNotFoundError", "NameError", "SyntaxError", "TypeError")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one test."""

    word: str  # passed, failed, error, skipped
    message: str


class Copy:
    """A copy of the tree with an environment of its own, which imports from the copy alone."""

    def __init__(self, folder: Path) -> None:
        self.top, self._reports = folder / "tree", folder / "report.xml"
        self._temporary = folder / "t"
        for path in _files():
            target = self.top / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / path, target, follow_symlinks=False)
        self._hasten()
        self._python = self._make_environment()
        self._require_own_modules()

    def _hasten(self) -> None:
        file, slow, soon = _SOONER
        text = (self.top / file).read_text(encoding="utf-8")
        assert text.count(slow) == 1, f"{file} has another deadline"
        (self.top / file).write_text(text.replace(slow, soon), encoding="utf-8")

    def _make_environment(self) -> Path:
        home = self.top / ".venv"
        venv.create(home, symlinks=True)
        purelib = Path(sysconfig.get_path("purelib"))
        own = home / purelib.relative_to(sys.prefix)
        # What installs the checkout there, a .pth too, is not read from such a line.
        (own / "copy.pth").write_text(f"{self.top}\n{purelib}\n", encoding="utf-8")
        return home / "bin" / "python"

    def _require_own_modules(self) -> None:
        code = "; ".join(f"import {it}; print({it}.__file__)" for it in _PACKAGES)
        for flags in ((), ("-P",)):  # our processes are started so
            command = [self._python, *flags, "-c", code]
            said = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
            for file in said.stdout.split():
                assert Path(file).is_relative_to(self.top), f"{file} is not of the copy"

    def test(self, tests: Sequence[str], *, is_sabotaged: bool) -> dict[str, Outcome]:
        """Run tests here; what became of each, by what pytest calls it."""
        words = ["-q", "-p", "no:cacheprovider", "--tb=short", f"--junitxml={self._reports}"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONPATH", None)
        if is_sabotaged:
            environment["PYTHONDONTWRITEBYTECODE"] = "1"  # it would be found by the next one
        self._reports.unlink(missing_ok=True)
        shutil.rmtree(self._temporary, ignore_errors=True)
        process = subprocess.Popen(
            [self._python, "-m", "pytest", *words, f"--basetemp={self._temporary}", *tests],
            cwd=self.top,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            said, _ = process.communicate(timeout=_LONGEST_SECONDS * len(tests))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return {"": Outcome("error", "it did not end in time")}
        outcomes = _read_report(self._reports) if self._reports.exists() else {}
        return outcomes or {"": Outcome("error", said[-500:])}

    def with_sabotage(self, sabotage: Sabotage) -> str:
        """Why a sabotage counts as not noticed; "" where its test fails."""
        path = self.top / sabotage.file
        kept = path.with_name(f"{path.name}.kept")
        text = sabotage.edited(self.top)
        path.rename(kept)
        try:
            path.write_text(text, encoding="utf-8")
            return _why_unnoticed(self.test([sabotage.test], is_sabotaged=True))
        finally:
            kept.replace(path)


def _files() -> list[Path]:
    """What is to be copied: all that git does not ignore, relative to the top."""
    listed = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed:
        paths = [Path(path) for path in listed.split("\0") if path]
        return [path for path in paths if os.path.lexists(TOP / path)]
    everything = (path.relative_to(TOP) for path in TOP.rglob("*") if not path.is_dir())
    return [path for path in everything if not _LEFT_OUT & set(path.parts)]


def _git(*words: str) -> str:
    """What git says; "" where this is no checkout, or somebody else's."""
    command = ["git", "-c", f"safe.directory={TOP}", *words]
    said = subprocess.run(command, cwd=TOP, capture_output=True, check=False).stdout
    return os.fsdecode(said).strip()


def _read_report(report: Path) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        outcome = Outcome("passed", "")
        for word, said in (("skipped", "skipped"), ("error", "error"), ("failure", "failed")):
            for element in case.iter(word):
                outcome = Outcome(said, element.get("message", ""))
        if name not in outcomes or outcomes[name].word == "passed":
            outcomes[name] = outcome
    return outcomes


def _why_unnoticed(outcomes: dict[str, Outcome]) -> str:
    failed = [it for it in outcomes.values() if it.word == "failed"]
    if not failed:
        return (
            "; ".join(f"{it.word} {it.message}".strip() for it in outcomes.values()) or "no test"
        )
    wrong = [it.message for it in failed if it.message.startswith(_NO_ASSERTION)]
    return f"it does not run: {wrong[0]}" if len(wrong) == len(failed) else ""


def _chosen(table: Sequence[Sabotage], count: int | None, words: Sequence[str]) -> list[Sabotage]:
    if count is not None:
        turn = _git("rev-parse", "HEAD") or f"{datetime.now(UTC):%Y-%m-%d}"
        print(f"{count} of {len(table)} sabotages, by the turn of {turn}", flush=True)
        chance = random.Random(turn)
        slow = chance.sample([one for one in table if one.is_slow], 1)  # first, beside the others
        return slow + chance.sample([one for one in table if not one.is_slow], count - 1)
    return [
        one
        for one in table
        if not words or any(word in f"{one.file} {one.test} {one.fault}" for word in words)
    ]


def _failures(copy: Copy, tests: Sequence[str]) -> dict[str, Outcome]:
    outcomes = copy.test(tests, is_sabotaged=False) if tests else {}
    return {name: it for name, it in outcomes.items() if it.word in ("failed", "error")}


def _dotted(test: str) -> str:
    """A test as the report names it."""
    return test.replace(".py", "").replace("::", ".").replace("/", ".")


class _Runner:
    """Works through sabotages, as many side by side as there are copies."""

    def __init__(self, copies: Sequence[Copy]) -> None:
        self._copies: SimpleQueue[Copy] = SimpleQueue()
        for copy in copies:
            self._copies.put(copy)

    def baseline(self, tests: Sequence[str]) -> list[str]:
        """What of these tests fails in the tree as it is; one that is skipped notices nothing."""
        copy = self._copies.get()
        bad = _failures(copy, tests)
        # On a busy machine one may wait in vain: it has a second try.
        again = [test for test in tests if any(name.startswith(_dotted(test)) for name in bad)]
        bad = _failures(copy, again or tests) if bad else bad
        self._copies.put(copy)
        return [f"{name} {it.word}: {it.message}" for name, it in bad.items()]

    def sabotage(self, sabotage: Sabotage) -> bool:
        """Whether it is noticed; says so in a line."""
        copy, began = self._copies.get(), time.monotonic()
        why = copy.with_sabotage(sabotage)
        self._copies.put(copy)
        verdict = "NOT NOTICED" if why else "noticed"
        seconds = time.monotonic() - began
        line = f"{verdict} {seconds:5.1f} s  {sabotage.file}  {sabotage.test}  [{sabotage.fault}]"
        print(line, *(f"    {sabotage.old!r}\n    {why}",) if why else (), sep="\n", flush=True)
        return not why


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--some", type=int, metavar="COUNT")
    parser.add_argument("words", nargs="*", metavar="WORD")
    given = parser.parse_args(words)
    table = read_table()
    wrong = list(problems(TOP, table))
    if wrong:
        print(*wrong, sep="\n")
        return 1
    began, chosen = time.monotonic(), _chosen(table, given.some, given.words)
    with (
        tempfile.TemporaryDirectory(prefix="sabotage.") as folder,
        ThreadPoolExecutor(_SIDE_BY_SIDE) as threads,
    ):
        copies = list(threads.map(Copy, (Path(folder) / str(n) for n in range(_SIDE_BY_SIDE))))
        runner = _Runner(copies)
        tests = sorted({one.test for one in chosen})
        shares = [tests[n::_SIDE_BY_SIDE] for n in range(_SIDE_BY_SIDE)]
        broken = [bad for bads in threads.map(runner.baseline, shares) for bad in bads]
        if broken:
            print("These do not pass without any sabotage:", *broken, sep="\n  ")
            return 1
        noticed = list(threads.map(runner.sabotage, chosen))
    seconds = time.monotonic() - began
    print(f"{sum(noticed)} of {len(chosen)} sabotages noticed, in {seconds:.0f} s")
    return 0 if all(noticed) else 1


if __name__ == "__main__":
    sys.exit(main())
