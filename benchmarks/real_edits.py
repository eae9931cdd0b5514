"""Measures what comes back from real edits of real models: a JSON file, and sheets to look at.

    .venv/bin/python -m benchmarks.real_edits FOLDER --out FILE [--sheets DIR] [--only NAME ...]

FOLDER holds a folder for each pair: `before.*` (the original), `after.*` (what a model gave
back) and `meta.json` with `expected` (local or whole) and `boxes`: what was asked to change,
[left, top, right, bottom] as shares of the picture. Differences are those of the channel that
differs most. The model's picture is stretched to the content of the canvas, where the model's
output would be; the rest is the product's own prepare and compose. The pictures belong to their
authors and are not part of this project. Each goal that all pairs together miss is named, and the
exit code is 1 then.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks import machine
from config.settings import Gps
from config.values import Format, Keep, MinConfidence, Off, OriginalSize
from pipeline.composite.arrays import Flags, Plane
from pipeline.composite.blend import Shown, Strip
from pipeline.composite.compare import Comparison, weight
from pipeline.composite.compose import Compared
from pipeline.editor import ModelFacts
from pipeline.picture.edited import read_edit
from pipeline.picture.tasks import compose, prepare
from pipeline.pixel_requests import Compose, Composed, Prepare, Prepared
from pipeline.provenance import Provenance
from pipeline.recipe import Recipe

Json = dict[str, object]
Pixels = npt.NDArray[np.uint8]

WORKING_PIXELS, MULTIPLE = 1024 * 1024, 32  # of the published models
CHANGED_LEVELS, CHANGED_LOOK = 30.0, 5  # levels; pixels: a place that surely changed
HALF = 0.5  # more of the edit than this is the edit
WORKERS = 2
# What is asked of the pairs that docs/fidelity.md tells of: means of local edits, and how many of
# them, and of those of the whole picture, are taken for such.
MOST = {"whole": 1.0, "leak": 0.04, "missed": 0.01, "step": 8.5}
WHOLE = 7
SHEET_SIDE = 640  # pixels, of each picture of a sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A real edit on disk."""

    name: str
    before: Path
    after: Path
    expected: str  # local or whole
    boxes: tuple[tuple[float, float, float, float], ...]  # shares of width and height


def main() -> int:
    """Measure, write, show; returns the exit code."""
    arguments = _arguments()
    pairs = [
        it for it in _pairs(arguments.folder) if not arguments.only or it.name in arguments.only
    ]
    if not pairs:
        print(f"No pair lies in {arguments.folder}.", file=sys.stderr)
        return 2
    if arguments.sheets is not None:
        arguments.sheets.mkdir(parents=True, exist_ok=True)
    tasks = [(pair, arguments.sheets) for pair in pairs]
    with Pool(WORKERS, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        rows = pool.starmap(measured, tasks, chunksize=1)
    summaries = {kind: _summary(rows, kind) for kind in ("local", "whole")}
    document = {
        "schema": 1,
        "what": "what comes back from real edits, by benchmarks/real_edits.py",
        **machine.measured(arguments.folder),
        "summary": summaries,
        "pairs": rows,
    }
    arguments.out.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")
    for row in rows:
        print(_line(row))
    for kind, summary in summaries.items():
        print(f"{kind}: {summary}")
    missed = () if arguments.only else tuple(missed_goals(summaries))
    for goal in missed:
        print(f"missed: {goal}", file=sys.stderr)
    return 1 if missed else 0


def missed_goals(summaries: Mapping[str, Json]) -> Iterator[str]:
    """The goals of docs/fidelity.md that a measurement misses, each with its number."""
    local, whole = summaries["local"], summaries["whole"]
    for name, most in MOST.items():
        if (seen := local[name]) is None or float(str(seen)) > most:
            yield f"{name} of local edits: {seen}, at most {most:g}"
    if float(str(whole["whole"])) < WHOLE:
        yield f"edits of the whole picture recognised: {whole['whole']} of {whole['pairs']}"


def _pairs(folder: Path) -> list[Pair]:
    return [_pair(path.parent) for path in sorted(folder.glob("*/meta.json"))]


def _pair(folder: Path) -> Pair:
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    (before,), (after,) = (sorted(folder.glob(f"{side}.*")) for side in ("before", "after"))
    boxes = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in meta["boxes"])
    return Pair(
        name=folder.name, before=before, after=after, expected=meta["expected"], boxes=boxes
    )


def measured(pair: Pair, sheets: Path | None) -> Json:
    """One pair through prepare and compose, and what its result shows."""
    with tempfile.TemporaryDirectory(prefix="hotfolder-benchmark-") as scratch:
        request, made = _run(pair, Path(scratch))
        edit = read_edit(request, None)
        assert isinstance(edit, Compared)  # keep: auto compares, and no model gives all back
        comparison = edit.comparison
        original, result = _opened(request.image), _opened(made.path)
        if sheets is not None:
            _sheet(pair, request, comparison, original, result).save(
                sheets / f"{pair.name}.jpg", quality=92
            )
    fidelity = made.fidelity
    return {
        "name": pair.name,
        "expected": pair.expected,
        "strategy": str(fidelity.strategy),
        "reason": fidelity.reason,
        "confidence": str(fidelity.confidence),
        "confidence_reason": "; ".join(fidelity.doubts) or None,
        "alignment": fidelity.alignment,
        "changed_share": round(fidelity.changed_share, 4),
        "mapped_share": fidelity.mapped_share,
        **_shown(pair, comparison),
        **_identical(comparison, original, result),
    }


def _run(pair: Pair, scratch: Path) -> tuple[Compose, Composed]:
    prepared = prepare(
        Prepare(
            image=pair.before,
            name=pair.before.name,
            references=(),
            mask=None,
            recipe=RECIPE,
            working_pixels=WORKING_PIXELS,
            multiple=MULTIPLE,
            max_megapixels=70,
            into=scratch,
        )
    )
    edited = scratch / "edited.png"
    _on_canvas(pair.after, prepared).save(edited, compress_level=1)
    request = Compose(
        image=pair.before,
        name=pair.before.name,
        mask=None,
        recipe=RECIPE,
        prepared=prepared,
        edited=edited,
        told=_told(pair),
        gps=Gps.KEEP,
        wants_preview=False,
        allow_flat=False,
        result=scratch / "result",
    )
    return request, compose(request)


def _on_canvas(after: Path, prepared: Prepared) -> Image.Image:
    """The canvas with the model's picture in place of its content."""
    placement = prepared.placement
    with Image.open(prepared.canvases[0]) as canvas, Image.open(after) as picture:
        size = placement.content_width, placement.content_height
        content = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        made = canvas.convert("RGB")
        made.paste(content, (placement.left, placement.top))
        return made


RECIPE = Recipe(
    prompt="a real edit",
    negative_prompt=" ",
    preset=None,
    steps=40,
    cfg=4.0,
    seed=0,
    lora=None,
    images=(),
    mask=None,
    region=None,
    variants=1,
    priority=5,
    megapixels=None,
    size=OriginalSize(),
    keep=Keep.AUTO,
    format=Format.PNG,
    quality=None,
    min_keep_psnr=Off.OFF,
    max_shift_px=Off.OFF,
    max_changed=Off.OFF,
    min_confidence=MinConfidence.OFF,
)


def _told(pair: Pair) -> Provenance:
    return Provenance(
        job_id="20260101-000000-aaaaaaaa",
        recipe=RECIPE,
        model=ModelFacts(
            path="",
            class_name="",
            fingerprint="",
            dtype="bf16",
            attention="native",
            is_compiled=False,
            weights="none",
            working_pixels=WORKING_PIXELS,
            multiple=MULTIPLE,
            versions=(),
        ),
        software="Hotfolder",
        made_at=0.0,
        source_name=pair.before.name,
        source_sha256=hashlib.sha256(pair.before.read_bytes()).hexdigest(),
        embeds_prompt=False,
    )


def _opened(path: Path) -> Pixels:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _shown(pair: Pair, comparison: Comparison) -> Json:
    """Where the edit shows, measured at the canvas' size."""
    shape = comparison.before.shape[:2]
    shown = weight(comparison.verdict, shape)
    boxes = _inside(pair.boxes, shape)
    off = np.abs(comparison.before.astype(np.float32) - comparison.aligned).max(axis=2)
    asked = boxes & (cv2.blur(off, (CHANGED_LOOK, CHANGED_LOOK)) > CHANGED_LEVELS)
    missed = float((shown[asked] < HALF).mean()) if asked.any() else 0.0
    return {
        "shown": round(float((shown > HALF).mean()), 4),
        "leak": round(float(((shown > HALF) & ~boxes).mean()), 4),
        "missed": round(missed, 4),
        "step": _step(shown, off),
    }


def _step(shown: Plane, off: Plane) -> float | None:
    """The mean difference in levels along the border of what shows; None where there is none."""
    inside = (shown > HALF).astype(np.uint8)
    border = inside.astype(bool) & (cv2.erode(inside, np.ones((3, 3), np.uint8)) == 0)
    return round(float(off[border].mean()), 2) if border.any() else None


def _inside(boxes: tuple[tuple[float, ...], ...], shape: tuple[int, ...]) -> Flags:
    height, width = shape
    flags = np.zeros((height, width), bool)
    for left, top, right, bottom in boxes:
        rows = slice(round(top * height), round(bottom * height))
        flags[rows, round(left * width) : round(right * width)] = True
    return flags


def _identical(comparison: Comparison, original: Pixels, result: Pixels) -> Json:
    """The shares of pixels without a level of difference: of all, and where no edit shows."""
    height, width = original.shape[:2]
    shown = Shown(weight(comparison.verdict, comparison.before.shape[:2]), None)
    scale = width / comparison.before.shape[1], height / comparison.before.shape[0]
    untouched = shown.in_strip(Strip(0, height, 0, width), scale) == 0
    same = (original == result).all(axis=2)
    return {
        "identical": round(float(same.mean()), 4),
        "identical_untouched": round(float(same[untouched].mean()), 6)
        if untouched.any()
        else None,
    }


def _summary(rows: list[Json], expected: str) -> Json:
    """Means over the pairs of one kind."""
    those = [row for row in rows if row["expected"] == expected]
    summary: Json = {
        "pairs": len(those),
        "whole": sum(row["strategy"] == "whole" for row in those),
        "low_confidence": sum(row["confidence"] == "low" for row in those),
    }
    if expected == "local":
        summary |= {name: _mean(those, name) for name in ("leak", "missed", "step")}
    return summary


def _mean(rows: list[Json], name: str) -> float | None:
    values = [float(str(row[name])) for row in rows if row[name] is not None]
    return round(statistics.fmean(values), 4) if values else None


def _line(row: Json) -> str:
    numbers = (f"{name} {row[name]}" for name in ("shown", "leak", "missed", "step"))
    found = f"{row['name']}: {row['expected']} -> {row['strategy']} ({row['confidence']})"
    return f"{found}, {', '.join(numbers)}; {row['reason']}"


def _sheet(
    pair: Pair, request: Compose, comparison: Comparison, original: Pixels, result: Pixels
) -> Image.Image:
    """The original, the model's picture, the result, and where the edit shows."""
    shown = weight(comparison.verdict, comparison.before.shape[:2])
    tint = comparison.before.astype(np.float32)
    tint += (np.array([255, 0, 0], np.float32) - tint) * shown[..., None] * 0.6
    border = _inside(pair.boxes, shown.shape)
    edge = cv2.morphologyEx(border.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
    tint[edge.astype(bool)] = (0, 255, 0)
    with Image.open(request.edited) as edited:
        sides = [original, np.asarray(edited.convert("RGB")), result, tint.astype(np.uint8)]
    images = [Image.fromarray(side) for side in sides]
    for image in images:
        image.thumbnail((SHEET_SIDE, SHEET_SIDE))
    width, height = (max(image.size[axis] for image in images) for axis in (0, 1))
    sheet = Image.new("RGB", (width * 2, height * 2), "white")
    for number, image in enumerate(images):
        sheet.paste(image, (number % 2 * width, number // 2 * height))
    return sheet


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--sheets", type=Path, help="write a picture of each pair into this folder"
    )
    parser.add_argument("--only", nargs="+", help="these pairs alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
