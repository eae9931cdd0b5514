"""What of an original comes back from edits with a known extent and a known drift."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing import Pool

import cv2
import numpy as np
import numpy.typing as npt
from rig.drift import Drift, bad, canvas, drifted, mild, real, really_bad
from rig.edits import SCOPE, Edit, edit
from rig.scenes import SCENES, retitled, scene
from rig.studio import KINDS, Pixels, picture

from benchmarks.returning import RIVALS, Canvas, Job, ours
from pipeline.composite.align import Aligned
from pipeline.composite.arrays import Plane, luma
from pipeline.composite.blend import Shown, Strip
from pipeline.composite.compare import Comparison, weight
from pipeline.composite.metrics import similarity

Flags = npt.NDArray[np.bool_]

SIZE, MODEL = (1152, 768), (768, 512)
RIVALLED = {"paste", "background", "nothing"}  # edits that every way is tried on
WORKERS = 3
MARGIN = 0.02  # of the long side, around the edit
MOST_DB = 100.0
HALF = 0.5
DRIFTS = {"mild": mild, "bad": bad}
REAL_DRIFTS = {"real": real, "real, bad": really_bad}
RETITLED = "retitle"  # faint thin words go, others are set beside them
COVERS = 4  # that are retitled
CLEAR, SEEN = 30.0, 6.0  # levels: an edit that differs so much cannot be missed; is seen
OURS = "Hotfolder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One edit of one picture."""

    kind: str
    name: str  # of the edit
    drift: str
    seed: int
    has_rivals: bool

    @property
    def scope(self) -> str:
        """local, background, whole or null."""
        if self.name == RETITLED:
            return "local"
        return next(scope for scope in SCOPE._fields if self.name in getattr(SCOPE, scope))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one way back made of a case."""

    way: str
    kept_db: float | None  # outside edit and margin; None = there is none
    kept_identical: float | None  # share of the pixels there
    edited_db: float | None  # against the ideal edit
    edited_ssim: float | None
    ghost: float | None  # share of the old content left in the edit, by projection


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A case, what was found in it, and what every way made of it."""

    case: Case
    found: str  # local, whole or unchanged
    reason: str
    is_aligned: bool
    overlap: float | None  # intersection over union of the mask; None = not local
    leak: float  # share of the picture that shows the edit outside edit and margin
    missed: float | None  # share of what clearly changed that does not show; None = nothing did
    unshown_identical: float | None  # share of the pixels where the edit does not show
    altered: float  # share of the picture that the ideal edit alters
    ways: tuple[Seen, ...]


def cases(seeds: int, rival_seeds: int) -> Iterator[Case]:
    """Every kind of picture with every edit and drift."""
    names = itertools.chain(*SCOPE)
    for kind, name, drift, seed in itertools.product(KINDS, names, DRIFTS, range(seeds)):
        rivalled = seed < rival_seeds and name in RIVALLED
        yield Case(kind=kind, name=name, drift=drift, seed=seed, has_rivals=rivalled)


def real_cases(*, quick: bool) -> Iterator[Case]:
    """Every kind of picture with every edit, one seed, under drift as real models have it."""
    kinds = list(SCENES) if quick else [*KINDS, *SCENES]
    names = list(itertools.chain(*SCOPE))
    tries = [
        *itertools.product(kinds, names, [0]),
        *(("cover", RETITLED, it) for it in range(COVERS)),
    ]
    for drift, (kind, name, seed) in itertools.product(REAL_DRIFTS, tries):
        yield Case(kind=kind, name=name, drift=drift, seed=seed, has_rivals=False)


def run(all_cases: list[Case], seconds: float) -> Iterator[Tried]:
    """Try them in a drawn order, a few at a time, and begin none when the time is over."""
    ends = time.monotonic() + seconds
    order = random.Random(1).sample(all_cases, len(all_cases))
    with Pool(WORKERS, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        for found in pool.imap_unordered(tried, order):
            yield found
            if time.monotonic() > ends:
                return


def tried(case: Case) -> Tried:
    """Draw a case and compare every way back with the ideal."""
    job, ideal, extent = drawn(case)
    result, found = ours(job)
    shown = _shown(found, extent.shape)
    same = (result == job.original).all(axis=2)
    clear = _clear(job.original, ideal) & extent
    made = {OURS: result}
    if case.has_rivals:
        made |= {name: way(job) for name, way in RIVALS.items()}
    else:
        made["plain upscale"] = RIVALS["plain upscale"](job)
    return Tried(
        case=case,
        found=type(found.verdict).__name__.lower(),
        reason=found.verdict.reason,
        is_aligned=isinstance(found.alignment, Aligned),
        overlap=_overlap(shown > HALF, extent) if case.scope == "local" else None,
        leak=float(((shown > HALF) & _far(extent)).mean()),
        missed=float((shown[clear] <= HALF).mean()) if clear.any() else None,
        unshown_identical=float(same[shown == 0].mean()) if (shown == 0).any() else None,
        altered=float(_clear(job.original, ideal, SEEN).mean()),
        ways=tuple(_seen(way, it, job, ideal, extent) for way, it in made.items()),
    )


def drawn(case: Case) -> tuple[Job, Canvas, Flags]:
    """The job, the ideal edit at full size and its extent."""
    original, made = edited(case)
    original = _levels(original).astype(np.float32)
    drift: Drift = (DRIFTS | REAL_DRIFTS)[case.drift](case.seed)
    after = drifted(canvas(made.pixels, *MODEL), drift, case.seed)
    job = Job(_levels(original), canvas(original, *MODEL), after)
    return job, _levels(made.pixels), made.extent


def edited(case: Case, size: tuple[int, int] = SIZE) -> tuple[Pixels, Edit]:
    """The original of this size and its ideal edit."""
    if case.name == RETITLED:
        before, after = retitled(*size, case.seed)
        return before, Edit(pixels=after, extent=_clear(_levels(before), _levels(after), SEEN))
    draw = scene if case.kind in SCENES else picture
    original = draw(case.kind, *size, case.seed)
    return original, edit(case.name, _levels(original).astype(np.float32), case.seed + 3)


def _clear(original: Canvas, ideal: Canvas, levels: float = CLEAR) -> Flags:
    """Where both differ by more than this in any channel, on average over 5 by 5 pixels."""
    off = np.abs(original.astype(np.float32) - ideal.astype(np.float32))
    result: Flags = np.asarray(cv2.blur(off, (5, 5))).max(axis=2) > levels
    return result


def _seen(way: str, result: Canvas, job: Job, ideal: Canvas, extent: Flags) -> Seen:
    kept = _far(extent)
    error = result.astype(np.float32) - ideal.astype(np.float32)
    old = job.original.astype(np.float32) - ideal.astype(np.float32)
    has_edit, has_kept = bool(extent.any()), bool(kept.any())
    same = (result == job.original).all(axis=2)
    alike = similarity(luma(result), luma(ideal))
    return Seen(
        way=way,
        kept_db=_db(result, job.original, kept) if has_kept else None,
        kept_identical=float(same[kept].mean()) if has_kept else None,
        edited_db=_db(result, ideal, extent) if has_edit else None,
        edited_ssim=float(alike[extent].mean()) if has_edit else None,
        ghost=_ghost(error, old, extent) if has_edit and not extent.all() else None,
    )


def _ghost(error: npt.NDArray[np.float32], old: npt.NDArray[np.float32], extent: Flags) -> float:
    """How much of what was replaced is still in the error: least squares, 1 = all of it."""
    replaced = old[extent].astype(np.float64)
    return float((error[extent] * replaced).sum() / max((replaced**2).sum(), 1.0))


def _far(extent: Flags) -> Flags:
    if not extent.any():
        return np.ones_like(extent)
    distance = cv2.distanceTransform((~extent).astype(np.uint8), cv2.DIST_L2, 5)
    result: Flags = np.asarray(distance) > MARGIN * max(extent.shape)
    return result


def _shown(found: Comparison, shape: tuple[int, ...]) -> Plane:
    """How much of the edit shows in each pixel of the original."""
    height, width = shape
    shown = Shown(weight(found.verdict, found.before.shape[:2]), None)
    scale = width / found.before.shape[1], height / found.before.shape[0]
    return shown.in_strip(Strip(0, height, 0, width), scale)


def _overlap(mask: Flags, extent: Flags) -> float:
    return float((mask & extent).sum() / max(1, (mask | extent).sum()))


def _db(first: Canvas, second: Canvas, where: Flags) -> float:
    error = first[where].astype(np.float32) - second[where].astype(np.float32)
    square = float((error**2).mean())
    return MOST_DB if not square else min(MOST_DB, float(10 * np.log10(255**2 / square)))


def _levels(colours: npt.NDArray[np.floating]) -> Canvas:
    levels: Canvas = np.clip(np.rint(colours), 0, 255).astype(np.uint8)
    return levels


@cache
def described() -> dict[str, object]:
    """What was tried, for the JSON."""
    return {
        "original": list(SIZE),
        "model": list(MODEL),
        "kinds": list(KINDS),
        "kinds_with_real_drift": [*KINDS, *SCENES],
        "edits": {scope: list(getattr(SCOPE, scope)) for scope in SCOPE._fields},
        "margin_of_long_side": MARGIN,
        "drifts": {
            "mild": "zoom 0.16-0.4 %, shift 1 px, tone 2 %, blur 0.4-0.6 px, noise 1.5 levels",
            "bad": "zoom 0.8-2 %, shift 6 px, rotation to 0.5 degrees, tone 5 %, blur 0.7-1 px,"
            " noise 2.5 levels, JPEG 85",
            "real": "zoom to 0.03 %, shift 0.15 px, tone 1.5 %, texture drawn anew at 1-2 px, its"
            " contrast 8 % off, slow tone of 1.5 levels, four regions moved by 0.6-1.5 px,"
            " sharper or blurred, noise 1 level",
            "real, bad": "zoom 0.7 or 4.1 %, shift 2 px, tone 4 %, texture drawn anew, contrast"
            " 15 % off, slow tone of 2.5 levels, four regions moved by 1.6-4 px, sharper or"
            " blurred, noise 1.5 levels, JPEG 90",
        },
    }
