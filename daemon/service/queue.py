"""The jobs that wait, of all hot folders, in the order in which they are begun."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from daemon.control.documents import Turn
from daemon.job import Candidate, Plan
from daemon.jobs.job_run import JobRun
from daemon.jobs.time_left import turns
from pipeline.recipe import Recipe


def places_of(plan: Plan) -> Mapping[str, Turn]:
    """Where the jobs of an inbox come, by the paths of their images; not when they are done."""
    number = len(plan.ready)
    return {it.image.path: Turn(ahead, number, None) for ahead, it in enumerate(plan.ready)}


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFolder:
    """What waits in one hot folder."""

    root: str
    plan: Plan
    is_worked: bool  # whether its jobs are begun now


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQueue:
    """The queue at one moment; nothing in it changes any more, so any thread may ask it."""

    claimed: tuple[JobRun, ...]  # got ready for the editor, the next one first
    folders: tuple[WaitingFolder, ...]
    seconds_of: Callable[[Recipe | None], float | None]  # that a job takes; None: not known
    under_way: float | None  # seconds until the editor is free; None: not known
    together: int  # jobs that the editor takes at once
    pace: float  # seconds that a second of work takes

    def by_root(self) -> Mapping[str, Mapping[str, Turn]]:
        """The turn of each waiting job, by its hot folder and the path of its image there.

        A job that was claimed already goes by its id. Where a hot folder is not worked now, its
        jobs have a place, but nobody knows when they are done.
        """
        found: dict[str, dict[str, Turn]] = {}
        in_turn = list(self._in_turn())
        for (root, name, _), turn in zip(in_turn, self._turns(in_turn), strict=True):
            found.setdefault(root, {})[name] = turn
        for folder in self.folders:
            if not folder.is_worked:
                found[folder.root] = {**found.get(folder.root, {}), **places_of(folder.plan)}
        return found

    def seconds(self) -> float | None:
        """Until all that can be begun now is done; None where nobody knows."""
        in_turn = list(self._in_turn())
        return self._turns(in_turn)[-1].eta_seconds if in_turn else self.under_way

    def _turns(self, in_turn: Iterable[tuple[str, str, Recipe | None]]) -> list[Turn]:
        known: dict[object, float | None] = {}  # thousands of jobs are of a few kinds
        seconds = [self._known(known, recipe) for _, _, recipe in in_turn]
        return turns(seconds, under_way=self.under_way, together=self.together, pace=self.pace)

    def _known(self, known: dict[object, float | None], recipe: Recipe | None) -> float | None:
        kind = recipe and (recipe.steps, recipe.variants, recipe.megapixels, recipe.cfg)
        if kind not in known:
            known[kind] = self.seconds_of(recipe)
        return known[kind]

    def _in_turn(self) -> Iterator[tuple[str, str, Recipe | None]]:
        for job in self.claimed:
            yield job.root, job.job.job_id, job.resolved_job.recipe
        worked = (_by_urgency(folder) for folder in self.folders if folder.is_worked)
        for _, _, folder, candidate in heapq.merge(*worked, key=lambda it: it[:2]):
            planned = folder.plan.jobs.get(candidate.image.path)
            recipe = None if planned is None else planned.resolved.recipe
            yield folder.root, candidate.image.path, recipe


def _by_urgency(folder: WaitingFolder) -> Iterator[tuple[int, float, WaitingFolder, Candidate]]:
    for candidate in folder.plan.ready:
        yield -candidate.priority, candidate.since, folder, candidate
