"""The ways to ask for each kind of edit, English and Chinese; some are kept out of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an edit asks for."""

    RECOLOUR = "recolour"
    BACKGROUND = "background"
    REMOVE = "remove"
    REPLACE = "replace"
    ADD = "add"
    MONOCHROME = "black and white"
    INVERT = "invert"
    DARKER = "darker"
    BRIGHTER = "brighter"
    WARMER = "warmer"
    COOLER = "cooler"
    NOTHING = "nothing"
    BORROW_COLOUR = "colour of picture 2"
    BORROW_BACKGROUND = "background of picture 2"


class Language(StrEnum):
    """What an edit is written in."""

    ENGLISH = "en"
    CHINESE = "zh"


@dataclass(frozen=True, slots=True)
class Sayings:
    """The ways to ask for one kind of edit in one language."""

    trained: Sequence[str]
    held_out: Sequence[str]  # of words that are trained elsewhere


# {x} the thing, {c} a colour, {s} a shape, {p} a place
ENGLISH: Mapping[Kind, Sayings] = {
    Kind.RECOLOUR: Sayings(
        (
            "make the {x} {c}",
            "turn the {x} {c}",
            "paint the {x} {c}",
            "colour the {x} {c}",
            "change the colour of the {x} to {c}",
            "change the {x} to {c}",
            "the {x} should be {c}",
            "i want the {x} to be {c}",
            "give the {x} a {c} colour",
            "make the colour of the {x} {c}",
        ),
        (
            "let the {x} be {c}",
            "set the colour of the {x} to {c}",
            "i would like the {x} in {c}",
        ),
    ),
    Kind.BACKGROUND: Sayings(
        (
            "make the background {c}",
            "change the background to {c}",
            "replace the background with {c}",
            "paint the background {c}",
            "set the background to {c}",
            "let the background be {c}",
            "the background should be {c}",
            "use a {c} background",
            "put everything on a {c} background",
            "change the colour of the background to {c}",
            "i would like the background in {c}",
        ),
        (
            "turn the background {c}",
            "give it a {c} background",
            "i want the background to be {c}",
        ),
    ),
    Kind.REMOVE: Sayings(
        (
            "remove the {x}",
            "delete the {x}",
            "erase the {x}",
            "take the {x} away",
            "take away the {x}",
            "get rid of the {x}",
            "i do not want the {x}",
            "the {x} should be gone",
            "make the {x} disappear",
            "delete the {x} from the picture",
        ),
        (
            "let the {x} disappear",
            "remove the {x} from the picture",
            "i want the {x} to be gone",
        ),
    ),
    Kind.REPLACE: Sayings(
        (
            "replace the {x} with a {s}",
            "turn the {x} into a {s}",
            "change the {x} into a {s}",
            "make the {x} a {s}",
            "swap the {x} for a {s}",
            "put a {s} in place of the {x}",
            "i want a {s} instead of the {x}",
            "the {x} should become a {s}",
        ),
        (
            "i would like a {s} instead of the {x}",
            "put a {s} instead of the {x}",
            "the {x} should be a {s}",
        ),
    ),
    Kind.ADD: Sayings(
        (
            "add a {c} {s} {p}",
            "put a {c} {s} {p}",
            "draw a {c} {s} {p}",
            "place a {c} {s} {p}",
            "there should be a {c} {s} {p}",
            "{p}, add a {c} {s}",
            "i want a {c} {s} {p}",
            "i would like to have a {c} {s} {p}",
        ),
        (
            "i would like a {c} {s} {p}",
            "paint a {c} {s} {p}",
            "{p}, put a {c} {s}",
        ),
    ),
    Kind.MONOCHROME: Sayings(
        (
            "make it black and white",
            "make the picture black and white",
            "turn it into black and white",
            "convert the picture to black and white",
            "i want a black and white picture",
            "remove all colours",
        ),
        ("turn the picture into black and white", "i would like it in black and white"),
    ),
    Kind.INVERT: Sayings(
        (
            "invert the colours",
            "invert the picture",
            "invert all colours",
            "make a negative",
            "turn it into a negative",
            "i want a negative of the picture",
        ),
        ("turn the picture into a negative", "invert all the colours"),
    ),
    Kind.DARKER: Sayings(
        (
            "make it darker",
            "make the picture darker",
            "darken it",
            "darken the picture",
            "the picture should be darker",
            "i want a darker picture",
        ),
        ("i want it darker", "let the picture be darker"),
    ),
    Kind.BRIGHTER: Sayings(
        (
            "make it brighter",
            "make the picture brighter",
            "brighten it",
            "brighten the picture",
            "the picture should be brighter",
            "i want a brighter picture",
        ),
        ("i want it brighter", "let the picture be brighter"),
    ),
    Kind.WARMER: Sayings(
        (
            "make it warmer",
            "make the picture warmer",
            "use warmer colours",
            "the picture should be warmer",
            "i want warmer colours",
            "give it warmer light",
        ),
        ("i want it warmer", "give the picture warmer colours"),
    ),
    Kind.COOLER: Sayings(
        (
            "make it cooler",
            "make the picture cooler",
            "use cooler colours",
            "the picture should be cooler",
            "i want cooler colours",
            "give it cooler light",
        ),
        ("i want it cooler", "give the picture cooler colours"),
    ),
    Kind.NOTHING: Sayings(
        (
            "change nothing",
            "do nothing",
            "do not change anything",
            "leave everything as it is",
            "keep it as it is",
            "no changes",
            "keep everything as it is",
        ),
        ("leave it as it is", "i want no changes"),
    ),
    Kind.BORROW_COLOUR: Sayings(
        (
            "make the {x} the colour of the shape in picture 2",
            "paint the {x} like the shape in picture 2",
            "give the {x} the colour of the shape in picture 2",
            "use the colour of the shape in picture 2 for the {x}",
            "the {x} should have the colour of the shape in picture 2",
        ),
        ("colour the {x} like the shape in picture 2",),
    ),
    Kind.BORROW_BACKGROUND: Sayings(
        (
            "use the background of picture 2",
            "replace the background with the one of picture 2",
            "take the background from picture 2",
            "make the background like in picture 2",
            "i want the background of picture 2",
        ),
        ("change the background to the one of picture 2",),
    ),
}
CHINESE: Mapping[Kind, Sayings] = {
    Kind.RECOLOUR: Sayings(
        (
            "把{x}变成{c}",
            "把{x}换成{c}",
            "将{x}改成{c}",
            "把{x}涂成{c}",
            "{x}改为{c}",
            "把{x}的颜色改成{c}",
            "让{x}变成{c}",
            "我要{x}是{c}",
        ),
        ("将{x}涂成{c}", "我要{x}变成{c}", "把{x}的颜色换成{c}"),
    ),
    Kind.BACKGROUND: Sayings(
        (
            "把背景变成{c}",
            "把背景换成{c}",
            "将背景改成{c}",
            "把背景涂成{c}",
            "背景改为{c}",
            "把背景的颜色换成{c}",
            "用{c}的背景",
            "我要背景是{c}",
        ),
        ("将背景涂成{c}", "我要{c}的背景", "让背景变成{c}"),
    ),
    Kind.REMOVE: Sayings(
        (
            "去掉{x}",
            "删除{x}",
            "把{x}去掉",
            "把{x}删掉",
            "移除{x}",
            "我不要{x}",
            "擦掉{x}",
            "让{x}消失",
        ),
        ("把{x}擦掉", "将{x}去掉", "把{x}移除"),
    ),
    Kind.REPLACE: Sayings(
        (
            "把{x}换成{s}",
            "将{x}改成{s}",
            "把{x}变成{s}",
            "用{s}代替{x}",
            "让{x}变成{s}",
            "我要{s}，不要{x}",
        ),
        ("将{x}换成{s}", "把{x}改成{s}"),
    ),
    Kind.ADD: Sayings(
        (
            "在{p}加一个{c}的{s}",
            "在{p}放一个{c}的{s}",
            "在{p}画一个{c}{s}",
            "{p}加一个{c}{s}",
            "在{p}添加一个{c}{s}",
            "我要在{p}有一个{c}的{s}",
        ),
        ("在{p}画一个{c}的{s}", "{p}放一个{c}{s}"),
    ),
    Kind.MONOCHROME: Sayings(
        ("变成黑白照片", "变成黑白的", "把照片变成黑白", "改成黑白照片", "去掉所有颜色"),
        ("把照片改成黑白", "我要黑白照片"),
    ),
    Kind.INVERT: Sayings(
        ("反转颜色", "反转照片的颜色", "反色", "变成负片", "把颜色反转"),
        ("把照片的颜色反转", "改成负片"),
    ),
    Kind.DARKER: Sayings(
        ("调暗一点", "变暗一点", "让照片暗一点", "把照片调暗", "更暗一点"),
        ("把照片变暗", "照片调暗一点"),
    ),
    Kind.BRIGHTER: Sayings(
        ("调亮一点", "变亮一点", "让照片亮一点", "把照片调亮", "更亮一点"),
        ("把照片变亮", "照片调亮一点"),
    ),
    Kind.WARMER: Sayings(
        ("增加一点暖色调", "用暖色调", "让照片更暖", "变成暖色调", "颜色更暖一点"),
        ("把照片变成暖色调", "更暖一点"),
    ),
    Kind.COOLER: Sayings(
        ("增加一点冷色调", "用冷色调", "让照片更冷", "变成冷色调", "颜色更冷一点"),
        ("把照片变成冷色调", "更冷一点"),
    ),
    Kind.NOTHING: Sayings(
        ("不要改变", "什么都不要改", "不要改变任何东西", "保持原样", "不用改"),
        ("什么都不要改变", "照片保持原样"),
    ),
    Kind.BORROW_COLOUR: Sayings(
        (
            "把{x}变成图2里形状的颜色",
            "把{x}涂成图2里形状的颜色",
            "{x}用图2里形状的颜色",
            "让{x}和图2里的形状一样颜色",
        ),
        ("把{x}换成图2里形状的颜色",),
    ),
    Kind.BORROW_BACKGROUND: Sayings(
        ("把背景换成图2的背景", "用图2的背景", "背景改为图2的背景", "让背景和图2一样"),
        ("把背景变成图2的背景",),
    ),
}
SAYINGS = {Language.ENGLISH: ENGLISH, Language.CHINESE: CHINESE}
