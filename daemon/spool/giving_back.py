"""How the originals of a job get back into the inbox: each beside the others, over nobody's."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.problems import Problem, UserError
from daemon.fs.names import numbered, pair_key, printable, stem_without_extensions
from daemon.fs.safe_tree import SafeTree
from daemon.job import Job, JobFile, Role


class GivingBack:
    """One job's files, on their way from its work folder to a folder of the inbox."""

    def __init__(self, tree: SafeTree, work: Path, home: Path) -> None:
        self._tree, self._work, self._home = tree, work, home

    def names(self, job: Job) -> Mapping[str, str]:
        """The names there of picture and instruction, with one number for both.

        What an earlier, interrupted call has chosen holds.
        """
        if job.returning:
            return job.returning
        pair = [
            it for it in self._there(job) if it.role is not Role.COMPANION and _is_whole(it, job)
        ]
        return dict(zip((it.name for it in pair), self._free_names(pair), strict=True))

    def move(self, job: Job) -> list[str]:
        """Move what is still to be moved; gives the names there."""
        there = self._there(job)
        # The picture last: alone in the inbox it might be edited by a preset of the folder.
        pair = [
            self._tree.move(self._work / file.name, self._home, numbered(job.returning[file.name]))
            for file in reversed(there)
            if file.name in job.returning and not self._serves_there(file, job)
        ]
        moved = pair[::-1]
        moved += [
            self._tree.move(self._work / file.name, self._home, numbered(file.name))
            for file in there
            if file.role is Role.COMPANION
            and (file.moved or self._has_left(file, job))
            and not self._is_back(file)
        ]
        self._tree.sync(self._home)
        return moved

    def _there(self, job: Job) -> list[JobFile]:
        return [file for file in job.files if self._tree.exists(self._work / file.name)]

    def _serves_there(self, file: JobFile, job: Job) -> bool:
        """Whether a copy is of a file that serves its picture from where it lies."""
        is_beside_it = job.returning[file.name] == file.name
        return not file.moved and is_beside_it and self._tree.exists(self._home / file.name)

    def _has_left(self, file: JobFile, job: Job) -> bool:
        """Whether a copy is the only one left."""
        return _is_whole(file, job) and not self._tree.exists(self._home / file.name)

    def _is_back(self, file: JobFile) -> bool:
        """Whether another job has given the same file back; ours is removed then."""
        source = self._work / file.name
        with contextlib.suppress(FileNotFoundError):
            if self._tree.sha256_of(self._home / file.name) == self._tree.sha256_of(source):
                self._tree.remove(source)
                return True
        return False

    def _free_names(self, pair: Sequence[JobFile]) -> tuple[str, ...]:
        there = self._tree.names(self._home)
        taken, stems = set(map(pair_key, there)), set(map(_stem_key, there))
        for names in zip(*(numbered(file.name) for file in pair), strict=False):
            is_numbered = any(name != file.name for file, name in zip(pair, names, strict=True))
            # A stem that another file has is nobody else's: one's sidecar would be the other's.
            if is_numbered and not stems.intersection(map(_stem_key, names)):
                return names
            if not is_numbered and not any(
                file.moved and pair_key(file.name) in taken and not self._is_begun(file)
                for file in pair
            ):
                return names
        return ()  # of no file

    def _is_begun(self, file: JobFile) -> bool:
        """Whether an earlier move was cut off half-way: it is the file itself."""
        return self._tree.are_one(self._home / file.name, self._work / file.name)


def twins_in(
    tree: SafeTree, home: Path, references: Mapping[str, Path], whose: str
) -> frozenset[str]:
    """The references that lie in `home` too: an instruction finds them there by their names.

    Raises UserError where other files than `whose` have such names: the job would be edited with
    those.
    """
    found, problems = set(), []
    for name, source in references.items():
        if (sha256 := _sha256_of(tree, home / name)) is None:
            continue
        if sha256 == _sha256_of(tree, source):
            found.add(name)
        else:
            shown = printable(str((home / name).relative_to(tree.root)))
            what = f"is another file than {whose}"
            problems.append(Problem(shown, what, "wait until it is edited, or move it away"))
    if problems:
        raise UserError(problems)
    return frozenset(found)


def _sha256_of(tree: SafeTree, path: Path) -> str | None:
    """The hash of what is there; None where nothing is, "" where it is no file that is read."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return tree.sha256_of(path)
    return "" if tree.exists(path) else None


def _is_whole(file: JobFile, job: Job) -> bool:
    """Whether the file in work/ is; until the first attempt a copy may be half."""
    return file.moved or job.attempts > 0


def _stem_key(name: str) -> str:
    return pair_key(stem_without_extensions(name))
