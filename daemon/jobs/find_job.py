"""Which job somebody means who names a file or the beginning of a job's id."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from daemon.fs.names import Kind, kind_of, pair_key, printable
from daemon.job import FileState, Job, Plan, State

_ID = re.compile(r"[0-9]{8}-[0-9]{0,6}(-[0-9a-f]{0,8})?")  # from the day on; shorter names no job


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file of the inbox, by its path there."""

    path: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """None alone; says why, and what to name instead."""

    text: str


def find_job(
    word: str, path: str, plan: Plan, jobs: Iterable[Job]
) -> Waiting | Job | Unclear | None:
    """Find what is meant by `word`, or by `path`, which is relative to the inbox.

    A job that is claimed is found itself; None: there is no such job or file.

    A file that lies in the inbox goes before an older job of its name, and a name that is spelled
    so before one that people read alike.
    """
    jobs = tuple(jobs)
    inputs = [file for file in plan.states if _is_input(file)]
    for is_alike in (operator.eq, _is_twin):
        files = [file for file in inputs if is_alike(file.path, path)]
        mine = [job for job in jobs if is_alike(job.path, path)]
        if files or mine:
            return _one_of(files, plan) if files else _only(mine)
    if _ID.fullmatch(word):
        mine = [job for job in jobs if job.job_id.startswith(word)]
        return _only(mine) if mine else None
    return None


def _is_input(file: FileState) -> bool:
    return kind_of(file.path.rpartition("/")[2]) in (Kind.IMAGE, Kind.SIDECAR)


def _is_twin(first: str, second: str) -> bool:
    return pair_key(first) == pair_key(second)


def _one_of(files: Sequence[FileState], plan: Plan) -> Waiting | Unclear:
    """The input that is meant; an instruction stands for the picture that it serves."""
    paths = [path for file in files for path in plan.needed_by.get(file.path, {file.path})]
    if len(files) == 1 and files[0].state is State.REFERENCE:
        names = _listed(plan.needed_by.get(files[0].path, ()))
        text = f"{printable(files[0].path)} is a reference of {names}: cancel that picture"
        return Unclear(f"{text}, or remove the file.")
    if kind_of(files[0].path) is Kind.IMAGE:
        paths = [file.path for file in files]
    if len(paths) == 1:
        return Waiting(paths[0])
    return Unclear(f"That may be {_listed(paths)}: name one of them.")


def _only(jobs: Sequence[Job]) -> Job | Unclear:
    if len(jobs) == 1:
        return jobs[0]
    names = " or ".join(f"{job.job_id} ({printable(job.path)})" for job in jobs)
    return Unclear(f"That may be the job {names}: name one by its whole id.")


def _listed(paths: Iterable[str]) -> str:
    return " or ".join(printable(path) for path in sorted(paths))
