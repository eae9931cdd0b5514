"""An edit laid over its original, strip by strip, within its bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.composite.align import Matrix
from pipeline.composite.arrays import Plane
from pipeline.composite.flow import Flow
from pipeline.composite.matting import Fringe

Levels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]  # height x width (x 3)
Floats = npt.NDArray[np.float32]

STRIP_PIXELS = 1 << 20  # of the original: 12 MB in each array of floats
FRINGE_COLUMNS = 512  # pixels of the original: the outline is laid in pieces so wide
BLOCK = 1024  # columns of a strip that are recoloured at once: they stay in the caches
STILL = 0.05  # pixels of the canvas; less is no movement


@dataclass(frozen=True, slots=True)
class ColourMap:
    """What an edit of the whole picture made of the original's colours, place by place."""

    mixing: Floats  # channels x channels + 1 x rows x columns: gains of each channel, an offset
    drawn: Plane  # at any size: how much of the edit itself shows, 0 where the map explains it


@dataclass(frozen=True, slots=True)
class Strip:
    """Rows and columns of the part of an original that is laid over."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Shown:
    """How much of an edit shows where it is laid."""

    weight: Plane  # at any size, 0 to 1
    bound: Bound | None  # at the size of the original's part: how much may show at most
    alpha: Bound | None = None  # of the original's part: what is 0 is never seen

    def in_strip(self, strip: Strip, scale: tuple[float, float]) -> Plane:
        """Return how much shows in a strip of an original that is `scale` times the weight."""
        result = sampled(self.weight, np.eye(2, 3), strip, scale, cv2.INTER_LINEAR)
        if self.bound is not None:
            most = self.bound[strip.top : strip.bottom, strip.left : strip.right]
            result = np.minimum(result, most * np.float32(1 / 255))
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What is laid over a part of an original, at the size of the canvas."""

    colours: Floats  # height x width (x 3), levels 0 to 255 in the original's colours
    matrix: Matrix  # where a point of the canvas lies in `colours`
    flow: Flow | None  # and how far beside itself before that; None = nowhere
    shown: Shown
    map: ColourMap | None  # None = the edit itself shows everywhere
    fringe: Fringe | None = None  # of a subject before a new background

    def in_strip(self, strip: Strip, scale: tuple[float, float]) -> Floats:
        """Return the colours that lie on a strip of an original, not clipped."""
        if self.flow is None:
            return sampled(self.colours, self.matrix, strip, scale, cv2.INTER_CUBIC)
        flow = sampled(self.flow, np.eye(2, 3), strip, scale, cv2.INTER_LINEAR)
        if np.abs(flow).max() < STILL:
            return sampled(self.colours, self.matrix, strip, scale, cv2.INTER_CUBIC)
        flow[..., 0] += _centres(strip.left, strip.right, scale[0])
        flow[..., 1] += _centres(strip.top, strip.bottom, scale[1])[:, None]
        across, down = cv2.split(cv2.transform(flow, self.matrix))
        return np.asarray(
            cv2.remap(
                self.colours, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            ),
            np.float32,
        )


def lay(base: Levels, edit: Edit, *, strip_pixels: int = STRIP_PIXELS) -> None:
    """Lay an edit over `base`, which has 8 or 16 bits a channel, in place.

    Where the weight is 0 no number is touched. `base` may be a view of a part of an original; any
    size, so the edit is scaled to it. Cubic interpolation (Keys 1981), bilinear for the weight.
    """
    edit = _shrunk(edit, scale_of(base, edit.shown))
    scale = scale_of(base, edit.shown)
    anywhere = edit.shown.weight
    if edit.fringe is not None:
        anywhere = np.maximum(anywhere, edit.fringe.weight)
    for strip in _strips(anywhere, base.shape[1], base.shape[0], strip_pixels):
        part = base[strip.top : strip.bottom, strip.left : strip.right]
        _lay_strip(part, edit, strip, scale)


def _strips(weight: Plane, width: int, height: int, pixels: int) -> Iterator[Strip]:
    """The parts of an original of this size where an edit with this weight shows."""
    rows = max(16, pixels // width)
    down, across = weight.shape[0] / height, weight.shape[1] / width
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        first, last = int(top * down) - 2, int(np.ceil(bottom * down)) + 2
        shown = np.flatnonzero(weight[max(0, first) : last].any(axis=0))
        if len(shown):
            left = max(0, int((shown[0] - 2) / across))
            right = min(width, int(np.ceil((shown[-1] + 3) / across)))
            yield Strip(top, bottom, left, right)


def scale_of(base: Levels, shown: Shown) -> tuple[float, float]:
    """Return how much larger an original is than the weight, across and down."""
    height, width = shown.weight.shape
    return base.shape[1] / width, base.shape[0] / height


def _lay_strip(part: Levels, edit: Edit, strip: Strip, scale: tuple[float, float]) -> None:
    white = 257.0 if part.dtype == np.uint16 else 1.0
    weight = edit.shown.in_strip(strip, scale)
    source = part.astype(np.float32)
    if white != 1:
        source *= np.float32(1 / white)
    colours = _edited(source, edit, strip, scale)
    if part.ndim == 3:
        weight = weight[..., None]
    is_all = bool(weight.min() >= 1)
    if not is_all:
        colours -= source
        colours *= weight
        colours += source
    touched = weight > 0
    if edit.fringe is not None:
        touched = touched | _lay_fringe(colours, source, edit, strip, scale)
    np.clip(colours, 0, 255, out=colours)
    if white != 1:
        colours *= np.float32(white)
    np.rint(colours, out=colours)
    np.copyto(part, colours, casting="unsafe", where=True if is_all else touched)


def _lay_fringe(
    colours: Floats, source: Floats, edit: Edit, strip: Strip, scale: tuple[float, float]
) -> npt.NDArray[np.bool_]:
    """Lay the outline of a subject over the strip's colours, in place; return where it did."""
    fringe = edit.fringe
    assert fringe is not None
    weight = Shown(fringe.weight, edit.shown.bound).in_strip(strip, scale)
    touched = weight > 0
    for left in range(0, touched.shape[1], FRINGE_COLUMNS):
        columns = slice(left, min(left + FRINGE_COLUMNS, touched.shape[1]))
        rows = np.flatnonzero(touched[:, columns].any(axis=1))
        if len(rows):
            tile = (slice(int(rows[0]), int(rows[-1]) + 1), columns)
            place = Strip(
                strip.top + tile[0].start,
                strip.top + tile[0].stop,
                strip.left + columns.start,
                strip.left + columns.stop,
            )
            part, share = colours[tile], weight[tile]
            laid = _sampled_fringe(fringe, share, place, scale).over(source[tile])
            part += (laid - part) * (share if part.ndim == 2 else share[..., None])
    return touched if colours.ndim == 2 else touched[..., None]


def _sampled_fringe(
    fringe: Fringe, weight: Plane, strip: Strip, scale: tuple[float, float]
) -> Fringe:
    planes = {
        name: sampled(getattr(fringe, name), np.eye(2, 3), strip, scale, cv2.INTER_LINEAR)
        for name in ("bounds", "old", "new", "subject")
    }
    return Fringe(weight=weight, **planes)


def _edited(source: Floats, edit: Edit, strip: Strip, scale: tuple[float, float]) -> Floats:
    """The edit at full size: the original recoloured, and the edit itself where that fails."""
    if edit.map is None:
        return edit.in_strip(strip, scale)
    result = np.empty_like(source)
    for left in range(strip.left, strip.right, BLOCK):
        block = replace(strip, left=left, right=min(strip.right, left + BLOCK))
        inside = slice(block.left - strip.left, block.right - strip.left)
        result[:, inside] = _mapped(source[:, inside], edit, edit.map, block, scale)
    return result


def _mapped(
    source: Floats, edit: Edit, found: ColourMap, block: Strip, scale: tuple[float, float]
) -> Floats:
    full = scale[0] * edit.shown.weight.shape[1], scale[1] * edit.shown.weight.shape[0]
    planes = np.stack([np.asarray(it, np.float32) for it in cv2.split(source)])
    made = recoloured(planes, found.mixing, full, block)
    np.clip(made, 0, 255, out=made)
    result = np.asarray(cv2.merge(list(made)), np.float32).reshape(source.shape)
    drawn = _stretched(found.drawn, full, block)
    if drawn.any():
        colours = edit.in_strip(block, scale)
        colours -= result
        colours *= drawn if source.ndim == 2 else drawn[..., None]
        result += colours
    return result


def recoloured(source: Floats, mixing: Floats, full: tuple[float, float], strip: Strip) -> Floats:
    """Mix a strip (channels x rows x columns) of an original of `full` width and height."""
    result = np.empty_like(source)
    for made, row in zip(result, mixing, strict=True):
        stretched = _stretched(row, full, strip)
        made[...] = stretched[-1]
        for gain, plane in zip(stretched, source, strict=False):
            cv2.accumulateProduct(gain, plane, made)
    return result


def _stretched(planes: Floats, full: tuple[float, float], strip: Strip) -> Floats:
    """Return what planes that span an original of `full` width and height show in a strip.

    Bilinear; the last two axes are rows and columns. Few rows of such a plane lie in a strip, so
    they are widened first; what lies between two of them is filled at once.
    """
    rows, columns = planes.shape[-2:]
    above, below, share = _neighbours(strip.top, strip.bottom, rows / full[1], rows)
    before, after, part = _neighbours(strip.left, strip.right, columns / full[0], columns)
    few = planes[..., above[0] : below[-1] + 1, :]
    wide = few[..., before]
    wide += (few[..., after] - wide) * part
    result = np.empty((*planes.shape[:-2], len(above), len(before)), np.float32)
    for first in np.unique(above):
        between = slice(*np.searchsorted(above, (first, first + 1)))
        upper = wide[..., first - above[0], :]
        lower = wide[..., min(first + 1, below[-1]) - above[0], :]
        filled = result[..., between, :]
        np.multiply(share[between, None], (lower - upper)[..., None, :], out=filled)
        filled += upper[..., None, :]
    return result


Indices = npt.NDArray[np.intp]


def _neighbours(
    first: int, last: int, scale: float, count: int
) -> tuple[Indices, Indices, npt.NDArray[np.float32]]:
    """Between which two of `count` samples pixels lie, and how near to the second."""
    at = np.clip((np.arange(first, last) + 0.5) * scale - 0.5, 0, count - 1)
    before = np.floor(at).astype(np.intp)
    return before, np.minimum(before + 1, count - 1), (at - before).astype(np.float32)


def sampled(
    planes: Floats, matrix: Matrix, strip: Strip, scale: tuple[float, float], way: int
) -> Floats:
    """Return what `planes`, at the size of a canvas, show in a strip of the original.

    Pixel centres at halves: a pixel x of the original is x' = (x + 0.5) / scale - 0.5 of the
    canvas, which lies at `matrix` x' of the planes.
    """
    shrink = np.diag([1 / scale[0], 1 / scale[1]])
    corner = np.array([strip.left, strip.top], float)
    start = shrink @ (corner + 0.5) - 0.5
    whole = np.hstack([matrix[:, :2] @ shrink, (matrix[:, :2] @ start + matrix[:, 2])[:, None]])
    return np.asarray(
        cv2.warpAffine(
            planes,
            whole,
            strip.size,
            flags=way | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )


def _centres(first: int, end: int, scale: float) -> Floats:
    """Where the centres of an original's pixels lie on the canvas, along one side."""
    return ((np.arange(first, end, dtype=np.float32) + 0.5) / scale - 0.5).astype(np.float32)


def _shrunk(edit: Edit, scale: tuple[float, float]) -> Edit:
    """Bring an edit down to an original smaller than its canvas."""
    if min(scale) >= 1:
        return edit
    height, width = edit.shown.weight.shape
    size = max(1, round(width * scale[0])), max(1, round(height * scale[1]))
    laid = edit.in_strip(Strip(0, height, 0, width), (1, 1))
    colours = np.clip(_area(laid, size), 0, 255)
    return Edit(
        colours=colours,
        matrix=np.eye(2, 3),
        flow=None,
        shown=Shown(_area(edit.shown.weight, size), edit.shown.bound),
        map=edit.map,
        fringe=None if edit.fringe is None else edit.fringe.shrunk(size),
    )


def _area(planes: Floats, size: tuple[int, int]) -> Floats:
    if (planes.shape[1], planes.shape[0]) == size:
        return planes
    return np.asarray(cv2.resize(planes, size, interpolation=cv2.INTER_AREA), np.float32)


Bound = npt.NDArray[np.uint8]  # height x width, 255 = may change


def softened(bound: Bound, reach: int) -> Bound:
    """Return the bound with borders that rise from 0 to full within 2 * `reach` pixels inside.

    Where it is 0 it stays 0; along the picture's own borders nothing is softened.
    """
    side = 2 * reach + 1
    core = cv2.erode(bound, np.ones((side, side), np.uint8))
    soft = cv2.blur(core, (side, side), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.minimum(soft, bound), np.uint8)
