"""The nouns of the daemon: a file seen, a candidate, a claimed job, and the states people see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from config.codec import Count, UnixTime
from config.problems import Problem
from pipeline.recipe import Recipe, Resolved
from pipeline.sniff.whole_file import Kind as Content

DRAWN_SEED = -1  # stands for a seed that nobody has written: no instruction can hold it
JOB_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")  # other folders in work/ are not ours


class State(StrEnum):
    """The only words that people see for where a file or a job stands."""

    SEEN = "seen"
    SETTLING = "settling"
    WAITING_SIDECAR = "waiting-sidecar"
    REFERENCE = "reference"
    HELD = "held"
    READY = "ready"
    CLAIMED = "claimed"
    RUNNING = "running"
    PUBLISHING = "publishing"
    DONE = "done"
    REVIEW = "review"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    DUPLICATE = "duplicate"
    CANCELLED = "cancelled"


class FolderState(StrEnum):
    """The only words that people see for where a hot folder stands."""

    ONLINE = "online"
    OFFLINE = "offline"
    PAUSED = "paused"
    LOW_SPACE = "low-space"
    STANDBY = "standby"


def below(folder: str, name: str) -> str:
    """The path of a name in a subfolder of the inbox, "" being the inbox itself."""
    return f"{folder}/{name}" if folder else name


def story_of(job_id: str) -> str:
    """Where the whole story of a job is told, relative to the root: by the day of its claim."""
    if not JOB_ID.fullmatch(job_id):
        return f"logs/{job_id}.log"
    return f"logs/{job_id[:4]}-{job_id[4:6]}-{job_id[6:8]}/{job_id}.log"


class Seen(NamedTuple):
    """One regular file at one moment; a file written again is another value.

    A tuple, not a dataclass: ten thousand are made and compared in every scan. ctime is part of it
    because a file replaced by one of equal size with its mtime kept differs in nothing else.
    """

    path: str  # relative to the inbox, as the file system gave it (surrogateescape)
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int  # 0 on a share: not stable there

    @property
    def folder(self) -> str:
        """The subfolder of the inbox, "" for the inbox itself."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The base name."""
        return self.path.rpartition("/")[2]

    def beside(self, name: str) -> str:
        """The path of a name in the same subfolder."""
        return below(self.folder, name)


class SkippedEntry(NamedTuple):
    """Something in the inbox that is ignored: a link, a FIFO, a folder named like a picture."""

    path: str
    what: str  # "a symbolic link", "a FIFO"


@dataclass(frozen=True, slots=True)
class Listing:
    """What one scan of an inbox found; hidden and ignored names are not in it."""

    files: tuple[Seen, ...]
    odd: tuple[SkippedEntry, ...]


@dataclass(frozen=True, slots=True)
class FileState:
    """What one file of the inbox waits for, in words."""

    path: str
    state: State
    reason: str  # a plain phrase: "still being written: settled for 1.2 s of 2 s"
    problems: tuple[Problem, ...] = ()  # why it will fail, known already
    read_as: str = ""  # the name for which it stands, where its own has an ending too many


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file that is never taken for input, and what to do if it was meant as one."""

    path: str
    reason: str  # "a HEIC picture: save it as JPEG, PNG, WebP, TIFF or BMP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An image with all that its job needs, ready to be claimed."""

    image: Seen
    sidecar: Seen | None  # None: a folder preset alone
    companions: tuple[Seen, ...]  # references and mask, as far as they exist
    priority: int
    since: float  # monotonic seconds when the first of its files was seen
    problems: tuple[Problem, ...]  # not empty: it is claimed only to be filed as failed


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """The job that an image of the inbox would make."""

    resolved: Resolved  # its seed is DRAWN_SEED where one is still to be drawn
    content: Content | None  # of the image; None: nobody has looked yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a scan means: every file's state, the jobs that are ready, when to scan again."""

    states: tuple[FileState, ...]
    ignored: tuple[Ignored, ...]
    ready: tuple[Candidate, ...]  # highest priority first, then first come
    needed_by: Mapping[str, frozenset[str]]  # sidecar or companion path -> images that need it
    scan_again_at: float | None  # monotonic seconds; None: nothing is due
    cancels: tuple[Seen, ...] = ()  # files that cancel the jobs of their name
    own_reports: tuple[Seen, ...] = ()  # of an earlier failure, moved back with its files
    jobs: Mapping[str, PlannedJob] = field(default_factory=dict)  # by the paths of their images


EMPTY_PLAN = Plan(states=(), ignored=(), ready=(), needed_by={}, scan_again_at=None)


def kept(plan: Plan, candidate: Candidate) -> frozenset[str]:
    """The paths of a candidate's files that other images need, so that they are copied."""
    files = (candidate.image, *filter(None, [candidate.sidecar]), *candidate.companions)
    none: frozenset[str] = frozenset()
    return frozenset(
        file.path for file in files if plan.needed_by.get(file.path, none) - {candidate.image.path}
    )


def without_image(plan: Plan, image: str) -> Plan:
    """The plan when the job of an image has left, with all that no other image needs."""
    needs = {path: them - {image} for path, them in plan.needed_by.items() if image in them}
    gone = {path for path, others in needs.items() if not others}
    if image not in plan.needed_by:
        gone.add(image)
    return replace(
        plan,
        states=tuple(file for file in plan.states if file.path not in gone),
        ready=tuple(one for one in plan.ready if one.image.path != image),
        needed_by={path: them for path, them in {**plan.needed_by, **needs}.items() if them},
    )


def with_states(plan: Plan, more: Iterable[FileState]) -> Plan:
    """The plan with further files; itself where there are none."""
    added = tuple(more)
    return replace(plan, states=(*plan.states, *added)) if added else plan


def without_jobs_of(plan: Plan, left: Iterable[FileState]) -> Plan:
    """The plan with the candidates of these images standing otherwise, and not ready."""
    held = {state.path: state for state in left}
    ready = tuple(one for one in plan.ready if one.image.path not in held)
    states = tuple(held.get(file.path, file) for file in plan.states)
    return replace(plan, ready=ready, states=states)


class Role(StrEnum):
    """What a file is to its job."""

    IMAGE = "image"
    SIDECAR = "sidecar"
    COMPANION = "companion"  # a reference or the mask


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """One original of a job, under work/<job id>/ with its own name."""

    role: Role
    name: str
    moved: bool  # False: a copy, the original stays in the inbox for another job
    sha256: str
    size: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A claimed job: what job.json holds."""

    job_id: str
    folder: str  # subfolder of the inbox, "" for the inbox itself
    files: tuple[JobFile, ...]  # the image first
    drawn_seed: Count  # used where the instruction has no seed, so that a retry repeats it
    arrived_at: UnixTime  # Unix time when the daemon first saw the image
    claimed_at: UnixTime  # Unix time
    attempts: Count  # runs begun, this one included
    strikes: Count  # runs that ended badly while the daemon lived
    alone: bool  # it was in a batch that died: until it has run alone, nobody knows whose fault
    ending: State | None = None  # it is being filed as this without a result, and runs no more
    # Where its files are fetched from, relative to the root, and their names in work/.
    adopting: tuple[tuple[str, str], ...] = ()
    returning: Mapping[str, str] = field(default_factory=dict)  # names in the inbox, once chosen

    @property
    def image(self) -> JobFile:
        """The image to edit."""
        return self.files[0]

    @property
    def path(self) -> str:
        """The image's path relative to the inbox."""
        return self.path_of(self.image.name)

    def path_of(self, name: str) -> str:
        """The path of another of its files, as `path`."""
        return below(self.folder, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedJob:
    """A claimed job with its recipe and its private copies on local scratch."""

    job: Job
    recipe: Recipe
    instruction: str  # JSON of the keys as written, for the receipt
    content_key: str  # the same for the same picture, instruction and references
    scratch: Path  # file n of the job is scratch_name(n) here
    companions: Mapping[str, Path]  # references and mask, by their names in the recipe
    notes: tuple[str, ...]  # plain sentences: which limits were applied


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """How a job ended, as a row of the closing table shows it."""

    file: str
    state: State
    seconds: float | None  # None: it was not worked
    result: str  # where the result or the originals are
