"""The seam between the queue and a model: requests in, events out, several jobs at once."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

# A full, failing or read-only disk, scratch that somebody emptied, too many open files.
_OF_THE_MACHINE = frozenset(
    (
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE),
        *(errno.ENOENT, errno.EACCES, errno.EMFILE, errno.ENFILE),
    )
)
MACHINE_ADVICE = "Make room on that disk, or mend it."


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRequest:
    """One picture to edit. All paths are local scratch files."""

    request_id: str
    # 8-bit sRGB RGB; the first is edited, in the size that the model works at
    images: tuple[Path, ...]
    prompt: str
    negative_prompt: str
    steps: int
    cfg: float  # true_cfg_scale; 1 = off
    seed: int
    lora: str | None
    result: Path  # where the edited picture goes (PNG), in the size of the first image


@dataclass(frozen=True, slots=True, kw_only=True)
class EditResult:
    """An edited picture on local scratch, and what it cost."""

    path: Path
    encode_seconds: float
    denoise_seconds: float
    decode_seconds: float
    peak_vram_gib: float  # 0 without a GPU


class Failure(StrEnum):
    """Whose fault a failed edit is; decides whether it is tried again."""

    PERMANENT = "permanent"  # the same request will fail again
    TRANSIENT = "transient"  # may work next time
    ENVIRONMENT = "environment"  # the machine's fault; costs the job no attempt


@dataclass(eq=False)
class EditError(Exception):
    """An edit that could not be done: the cause, what to do, and whether trying again may help."""

    cause: str
    advice: str
    failure: Failure

    def __str__(self) -> str:
        return self.cause


class StageName(StrEnum):
    """What an editor is doing for a request."""

    ENCODE = "encode"
    DENOISE = "denoise"
    DECODE = "decode"


@dataclass(frozen=True, slots=True)
class Stage:
    """A request has entered a stage."""

    request_id: str
    stage: StageName


@dataclass(frozen=True, slots=True)
class Step:
    """Denoising step `step` of `steps` is done; counts from 1."""

    request_id: str
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class Done:
    """The request's result lies at its path, whole."""

    request_id: str
    result: EditResult


@dataclass(frozen=True, slots=True)
class Failed:
    """The request ended without a result; the others go on."""

    request_id: str
    error: EditError


Event = Stage | Step | Done | Failed
OnEvent = Callable[[Event], frozenset[str]]  # returns the ids of requests to drop


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What edited, for the receipt, and what the pixel side must know of it."""

    path: str
    class_name: str
    fingerprint: str
    dtype: str
    attention: str  # the attention kernel, by diffusers' name; "none" without a model
    is_compiled: bool  # the transformer's blocks; those of a job with a LoRA never are
    weights: str  # "trained", "random", or "none" for an editor without a model
    working_pixels: int | None  # the area that the model edits at; None = any size as it is
    multiple: int  # both sides of a canvas are multiples of this
    versions: tuple[tuple[str, str], ...]  # library, version
    device: str = "cpu"  # or "cuda"
    pack: str = "none"  # how weights wait for the device: "none" or "lossless"


class Editor(Protocol):
    """Edits pictures; holds its model until closed."""

    def describe(self) -> ModelFacts:
        """What this editor is."""
        ...

    def edit(self, requests: Sequence[EditRequest], on_event: OnEvent) -> None:
        """Edit all requests; each ends with exactly one Done or Failed, unless dropped."""
        ...

    def close(self) -> None:
        """Give the model's memory back."""
        ...


def is_of_the_machine(error: OSError) -> bool:
    """Whether no picture is to blame."""
    return error.errno in _OF_THE_MACHINE


def machine_words(error: OSError) -> str:
    """What cannot be done, and where."""
    where = f"{error.filename}: " if error.filename else ""
    return f"Local scratch cannot be used ({where}{error.strerror})."


def machine_error(error: OSError) -> EditError:
    """The EditError for an error of the machine."""
    return EditError(machine_words(error), MACHINE_ADVICE, Failure.ENVIRONMENT)
