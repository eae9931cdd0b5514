"""A result is edited anew: its picture, references and mask go into the inbox once more."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config import codec
from config.problems import Problem, UserError
from daemon.fs.names import is_base_name, printable
from daemon.fs.safe_tree import SafeTree
from daemon.job import Job, JobFile, Role
from daemon.spool.giving_back import twins_in
from daemon.spool.records import JOB_RECORD, ClaimTicket
from daemon.spool.results import Result, first_name, original_of, read_result, reference_of
from daemon.spool.spool import Spool

_LONGEST_NAME_BYTES = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be different this time; None: as it was, and another seed."""

    prompt: str | None = None
    seed: int | None = None


def edit_again(spool: Spool, path: str, changes: Changes, ticket: ClaimTicket) -> tuple[str, ...]:
    """Put copies of a result's originals into the inbox, with an instruction of its recipe.

    Gives their paths there. Whenever this dies, all or none of them arrive. Raises UserError
    where that is no result, or its originals are not what they were.
    """
    result = read_result(spool.tree, path)
    recipe = _changed(result, changes, ticket.drawn_seed)
    picture = original_of(spool.tree, result)
    references = _references(spool.tree, result, _names_in(recipe))
    whose = f"the reference of {printable(result.path)}"
    there = twins_in(spool.tree, spool.inbox / result.folder, references, whose)
    references = {name: it for name, it in references.items() if name not in there}
    prepared = _prepared(spool, ticket.job_id)
    name = first_name(picture.name, result.picture)
    sources = {name: picture, **references}
    for it, source in sources.items():
        spool.tree.copy(source, prepared / it)
    if spool.tree.sha256_of(prepared / name) != result.picture_sha256:
        shown = printable(str(picture.relative_to(spool.root)))
        raise UserError([Problem(shown, "is being written to", "call this again in a moment")])
    instruction = _name_of_instruction(name)
    spool.tree.write_whole(prepared / instruction, _text(recipe).encode())
    job = ticket.job(result.folder, tuple(_files(name, instruction, references)))
    spool.tree.write_whole(prepared / JOB_RECORD, codec.dump(job).encode())
    _hand_over(spool, prepared, job)
    return spool.release(job)


def _changed(result: Result, changes: Changes, drawn_seed: int) -> Mapping[str, object]:
    recipe = _recipe_of(result)
    seed = drawn_seed if changes.seed is None else changes.seed
    # Every key has its value, so the preset has no more to say; it may be gone.
    kept = {key: value for key, value in recipe.items() if value is not None and key != "preset"}
    prompt = {} if changes.prompt is None else {"prompt": changes.prompt}
    return {**kept, **prompt, "seed": seed, "variants": 1}


def _recipe_of(result: Result) -> Mapping[str, object]:
    """The recipe, as far as it is read here; raises UserError where it cannot be."""
    try:
        recipe: Mapping[str, object] = codec.at(Mapping[str, object], result.receipt, "recipe")
        codec.at(str, recipe, "prompt")
        _names_in(recipe)
    except ValueError as error:
        advice = "drop the original again with an instruction; it is in done/"
        where = f"{printable(result.path)}.json"
        raise UserError([Problem(where, "has no recipe that can be read", advice)]) from error
    return recipe


def _names_in(recipe: Mapping[str, object]) -> tuple[str, ...]:
    """The references and the mask; raises ValueError where that cannot be read."""
    names = codec.at(tuple[str, ...] | None, recipe, "images") or ()
    mask = codec.at(str | None, recipe, "mask")
    return tuple(dict.fromkeys((*names, *((mask,) if mask else ()))))


def _references(tree: SafeTree, result: Result, names: tuple[str, ...]) -> Mapping[str, Path]:
    """Where each lies; whoever may write to the share may have written the names."""
    for name in names:
        if not is_base_name(name):
            where = f"{printable(result.path)}.json"
            raise UserError([Problem(where, f"names {name!r}", "it was changed: use none of it")])
    return {name: reference_of(tree, result, name) for name in names}


def _prepared(spool: Spool, job_id: str) -> Path:
    """A new folder beside work/, and none of an earlier call that died."""
    beside = spool.root / ".hotfolder" / "again"
    spool.tree.make_folder(beside)
    for left in spool.tree.names(beside):
        for name in spool.tree.names(beside / left):
            spool.tree.remove(beside / left / name)
        spool.tree.remove_empty(beside / left)
    spool.tree.make_folder(beside / job_id)
    return beside / job_id


def _hand_over(spool: Spool, prepared: Path, job: Job) -> None:
    """Make it a job that is given back: from now on a recovery does that."""
    work = spool.work(job.job_id)
    spool.tree.make_folder(work.parent)
    spool.tree.sync(prepared)
    spool.tree.rename(prepared, work)
    spool.tree.sync(work.parent)


def _name_of_instruction(picture: str) -> str:
    """A name that is of this picture alone, where there is room for it."""
    stem = picture.rpartition(".")[0]
    names = (f"{picture}.yaml", f"{stem}.yaml", f"{stem}.yml")
    return next(it for it in names if len(os.fsencode(it)) <= _LONGEST_NAME_BYTES)


def _files(picture: str, instruction: str, references: Mapping[str, Path]) -> Iterator[JobFile]:
    roles = {picture: Role.IMAGE, instruction: Role.SIDECAR}
    for name in (picture, instruction, *references):
        role = roles.get(name, Role.COMPANION)
        yield JobFile(role=role, name=name, moved=True, sha256="", size=0)


def _text(recipe: Mapping[str, object]) -> str:
    """An instruction: a key a line, each value as JSON has it, which YAML reads."""
    pairs = ((key, json.dumps(value, ensure_ascii=False)) for key, value in recipe.items())
    return "".join(f"{key}: {value}\n" for key, value in pairs)
