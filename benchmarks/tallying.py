"""The cases of a restoration in few numbers: floors held against all cases, and medians by way."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence

from benchmarks.restoring import DRIFTS, OURS, REAL_DRIFTS, Seen, Tried

Json = dict[str, object]

PLAIN = "plain upscale"
PARTS = {"local", "background", "null"}
MOST = 0.5  # of the picture: grey on a white page alters what is coloured, and nothing else
STRAY = 0.01  # of the cases, or one, may miss a floor that is held against each


def summary(tried: Sequence[Tried]) -> Json:
    """Everything that is said of the cases."""
    sure = [it for it in tried if it.is_aligned or it.case.scope == "whole"]
    return {
        "cases": len(tried),
        "without_evidence_for_an_alignment": _apart(tried),
        "floors": [*_floors([it for it in sure if it.case.drift in DRIFTS]), *_real_floors(sure)],
        "ways": [_way(sure, scope, drift) for scope, drift in _groups(sure)],
        "misses": [_miss(it) for it in tried if not _is_recognised(it)],
    }


def _floors(tried: Sequence[Tried]) -> Iterable[Json]:
    parts = [it for it in tried if it.case.scope in PARTS]
    mild = [it for it in parts if it.case.drift == "mild"]
    bad = [it for it in parts if it.case.drift == "bad"]
    local = [it for it in tried if it.case.scope == "local"]
    both = [it for it in tried if it.case.scope in {"local", "background"}]
    yield _floor(
        "untouched pixels identical, mild drift", 0.99, [_ours(it).kept_identical for it in mild]
    )
    yield _floor("untouched region, mild drift, dB", 55, [_ours(it).kept_db for it in mild])
    yield _floor("untouched region, bad drift, dB", 40, [_ours(it).kept_db for it in bad])
    yield _floor("mask, intersection over union, local edits", 0.9, [it.overlap for it in local])
    yield _floor("edited region against plain upscale, dB", -0.3, [_gain(it, _db) for it in both])
    yield _floor(
        "edited region against plain upscale, SSIM", -0.01, [_gain(it, _ssim) for it in both]
    )
    yield _floor("old content that is gone", 0.9, [1 - (_ours(it).ghost or 0) for it in both])
    whole = [it for it in tried if it.case.scope == "whole"]
    yield _rate(
        "edits of the whole picture recognised", 0.95, [it.found == "whole" for it in whole]
    )
    yield _rate(
        "local edits not mistaken for whole ones", 0.98, [it.found != "whole" for it in parts]
    )


def _real_floors(tried: Sequence[Tried]) -> Iterable[Json]:
    """What is asked of drift as real models have it."""
    for drift in REAL_DRIFTS:
        those = [it for it in tried if it.case.drift == drift]
        parts = [it for it in those if it.case.scope in PARTS]
        whole = [it for it in those if it.case.scope == "whole" and it.altered > MOST]
        name = f"{drift} drift"
        yield _ceiling(
            f"edit that shows where nothing was edited, {name}", 0.04, [it.leak for it in parts]
        )
        yield _ceiling(f"clear edit that does not show, {name}", 0.01, [it.missed for it in parts])
        yield _floor(
            f"pixels identical where the edit does not show, {name}",
            0.999,
            [it.unshown_identical for it in parts],
        )
        yield _rate(
            f"edits of the whole picture recognised, {name}",
            0.95,
            [it.found == "whole" for it in whole],
        )
        yield _rate(
            f"local edits not mistaken for whole ones, {name}",
            0.98,
            [it.found != "whole" for it in parts],
        )


def missed(measured: Json) -> list[str]:
    """Say which floors of a measurement do not hold, if it has any."""
    floors = measured.get("floors", [])
    assert isinstance(floors, list)
    return [str(floor["what"]) for floor in floors if not floor["holds"]]


def _floor(name: str, floor: float, values: Iterable[float | None]) -> Json:
    """How many cases keep a floor, and the worst; one that was not tried is not kept."""
    known = sorted(value for value in values if value is not None)
    kept = sum(value >= floor for value in known)
    if not known:
        return {"what": name, "floor": floor, "cases": 0, "holds": False}
    return {
        "what": name,
        "floor": floor,
        "cases": len(known),
        "holds": len(known) - kept <= max(1, STRAY * len(known)),
        "kept_by": round(kept / max(1, len(known)), 4),
        "worst": round(known[0], 4),
        "p5": round(known[len(known) // 20], 4),
        "median": round(statistics.median(known), 4),
    }


def _rate(name: str, floor: float, values: Sequence[bool]) -> Json:
    share = sum(values) / max(1, len(values))
    return {
        "what": name,
        "floor": floor,
        "cases": len(values),
        "holds": bool(values) and share >= floor,
        "share": round(share, 4),
    }


def _ceiling(name: str, most: float, values: Iterable[float | None]) -> Json:
    """The mean over all cases, which may not be more."""
    known = [value for value in values if value is not None]
    mean = statistics.fmean(known) if known else 0.0
    return {
        "what": name,
        "mean_at_most": most,
        "cases": len(known),
        "holds": bool(known) and mean <= most,
        "mean": round(mean, 4),
        "worst": round(max(known, default=0.0), 4),
    }


def _groups(tried: Sequence[Tried]) -> list[tuple[str, str]]:
    return sorted({(it.case.scope, it.case.drift) for it in tried if it.case.has_rivals})


def _way(tried: Sequence[Tried], scope: str, drift: str) -> Json:
    """Medians of every way, over the cases that all ways were tried on."""
    those = [
        it
        for it in tried
        if (it.case.scope, it.case.drift) == (scope, drift) and it.case.has_rivals
    ]
    names = [seen.way for seen in those[0].ways]
    return {
        "edits": scope,
        "drift": drift,
        "cases": len(those),
        "medians": {name: _medians([_of(it, name) for it in those]) for name in names},
    }


def _medians(seen: Sequence[Seen]) -> Json:
    fields = ("kept_db", "kept_identical", "edited_db", "edited_ssim", "ghost")
    columns = {field: [getattr(it, field) for it in seen] for field in fields}
    return {
        field: round(statistics.median(known), 3)
        for field, values in columns.items()
        if (known := [value for value in values if value is not None])
    }


def _apart(tried: Sequence[Tried]) -> Json:
    apart = [it for it in tried if not it.is_aligned and it.case.scope != "whole"]
    kept = sorted(db for it in apart if (db := _ours(it).kept_db) is not None)
    return {
        "cases": len(apart),
        "which": sorted({f"{it.case.kind}, {it.case.name}, {it.case.drift}" for it in apart}),
        "untouched_region_db": [round(value, 1) for value in kept],
    }


def _is_recognised(tried: Tried) -> bool:
    scope = tried.case.scope
    wanted = {"local": "local", "background": "local", "whole": "whole", "null": "unchanged"}
    return tried.found == wanted[scope]


def _miss(tried: Tried) -> Json:
    case = tried.case
    return {
        "picture": case.kind,
        "edit": case.name,
        "drift": case.drift,
        "seed": case.seed,
        "aligned": tried.is_aligned,
        "found": tried.found,
        "reason": tried.reason,
        "untouched_region_db": _ours(tried).kept_db,
        "leak": round(tried.leak, 4),
    }


def _ours(tried: Tried) -> Seen:
    return _of(tried, OURS)


def _of(tried: Tried, way: str) -> Seen:
    return next(seen for seen in tried.ways if seen.way == way)


def _gain(tried: Tried, measure: Callable[[Seen], float]) -> float:
    return measure(_ours(tried)) - measure(_of(tried, PLAIN))


def _db(seen: Seen) -> float:
    return seen.edited_db or 0.0


def _ssim(seen: Seen) -> float:
    return seen.edited_ssim or 0.0
