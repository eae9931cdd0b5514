"""How a result came about, as its file will tell it: the facts, and the text that tools read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.editor import ModelFacts
from pipeline.recipe import Recipe

SAMPLER = "Euler"  # of the scheduler of all Qwen-Image models
_DIGITS_OF_HASH = 10
_NEEDS_QUOTES = re.compile(r'[,:\n"]')
_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"


class SourceType(StrEnum):
    """The terms of IPTC's Digital Source Type that apply to an edit by a model."""

    COMPOSITE = f"{_VOCABULARY}compositeWithTrainedAlgorithmicMedia"
    GENERATED = f"{_VOCABULARY}trainedAlgorithmicMedia"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The facts of one result."""

    job_id: str
    recipe: Recipe  # with the seed of this result, and one variant
    model: ModelFacts
    software: str  # "Hotfolder 0.1.0"
    made_at: float  # Unix time
    source_name: str  # of the original
    source_sha256: str
    embeds_prompt: bool  # False: what somebody wrote stays out of the file

    @property
    def has_model(self) -> bool:
        """Whether a model had a hand in it: without one, nothing is to be marked."""
        return self.model.weights != "none"

    @property
    def model_name(self) -> str:
        """What people call the model: the name of its folder."""
        return Path(self.model.path).name or self.model.class_name


def source_type(told: Provenance, *, shows_original: bool) -> SourceType | None:
    """The term that is true of a result; None where no model had a hand in it.

    `shows_original`: whether pixels of the original stand in it.
    """
    if not told.has_model:
        return None
    return SourceType.COMPOSITE if shows_original else SourceType.GENERATED


def prompt_information(told: Provenance) -> str:
    """What the model was told, for IPTC's AI Prompt Information."""
    recipe, negative = told.recipe, told.recipe.negative_prompt.strip()
    return f"{recipe.prompt}\nNegative prompt: {negative}" if negative else recipe.prompt


def parameters(told: Provenance, width: int, height: int) -> str:
    """The text of `parameters` by the grammar of the AUTOMATIC1111 web UI.

    The prompt, the negative prompt, then one line of settings; `width` and `height` are those at
    which the model worked. The last setting, `Hotfolder`, is the whole recipe, as JSON in quotes.
    """
    settings = ", ".join(
        f"{key}: {_quoted(value)}" for key, value in _settings(told, width, height)
    )
    return f"{prompt_information(told)}\n{settings}" if told.embeds_prompt else settings


def _settings(told: Provenance, width: int, height: int) -> Iterator[tuple[str, str]]:
    recipe = told.recipe
    yield "Steps", str(recipe.steps)
    yield "Sampler", SAMPLER
    yield "CFG scale", f"{recipe.cfg:g}"
    yield "Seed", str(recipe.seed)
    yield "Size", f"{width}x{height}"
    yield "Model hash", told.model.fingerprint[:_DIGITS_OF_HASH]
    yield "Model", told.model_name
    if recipe.lora is not None:
        yield "Lora", recipe.lora
    yield "Version", told.software
    if told.embeds_prompt:
        yield "Hotfolder", json.dumps(recipe.as_json(), ensure_ascii=False)


def _quoted(value: str) -> str:
    """A value as the web UI writes and reads it: quoted where it would end the setting."""
    return json.dumps(value, ensure_ascii=False) if _NEEDS_QUOTES.search(value) else value
