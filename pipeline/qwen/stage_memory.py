"""The memory that the stages of a batch may take, and the plans made for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TypeVar

import torch

from pipeline.editor import EditError, Failure
from pipeline.qwen import errors
from pipeline.qwen.device import ModelDevice, Streamed
from pipeline.qwen.offload_plan import (
    GIB,
    ModelSize,
    Plan,
    TooSmallError,
    Work,
    after_out_of_memory,
    describe,
    everything,
    plan,
    smallest_bytes,
)
from pipeline.qwen.vram_budget import plan_for_usual

log = logging.getLogger(__name__)

T = TypeVar("T")
_CALM_BATCHES = 20  # without running out of memory, after which another try is worth its cost
_WORTH_TELLING_BYTES = GIB  # by which what is free has changed
_ADVICE = (
    "Write a smaller megapixels, use fewer references or a shorter prompt, or raise "
    "model.vram_gib."
)


class StageMemory:
    """Plans within a budget: what other programs leave, less when the GPU proves smaller still."""

    def __init__(
        self, place: ModelDevice, size: ModelSize, *, usual: Work, usual_batch: Work
    ) -> None:
        """`usual` is one job, `usual_batch` as many as are edited together."""
        self._size = size
        self._usual = usual
        self._usual_batch = usual_batch
        self._place = place
        self._allowed_bytes = _allowed_bytes(place)
        self._most_bytes = self._allowed_bytes  # that were ever allowed
        self._budget_bytes = self._allowed_bytes  # less, after the GPU ran out of memory
        self._calm_batches = 0

    def open(self) -> None:
        """Say what a usual job will find; raises UserError if there is no room for one."""
        if self._budget_bytes is None:
            log.info("no GPU: the model computes on the processor, in main memory")
            return
        found = plan_for_usual(self._size, self._usual, self._budget_bytes)
        log.info("%s", describe(found, self._size, self._budget_bytes))

    def begin_batch(self) -> None:
        """Plan with what is allowed now; with all of it where the GPU's narrowness was a spell."""
        self._calm_batches += 1
        allowed, before, budget = (
            _allowed_bytes(self._place),
            self._allowed_bytes,
            self._budget_bytes,
        )
        if allowed is None or before is None or budget is None:
            return
        _tell_change(before, allowed)
        is_narrow = budget < before and self._calm_batches < _CALM_BATCHES
        self._budget_bytes = min(budget, allowed) if is_narrow else allowed
        if not self._holds(self._usual):
            self._budget_bytes = allowed
        self._allowed_bytes = allowed
        self._most_bytes = max(allowed, self._most_bytes or 0)

    def _holds(self, work: Work) -> bool:
        budget_bytes = self._budget_bytes
        return budget_bytes is None or smallest_bytes(self._size, work) <= budget_bytes

    def plan(self, work: Work) -> Plan:
        """The plan for this work; raises EditError if it is too large for the GPU."""
        if self._budget_bytes is None:
            return everything(self._size, work)
        try:
            return plan(self._size, work, self._budget_bytes)
        except TooSmallError as error:
            cause = f"This job is too large for the GPU: {error}."
            has_fitted = smallest_bytes(self._size, work) <= (self._most_bytes or 0)
            failure = Failure.TRANSIENT if has_fitted else Failure.PERMANENT
            raise EditError(cause, _ADVICE, failure) from error

    def for_reading(self, works: Sequence[Work]) -> Plan:
        """The plan for reading prompts: the usual one unless one is longer than usual.

        So the text encoder can be on its way before it is known what it is to read. Raises
        EditError if these are too large for the GPU.
        """
        own = largest(works) if works else self._usual
        for usual in (self._usual_batch, self._usual):
            needed = _at_least(usual, own)
            if self._holds(needed):
                return self.plan(needed)
        return self.plan(own)

    def together(self, works: Sequence[Work]) -> list[Work]:
        """As many of the first of these as there is room for what they keep, but at least one.

        Each with what all of them keep until the last is done.
        """
        for count in range(len(works), 1, -1):
            found = _beside_each_other(works[:count])
            if self._holds(largest(found)):
                return found
        return list(works[:1])

    def retrying(self, doing: str, stage: Callable[[], T]) -> T:
        """What `stage` returns, asked again with a smaller budget when the GPU runs out of memory.

        Raises EditError when no smaller plan is left.
        """
        while True:
            try:
                return stage()
            except torch.OutOfMemoryError as error:
                self._shrink(error, doing)
            errors.give_back_memory()

    def _shrink(self, error: torch.OutOfMemoryError, doing: str) -> None:
        explained = errors.explain(error, doing)
        if self._budget_bytes is None:
            raise explained from error
        smaller = after_out_of_memory(self._budget_bytes)
        log.warning(
            "the GPU ran out of memory while %s; planning with %.1f GiB from now on",
            doing,
            smaller / GIB,
        )
        self._budget_bytes = smaller
        self._calm_batches = 0


def _allowed_bytes(place: ModelDevice) -> int | None:
    return place.budget_bytes() if isinstance(place, Streamed) else None


def _tell_change(before: int, allowed: int) -> None:
    if abs(allowed - before) >= _WORTH_TELLING_BYTES:
        what = "%.1f GiB of GPU memory are allowed or free now, %.1f GiB were before"
        log.info(what, allowed / GIB, before / GIB)


def _at_least(usual: Work, work: Work) -> Work:
    return Work(
        **{
            one.name: max(getattr(usual, one.name), getattr(work, one.name))
            for one in fields(Work)
        }
    )


def _beside_each_other(works: Sequence[Work]) -> list[Work]:
    tokens = sum(work.kept_patches for work in works)
    text_tokens = sum(work.kept_text_tokens for work in works)
    return [replace(one, kept_patches=tokens, kept_text_tokens=text_tokens) for one in works]


def largest(works: Sequence[Work]) -> Work:
    """The work of several jobs of one batch."""
    return Work(
        sequences=sum(work.sequences for work in works),
        tokens=max(work.tokens for work in works),
        text_tokens=max(work.text_tokens for work in works),
        pixels=max(work.pixels for work in works),
        timesteps=max(work.timesteps for work in works),
        kept_patches=max(work.kept_patches for work in works),
        kept_text_tokens=max(work.kept_text_tokens for work in works),
        lora_bytes=max(work.lora_bytes for work in works),
    )
