"""Images whose files cannot be taken from an inbox: held, with the reason, and tried in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from daemon.job import Candidate, Plan, Seen, without

_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 300.0, 6 * 3600.0

# What the files of a candidate and their folder are like: whatever is mended changes it. Taken
# when they are back, for our own renames change it, too.
Traits = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Held:
    traits: Traits
    reason: str
    rest_seconds: float
    until: float  # monotonic seconds


class Untouchables:
    """Those of one hot folder."""

    def __init__(self, traits_of: Callable[[Candidate], Traits]) -> None:
        self._traits_of = traits_of
        self._held: Mapping[str, _Held] = {}  # by the path of the image

    def add(self, candidate: Candidate, reason: str, now: float) -> None:
        """Hold an image from now on; `now` is in monotonic seconds."""
        path, traits = candidate.image.path, self._traits_of(candidate)
        before, rest = self._held.get(path), _FIRST_REST_SECONDS
        if before is not None and before.reason == reason:
            rest = min(before.rest_seconds * 2, _LONGEST_REST_SECONDS)
        self._held = {**self._held, path: _Held(traits, reason, rest, now + rest)}

    def held_in(self, plan: Plan, now: float) -> Plan:
        """The plan with these images held."""
        if not self._held:
            return plan
        there = {state.path for state in plan.states}
        self._held = {path: it for path, it in self._held.items() if path in there}
        return without(plan, dict(self._reasons(plan, now)))

    def _reasons(self, plan: Plan, now: float) -> Iterator[tuple[Seen, str]]:
        for candidate in plan.ready:
            held = self._held.get(candidate.image.path)
            if held and now < held.until and held.traits == self._traits_of(candidate):
                yield candidate.image, held.reason
