"""Batches of edits as numbers: what is drawn, and what is read."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from transformers import Qwen2Tokenizer

from pipeline.tiny_model import SYSTEM_PROMPT
from training.drawing import draw, numbers
from training.parts import SCALE, TOKEN
from training.reading import Glimpse, glimpse, positions
from training.sayings import Kind
from training.scene import MOST_THINGS
from training.world import GLOBAL, MOST_THINGS_OF_BUSY, Edit, busy_edit, graded, training_edit

MOST_WORDS = 28  # tokens of a prompt
NO_PROMPT = " "  # what guidance leads away from
_EMPTY_SHARE = 0.1
_BUSY_PART = 10  # one edit in so many is of a crowded picture

# What crosses from the processes that draw up lessons: arrays by name.
Lesson: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    """Pictures of one size, one or two with a prompt."""

    width: int
    height: int
    pictures: int
    share: float  # of the lessons

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    @property
    def glimpse(self) -> Glimpse:
        """How the text encoder sees each picture."""
        return glimpse(self.width, self.height)

    @property
    def latent(self) -> tuple[int, int]:
        """Rows and columns of a latent."""
        return self.height // SCALE, self.width // SCALE

    @property
    def tokens(self) -> tuple[int, int]:
        """Rows and columns of the transformer's tokens."""
        return self.height // TOKEN, self.width // TOKEN


# About 65 536 pixels: what Hotfolder makes of pictures 1:1, 4:3, 3:4, 3:2 and 2:3.
FORMATS = (
    Format(256, 256, 1, 0.38),
    Format(288, 224, 1, 0.22),
    Format(224, 288, 1, 0.10),
    Format(320, 192, 1, 0.04),
    Format(192, 320, 1, 0.04),
    Format(256, 256, 2, 0.10),
    Format(288, 224, 2, 0.12),
)


class Reader:
    """Prompts as tokens in the pipelines' template."""

    def __init__(self, words: Qwen2Tokenizer) -> None:
        self.words = words
        self._pad: Any = words.convert_tokens_to_ids("<|endoftext|>")
        self._after = self._ids("<|im_end|>\n<|im_start|>assistant\n")

    def head(self, pictures: int, seen: Glimpse) -> list[int]:
        """All that comes before the words of a prompt."""
        text = f"<|im_start|>{SYSTEM_PROMPT}<|im_end|>\n<|im_start|>user\n"
        for number in range(pictures):
            image = "<|image_pad|>" * seen.tokens
            text += f"Picture {number + 1}: <|vision_start|>{image}<|vision_end|>"
        return self._ids(text)

    def layout(self, form: Format) -> tuple[list[int], torch.Tensor]:
        """The head of every prompt of a format, and positions to the longest prompt's end."""
        head = self.head(form.pictures, form.glimpse)
        token: Any = self.words.convert_tokens_to_ids("<|image_pad|>")
        marks = [int(one == token) for one in head] + [0] * (MOST_WORDS + len(self._after))
        return head, positions(marks, form.glimpse)

    def read(self, prompts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Tokens after the head, padded: (prompts, tokens) int64, and which of them count."""
        length = MOST_WORDS + len(self._after)
        ids = np.full((len(prompts), length), self._pad, np.int64)
        counts = np.zeros((len(prompts), length), bool)
        for row, count, prompt in zip(ids, counts, prompts, strict=True):
            one = [*self._ids(prompt), *self._after]
            row[: len(one)], count[: len(one)] = one, True
        return ids, counts

    def _ids(self, text: str) -> list[int]:
        return list(self.words(text)["input_ids"])


@dataclass(frozen=True, slots=True)
class LessonMaker:
    """Draws up the lesson of a number; all processes of a training agree on its format."""

    seed: int
    count: int
    reader: Reader

    def __call__(self, chance: random.Random, index: int) -> Lesson:
        """A batch of edits; the last ones are of crowded pictures."""
        form = format_of(self.seed, index)
        crowded = self.count // _BUSY_PART if form.pictures == 1 else 0
        edits = [
            training_edit(chance, form.aspect, two_pictures=form.pictures == 2)
            for _ in range(self.count - crowded)
        ]
        edits += [busy_edit(chance, form.aspect) for _ in range(crowded)]
        prompts = [NO_PROMPT if chance.random() < _EMPTY_SHARE else edit.words for edit in edits]
        ids, counts = self.reader.read(prompts)
        return {**picture_numbers(edits, crowded), "ids": ids, "counts": counts}


def picture_numbers(edits: Sequence[Edit], crowded: int = 0) -> Lesson:
    """What is drawn for edits, the last `crowded` of which are of crowded pictures."""
    worldly = edits[: len(edits) - crowded]
    seconds = [edit.second for edit in worldly if edit.second is not None]
    return {
        "before": numbers([edit.before for edit in worldly], MOST_THINGS),
        "after": numbers([edit.after for edit in worldly], MOST_THINGS),
        "second": numbers(seconds, MOST_THINGS),
        "crowded": numbers([edit.before for edit in edits[len(worldly) :]], MOST_THINGS_OF_BUSY),
        "graded": {
            kind.value: np.array([n for n, edit in enumerate(edits) if edit.kind is kind])
            for kind in GLOBAL
        },
    }


def format_of(seed: int, index: int) -> Format:
    """The format of a lesson; the same in every process of a training."""
    chance = random.Random(f"format {seed}/{index}")
    return chance.choices(FORMATS, [one.share for one in FORMATS])[0]


@dataclass(frozen=True, slots=True)
class Pictures:
    """A drawn lesson, (edits, 3, height, width) each, 0..1."""

    before: torch.Tensor
    after: torch.Tensor
    second: torch.Tensor | None

    @property
    def shown(self) -> list[torch.Tensor]:
        """The pictures that a prompt comes with."""
        return [self.before] if self.second is None else [self.before, self.second]


def drawn(lesson: Lesson, form: Format, device: torch.device) -> Pictures:
    """Draw a lesson."""

    def pictures(name: str) -> torch.Tensor:
        rows = torch.as_tensor(lesson[name]).to(device, non_blocking=True)
        return draw(rows, form.height, form.width)

    before, after = pictures("before"), pictures("after")
    if len(lesson["crowded"]):
        crowded = pictures("crowded")
        before, after = torch.cat([before, crowded]), torch.cat([after, crowded])
    for name, rows in lesson["graded"].items():
        if len(rows):
            at = torch.as_tensor(rows).to(device, non_blocking=True)
            after = after.index_copy(0, at, graded(Kind(name), after[at]))
    second = pictures("second") if form.pictures == 2 else None
    return Pictures(before, after, second)
