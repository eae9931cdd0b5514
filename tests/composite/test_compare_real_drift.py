"""What real models do unasked is no edit, and what they did is taken whole."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from rig.drift import Drift, canvas, drifted, real
from rig.edits import edit
from rig.scenes import retitled, scene
from rig.studio import Pixels, lettered, outline, over, picture, pink, ramp

from config.values import Region
from pipeline.composite.arrays import disc
from pipeline.composite.classify import Local, Whole
from pipeline.composite.compare import Comparison, compare, weight
from pipeline.composite.compose import Compared, compose

WIDTH, HEIGHT = 768, 512
Canvas = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


class Laid(NamedTuple):
    found: Comparison
    pixels: Canvas


def laid(before: Canvas, after: Canvas) -> Laid:
    """The result for an original of the canvas' size."""
    found = compare(before, after)
    toned = found.in_tone(after)
    layer = Compared(colours=toned, raw=after, comparison=found, takes_all=False)
    result = compose(before, Region(0, 0, WIDTH, HEIGHT), layer, None)
    return Laid(found, np.asarray(result.pixels, np.uint8))


def levels(colours: npt.NDArray[np.floating]) -> Canvas:
    return np.asarray(np.clip(np.rint(colours), 0, 255), np.uint8)


def shown(found: Comparison) -> Flags:
    return weight(found.verdict, (HEIGHT, WIDTH)) > 0.5


def leak(found: Comparison, extent: Flags) -> float:
    """The share of the picture that shows the edit away from its extent."""
    around = cv2.dilate(extent.astype(np.uint8), np.ones((21, 21), np.uint8)) > 0
    return float((shown(found) & ~around).mean())


REDRAWN = {
    "softer": Drift(redrawn=1.0, texture_contrast=0.88, blur=0.5, noise=1.0),
    "as sharp": Drift(redrawn=1.0, texture_contrast=1.0, noise=1.0),
    "sharper": Drift(redrawn=1.0, texture_contrast=1.1, sharpening=0.3, noise=1.0),
}


@pytest.mark.parametrize("drift", REDRAWN)
@pytest.mark.parametrize("name", ["write", "recolour", "paste"])
@pytest.mark.parametrize("kind", ["meadow", "fur"])
def test_texture_that_was_drawn_anew_is_no_edit(kind: str, name: str, drift: str) -> None:
    original = scene(kind, WIDTH, HEIGHT, 1)
    made = edit(name, original, 4)
    after = drifted(canvas(made.pixels, WIDTH, HEIGHT), REDRAWN[drift], 1)
    found = compare(canvas(original, WIDTH, HEIGHT), after)
    assert isinstance(found.verdict, Local)
    assert leak(found, made.extent) < 0.02
    assert (shown(found) & made.extent).sum() > 0.95 * made.extent.sum()


@pytest.mark.parametrize("seed", range(4))
def test_words_on_a_wall_whose_tone_drifted_slowly_are_all_that_shows(seed: int) -> None:
    chance = np.random.default_rng(seed)
    grain = chance.normal(0, 0.7, (HEIGHT, WIDTH, 3)).astype(np.float32)
    wall = ramp(WIDTH, HEIGHT, chance, 130, 220) + grain
    ink = np.full(3, 30, np.float32)
    written = lettered(wall, "2nd Edition", (180, 280), 2.2, ink=ink, stroke=5)
    edited = np.abs(written - wall).max(axis=2) > 20
    extent = cv2.dilate(edited.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    drift = Drift(slow_tone=2.0, noise=1.0)  # up to 3 to 5 levels
    found = compare(levels(wall), drifted(levels(written), drift, seed))
    assert isinstance(found.verdict, Local)
    assert (shown(found) & edited).sum() > 0.98 * edited.sum()
    assert shown(found).sum() < 2 * extent.sum()


@pytest.mark.parametrize("seed", range(3))
def test_a_tone_read_in_a_dark_corner_burns_no_highlights(seed: int) -> None:
    chance = np.random.default_rng(seed)
    dark = ramp(WIDTH, HEIGHT, chance, 8, 30) + pink(WIDTH, HEIGHT, chance)[..., None] * 9
    corner = np.zeros((HEIGHT, WIDTH), np.float32)
    corner[:, : WIDTH // 4] = 1
    before = over(picture("textured", WIDTH, HEIGHT, seed), dark, corner)
    bright = ramp(WIDTH, HEIGHT, chance, 190, 235) + pink(WIDTH, HEIGHT, chance)[..., None] * 14
    made = over(bright, dark / 1.045 - 0.5, corner)
    after = drifted(levels(made), Drift(noise=1.0), seed)
    result = laid(levels(before), after).pixels
    inside = np.s_[:, WIDTH // 4 + 12 :]
    lighter = result[inside].astype(np.float32) - after[inside]
    assert np.quantile(lighter[after[inside] > 180], 0.99) <= 2
    assert (result[inside] == 255).mean() < (after[inside] == 255).mean() + 0.002


def page(shifts: npt.NDArray[np.floating], colour: tuple[float, ...]) -> Pixels:
    """A white page: six things in a colour, above each four lines of words, each shifted."""
    base = np.full((HEIGHT, WIDTH, 3), 250, np.float32)
    ink = np.full(3, 25, np.float32)
    for (column, row, line), (right, down) in zip(LINES, shifts, strict=True):
        x, y = 30 + column * 250, 30 + row * 250
        at = (x + round(right), y + line * 22 + round(down))
        base = lettered(base, WORDS[line], at, 0.45, ink=ink, stroke=1)
        thing = (x + 80, y + 150)
        cv2.ellipse(base, thing, (60, 50), 0, 0, 360, colour, -1, cv2.LINE_AA)
        cv2.circle(base, thing, 14, (30, 30, 30), -1, cv2.LINE_AA)
    return base


WORDS = (
    "this bear has a hat",
    "holding a guitar and",
    "watching seven birds",
    "over all its garden",
)
LINES = [(column, row, line) for column in range(3) for row in range(2) for line in range(4)]


@pytest.mark.parametrize("seed", range(3))
def test_words_that_moved_on_their_own_are_never_mixed(seed: int) -> None:
    chance = np.random.default_rng(seed)
    has_moved = chance.random(len(LINES)) < 0.5
    turns, reach = chance.uniform(0, 2 * np.pi, len(LINES)), chance.uniform(2, 5, len(LINES))
    shifts = (np.stack([np.cos(turns), np.sin(turns)]) * reach * has_moved).T
    before = levels(page(np.zeros((len(LINES), 2)), (190, 150, 100)))
    ideal = levels(page(shifts, (110, 40, 190)))
    after = drifted(ideal, Drift(noise=1.0, blur=0.3), seed)
    result = laid(before, after)
    assert isinstance(result.found.verdict, Local)
    mixed = [
        (LINES[line], word)
        for line, words in enumerate(boxes())
        for word, box in enumerate(words)
        if is_mixed(result.pixels[box], before[box], after[box])
    ]
    assert mixed == []


def boxes() -> list[list[tuple[slice, slice]]]:
    """Where each word of each line is, with what it may have moved by."""
    found = []
    for column, row, line in LINES:
        x, y = 30 + column * 250, 30 + row * 250 + line * 22
        words, at = [], 0
        for word in WORDS[line].split():
            start = WORDS[line].index(word, at)
            at = start + len(word)
            left, right = (
                cv2.getTextSize(WORDS[line][:it], cv2.FONT_HERSHEY_DUPLEX, 0.45, 1)[0][0]
                for it in (start, at)
            )
            words.append((slice(y - 13, y + 6), slice(x + left, x + right)))
        found.append(words)
    return found


def is_mixed(result: Canvas, before: Canvas, after: Canvas) -> bool:
    """Neither the original's nor the edit's: off from both by a part of what they are apart."""
    one, other, apart = (
        float(np.abs(first.astype(np.float32) - second).mean())
        for first, second in ((result, before), (result, after), (before, after))
    )
    return min(one, other) > max(0.2 * apart, 3.0)


@pytest.mark.parametrize("seed", range(4))
def test_faint_thin_words_that_were_removed_do_not_come_back(seed: int) -> None:
    original, ideal = retitled(WIDTH, HEIGHT, seed)
    gone = cv2.GaussianBlur(original.mean(axis=2) - ideal.mean(axis=2), (0, 0), 0.7) < -12
    before = canvas(original, WIDTH, HEIGHT)
    after = drifted(canvas(ideal, WIDTH, HEIGHT), Drift(noise=1.0, blur=0.4, redrawn=0.7), seed)
    result = laid(before, after)
    assert isinstance(result.found.verdict, Local)
    assert leak(result.found, np.abs(original - ideal).max(axis=2) > 10) < 0.02
    assert (gone & ~shown(result.found)).sum() < 0.02 * gone.sum()


@pytest.mark.parametrize("name", ["grey", "sepia"])
@pytest.mark.parametrize("kind", ["face", "shapes", "textured"])
def test_a_flat_black_part_that_stayed_makes_no_local_edit(kind: str, name: str) -> None:
    original = picture(kind, WIDTH, HEIGHT, 2)
    black = outline(WIDTH, HEIGHT, np.random.default_rng(7), 0.05)
    grey = original @ np.array([0.3, 0.59, 0.11], np.float32)
    made = {
        "grey": grey[..., None] * np.ones(3, np.float32) * np.float32(1.15),
        "sepia": grey[..., None] * np.array([1.07, 0.86, 0.63], np.float32),
    }[name]
    before, after = (levels(over(it, it * 0, black)) for it in (original, made))
    found = compare(before, drifted(after, Drift(noise=0.5), 1))
    assert isinstance(found.verdict, Whole)


def rounded(width: int, height: int, radius: int) -> Pixels:
    """A red button with corners of this radius before a textured ground."""
    twice = 2 * width, 2 * height
    ground = pink(*twice, np.random.default_rng(4))[..., None] * 2 + np.float32(140)
    cover = np.zeros(twice[::-1], np.uint8)
    top, left = height // 2, width // 2
    inner = (left + 2 * radius, top + 2 * radius, width - 4 * radius, height - 4 * radius)
    cv2.rectangle(cover, inner, 255, -1)
    cover = cv2.dilate(cover, disc(2 * radius)) if radius else cover
    red = np.broadcast_to(np.array((210, 60, 50), np.float32), ground.repeat(3, axis=2).shape)
    made = over(ground.repeat(3, axis=2), red, cover.astype(np.float32) / 255)
    return np.asarray(cv2.resize(made, (width, height), interpolation=cv2.INTER_AREA), np.float32)


@pytest.mark.parametrize(("size", "radius"), [((1152, 768), 18), ((384, 256), 16)])
def test_corners_that_were_rounded_are_shown_and_not_put_back(
    size: tuple[int, int], radius: int
) -> None:
    before, ideal = levels(rounded(*size, 0)), levels(rounded(*size, radius))
    edited = np.abs(ideal.astype(np.float32) - before).max(axis=2) > 20
    found = compare(before, drifted(ideal, Drift(noise=1.0, blur=0.4), 1))
    shows = weight(found.verdict, size[::-1]) > 0.5
    assert (shows & edited).sum() > 0.85 * edited.sum()
    assert (shows & ~edited).mean() < 0.003


@pytest.mark.parametrize("name", ["write", "recolour", "nothing"])
def test_straight_outlines_on_a_plain_wall_are_where_they_were(name: str) -> None:
    """Along a straight outline all places look alike; that says nothing of its movement."""
    original = scene("wall", WIDTH, HEIGHT, 0)
    made = edit(name, original, 3)
    after = drifted(canvas(made.pixels, WIDTH, HEIGHT), real(0), 0)
    found = compare(canvas(original, WIDTH, HEIGHT), after)
    assert not isinstance(found.verdict, Whole)
    assert leak(found, made.extent) < 0.02
    assert found.doubts == ()
