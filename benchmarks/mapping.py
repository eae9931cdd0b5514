"""What edits of a whole picture keep of the original's detail, against the ideal at full size."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import Pool

import cv2
import numpy as np
import numpy.typing as npt
from rig.drift import Drift, bad, canvas, drifted, mild
from rig.edits import edit
from rig.studio import Pixels, over, picture, pink, ramp

from benchmarks.returning import Canvas, Job, composed
from pipeline.composite.arrays import Plane, blurred, luma
from pipeline.composite.blend import Strip, sampled
from pipeline.composite.classify import Whole
from pipeline.composite.compare import Comparison
from pipeline.composite.metrics import similarity

Json = dict[str, object]
Flags = npt.NDArray[np.bool_]

MODEL = (768, 512)
WORKERS = 2
DRIFTS: dict[str, Callable[[int], Drift]] = {"mild": mild, "bad": bad}
CONDITIONS = (("mild", False, 2.5), ("bad", True, 2.5), ("mild", False, 4.0))  # redrawn, scale
SHOWN = ("textured", "face", "shapes")  # kinds of the studio
MARGIN = 0.02  # of the long side, around a thing that is new
OURS, PLAIN, DETAIL = "Hotfolder", "plain upscale, aligned", "contrast of brightness"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One edit of one picture."""

    kind: str
    name: str
    drift: str
    is_redrawn: bool  # fine texture is the model's own
    scale: float  # of the original's sides by the model's

    @property
    def is_map(self) -> bool:
        """Whether shapes stay, but for a thing that is measured apart."""
        return self.name != "style"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came back, away from what is new."""

    case: Case
    is_whole: bool  # whether it was taken as an edit of the whole picture
    mapped_share: float
    decibels: dict[str, float]  # by way
    similarities: dict[str, float]

    @property
    def gain_db(self) -> float:
        """How much nearer to the ideal than a plain upscale."""
        return self.decibels[OURS] - self.decibels[PLAIN]


def measure(*, quick: bool) -> Json:
    """Try all cases, or those of one condition."""
    conditions = CONDITIONS[1:2] if quick else CONDITIONS
    all_cases = list(_cases(conditions))
    with Pool(WORKERS, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        return {"model": list(MODEL), **_summary(pool.map(tried, all_cases, chunksize=1))}


def _cases(conditions: Sequence[tuple[str, bool, float]]) -> Iterator[Case]:
    for kind, name, (drift, redrawn, scale) in itertools.product(KINDS, EDITS, conditions):
        yield Case(kind=kind, name=name, drift=drift, is_redrawn=redrawn, scale=scale)


def tried(case: Case) -> Tried:
    """Draw a case and compare the ways back with the ideal."""
    job, ideal, new = drawn(case)
    laid, found = composed(job)
    ways: dict[str, Canvas | Pixels] = {
        OURS: np.asarray(laid.pixels, np.uint8),
        PLAIN: _enlarged(job, found),
        DETAIL: _enlarged(job, found) + _detail(job, found),
    }
    far = ~_grown(new, round(MARGIN * max(new.shape)))
    return Tried(
        case=case,
        is_whole=isinstance(found.verdict, Whole),
        mapped_share=laid.fidelity.mapped_share or 0.0,
        decibels={way: _db(it, ideal, far) for way, it in ways.items()},
        similarities={way: _similarity(it, ideal, far) for way, it in ways.items()},
    )


def drawn(case: Case) -> tuple[Job, Canvas, Flags]:
    """The job, the ideal edit at full size, and where a thing is new in it."""
    size = round(MODEL[0] * case.scale), round(MODEL[1] * case.scale)
    original = _levels(KINDS[case.kind](*size))
    ideal, new = EDITS[case.name](original.astype(np.float32))
    ideal = np.clip(ideal, 0, 255).astype(np.float32)
    made = canvas(ideal, *MODEL)
    if case.is_redrawn:
        made = redrawn(made)
    drift = replace(DRIFTS[case.drift](1), gains=(1.0, 1.0, 1.0))  # tone is the edit itself
    before = canvas(original.astype(np.float32), *MODEL)
    return Job(original, before, drifted(made, drift, 1)), _levels(ideal), new


def redrawn(made: Canvas) -> Canvas:
    """Fine texture as a model draws it anew: other grain of the same strength, outlines apart."""
    pixels = made.astype(np.float32)
    band = pixels - blurred(pixels, 1.5)
    strength = np.sqrt(blurred(np.asarray((band**2).mean(axis=2), np.float32), 2.5))
    grain = np.random.default_rng(9).standard_normal(strength.shape, dtype=np.float32)
    grain = blurred(grain, 0.7)
    grain = grain - blurred(grain, 1.5)
    kept = np.clip((strength - 10) / 10, 0.3, 1)[..., None]
    anew = (grain / grain.std() * strength)[..., None] * np.sqrt(1 - kept**2)
    return _levels(pixels - band + band * kept + anew)


def _enlarged(job: Job, found: Comparison) -> Pixels:
    height, width = job.original.shape[:2]
    scale = width / job.after.shape[1], height / job.after.shape[0]
    strip, matrix = Strip(0, height, 0, width), found.alignment.matrix
    return sampled(job.after.astype(np.float32), matrix, strip, scale, cv2.INTER_CUBIC)


def _detail(job: Job, found: Comparison) -> Pixels:
    """The original's fine brightness where both show the same, with the edit's contrast."""
    size = job.original.shape[1], job.original.shape[0]
    gain = np.clip(found.structure.gain, -1.5, 1.5) * found.structure.same
    strength = cv2.resize(blurred(np.asarray(gain, np.float32), 1.5), size)
    lost = luma(job.original) - luma(job.enlarged(job.before))
    return np.asarray((lost * strength)[..., None], np.float32)


def _grown(flags: Flags, reach: int) -> Flags:
    if not flags.any():
        return flags
    distance = cv2.distanceTransform((~flags).astype(np.uint8), cv2.DIST_L2, 5)
    result: Flags = np.asarray(distance) <= reach
    return result


def _db(first: Canvas | Pixels, ideal: Canvas, where: Flags) -> float:
    error = _levels(first)[where].astype(np.float32) - ideal[where].astype(np.float32)
    return float(10 * np.log10(255**2 / max(float((error**2).mean()), 1e-6)))


def _similarity(first: Canvas | Pixels, ideal: Canvas, where: Flags) -> float:
    return float(similarity(luma(_levels(first)), luma(ideal))[where].mean())


def _levels(colours: Canvas | Pixels) -> Canvas:
    levels: Canvas = np.clip(np.rint(colours), 0, 255).astype(np.uint8)
    return levels


def _summary(all_tried: Sequence[Tried]) -> Json:
    whole = [it for it in all_tried if it.is_whole]
    maps = [it for it in whole if it.case.is_map]
    styles = [it for it in whole if not it.case.is_map]
    return {
        "cases": len(all_tried),
        "not_taken_as_whole": sorted({_words(it.case) for it in all_tried if not it.is_whole}),
        "floors": [
            _floor(
                "nearer to the ideal than a plain upscale, dB", 10, maps, lambda it: it.gain_db
            ),
            _floor("SSIM with the ideal", 0.97, maps, lambda it: it.similarities[OURS]),
            _floor("share that is mapped", 0.8, maps, lambda it: it.mapped_share),
            _floor("other styles are not mapped", 0.95, styles, lambda it: 1 - it.mapped_share),
        ],
        "edits": [
            _row(name, those)
            for name in EDITS
            if (those := [it for it in whole if it.case.name == name])
        ],
    }


def _floor(
    what: str, floor: float, those: Sequence[Tried], value: Callable[[Tried], float]
) -> Json:
    ordered = sorted(those, key=value)
    values = [value(it) for it in ordered]
    return {
        "what": what,
        "floor": floor,
        "cases": len(values),
        "holds": min(values) >= floor,
        "kept_by": round(sum(it >= floor for it in values) / max(1, len(values)), 4),
        "worst": round(values[0], 4),
        "median": round(statistics.median(values), 4),
        "below": [f"{_words(it.case)}: {value(it):.4g}" for it in ordered if value(it) < floor],
    }


def _row(name: str, those: Sequence[Tried]) -> Json:
    """Medians of one edit."""
    ways = (OURS, PLAIN, DETAIL)
    return {
        "edit": name,
        "cases": len(those),
        "mapped_share": round(statistics.median([it.mapped_share for it in those]), 3),
        "db": {
            way: round(statistics.median([it.decibels[way] for it in those]), 1) for way in ways
        },
        "ssim": {
            way: round(statistics.median([it.similarities[way] for it in those]), 3)
            for way in ways
        },
    }


def _words(case: Case) -> str:
    anew = ", texture redrawn" if case.is_redrawn else ""
    return f"{case.kind}, {case.name}, {case.drift} drift{anew}, {case.scale:g}x"


def landscape(width: int, height: int) -> Pixels:
    """A house, trees of single leaves and blades of grass under a sky with clouds."""
    chance = np.random.default_rng(14)
    base = _ground(width, height, chance)
    _house(base, chance)
    for _ in range(3):
        _tree(base, chance)
    for _ in range(9000):
        x, y = chance.uniform(0, width), chance.uniform(0.6, 1) * height
        long = height * chance.uniform(0.008, 0.03)
        colour = np.array([96, 124, 56]) * chance.uniform(0.6, 1.4)
        ends = np.array([[x, y], [x + chance.normal(0, 0.3) * long, y - long]]) * 16
        cv2.polylines(base, [ends.astype(np.int32)], False, colour.tolist(), 1, cv2.LINE_AA, 4)
    return base + chance.normal(0, 1.5, base.shape).astype(np.float32)


def _ground(width: int, height: int, chance: np.random.Generator) -> Pixels:
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    top, horizon = np.array([[120, 165, 215], [225, 225, 220]], np.float32)
    sky = np.repeat(top * (1 - down) + horizon * down, width, axis=1)
    clouds = np.clip(pink(width, height, chance, 1.6) * 0.5, 0, 1)[..., None] * (1 - down)
    grain = pink(width, height, chance, 0.8)[..., None] * np.array([16, 18, 9], np.float32)
    hills = (0.45 + 0.03 * np.sin(np.linspace(0, 7, width))) * height
    cover = (np.arange(height)[:, None] > hills).astype(np.float32)
    grass = np.array([92, 118, 58], np.float32) + grain
    return over(sky + (245 - sky) * clouds, grass, cv2.GaussianBlur(cover, (0, 0), 0.7))


def _house(base: Pixels, chance: np.random.Generator) -> None:
    height, width = base.shape[:2]
    left, right, top, bottom = (
        int(share * side)
        for share, side in ((0.62, width), (0.85, width), (0.3, height), (0.62, height))
    )
    plaster = pink(right - left, bottom - top, chance, 0.6)[..., None] * 5
    base[top:bottom, left:right] = np.array([196, 182, 160], np.float32) + plaster
    roof = [[left - 20, top], [right + 20, top], [(left + right) // 2, int(height * 0.18)]]
    cv2.fillPoly(base, [np.array(roof, np.int32)], (120, 62, 50), cv2.LINE_AA)
    for number in range(3):
        x = left + int((right - left) * (0.12 + 0.3 * number))
        corners = (x, int(height * 0.38)), (x + (right - left) // 6, int(height * 0.48))
        cv2.rectangle(base, *corners, (48, 56, 66), -1)
        cv2.rectangle(base, *corners, (230, 228, 220), max(1, width // 700))


def _tree(base: Pixels, chance: np.random.Generator) -> None:
    height, width = base.shape[:2]
    x, y = width * chance.uniform(0.08, 0.55), height * chance.uniform(0.25, 0.4)
    trunk = (int(x - width * 0.008), int(y)), (int(x + width * 0.008), int(height * 0.62))
    cv2.rectangle(base, *trunk, (74, 56, 44), -1)
    for _ in range(2600):
        place = np.array([x, y]) + chance.normal(0, 1, 2) * (width * 0.05, height * 0.085)
        size = width / chance.uniform(280, 500) * np.array([16, 7])
        colour = np.array([78, 122, 44]) * chance.uniform(0.55, 1.3) + chance.normal(0, 6, 3)
        centre, axes = (place * 16).astype(int).tolist(), size.astype(int).tolist()
        turn = chance.uniform(0, 180)
        cv2.ellipse(base, centre, axes, turn, 0, 360, colour.tolist(), -1, cv2.LINE_AA, 4)


def fabric(width: int, height: int) -> Pixels:
    """Folds of a cloth whose weave is finer than the model sees."""
    chance = np.random.default_rng(19)
    down, across = np.mgrid[0:height, 0:width].astype(np.float32) * np.float32(2 * np.pi / 7)
    folds = pink(width, height, chance, 1.8) * 22
    weave = 12 * np.sin(across + folds * 0.045) * np.sin(down)
    threads = folds + weave + 7 * pink(width, height, chance, 0.4)
    base: Pixels = ramp(width, height, chance, 90, 190) + threads[..., None]
    return base + chance.normal(0, 2, base.shape).astype(np.float32)


def _season(before: Pixels) -> Pixels:
    """Green turns orange, and nothing else."""
    hue, saturation, _ = cv2.split(cv2.cvtColor(before / 255, cv2.COLOR_RGB2HSV))
    green = np.clip((60 - np.abs(hue - 90)) / 25, 0, 1) * np.clip((saturation - 0.12) / 0.2, 0, 1)
    orange = luma(before)[..., None] * np.array([1.55, 0.92, 0.35], np.float32)
    return over(before, orange, green)


def _spot(height: int, width: int) -> Plane:
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    square = (across - 0.45 * width) ** 2 + (down - 0.55 * height) ** 2
    return np.asarray(np.exp(-square / (2 * (0.16 * width) ** 2)), np.float32)


def _local_light(before: Pixels) -> Pixels:
    light = _spot(*before.shape[:2])[..., None]
    warm = 0.7 + 0.9 * light * np.array([1.1, 1, 0.7], np.float32)
    return before * warm + 22 * light * np.array([1, 0.8, 0.4], np.float32)


def _dusk(before: Pixels) -> Pixels:
    """Another curve for each channel, and a glow over the horizon where it is bright."""
    down = np.linspace(0, 1, before.shape[0], dtype=np.float32)[:, None, None]
    dark = 255 * (before / 255) ** 1.5 * np.array([0.62, 0.6, 0.85], np.float32)
    bright = np.clip((luma(before) - 130) / 60, 0, 1)[..., None]
    glow = np.exp(-(((down - 0.45) / 0.16) ** 2)) * np.array([95, 45, 10], np.float32)
    return np.asarray(dark + np.array([6, 6, 18], np.float32) + glow * bright, np.float32)


def _all_of_it(way: Callable[[Pixels], Pixels]) -> Callable[[Pixels], tuple[Pixels, Flags]]:
    return lambda before: (way(before), np.zeros(before.shape[:2], bool))


def _of_rig(name: str) -> Callable[[Pixels], Pixels]:
    return lambda before: edit(name, before, 4).pixels


def _mixed(before: Pixels) -> tuple[Pixels, Flags]:
    """Another light, and a thing that was not there."""
    made = edit("paste", edit("relight", before, 4).pixels, 5)
    return made.pixels, made.extent


def _studio(kind: str) -> Callable[[int, int], Pixels]:
    return lambda width, height: picture(kind, width, height, 1)


KINDS: dict[str, Callable[[int, int], Pixels]] = {
    "landscape": landscape,
    "fabric": fabric,
    **{kind: _studio(kind) for kind in SHOWN},
}
EDITS: dict[str, Callable[[Pixels], tuple[Pixels, Flags]]] = {
    **{name: _all_of_it(_of_rig(name)) for name in ("grey", "darker", "warmer", "relight")},
    "local light": _all_of_it(_local_light),
    "season": _all_of_it(_season),
    "dusk": _all_of_it(_dusk),
    "relight and a new thing": _mixed,
    "style": _all_of_it(_of_rig("style")),
}
