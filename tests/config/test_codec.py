"""Values come back as they were, and nothing else comes back."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from sample import FACTS, RECIPE

from config import codec
from config.values import ExactSize, ModelSize, OriginalSize, Region, Size
from pipeline.recipe import Recipe

NOT_UTF_8 = "\udcff\udcfe.png"


class Colour(StrEnum):
    """A choice."""

    RED = "red"


@dataclasses.dataclass(frozen=True)
class Whole:
    """A field of every kind."""

    pairs: tuple[tuple[str, Path], ...]
    ids: frozenset[str]
    by_name: Mapping[str, Region]
    colour: Colour
    size: Size | None
    share: float
    text: str = ""


WHOLE = Whole(
    pairs=((NOT_UTF_8, Path("/a") / NOT_UTF_8), ("b", Path("c"))),
    ids=frozenset(("one", "two")),
    by_name={NOT_UTF_8: Region(1, 2, 3, 4)},
    colour=Colour.RED,
    size=ModelSize(),
    share=0.5,
    text='\N{SNOWMAN} \0 \\ " \n',
)


@pytest.mark.parametrize("value", [WHOLE, FACTS, RECIPE], ids=["every kind", "facts", "a recipe"])
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert codec.load(type(value), codec.dump(value)) == value
    assert codec.load(type(value), codec.dump(value).encode("ascii")) == value


@pytest.mark.parametrize("size", [OriginalSize(), ModelSize(), ExactSize(1, 2)])
def test_of_several_classes_it_is_the_one_that_was_written(size: Size) -> None:
    assert codec.at(Size, codec.parse(codec.dump(size))) == size


@pytest.mark.parametrize(
    "said", ["{}", '{"is a": "Region"}', '{"is a": ["ModelSize"]}', '{"width": 1, "height": 2}']
)
def test_what_does_not_say_which_class_it_is_is_none_of_several(said: str) -> None:
    with pytest.raises(ValueError, match="none of those"):
        codec.at(Size, codec.parse(said))


def test_what_has_a_usual_value_may_be_left_out_and_nothing_else() -> None:
    document = json.loads(codec.dump(WHOLE))
    del document["text"]
    assert codec.load(Whole, json.dumps(document)) == dataclasses.replace(WHOLE, text="")
    for forged in ({**document, "extra": 1}, {k: v for k, v in document.items() if k != "ids"}):
        with pytest.raises(ValueError, match="no Whole"):
            codec.load(Whole, json.dumps(forged))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("steps", '"4"'),
        ("steps", "true"),
        ("steps", "null"),
        ("steps", "4.0"),
        ("seed", str(2**63)),
        ("seed", str(-(2**63) - 1)),
        ("cfg", "1e999"),
        ("cfg", "NaN"),
        ("keep", '"perhaps"'),
        ("images", '"cat.png"'),
        ("prompt", '"\\ud800"'),
    ],
)
def test_a_value_that_its_field_cannot_hold_is_refused(name: str, wrong: str) -> None:
    written = codec.dump(getattr(RECIPE, name))
    text = codec.dump(RECIPE)
    broken = text.replace(f'"{name}": {written}', f'"{name}": {wrong}')
    assert broken != text
    with pytest.raises(ValueError):  # noqa: PT011 - what is wrong with it is all the same
        codec.load(Recipe, broken)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_without_end_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        codec.dump(dataclasses.replace(WHOLE, share=number))


def test_another_class_is_refused() -> None:
    with pytest.raises(ValueError, match="no Region"):
        codec.load(Region, codec.dump(ExactSize(1, 2)))
