"""A new background goes up to the subject's own outline, hair and soft edges included.

Where a background was exchanged, two pictures show one subject before two grounds that are known:
canvas = a F + (1 - a) B0 and edit = a F + (1 - a) B1 (triangulation; Smith and Blinn 1996). Both
grounds are smooth, so they are carried on under the outline from the places that are surely
background; the subject's colour F from those that are surely subject. With them the original
itself says its alpha, at full size, whatever the edit made of the outline.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.composite.arrays import Colours, Flags, Plane, blurred, disc, largest, luma, near

Levels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]  # height x width (x 3)

LEAST_SHARE, LEAST_BORDER = 0.2, 0.4  # of the picture, and of its borders: a new background
RIM = 0.04  # of the shorter side
GROUND_SIDE = 320  # pixels: the shorter side at which the background is searched for
OUTLINE = 3  # pixels of the canvas around the outline that are no sure background
REACH = 5  # pixels of the canvas in which a model may have moved the outline
ROUNDS, OUTLIER = 5, 3.0  # of robust fits; usual deviations
LEAST_LEVELS, MOST_LEVELS = 12.0, 60.0  # a smooth background stays within
APART, CLEARLY_APART = 14.0, 30.0  # levels between two colours that can be told apart
ROUGH, TOO_ROUGH = 0.2, 0.45  # deviation of a colour, by its distance from the other
EXPLAINED, NOT_EXPLAINED = 14.0, 24.0  # levels between the edit and what the matte expects
LEAST_SUBJECT = 0.0005  # of the picture
LEAST_BODY = 0.1  # alpha
LEAST_EXPLAINED = 0.5  # of the subject
LEAST_LIGHTS = 5.0  # levels, deviation
LIGHT = (0.7, 2.5)  # by what a kept subject's contrast is multiplied at most
SAME_LIGHT = 0.2  # a share
MOST_SHINE, MOST_SHINE_IN_SHADE = 0.42, 0.8  # of the way from the old background to the new one
DENT = 3  # pixels of the canvas: what is narrower may be a dent in the model's outline
TRANSPARENT, OPAQUE = 0.08, 0.92  # alpha: what is beyond is noise
SCALES = 7  # octaves over which a colour is carried on


@dataclass(frozen=True, slots=True)
class Matte:
    """Where a subject stands before an exchanged background, at the canvas' size."""

    old: Plane  # 0 to 1: what is surely background
    subject: Plane  # 0 to 1: what is surely the subject
    weight: Plane  # 0 to 1: where subject and background are told apart
    bounds: Colours  # alpha below the first is 0, above the second 1 (height x width x 2)
    alpha: Plane  # of the subject in the canvas

    def shown(self, weight: Plane) -> Plane:
        """How much of an edit with this weight shows, with the outline of the subject laid."""
        return np.asarray(weight + (1 - self.alpha - weight) * self.weight, np.float32)

    def keeps_subject(self, before: Colours, after: Colours, changed: Flags) -> bool:
        """Whether the subject is the same in both pictures, and in the same light."""
        body = self.alpha > 0.9
        explained = (self.weight > 0.5)[body & changed]
        if len(explained) and explained.mean() < LEAST_EXPLAINED:
            return False
        body = cv2.erode(body.astype(np.uint8), disc(1)).astype(bool)
        first, second = luma(before)[body], luma(after)[body]
        if not len(first):
            return False
        if first.std() < LEAST_LIGHTS:
            return bool(np.median(np.abs(second - first)) < EXPLAINED)
        gain = float(((first - first.mean()) * (second - second.mean())).mean() / first.var())
        return LIGHT[0] < gain < LIGHT[1]

    def changed(self, changed: Flags) -> Flags:
        """What changed, without what the subject alone explains."""
        return changed & ~((self.alpha > 0.5) & (self.weight > 0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fringe:
    """What a subject's outline is laid with, at the canvas' size, in the original's colours."""

    weight: Plane  # 0 to 1: where it is laid
    bounds: Colours  # of alpha, as in Matte
    old: Colours | Plane  # the old background, carried on under the subject
    new: Colours | Plane  # the new one
    subject: Colours | Plane  # the subject's colour, carried on over the background

    def shrunk(self, size: tuple[int, int]) -> Fringe:
        """Return the same for an original smaller than its canvas; width and height in pixels."""
        weight, bounds, old, new, colour = (
            np.asarray(cv2.resize(it, size, interpolation=cv2.INTER_AREA), np.float32)
            for it in (self.weight, self.bounds, self.old, self.new, self.subject)
        )
        return Fringe(weight=weight, bounds=bounds, old=old, new=new, subject=colour)

    def over(self, shown: Colours | Plane) -> Colours | Plane:
        """What an original shows, before the new background; all planes at its size."""
        planes = [
            it.reshape(*self.weight.shape, -1) for it in (shown, self.old, self.new, self.subject)
        ]
        own, old, new, subject = planes
        alpha = bounded(opacity(own, old, subject), self.bounds)
        return np.asarray(laid(own, alpha, (old, new, subject)).reshape(shown.shape), np.float32)


def find(before: Colours, after: Colours, changed: Flags) -> Matte | None:
    """Find the subject of an aligned edit in the original's tone; None = no new background.

    `changed` says where the edit is thought to be; at the picture's borders it has to be right.
    """
    old = _sure_ground(before, after, changed)
    if old is None:
        return None
    first = _matte(before, after, changed, old)
    if first is None:
        return None
    found = _matte(before, after, changed, _up_to(before, after, first))
    return found if found is not None and found.keeps_subject(before, after, changed) else None


def _matte(before: Colours, after: Colours, changed: Flags, old: Plane) -> Matte | None:
    grounds = carried_on(before, old), carried_on(after, old)
    way = grounds[1] - grounds[0]
    subject = _sure_subject(before, after, (grounds[0], way), changed)
    if (subject > 0.5).sum() < LEAST_SUBJECT * subject.size:
        return None
    shade = _in_shade(before, after, grounds, subject)
    subject = np.asarray(np.maximum(subject, 0.5 * shade), np.float32)
    colours = carried_on(before, subject)
    contrast = _length(colours - grounds[0])
    bounds, clear = _bounds(before, (grounds[0], old), (colours, subject), contrast)
    alpha = bounded(opacity(before, grounds[0], colours), bounds)
    off = after - laid(before, alpha, (*grounds, colours))
    most = np.where(shade, MOST_SHINE_IN_SHADE, MOST_SHINE * (alpha > 0.5)).astype(np.float32)
    weight = clear * _explained(off, (way, colours - grounds[1]), alpha, most)
    weight *= _place(alpha, old, changed) * _ramp(_length(way), APART, CLEARLY_APART)
    return Matte(old, subject, weight, bounds, alpha)


def _up_to(before: Colours, after: Colours, found: Matte) -> Plane:
    """The sure background once the subject is known: as near to its outline as it may be."""
    body = _touching(found.alpha > LEAST_BODY, found.subject > 0)
    grounds = carried_on(before, found.old), carried_on(after, found.old)
    smooth = np.ones_like(body)
    for it, ground in zip((before, after), grounds, strict=True):
        off = _length(it - ground)
        smooth &= off < 2 * max(LEAST_LEVELS, OUTLIER * float(np.median(off[found.old > 0])))
    shadow = _shadow(before, after, grounds)
    body &= ~shadow | (found.alpha > 0.9)
    return ((smooth | shadow) & ~near(body, OUTLINE)).astype(np.float32)


def _shadow(before: Colours, after: Colours, grounds: tuple[Colours, Colours]) -> Flags:
    """Where both pictures are softly darker than their backgrounds, the edit at most as much."""
    light = _dot(before, grounds[0]) / np.maximum(_dot(grounds[0], grounds[0]), 1)
    alike = (_length(before - light[..., None] * grounds[0]) < EXPLAINED) & (light > 0.4)
    square = np.maximum(_dot(grounds[1], grounds[1]), 1)
    share = np.clip(_dot(after, grounds[1]) / square, light - SAME_LIGHT, 1.1)
    alike &= (_length(after - share[..., None] * grounds[1]) < EXPLAINED) & (light < 1.1)
    for it in (before, after):
        alike &= np.abs(luma(it) - blurred(luma(it), OUTLINE)) < LEAST_LEVELS / 2
    return _opened(alike, OUTLINE)


def fringe(found: Matte, original: Levels, edit: Colours) -> Fringe:
    """The colours that the outline is made of, in those of the original.

    `original` may have any size, 8 or 16 bits, RGB or grey; `edit` lies over the canvas.
    """
    height, width = found.weight.shape
    small = np.asarray(
        cv2.resize(original, (width, height), interpolation=cv2.INTER_AREA), np.float32
    )
    if original.dtype == np.uint16:
        small /= np.float32(257)
    return Fringe(
        weight=found.weight,
        bounds=found.bounds,
        old=carried_on(small, found.old),
        new=carried_on(edit, found.old),
        subject=carried_on(small, found.subject),
    )


def _sure_ground(before: Colours, after: Colours, changed: Flags) -> Plane | None:
    """Where both pictures show nothing but a smooth background; None = no background is new.

    It is searched for at a small size: it is smooth.
    """
    height, width = changed.shape
    scale = GROUND_SIDE / min(height, width)
    if scale >= 1:
        return _grown_ground(before, after, changed)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = [
        np.asarray(cv2.resize(it, size, interpolation=cv2.INTER_AREA), np.float32)
        for it in (before, after, changed.astype(np.float32))
    ]
    grown = _grown_ground(small[0], small[1], small[2] > 0.5)
    if grown is None:
        return None
    full = cv2.resize(grown, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full > 0.999, np.float32)


def _grown_ground(before: Colours, after: Colours, changed: Flags) -> Plane | None:
    """Where both pictures show nothing but a smooth background; None = no background is new.

    It grows from the changed borders of the picture to all that goes on as smoothly.
    """
    height, width = changed.shape
    rim = np.ones_like(changed)
    deep = max(4, round(RIM * min(height, width)))
    rim[deep:-deep, deep:-deep] = False
    if changed[rim].mean() < LEAST_BORDER or changed.mean() < LEAST_SHARE:
        return None
    weight = (rim & changed).astype(np.float32)
    for _ in range(ROUNDS):
        off = [_length(it - carried_on(it, weight)) for it in (before, after)]
        most = [max(LEAST_LEVELS, OUTLIER * float(np.median(it[weight > 0]))) for it in off]
        if most[0] > MOST_LEVELS or most[1] > MOST_LEVELS:
            return None
        alike = ((off[0] < most[0]) & (off[1] < 2 * most[1])).astype(np.uint8)
        core = cv2.erode(alike, disc(OUTLINE), borderType=cv2.BORDER_REPLICATE)
        grown = cv2.morphologyEx(core, cv2.MORPH_OPEN, disc(OUTLINE))
        weight = _touching(grown.astype(bool), rim).astype(np.float32)
        if weight.mean() < LEAST_SHARE:
            return None
    return weight


def _touching(flags: Flags, others: Flags) -> Flags:
    """The areas of `flags` that reach one of the others."""
    _, labels = cv2.connectedComponents(flags.astype(np.uint8))
    names = np.unique(labels[others])
    result: Flags = np.isin(labels, names[names > 0])
    return result


def _sure_subject(
    before: Colours, after: Colours, grounds: tuple[Colours, Colours], changed: Flags
) -> Plane:
    """What was kept, and what changed far less than the background, off its outline.

    `grounds` are the old background and the way from it to the new one.
    """
    old, way = grounds
    square = _dot(way, way)
    stayed = 1 - _dot(after - before, way) / np.maximum(square, APART**2)
    alpha = blurred(np.asarray(stayed, np.float32), 0.7)
    rest = largest(after - before - (1 - alpha[..., None]) * way)
    apart = (_length(before - old) > APART) & (square > APART**2)
    stays = apart & (alpha > 1 - MOST_SHINE) & (alpha < 1.3) & (rest < NOT_EXPLAINED)
    thin = 0.3 * (stays & (alpha > 0.75) & (rest < EXPLAINED))
    sure = (stays | ~changed).astype(np.uint8)
    core = cv2.erode(sure, disc(2), borderType=cv2.BORDER_REPLICATE)
    opaque = np.maximum(_ramp(alpha, 1 - MOST_SHINE, 0.95), 0.1) ** 2
    return np.asarray(np.maximum(core * np.where(changed, opaque, 1), thin), np.float32)


def _in_shade(
    before: Colours, after: Colours, grounds: tuple[Colours, Colours], subject: Plane
) -> Flags:
    """Parts that are the subject in less light, not with the background shining through.

    A model lets the new background shine on what lies in the shade as if it were glass; the canvas
    tells them apart: its colours are the subject's, darker, and no mixture with the old ground.
    """
    usual, way = carried_on(before, subject), grounds[1] - grounds[0]
    light = _dot(before, usual) / np.maximum(_dot(usual, usual), 1)
    dark = blurred(_length(before - np.clip(light, 0.5, 1.2)[..., None] * usual), 1.0)
    mixed = blurred(_left(before - grounds[0], usual - grounds[0], (0, 1), norm=2), 1.0)
    apart = (_length(before - grounds[0]) > APART) & (_length(way) > CLEARLY_APART)
    follows = _dot(after - before, way) / np.maximum(_dot(way, way), 1)
    found = apart & (dark < 0.7 * mixed - 1) & (follows < MOST_SHINE_IN_SHADE)
    return _opened(found, OUTLINE)


def _bounds(
    before: Colours, old: tuple[Colours, Plane], subject: tuple[Colours, Plane], contrast: Plane
) -> tuple[Colours, Plane]:
    """From where on alpha is noise, and how well subject and background can be told apart."""
    safe = np.maximum(contrast, APART)
    rough = [_deviation(before - mean, weight) / safe for mean, weight in (old, subject)]
    lowest = np.clip(2 * rough[0], TRANSPARENT, 0.4)
    highest = np.clip(1 - 2 * rough[1], 0.6, OPAQUE)
    clear = _ramp(contrast, APART, CLEARLY_APART)
    clear = clear * (1 - _ramp(np.maximum(*rough), ROUGH, TOO_ROUGH))
    return np.stack([lowest, highest], axis=2).astype(np.float32), clear


def _deviation(off: Colours, weight: Plane) -> Plane:
    square = np.asarray(_dot(off, off) / 3, np.float32)
    return np.sqrt(np.maximum(carried_on(square, weight), 0))


def _explained(
    off: Colours, ways: tuple[Colours, Colours], alpha: Plane, most_shine: Plane
) -> Plane:
    """Where the edit is what the matte expects, but for what models do by the way.

    `ways` lead from the old background to the new one, and from that to the subject. A subject may
    take on some of the new background's colour, and its outline may be dented.
    """
    covered = alpha > 0.5
    shine = _left(off, ways[0], (-0.1, most_shine))
    plain = np.where(covered, shine, largest(off))
    outline = near(covered, REACH) & near(~covered, REACH)
    far = cv2.dilate(_wide(np.where(outline, 0, plain)), disc(REACH))  # what is added ends there
    dent = _left(off, ways[1], (-1.0, 1.0))
    levels = np.maximum(_wide(np.where(outline, np.minimum(plain, dent), plain)), far)
    return blurred(1 - _ramp(levels, EXPLAINED, NOT_EXPLAINED), 1.0)


def _wide(levels: Plane) -> Plane:
    """Levels without what is narrower than a dent."""
    soft = blurred(np.asarray(levels, np.float32), 1.0)
    wide = cv2.morphologyEx(soft, cv2.MORPH_OPEN, disc(DENT))
    return np.asarray(cv2.dilate(wide, disc(DENT)), np.float32)


def _left(off: Colours, way: Colours, most: tuple[float, float | Plane], norm: int = 0) -> Plane:
    """The levels of a difference that no share of the way explains: the most, or their length."""
    square = np.maximum(_dot(way, way), APART**2)
    share = np.clip(_dot(off, way) / square, *most)[..., None]
    rest = off - share * way
    levels = _length(rest) if norm == 2 else largest(rest)
    return np.asarray(levels, np.float32)


def _place(alpha: Plane, old: Plane, changed: Flags) -> Plane:
    """The outline and all that is subject beyond it; of what was kept a narrow rim."""
    kept = ~changed
    depth = cv2.distanceTransform(kept.astype(np.uint8), cv2.DIST_L2, 5)
    rest = near(old == 0, OUTLINE) & near(_opened(alpha > 0.05, 1), REACH)
    zone = rest.astype(np.float32) * (1 - _ramp(np.asarray(depth, np.float32), 2.0, 4.0))
    return blurred(zone, 1.0)


def _opened(flags: Flags, reach: int) -> Flags:
    opened = cv2.morphologyEx(flags.astype(np.uint8), cv2.MORPH_OPEN, disc(reach))
    return np.asarray(opened, bool)


def _length(colours: npt.NDArray[np.floating]) -> Plane:
    return np.asarray(np.sqrt(_dot(colours, colours)), np.float32)


def _dot(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> Plane:
    """Products summed over channels; faster than a sum along an axis of three."""
    product = np.multiply(first, second, dtype=np.float32)
    if product.shape[2] == 1:
        return np.asarray(product[..., 0], np.float32)
    return np.asarray(cv2.transform(product, np.ones((1, product.shape[2]))), np.float32)


def carried_on(planes: Colours | Plane, weight: Plane) -> Colours:
    """Smooth planes where there is weight, and carry them on to where there is none.

    Weighted means over octaves, the finest with enough weight (pull-push; Gortler et al. 1996).
    """
    flat = planes if planes.ndim == 3 else planes[..., None]
    stack = np.dstack([flat * weight[..., None], weight]).astype(np.float32)
    levels = [stack]
    while len(levels) < SCALES + 1 and min(levels[-1].shape[:2]) >= 4:
        height, width = levels[-1].shape[:2]
        size = (width + 1) // 2, (height + 1) // 2
        smaller = cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA)
        levels.append(np.asarray(smaller, np.float32))
    sums = levels[-1].sum(axis=(0, 1), keepdims=True)
    result = np.broadcast_to(sums / np.maximum(sums[..., -1:], 1e-6), levels[-1].shape)
    for level in reversed(levels[1:]):
        soft = cv2.GaussianBlur(level, (0, 0), 1.0)
        share = np.clip(soft[..., -1:] / 0.3, 0, 1)
        size = level.shape[1], level.shape[0]
        coarse = cv2.resize(np.ascontiguousarray(result), size, interpolation=cv2.INTER_LINEAR)
        result = coarse + (soft / np.maximum(soft[..., -1:], 1e-6) - coarse) * share
    size = planes.shape[1], planes.shape[0]
    result = cv2.resize(np.ascontiguousarray(result), size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(result[..., :-1].reshape(planes.shape), np.float32)


def opacity(shown: Colours, old: Colours, subject: Colours) -> Plane:
    """The alpha that mixes old background and subject to what is shown, best in least squares."""
    way = subject - old
    square = np.maximum(_dot(way, way), 1.0)
    return np.asarray(_dot(shown - old, way) / square, np.float32)


def bounded(alpha: Plane, bounds: Colours) -> Plane:
    """Alpha without its noise, 0 to 1."""
    lowest, highest = bounds[..., 0], bounds[..., 1]
    return np.asarray(np.clip((alpha - lowest) / (highest - lowest), 0, 1), np.float32)


def laid(shown: Colours, alpha: Plane, grounds: tuple[Colours, Colours, Colours]) -> Colours:
    """What is shown, before the new background: `grounds` are old, new, and the subject's colour.

    Where alpha is high the subject's part is what is left without the old background, where it is
    low its usual colour: there the old background's texture would be taken for it.
    """
    old, new, subject = grounds
    clear = (1 - alpha)[..., None]
    trust = np.clip(2 * alpha, 0, 1)[..., None]
    own = shown - clear * old
    usual = alpha[..., None] * subject
    return np.asarray(usual + (own - usual) * trust + clear * new, np.float32)


def _ramp(plane: Plane, low: float, high: float) -> Plane:
    return np.asarray(np.clip((plane - low) / (high - low), 0, 1), np.float32)
