"""An edit of tone, light or colour as a map of the original's colours, so that its detail stays.

Local affine models mix the channels, as in bilateral guided upsampling (Chen et al. 2016). Their
gains come from how both pictures vary within a few pixels, pooled over wider and narrower places.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.composite.align import Matrix
from pipeline.composite.arrays import Flags, Plane, blurred, variance
from pipeline.composite.blend import ColourMap, Floats, Levels, Strip, recoloured
from pipeline.composite.flow import Flow

UNMOVED: Matrix = np.eye(2, 3)
HALF = 2  # pixels of the canvas: models are fitted and judged at half of its size
SOFT = 0.7  # pixels of that half: what is finer than models draw reliably
CELL = 2  # of the same: one model for each
VARIATION = 1.5  # cells, deviation of the window in which both pictures vary
POOLS = (12.0, 3.0)  # cells, deviations of the places whose variation is pooled
OFFSET, FAR = 1.0, 8.0  # cells: windows of the offsets, and of those where no edit lies
LITTLE = 0.002  # of a window's pixels
GRAIN = 1.0  # levels squared: variation below is noise
GLOBAL_GRAIN = 8.0
GAIN_SPREAD = 0.08  # how far gains of a place are expected from those around it
INDEPENDENT = 16.0  # pixels beside each other that say the same
MOST_GAIN = 3.0  # a channel's: more would show noise and the steps of 8 bits
ROUNDS = 2
CUT, LEAST_CUT = 3.0, 6.0  # medians, levels: what differs by more is hardly fitted
LEAST_TRUST = 0.05
CLIPPED, CLIPPED_TRUST = 3.0, 0.05  # levels from black and white; what is clipped says no gain
RESIDUE, CONTRAST = 3.0, 4.0  # half pixels, deviations of the windows of the judgement
EXPLAINED, UNEXPLAINED = 1.2, 2.0  # mean square residue by the deviation of the contrast, levels
GAP = 9  # half pixels between parts of what is new
HOLE = 0.02  # of the picture
FEATHER = 1.5  # half pixels
FINE, DARK, TEXTURE = 2.0, 16.0, 0.01  # half pixels, levels, deviation by level
GONE, LEFT = 0.2, 0.35  # of a texture's contrast
LEAST_VARIANCE = 4.0  # levels squared
WIDE, LEAST_MAPPED = 8.0, 0.5  # half pixels; of the picture, in wide parts: no patchwork
LEAST_BORDER = 0.8  # of the border that the edit does not reach
REPEATED = 0.5  # pixels outside the outermost centres; every enlargement repeats as much

Planes = npt.NDArray[np.float32]  # channels x height x width
Mixing = npt.NDArray[np.float32]  # channels x channels x rows x columns


@dataclass(frozen=True, slots=True)
class Laying:
    """Where an edit is laid, and what the original's own pixels do for it."""

    matrix: Matrix  # where a point of the canvas lies in the edit
    flow: Flow | None  # and how far beside itself before that
    map: ColourMap | None


def place(moved: Laying, shape: tuple[int, ...]) -> Laying:
    """Decide how an edit of the whole picture lies, so that its borders are never smeared.

    An edit that was moved back to the original and no longer reaches its borders is laid so if
    the map covers them; else it stays as the model drew it, without detail at the wrong place.
    So does one without a map that lies off by less than is seen: to lay it anew would blur it.
    What moved on its own is put back only where detail of the original comes with it.
    """
    found, reached = moved.map, _reached(moved.matrix, shape)
    if found is None:
        lies = reached.all() and _moves(moved.matrix, shape)
        return Laying(moved.matrix if lies else UNMOVED, None, None)
    if reached.all():
        return moved
    size = found.drawn.shape[1], found.drawn.shape[0]
    border = cv2.resize((~reached).astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    beside = cv2.dilate(border.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~border
    if (found.drawn[beside] < 0.5).mean() < LEAST_BORDER:
        return Laying(UNMOVED, None, None)
    covered = np.asarray(cv2.dilate(border.astype(np.float32), np.ones((15, 15), np.uint8)))
    faded = 1 - blurred(covered.astype(np.float32), 1.5)
    return replace(moved, map=replace(found, drawn=np.minimum(found.drawn, faded)))


def _moves(matrix: Matrix, shape: tuple[int, ...]) -> bool:
    """Whether a corner of the canvas lies elsewhere in the edit."""
    height, width = shape[:2]
    corners = np.array([(x, y) for x in (0, width - 1) for y in (0, height - 1)], np.float64)
    off = corners @ matrix[:, :2].T + matrix[:, 2] - corners
    return bool(np.hypot(*off.T).max() > REPEATED)


def _reached(matrix: Matrix, shape: tuple[int, ...]) -> Flags:
    """Where a moved edit lies over the canvas."""
    height, width = shape[:2]
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    right = matrix[0, 0] * across + matrix[0, 1] * down + matrix[0, 2]
    below = matrix[1, 0] * across + matrix[1, 1] * down + matrix[1, 2]
    inside = (right >= -REPEATED) & (right <= width - 1 + REPEATED)
    result: Flags = inside & (below >= -REPEATED) & (below <= height - 1 + REPEATED)
    return result


def fit(
    original: Levels, over: Floats, matrix: Matrix, *, known: Flags | None = None
) -> ColourMap | None:
    """Fit the map from an original, of any size, to an edit laid over its canvas.

    Both RGB or both grey; `matrix` says where a point of the canvas lies in the edit, `known` what
    of it is to be read. None where too little of the edit is a map, as with another style.
    """
    height, width = over.shape[:2]
    size = max(1, width // HALF), max(1, height // HALF)
    source = _planes(_small(original, (width, height)), size)
    target = _planes(over, size)
    reached = _reached(matrix, over.shape)
    if known is not None:
        reached = reached & known
    share = cv2.resize(reached.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    read = (share > 0.99).astype(np.float32)
    mixing = _fitted(source, target, read)
    mapped = np.clip(_mapped(source, mixing), 0, 255)
    target = np.where(read > 0, target, mapped)
    new = np.maximum(_unexplained(target, mapped), _gone(source, target))
    drawn = _filled(new) * read
    if (blurred(drawn, WIDE) < 0.1).mean() < LEAST_MAPPED:
        return None
    return ColourMap(mixing=mixing, drawn=drawn)


def _small(original: Levels, size: tuple[int, int]) -> Floats:
    way = cv2.INTER_AREA if original.shape[1] >= size[0] else cv2.INTER_CUBIC
    small = cv2.resize(original, size, interpolation=way).astype(np.float32)
    return np.asarray(small / 257 if original.dtype == np.uint16 else small, np.float32)


def _planes(colours: Floats, size: tuple[int, int]) -> Planes:
    small = cv2.resize(colours, size, interpolation=cv2.INTER_AREA)
    return np.stack([blurred(np.ascontiguousarray(it), SOFT) for it in cv2.split(small)])


def _fitted(source: Planes, target: Planes, known: Plane) -> Mixing:
    """Fit again with less weight for what the first fit does not explain."""
    mixing = _weighted(source, target, known)
    for _ in range(ROUNDS - 1):
        off = np.abs(target - np.clip(_mapped(source, mixing), 0, 255)).max(axis=0)
        usual = float(np.median(off[known > 0])) if known.any() else 0.0
        follows = 1 / (1 + (off / max(LEAST_CUT, CUT * usual)) ** 2) ** 2
        weight = np.asarray(known * np.maximum(follows, LEAST_TRUST), np.float32)
        mixing = _weighted(source, target, weight)
    return mixing


def _weighted(source: Planes, target: Planes, weight: Plane) -> Mixing:
    rows, columns = (max(1, round(side / CELL)) for side in weight.shape)
    clipped = (target.min(axis=0) < CLIPPED) | (target.max(axis=0) > 255 - CLIPPED)
    varying = _Cells(np.where(clipped, CLIPPED_TRUST * weight, weight), (columns, rows))
    gains = _bounded(_pooled(varying.moments(source, target)))
    offsets = _Cells(weight, (columns, rows)).offsets(gains, source, target)
    return np.concatenate([gains, offsets[:, None]], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moments:
    """How two pictures vary within small windows, each times the trust in the window."""

    trust: Plane
    varies: Mixing  # the source's channels with each other
    shared: Mixing  # the target's channels with the source's
    spread: Plane  # the target's mean variance


@dataclass(frozen=True, slots=True)
class _Cells:
    """Pixels of some weight, summed up in cells."""

    weight: Plane
    size: tuple[int, int]  # columns and rows

    def mean(self, plane: Plane, deviation: float) -> Plane:
        """Return weighted sums over windows of this deviation in cells."""
        cells = cv2.resize(plane * self.weight, self.size, interpolation=cv2.INTER_AREA)
        return blurred(np.asarray(cells, np.float32).reshape(self.size[::-1]), deviation)

    def moments(self, source: Planes, target: Planes) -> _Moments:
        """Return the variation within windows alone: slow light over a picture says no gain."""
        source, target = source - 128, target - 128
        trust = self.mean(np.ones_like(self.weight), VARIATION)
        total = np.maximum(trust, 1e-4)
        first = np.stack([self.mean(it, VARIATION) for it in source])
        second = np.stack([self.mean(it, VARIATION) for it in target])
        channels = range(len(source))
        varies = np.empty((len(source), len(source), *trust.shape), np.float32)
        shared = np.empty_like(varies)
        for one in channels:
            for other in channels:
                both = self.mean(target[one] * source[other], VARIATION)
                shared[one, other] = both - second[one] * first[other] / total
                if other >= one:
                    both = self.mean(source[one] * source[other], VARIATION)
                    varies[one, other] = both - first[one] * first[other] / total
                    varies[other, one] = varies[one, other]
        square = self.mean((target**2).mean(axis=0), VARIATION)
        spread = np.maximum(square - (second**2).mean(axis=0) / total, 0)
        return _Moments(trust=trust, varies=varies, shared=shared, spread=spread)

    def offsets(self, gains: Mixing, source: Planes, target: Planes) -> Planes:
        """Return what gains leave of the target, from far around where no edit lies."""
        ones = np.ones_like(self.weight)
        near, far = self.mean(ones, OFFSET), _wide(self.mean(ones, VARIATION), FAR)
        result = np.empty((len(gains), *near.shape), np.float32)
        for channel, row in enumerate(gains):
            close = self._rest(row, source, target[channel], OFFSET)
            wide = self._rest(row, source, target[channel], VARIATION)
            around = (_wide(wide, FAR) + 1e-4 * wide.mean()) / (far + 1e-4 * far.mean() + 1e-9)
            result[channel] = (close + LITTLE * around) / (near + LITTLE)
        return result

    def _rest(self, row: Planes, source: Planes, target: Plane, deviation: float) -> Plane:
        rest = self.mean(target, deviation)
        for gain, plane in zip(row, source, strict=True):
            rest -= gain * self.mean(plane, deviation)
        return rest


def _pooled(moments: _Moments) -> Mixing:
    """Return gains of each cell: those of the wider places, corrected as far as it is sure.

    Ridge regression; where a place varies little, or only in one colour, the wider one speaks.
    """
    varies, shared, trust = moments.varies, moments.shared, moments.trust
    one = np.eye(len(varies), dtype=np.float32)[..., None, None]
    all_varies, all_shared = (it.mean(axis=(2, 3), keepdims=True) for it in (varies, shared))
    grain = GLOBAL_GRAIN * max(float(trust.mean()), 1e-6)
    own = (one * all_shared).sum(axis=1) / ((one * all_varies).sum(axis=1) + grain)
    own = one * np.clip(own, -MOST_GAIN, MOST_GAIN)[:, None]
    gains = _solved(all_varies + grain * one, all_shared + grain * own)
    gains = np.broadcast_to(gains, varies.shape)
    for pool in POOLS:
        wide_varies, wide_shared = _wide(varies, pool), _wide(shared, pool)
        wide_trust = np.maximum(_wide(trust, pool), 1e-6)
        pixels = (3.5 * pool * CELL) ** 2 / INDEPENDENT
        unexplained = _wide(moments.spread, pool) - _explained(gains, wide_varies, wide_shared)
        usual = np.maximum(unexplained, wide_trust) / (pixels * GAIN_SPREAD**2)
        ridge = (usual + GRAIN * wide_trust) * one
        gains = _solved(wide_varies + ridge, wide_shared + ridge[:1, :1] * gains)
    return gains


def _explained(gains: Mixing, varies: Mixing, shared: Mixing) -> Plane:
    """Return how much of the target's variance gains explain, a channel."""
    total = np.zeros(varies.shape[2:], np.float32)
    for row, common in zip(gains, shared, strict=True):
        mixed = (row[:, None] * varies).sum(axis=0)
        total += (row * (2 * common - mixed)).sum(axis=0)
    return np.asarray(total / len(gains), np.float32)


def _solved(left: Mixing, right: Mixing) -> Mixing:
    """Return x with x left = right in each cell; left is symmetric and positive."""
    left, rows = left.copy(), right.swapaxes(0, 1).copy()
    for pivot in range(len(left)):
        inverse = 1 / left[pivot, pivot]
        left[pivot] *= inverse
        rows[pivot] *= inverse
        for other in range(len(left)):
            if other != pivot:
                factor = left[other, pivot].copy()
                left[other] -= factor * left[pivot]
                rows[other] -= factor * rows[pivot]
    return rows.swapaxes(0, 1)


def _bounded(gains: Mixing) -> Mixing:
    """Limit what grain becomes, be it the same in all channels or different in each."""
    apart = np.sqrt((gains**2).sum(axis=1, keepdims=True))
    most = np.maximum(apart, np.abs(gains.sum(axis=1, keepdims=True)))
    return np.asarray(gains * np.minimum(1, MOST_GAIN / np.maximum(most, 1e-6)), np.float32)


def _wide(planes: npt.NDArray[np.float32], deviation: float) -> npt.NDArray[np.float32]:
    """Blur planes, whose last two axes are rows and columns, small if possible."""
    rows, columns = planes.shape[-2:]
    part = max(1, int(deviation / 2))
    size = max(1, columns // part), max(1, rows // part)
    flat = planes.reshape(-1, rows, columns)
    result = np.empty_like(flat)
    for plane, made in zip(flat, result, strict=True):
        small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
        wide = cv2.GaussianBlur(small.reshape(size[::-1]), (0, 0), deviation / part)
        made[...] = cv2.resize(wide, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return result.reshape(planes.shape)


def _mapped(source: Planes, mixing: Mixing) -> Planes:
    rows, columns = source.shape[1:]
    return recoloured(source, mixing, (columns, rows), Strip(0, rows, 0, columns))


def _unexplained(target: Planes, mapped: Planes) -> Plane:
    """How far the edit is not what the map makes of the original, 0 to 1.

    Models lose some of what they keep, and draw fine texture anew. That leaves more where there is
    more to see, so the residue is judged by the contrast around, of the edit or of the map.
    """
    residue = blurred(np.asarray(((target - mapped) ** 2).mean(axis=0), np.float32), RESIDUE)
    contrast = np.maximum(_variance(target), _variance(mapped))
    missed = residue / np.sqrt(contrast + LEAST_VARIANCE)
    return _rising((missed - EXPLAINED) / (UNEXPLAINED - EXPLAINED))


def _gone(source: Planes, target: Planes) -> Plane:
    """How far the original's texture is gone, by its contrast for its level, 0 to 1.

    A map with the smallest gain would still show it as a ghost on what is new and smooth.
    """
    before, after = _texture(source), _texture(target)
    left = after / np.maximum(before, 1e-6)
    faint = _rising((LEFT - left) / (LEFT - GONE))
    return np.asarray(faint * _rising(before / TEXTURE - 1), np.float32)


def _texture(planes: Planes) -> Plane:
    """The deviation of what is finer than a few pixels, by the level it has."""
    square, level = np.zeros(planes.shape[1:], np.float32), blurred(planes.mean(axis=0), CONTRAST)
    for plane in planes:
        square += (plane - blurred(plane, FINE)) ** 2
    deviation = np.sqrt(blurred(square, CONTRAST) / len(planes))
    return np.asarray(deviation / (level + DARK), np.float32)


def _rising(share: npt.NDArray[np.floating]) -> Plane:
    """From 0 to 1, without a bend."""
    inside = np.clip(share, 0, 1)
    return np.asarray(inside * inside * (3 - 2 * inside), np.float32)


def _filled(new: Plane) -> Plane:
    """What is new as whole areas with soft borders."""
    padded = cv2.copyMakeBorder(new, *4 * (GAP,), cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((GAP, GAP), np.uint8))
    whole = np.asarray(closed[GAP:-GAP, GAP:-GAP], np.float32)
    whole = np.maximum(whole, _holes(whole > 0.5))
    return np.clip(blurred(whole, FEATHER), 0, 1)


def _holes(flags: Flags) -> Plane:
    """What is enclosed: the inside of a new thing belongs to it, also where it is plain."""
    free = np.pad((~flags).astype(np.uint8), 1, constant_values=0)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(free, connectivity=4)
    small = statistics[:, cv2.CC_STAT_AREA] < HOLE * flags.size
    small[0] = False
    assert count == len(small)
    return np.asarray(small[labels][1:-1, 1:-1], np.float32)


def _variance(planes: Planes) -> Plane:
    result = np.zeros(planes.shape[1:], np.float32)
    for plane in planes:
        result += variance(plane, CONTRAST)
    return np.asarray(result / len(planes), np.float32)
