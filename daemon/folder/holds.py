"""Images whose files cannot be taken from an inbox: held, with the reason, and tried in time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path

from daemon.fs.safe_tree import SafeTree
from daemon.job import Candidate, FileState, Plan, State, without_jobs_of

_TRIES = 3  # of what may pass by itself, before it is held
_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 300.0, 6 * 3600.0

# What the files of a candidate and their folder are like: whatever is mended changes it. Taken
# when they are back, for our own renames change it, too.
Traits = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Held:
    traits: Traits
    reason: str
    failures: int  # in a row, for the same reason
    until: float  # monotonic seconds
    state: State


class Holds:
    """Those of one hot folder."""

    def __init__(self, traits_of: Callable[[Candidate], Traits]) -> None:
        self._traits_of = traits_of
        self._held: Mapping[str, _Held] = {}  # by the path of the image

    def add(self, candidate: Candidate, reason: str, now: float, *, is_lasting: bool) -> bool:
        """Hold an image from now on; `now` is in monotonic seconds.

        What is not lasting is tried again in a moment first. Gives whether the reason is news.
        """
        path, traits = candidate.image.path, self._traits_of(candidate)
        before = self._held.get(path)
        is_as_before = before is not None and before.reason == reason
        failures = 1 + (before.failures if before is not None and is_as_before else 0)
        if not is_lasting and failures <= _TRIES:
            state, rest = State.SETTLING, 2.0 ** (failures - 1)
        else:
            tried = failures - 1 if is_lasting else failures - 1 - _TRIES
            state, rest = State.HELD, _FIRST_REST_SECONDS * 2.0 ** min(tried, 10)
        until = now + min(rest, _LONGEST_REST_SECONDS)
        self._held = {**self._held, path: _Held(traits, reason, failures, until, state)}
        return not is_as_before

    def held_in(self, plan: Plan, now: float) -> Plan:
        """The plan with these images held."""
        if not self._held:
            return plan
        there = {state.path for state in plan.states}
        self._held = {path: it for path, it in self._held.items() if path in there}
        return without_jobs_of(plan, self._states(plan, now))

    def next_at(self, now: float) -> float:
        """When the next of them is to be tried again, in monotonic seconds."""
        return min((it.until for it in self._held.values() if it.until > now), default=inf)

    def _states(self, plan: Plan, now: float) -> Iterator[FileState]:
        for candidate in plan.ready:
            held = self._held.get(candidate.image.path)
            if held and now < held.until and held.traits == self._traits_of(candidate):
                yield FileState(candidate.image.path, held.state, held.reason)


def traits_of(tree: SafeTree, candidate: Candidate) -> Traits:
    """What a candidate's files and their folder are like now, as far as they may be mended."""
    inbox = tree.root / "inbox"
    files = (candidate.image, *filter(None, [candidate.sidecar]), *candidate.companions)
    paths = [inbox / file.path for file in files]
    return (_rights(tree, paths[0].parent), *(_times(tree, path) for path in paths))


def _rights(tree: SafeTree, folder: Path) -> object:
    with contextlib.suppress(OSError, ValueError):  # a name that no file system holds
        status = tree.status(folder)
        return status.st_mode, status.st_uid, status.st_gid
    return None


def _times(tree: SafeTree, file: Path) -> object:
    with contextlib.suppress(OSError, ValueError):
        status = tree.status(file)
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return None
