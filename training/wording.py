"""Edits in words: what things, colours and places are called, and a sentence around them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from training.sayings import SAYINGS, Kind, Language

_SHAPES: Mapping[Language, Mapping[str, Sequence[str]]] = {
    Language.ENGLISH: {
        "circle": ("circle", "disc"),
        "square": ("square",),
        "triangle": ("triangle",),
        "star": ("star",),
        "ring": ("ring",),
        "heart": ("heart",),
        "cross": ("cross", "plus"),
    },
    Language.CHINESE: {
        "circle": ("圆形", "圆"),
        "square": ("方形", "正方形"),
        "triangle": ("三角形",),
        "star": ("星形", "星星", "五角星"),
        "ring": ("圆环",),
        "heart": ("心形", "爱心"),
        "cross": ("十字", "十字形"),
    },
}
_COLOURS: Mapping[Language, Mapping[str, Sequence[str]]] = {
    Language.ENGLISH: {
        "red": ("red",),
        "orange": ("orange",),
        "yellow": ("yellow",),
        "green": ("green",),
        "blue": ("blue",),
        "purple": ("purple", "violet"),
        "pink": ("pink",),
        "brown": ("brown",),
        "white": ("white",),
        "black": ("black",),
        "grey": ("grey", "gray"),
    },
    Language.CHINESE: {
        "red": ("红色",),
        "orange": ("橙色", "橘色"),
        "yellow": ("黄色",),
        "green": ("绿色",),
        "blue": ("蓝色",),
        "purple": ("紫色",),
        "pink": ("粉色", "粉红色"),
        "brown": ("棕色", "褐色"),
        "white": ("白色",),
        "black": ("黑色",),
        "grey": ("灰色",),
    },
}
_PLACES: Mapping[Language, Mapping[str, Sequence[str]]] = {
    Language.ENGLISH: {
        "top left": ("in the top left", "in the upper left corner", "at the top left"),
        "top right": ("in the top right", "in the upper right corner", "at the top right"),
        "bottom left": ("in the bottom left", "in the lower left corner", "at the bottom left"),
        "bottom right": (
            "in the bottom right",
            "in the lower right corner",
            "at the bottom right",
        ),
        "centre": ("in the centre", "in the middle", "in the center"),
        "top": ("at the top",),
        "bottom": ("at the bottom",),
        "left": ("on the left", "at the left"),
        "right": ("on the right", "at the right"),
    },
    Language.CHINESE: {
        "top left": ("左上角", "左上方"),
        "top right": ("右上角", "右上方"),
        "bottom left": ("左下角", "左下方"),
        "bottom right": ("右下角", "右下方"),
        "centre": ("中间", "中央"),
        "top": ("上面", "上方"),
        "bottom": ("下面", "下方"),
        "left": ("左边", "左侧"),
        "right": ("右边", "右侧"),
    },
}
_ANY_SHAPE = {Language.ENGLISH: ("shape", "thing"), Language.CHINESE: ("形状", "东西")}
_BEFORE = {
    Language.ENGLISH: ("", "", "", "please ", "now ", "could you ", "i want you to "),
    Language.CHINESE: ("", "", "", "请", "请你", "现在"),
}
_AFTER = {
    Language.ENGLISH: ("", "", "", ".", ".", "!", ", please", " please", ", thanks"),
    Language.CHINESE: ("", "", "", "。", "！", "，谢谢"),
}
# What asks for a deed; the others are whole sentences already.
_WHOLE_SENTENCES = ("i ", "the ", "there ", "it ", "no ", "in ", "at ", "on ", "{p}", "我")


def name_thing(
    language: Language, shape: str | None, colour: str | None, chance: random.Random
) -> str:
    """A thing by its shape, its colour or both."""
    word = chance.choice(_SHAPES[language][shape] if shape else _ANY_SHAPE[language])
    if colour is None:
        return word
    paint = name_colour(language, colour, chance)
    if language is Language.ENGLISH:
        return f"{paint} {word}"
    return f"{paint}{chance.choice(('', '的'))}{word}"


def name_colour(language: Language, colour: str, chance: random.Random) -> str:
    """A colour's name, or one of its names."""
    return chance.choice(_COLOURS[language][colour])


def name_shape(language: Language, shape: str, chance: random.Random) -> str:
    """A shape's name, or one of its names."""
    return chance.choice(_SHAPES[language][shape])


def name_place(language: Language, place: str, chance: random.Random) -> str:
    """A place's name with its preposition, or one of its names."""
    return chance.choice(_PLACES[language][place])


def say(
    kind: Kind,
    language: Language,
    chance: random.Random,
    *,
    held_out: bool,
    slots: Mapping[str, str],
) -> str:
    """The edit in words, politely or not, with a capital or not."""
    sayings = SAYINGS[language][kind]
    pattern = chance.choice(sayings.held_out if held_out else sayings.trained)
    words = pattern.format(**slots)
    if language is Language.ENGLISH:
        words = _spelled(words, chance)
    if not pattern.startswith(_WHOLE_SENTENCES):
        words = chance.choice(_BEFORE[language]) + words
    words += chance.choice(_AFTER[language])
    return words[:1].upper() + words[1:] if chance.random() < 0.5 else words


def _spelled(words: str, chance: random.Random) -> str:
    """In British or American spelling, with the right article."""
    words = words.replace("a orange ", "an orange ")
    return words.replace("colour", "color") if chance.random() < 0.5 else words
