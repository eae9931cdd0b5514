"""A claimed job is resolved: its instruction read from the private copy and resolved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.instruction_keys import Keys
from config.problems import Problem, UserError
from daemon.folder.messages import Claimed, Rejected
from daemon.fs.names import meant_name, pair_key, printable
from daemon.inbox.grouping import is_named_for
from daemon.job import Job, ResolvedJob, Role
from daemon.spool.spool import scratch_name
from pipeline import instruction, recipe
from pipeline.instruction import Instruction
from pipeline.recipe import Recipe, RecipeRules

Problems = tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Resolver:
    """Reads claimed jobs by the rules in force."""

    rules: RecipeRules

    def read(
        self, job: Job, scratch: Path, presets: tuple[Keys, ...], problems: Problems
    ) -> Claimed | Rejected:
        """The resolved job whose files lie on scratch, or all that is wrong with it.

        `problems` are those known before the claim.
        """
        try:
            written = _instruction(job, scratch)
        except UserError as error:
            return Rejected(job, problems or error.problems, "{}")
        text = json.dumps(dict(written.as_written), ensure_ascii=False)
        if problems:
            return Rejected(job, problems, text)
        try:
            resolved = recipe.resolve(
                written, folder_presets=presets, rules=self.rules, drawn_seed=job.drawn_seed
            )
            companions = _companions(job, scratch, resolved.recipe, written)
        except UserError as error:
            return Rejected(job, error.problems, text)
        return Claimed(
            ResolvedJob(
                job=job,
                recipe=resolved.recipe,
                instruction=text,
                content_key=content_key(job),
                scratch=scratch,
                companions=companions,
                notes=resolved.notes,
            ),
            self.rules.loras,
        )


def _instruction(job: Job, scratch: Path) -> Instruction:
    for index, file in enumerate(job.files):
        if file.role is Role.SIDECAR:
            content = (scratch / scratch_name(index)).read_bytes()
            is_right = is_named_for(file.name, job.image.name)
            meant = file.name if is_right else meant_name(file.name)
            return instruction.parse(content, printable(job.path_of(file.name)), read_as=meant)
    return instruction.NONE


def _companions(
    job: Job, scratch: Path, recipe: Recipe, written: Instruction
) -> Mapping[str, Path]:
    copies = {
        pair_key(file.name): scratch / scratch_name(index)
        for index, file in enumerate(job.files)
        if file.role is Role.COMPANION
    }
    for name in [*copies]:
        copies.setdefault(pair_key(meant_name(name)), copies[name])
    named = [*recipe.images, *filter(None, [recipe.mask])]
    missing = [name for name in named if pair_key(name) not in copies]
    if missing:
        advice = "put it into the folder of the picture"
        raise UserError(
            Problem(
                written.where_named(name), f"{printable(job.path_of(name))} is missing", advice
            )
            for name in missing
        )
    return {name: copies[pair_key(name)] for name in named}


def content_key(job: Job) -> str:
    """What tells a job with the same files from one with others."""
    hashes = sorted(f"{file.role}:{file.sha256}" for file in job.files)
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
