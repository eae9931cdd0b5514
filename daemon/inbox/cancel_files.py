"""What a cancel file means: photo.cancel cancels what photo.yaml would be an instruction of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from daemon.fs.names import Kind, kind_of, meant_name, pair_key, printable, stem_of
from daemon.job import FileState, Plan, Seen, State


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingJob:
    """Files that leave the inbox together, because their job is cancelled; paths in the inbox."""

    image: str  # or a lone instruction
    others: tuple[str, ...]  # instructions first
    kept: frozenset[str]  # of the others, those that other images need: they stay


def matches(cancel: str, name: str) -> bool:
    """Whether a cancel file of that base name means an image or an instruction of this one."""
    names = (it for one in {name, meant_name(name)} for it in _names_of(one))
    return pair_key(stem_of(meant_name(cancel))) in set(map(pair_key, names))


def targets(cancel: Seen, plan: Plan) -> tuple[WaitingJob, ...]:
    """What a cancel file means among the files of an inbox; nothing that others still need."""
    names = [
        path
        for path in _inputs(plan)
        if path.rpartition("/")[0] == cancel.folder and matches(cancel.name, _base(path))
    ]
    images = [path for path in names if kind_of(_base(path)) is Kind.IMAGE]
    others = tuple(path for path in names if path not in images)
    if not images:
        return tuple(WaitingJob(image=it, others=(), kept=frozenset()) for it in others)
    return tuple(
        waiting_job_of(plan, it, gone=images[: index + 1], beside=() if index else others)
        for index, it in enumerate(images)
    )


def waiting_job_of(
    plan: Plan, image: str, *, gone: Iterable[str], beside: tuple[str, ...] = ()
) -> WaitingJob:
    """An image with all that its job would take; what images not in `gone` need stays."""
    needs = {path for path, images in plan.needed_by.items() if image in images and path != image}
    others = (*sorted(needs, key=_instructions_first), *beside)
    still_there = {
        path for path in others if plan.needed_by.get(path, frozenset()) - {image, *gone}
    }
    return WaitingJob(image=image, others=others, kept=frozenset(still_there))


def cancel_file_state(cancel: Seen, plan: Plan) -> FileState:
    """A cancel file in the words of `plan`: what it is about to do."""
    names = " and ".join(printable(_base(it.image)) for it in targets(cancel, plan))
    reason = f"cancels {names}" if names else "cancels nothing that waits here"
    meant = meant_name(cancel.name)
    if meant == cancel.name:
        return FileState(cancel.path, State.SEEN, reason)
    name = printable(meant)
    return FileState(cancel.path, State.SEEN, f"{reason} (read as {name})", read_as=name)


def _inputs(plan: Plan) -> Iterator[str]:
    """Images that are inputs, and instructions that no image takes."""
    for file in plan.states:
        match kind_of(_base(file.path)):
            case Kind.IMAGE if file.state is not State.REFERENCE:
                yield file.path
            case Kind.SIDECAR if file.path not in plan.needed_by:
                yield file.path
            case _:
                pass


def _names_of(name: str) -> Iterator[str]:
    yield name
    stem = stem_of(name)
    yield stem
    if kind_of(name) is Kind.SIDECAR and kind_of(stem) is Kind.IMAGE:
        yield stem_of(stem)  # photo.jpg.yaml is an instruction of photo


def _instructions_first(path: str) -> tuple[bool, str]:
    return (kind_of(_base(path)) is not Kind.SIDECAR, path)


def _base(path: str) -> str:
    return path.rpartition("/")[2]
