"""Edits to learn from: a scene, what is asked of it in words, and what it should become."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from training import scene as scenes
from training.sayings import Kind, Language
from training.scene import COLOURS, PLACES, SHAPES, Scene, Thing
from training.wording import name_colour, name_place, name_shape, name_thing, say

# How often a kind comes up in training, among the edits of one picture.
SHARES: dict[Kind, float] = {
    Kind.RECOLOUR: 3,
    Kind.BACKGROUND: 1.5,
    Kind.REMOVE: 2.5,
    Kind.REPLACE: 5,
    Kind.ADD: 4,
    Kind.MONOCHROME: 0.3,
    Kind.INVERT: 0.3,
    Kind.DARKER: 0.3,
    Kind.BRIGHTER: 0.3,
    Kind.WARMER: 0.3,
    Kind.COOLER: 0.3,
    Kind.NOTHING: 0.5,
}
OF_TWO_PICTURES = (Kind.BORROW_COLOUR, Kind.BORROW_BACKGROUND)
GLOBAL = (
    Kind.MONOCHROME,
    Kind.INVERT,
    Kind.DARKER,
    Kind.BRIGHTER,
    Kind.WARMER,
    Kind.COOLER,
)
MOST_THINGS_OF_BUSY = 22
_CHINESE_SHARE = 0.4
_HELD_OUT_PART = 8  # one combination in so many is never trained
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_WARM = (1.15, 1.0, 0.75)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit, whole."""

    kind: Kind
    language: Language
    words: str
    before: Scene
    after: Scene  # for a global edit the scene before: `graded` does the rest
    second: Scene | None = None  # Picture 2


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted, before it is said."""

    after: Scene
    slots: dict[str, str]
    combination: str  # what is held out or not, as a whole
    second: Scene | None = None


def training_edit(chance: random.Random, aspect: float, *, two_pictures: bool = False) -> Edit:
    """An edit that may be trained: neither its combination nor its words are held out."""
    kind = _kind(chance, two_pictures=two_pictures)
    while True:
        edit, combination = _edit(kind, chance, aspect, held_out_words=False)
        if not is_held_out(combination):
            return edit


def busy_edit(chance: random.Random, aspect: float) -> Edit:
    """A global edit, or none, of a picture as crowded as a photograph."""
    kind = chance.choice((*GLOBAL, Kind.NOTHING))
    language = _language(chance)
    scene = scenes.busy(chance, aspect)
    words = say(kind, language, chance, held_out=False, slots={})
    return Edit(kind=kind, language=language, words=words, before=scene, after=scene)


def held_out_edit(kind: Kind, language: Language, chance: random.Random, aspect: float) -> Edit:
    """An edit that is never trained: a combination held out, in words held out."""
    while True:
        edit, combination = _edit(kind, chance, aspect, held_out_words=True, language=language)
        if is_held_out(combination) or not combination:
            return edit


def is_held_out(combination: str) -> bool:
    """Whether a combination of shape, colour and place is kept out of training."""
    return bool(combination) and zlib.crc32(combination.encode()) % _HELD_OUT_PART == 0


def graded(kind: Kind, pixels: torch.Tensor) -> torch.Tensor:
    """What a global edit makes of pixels (..., 3, height, width), 0..1; others change nothing."""
    grade = _GRADES.get(kind)
    return pixels if grade is None else grade(pixels).clamp(0, 1)


def _weighed(pixels: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    channels = zip(pixels.unbind(-3), weights, strict=True)
    return torch.stack([channel * weight for channel, weight in channels], dim=-3)


_GRADES: dict[Kind, Callable[[torch.Tensor], torch.Tensor]] = {
    Kind.MONOCHROME: lambda x: _weighed(x, _LUMA).sum(-3, keepdim=True).expand_as(x),
    Kind.INVERT: lambda x: 1 - x,
    Kind.DARKER: lambda x: 0.55 * x,
    Kind.BRIGHTER: lambda x: 1 - 0.55 * (1 - x),
    Kind.WARMER: lambda x: _weighed(x, _WARM),
    Kind.COOLER: lambda x: _weighed(x, _WARM[::-1]),
}


def vocabulary(count: int = 20_000) -> Sequence[str]:
    """What a tokenizer for this world is made of: English prompts, and Chinese characters.

    Chinese has no spaces: whole prompts would make tokens of whole phrases.
    """
    chance = random.Random(0)
    texts: set[str] = set()
    for turn in range(count // len(Kind)):
        for kind in Kind:
            held_out = bool(turn % 2)
            language = Language.CHINESE if turn % 3 == 0 else Language.ENGLISH
            edit, _ = _edit(kind, chance, 1.0, held_out_words=held_out, language=language)
            texts |= {edit.words} if edit.words.isascii() else set(edit.words)
    return sorted(texts)


def _language(chance: random.Random) -> Language:
    return Language.CHINESE if chance.random() < _CHINESE_SHARE else Language.ENGLISH


def _kind(chance: random.Random, *, two_pictures: bool) -> Kind:
    if two_pictures:
        return chance.choice(OF_TWO_PICTURES)
    return chance.choices(list(SHARES), list(SHARES.values()))[0]


def _edit(
    kind: Kind,
    chance: random.Random,
    aspect: float,
    *,
    held_out_words: bool,
    language: Language | None = None,
) -> tuple[Edit, str]:
    language = language or _language(chance)
    before = scenes.studio(chance, aspect)
    while (asked := _ASKING[kind](before, language, chance, aspect)) is None:
        before = scenes.studio(chance, aspect)
    words = say(kind, language, chance, held_out=held_out_words, slots=asked.slots)
    edit = Edit(
        kind=kind,
        language=language,
        words=words,
        before=before,
        after=asked.after,
        second=asked.second,
    )
    return edit, asked.combination


def _recolour(before: Scene, language: Language, chance: random.Random, _aspect: float) -> Asked:
    index = chance.randrange(len(before.things))
    thing = before.things[index]
    others = {
        other.colour for other in before.things if other is thing or other.shape == thing.shape
    }
    colour = chance.choice([c for c in COLOURS if c not in {*others, before.backdrop.colour}])
    after = before.with_thing(index, replace(thing, colour=colour, paint=COLOURS[colour]))
    slots = {
        "x": _name(before, index, language, chance),
        "c": name_colour(language, colour, chance),
    }
    return Asked(after, slots, f"recolour {thing.shape} {colour}")


def _background(before: Scene, language: Language, chance: random.Random, _aspect: float) -> Asked:
    taken = {before.backdrop.colour, *(thing.colour for thing in before.things)}
    colour = chance.choice([c for c in COLOURS if c not in taken])
    backdrop = replace(before.backdrop, colour=colour, paint=COLOURS[colour])
    slots = {"c": name_colour(language, colour, chance)}
    shapes = " ".join(sorted(thing.shape for thing in before.things))
    return Asked(replace(before, backdrop=backdrop), slots, f"background {colour} {shapes}")


def _remove(before: Scene, language: Language, chance: random.Random, _aspect: float) -> Asked:
    index = chance.randrange(len(before.things))
    thing = before.things[index]
    slots = {"x": _name(before, index, language, chance)}
    return Asked(before.without(index), slots, f"remove {thing.colour} {thing.shape}")


def _replace(before: Scene, language: Language, chance: random.Random, _aspect: float) -> Asked:
    index = chance.randrange(len(before.things))
    thing = before.things[index]
    taken = {other.shape for other in before.things}
    shape = chance.choice([s for s in SHAPES if s not in taken])
    after = before.with_thing(index, replace(thing, shape=shape))
    slots = {
        "x": _name(before, index, language, chance),
        "s": name_shape(language, shape, chance),
    }
    return Asked(after, slots, f"replace {thing.shape} {thing.colour} {shape}")


def _add(before: Scene, language: Language, chance: random.Random, aspect: float) -> Asked | None:
    places = scenes.free_places(before, aspect)
    if not places:
        return None
    place, shape = chance.choice(places), chance.choice(SHAPES)
    colour = chance.choice([c for c in COLOURS if c != before.backdrop.colour])
    x, y = PLACES[place]
    added = Thing(
        shape=shape,
        colour=colour,
        paint=COLOURS[colour],
        x=x,
        y=y,
        radius=scenes.ADDED_RADIUS,
    )
    slots = {
        "c": name_colour(language, colour, chance),
        "s": name_shape(language, shape, chance),
        "p": name_place(language, place, chance),
    }
    after = replace(before, things=(*before.things, added))
    return Asked(after, slots, f"add {colour} {shape} {place}")


def _borrow_colour(
    before: Scene, language: Language, chance: random.Random, aspect: float
) -> Asked | None:
    second = scenes.studio(chance, aspect)
    second = replace(second, things=second.things[:1])
    index = chance.randrange(len(before.things))
    thing, example = before.things[index], second.things[0]
    taken = {before.backdrop.colour, *(other.colour for other in before.things)}
    if example.colour in taken:
        return None
    after = before.with_thing(index, replace(thing, colour=example.colour, paint=example.paint))
    slots = {"x": _name(before, index, language, chance)}
    return Asked(after, slots, f"borrow {thing.shape} {example.colour}", second)


def _borrow_background(
    before: Scene, _language: Language, chance: random.Random, aspect: float
) -> Asked | None:
    second = scenes.studio(chance, aspect)
    example = second.backdrop
    if example.colour in {before.backdrop.colour, *(thing.colour for thing in before.things)}:
        return None
    backdrop = replace(before.backdrop, colour=example.colour, paint=example.paint)
    combination = f"borrow background {example.colour} {before.backdrop.colour}"
    return Asked(replace(before, backdrop=backdrop), {}, combination, second)


def _name(scene: Scene, index: int, language: Language, chance: random.Random) -> str:
    """A name that fits this thing of the scene alone."""
    thing = scene.things[index]
    others = [other for other in scene.things if other is not thing]
    ways: list[tuple[str | None, str | None]] = [(thing.shape, thing.colour)]
    if all(other.shape != thing.shape for other in others):
        ways += [(thing.shape, None)] * 2
    if all(other.colour != thing.colour for other in others):
        ways += [(None, thing.colour)]
    shape, colour = chance.choice(ways)
    return name_thing(language, shape, colour, chance)


def _whole(before: Scene, *_: object) -> Asked:
    """Nothing is named: the picture as a whole is meant."""
    return Asked(before, {}, "")


# What is wanted of a scene; None where the scene has no room for it.
_ASKING: dict[Kind, Callable[[Scene, Language, random.Random, float], Asked | None]] = {
    Kind.RECOLOUR: _recolour,
    Kind.BACKGROUND: _background,
    Kind.REMOVE: _remove,
    Kind.REPLACE: _replace,
    Kind.ADD: _add,
    Kind.BORROW_COLOUR: _borrow_colour,
    Kind.BORROW_BACKGROUND: _borrow_background,
    **dict.fromkeys((*GLOBAL, Kind.NOTHING), _whole),
}
