"""How true a subject stays before a new background, and what of the old one is left around it.

Run by hand from the project's environment:

    python -m benchmarks.backgrounds --out FILE [--part model|drawn] [--sheets DIR] [--pairs DIR]

`model`: the small model changes the background of drawn products, through the product's own way
from picture to picture. `drawn`: ideal edits with a drift, of subjects with hair, fur, soft
outlines, glass and thin handles. The subject's true alpha is known in both, so the ideal is known.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

# Before the folder of this file, where `import daemon` would find another one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from rig.drift import canvas, drifted, mild
from rig.studio import Pixels
from rig.subjects import FINE, PRODUCTS, Subject, ground, subject

from benchmarks import machine
from benchmarks.returning import Job, ours
from pipeline.qwen import offline

if TYPE_CHECKING:  # torch comes after the offline switches
    from pipeline.editor import EditRequest
    from pipeline.pixel_requests import Compose, Prepared
    from pipeline.qwen.engine import QwenEditor
    from pipeline.recipe import Recipe

Canvas = npt.NDArray[np.uint8]
Json = dict[str, object]

SIZE = (1600, 1200)
OLD = ("grey", "white", "blue", "brown", "pink", "green")  # what each product stands before
COLOURS = ("red", "yellow", "purple", "black")
CHINESE = {"red": "红色", "yellow": "黄色", "purple": "紫色", "black": "黑色"}
SHRINKS = (2.5, 4.0)  # times that the canvas is smaller
OLD_GROUNDS = ("light", "dark", "gradient", "textured")
NEW_GROUND = "gradient"
BAND, INNER = 6, 6  # pixels of the original
STILL_OLD = 0.25  # of the way from the old background to the new one
HAIR = np.s_[300:480, 680:920]  # of the picture for the documentation
APART = 16.0  # levels between old and new: less cannot be told apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One change of a background, and what it should have become."""

    name: str
    words: str
    subject: Subject
    original: Canvas
    ideal: Pixels
    old: Pixels  # the original without its subject
    new: Pixels  # the ideal without its subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came back."""

    result: Canvas
    strategy: str
    reason: str
    before: Canvas  # the canvas
    after: Canvas  # what the editor made of it


def main() -> None:
    """Measure, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", choices=("model", "drawn"), action="append")
    parser.add_argument("--sheets", type=Path, help="a folder for pictures to look at")
    parser.add_argument("--pairs", type=Path, help="a folder for canvases and edits")
    parser.add_argument("--pictures", type=Path, help="a folder for the documentation's pictures")
    given = parser.parse_args()
    if given.pictures is not None:
        draw(given.pictures)
    offline.enforce()
    document: Json = json.loads(given.out.read_text()) if given.out.exists() else {}
    document |= {"schema": 1, "what": "new backgrounds, by benchmarks/backgrounds.py"}
    for part in given.part or ("model", "drawn"):
        tried = edited_by_model() if part == "model" else edited_ideally()
        document[part] = {
            **machine.measured(Path.cwd()),
            "size": list(SIZE),
            "band_px": BAND,
            **_measured(part, tried, given.sheets, given.pairs),
        }
        text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
        given.out.write_text(text, encoding="utf-8")


Tried = Iterator[tuple[Trial, Outcome]]


def _measured(part: str, tried: Tried, sheets: Path | None, pairs: Path | None) -> Json:
    rows = []
    for number, (trial, outcome) in enumerate(tried):
        rows.append(judged(trial, outcome))
        print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
        if sheets is not None:
            _draw_sheet(sheets / f"{part}-{number:02d}-{trial.name}.png", trial, outcome)
        if pairs is not None:
            _save_pair(pairs / f"{part}-{number:02d}", trial, outcome)
    numbers = ("inner_identical", "old_left", "fringe", "fringe_high", "likeness")
    means = {key: round(mean(float(str(row[key])) for row in rows), 4) for key in numbers}
    local = sum(row["strategy"] == "local" for row in rows)
    return {"edits": len(rows), "local": local, "mean": means, "rows": rows}


def judged(trial: Trial, outcome: Outcome) -> Json:
    """How true a result is.

    `inner_identical`: share of the subject's pixels further than INNER from its outline that are
    the original's, bit for bit. `old_left`: share of the background beyond the band that is still
    the old one. `fringe`: mean error in levels within BAND pixels of the outline, against the
    subject's alpha over the new background; `fringe_high` its 99th percentile. `likeness`:
    correlation with the ideal in the band.
    """
    shown = outcome.result.astype(np.float32)
    inner, band = trial.subject.inner(INNER), trial.subject.band(BAND)
    away = (trial.subject.alpha < 0.001) & ~trial.subject.band(3 * BAND)
    error = np.abs(shown - trial.ideal).max(axis=2)[band]
    way = trial.new - trial.old
    told = away & ((way**2).sum(axis=2) > APART**2)
    moved = ((shown - trial.old) * way).sum(axis=2)[told] / (way**2).sum(axis=2)[told]
    ideal, got = trial.ideal[band].ravel(), shown[band].ravel()
    return {
        "name": trial.name,
        "words": trial.words,
        "strategy": outcome.strategy,
        "reason": outcome.reason,
        "inner_identical": round(_identical(trial, outcome, inner), 4),
        "old_left": round(float((moved < STILL_OLD).mean()) if told.any() else 0.0, 4),
        "fringe": round(float(error.mean()), 2),
        "fringe_high": round(float(np.quantile(error, 0.99)), 1),
        "likeness": round(float(np.corrcoef(ideal, got)[0, 1]), 4),
    }


def _identical(trial: Trial, outcome: Outcome, inner: npt.NDArray[np.bool_]) -> float:
    return float((outcome.result == trial.original).all(axis=2)[inner].mean())


def edited_ideally() -> Tried:
    """Ideal exchanges of the background of subjects that are hard to cut out, drifted."""
    seed = 0
    for kind in FINE:
        for old in OLD_GROUNDS:
            shrink = SHRINKS[seed % len(SHRINKS)]
            yield drawn(kind, old, shrink, seed)
            seed += 1


def drawn(kind: str, old: str, shrink: float, seed: int) -> tuple[Trial, Outcome]:
    """One of them, composed."""
    who = subject(kind, *SIZE, seed)
    grounds = ground(old, *SIZE, seed), ground(NEW_GROUND, *SIZE, seed + 100)
    original, ideal = (_levels(who.before(it)) for it in grounds)
    model = round(SIZE[0] / shrink), round(SIZE[1] / shrink)
    after = drifted(canvas(ideal.astype(np.float32), *model), mild(seed), seed)
    job = Job(original, canvas(original.astype(np.float32), *model), after)
    result, found = ours(job)
    trial = Trial(
        name=f"{kind}-{old}",
        words=f"{shrink:g} times smaller",
        subject=who,
        original=original,
        ideal=ideal.astype(np.float32),
        old=grounds[0],
        new=grounds[1],
    )
    return trial, Outcome(
        result=result,
        strategy=type(found.verdict).__name__.lower(),
        reason=found.verdict.reason,
        before=job.before,
        after=after,
    )


def edited_by_model() -> Tried:
    """Products before the small model's backdrops, their background changed by the model."""
    from config.settings import ModelSettings
    from pipeline.qwen.engine import open_editor

    editor = open_editor(ModelSettings(path=Path("models/small").absolute(), batch=1))
    with tempfile.TemporaryDirectory(prefix="hotfolder-benchmark-") as folder:
        for number, kind in enumerate(PRODUCTS):
            for index, colour in enumerate(COLOURS):
                words = f"change the background to {colour}"
                if index == number % len(COLOURS):
                    words = f"把背景换成{CHINESE[colour]}"
                yield _by_model(editor, Path(folder), Wish(number, kind, colour, words))
    editor.close()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of which picture."""

    number: int  # of the picture
    kind: str
    colour: str
    words: str


def _by_model(editor: QwenEditor, scratch: Path, wish: Wish) -> tuple[Trial, Outcome]:
    from hotfolder_example.draw import backdrop, taken

    number, kind, colour, words = wish.number, wish.kind, wish.colour, wish.words
    who = subject(kind, *SIZE, number)
    old, new = (
        who.shaded(taken(SIZE, backdrop(name, number + 3)).pixels() * 255)
        for name in (OLD[number], colour)
    )
    original = _levels(who.before(old))
    image = scratch / f"{kind}.png"
    Image.fromarray(original).save(image, compress_level=1)
    outcome = _run(editor, image, words)
    new = _as_made(new, who, outcome)
    return Trial(
        name=f"{kind}-{colour}",
        words=words,
        subject=who,
        original=original,
        ideal=who.before(new),
        old=old,
        new=new,
    ), outcome


def _as_made(drawn: Pixels, who: Subject, outcome: Outcome) -> Pixels:
    """The drawn background in the tone that the model gave it, read off the subject."""
    off = cv2.resize(outcome.after.astype(np.float32), SIZE, interpolation=cv2.INTER_CUBIC) - drawn
    sure = ((who.alpha < 0.001) & ~who.band(4 * BAND)).astype(np.float32)
    deviation = 40.0
    weight = cv2.GaussianBlur(sure, (0, 0), deviation)[..., None] + np.float32(1e-4)
    return np.asarray(
        drawn + cv2.GaussianBlur(off * sure[..., None], (0, 0), deviation) / weight, np.float32
    )


def _run(editor: QwenEditor, image: Path, words: str) -> Outcome:
    """A picture's whole way: prepared, edited, composed."""
    from pipeline.editor import EditRequest
    from pipeline.picture.tasks import compose, prepare
    from pipeline.pixel_requests import Prepare
    from training.exam import STEPS

    facts, recipe = editor.describe(), _recipe(words)
    prepared = prepare(
        Prepare(
            image=image,
            name=image.name,
            references=(),
            mask=None,
            recipe=recipe,
            working_pixels=facts.working_pixels,
            multiple=facts.multiple,
            max_megapixels=70,
            into=image.parent,
        )
    )
    edited = image.with_name("edited.png")
    request = EditRequest(
        request_id=image.stem,
        images=prepared.canvases,
        prompt=words,
        negative_prompt=" ",
        steps=STEPS,
        cfg=1.0,
        seed=7,
        lora=None,
        result=edited,
    )
    _edit(editor, request)
    composed = compose(_composing(editor, image, edited, prepared, recipe))
    return Outcome(
        result=_opened(composed.path),
        strategy=composed.fidelity.strategy.value,
        reason=composed.fidelity.reason,
        before=_content(prepared.canvases[0], prepared),
        after=_content(edited, prepared),
    )


def _edit(editor: QwenEditor, request: EditRequest) -> None:
    from pipeline.editor import Event, Failed

    def watch(event: Event) -> frozenset[str]:
        if isinstance(event, Failed):
            raise event.error
        return frozenset()

    editor.edit([request], watch)


def _recipe(words: str) -> Recipe:
    from benchmarks.real_edits import RECIPE
    from config.values import Format
    from training.exam import STEPS

    return replace(RECIPE, prompt=words, steps=STEPS, cfg=1.0, seed=7, format=Format.SAME)


def _composing(
    editor: QwenEditor, image: Path, edited: Path, prepared: Prepared, recipe: Recipe
) -> Compose:
    from config.settings import Gps
    from pipeline.pixel_requests import Compose
    from pipeline.provenance import Provenance

    told = Provenance(
        job_id="20261122-120000-aaaaaaaa",
        recipe=recipe,
        model=editor.describe(),
        software="Hotfolder",
        made_at=0.0,
        source_name=image.name,
        source_sha256="0" * 64,
        embeds_prompt=False,
    )
    return Compose(
        image=image,
        name=image.name,
        mask=None,
        recipe=recipe,
        prepared=prepared,
        edited=edited,
        told=told,
        gps=Gps.KEEP,
        wants_preview=False,
        allow_flat=False,
        result=image.with_name("result"),
    )


def _content(path: Path, prepared: Prepared) -> Canvas:
    from pipeline.picture.canvas import content

    with Image.open(path) as opened:
        return np.asarray(content(opened.convert("RGB"), prepared.placement), np.uint8)


def _opened(path: Path) -> Canvas:
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"), np.uint8)


def _levels(colours: Pixels) -> Canvas:
    levels: Canvas = np.clip(np.rint(colours), 0, 255).astype(np.uint8)
    return levels


def _save_pair(folder: Path, trial: Trial, outcome: Outcome) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(outcome.before).save(folder / "before.png")
    Image.fromarray(outcome.after).save(folder / "after.png")
    size = outcome.before.shape[1], outcome.before.shape[0]
    alpha = cv2.resize(trial.subject.alpha, size, interpolation=cv2.INTER_AREA)
    Image.fromarray(np.rint(alpha * 255).astype(np.uint8)).save(folder / "subject.png")


def _draw_sheet(path: Path, trial: Trial, outcome: Outcome) -> None:
    """Original, edit, result and ideal; below, the outline's hardest place at full size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    edit = cv2.resize(outcome.after, SIZE, interpolation=cv2.INTER_CUBIC)
    sides = [trial.original, edit, outcome.result, _levels(trial.ideal)]
    error = np.abs(outcome.result.astype(np.float32) - trial.ideal).max(axis=2)
    rough = cv2.boxFilter(error * trial.subject.band(BAND), -1, (200, 200))
    y, x = np.unravel_index(int(rough.argmax()), rough.shape)
    top, left = min(max(int(y) - 100, 0), SIZE[1] - 200), min(max(int(x) - 100, 0), SIZE[0] - 200)
    small = [cv2.resize(side, (400, 300), interpolation=cv2.INTER_AREA) for side in sides]
    parts = [side[top : top + 200, left : left + 200] for side in sides]
    close = [cv2.resize(it, (400, 400), interpolation=cv2.INTER_NEAREST) for it in parts]
    Image.fromarray(np.vstack([np.hstack(small), np.hstack(close)])).save(path)


def draw(folder: Path) -> list[str]:
    """Write strands of hair, enlarged, for the documentation; return the pictures' names."""
    folder.mkdir(parents=True, exist_ok=True)
    trial, outcome = drawn("hair", "dark", 4.0, 1)
    edit = cv2.resize(outcome.after, SIZE, interpolation=cv2.INTER_CUBIC)
    sides = {
        "hair-1-original": trial.original,
        "hair-2-edit": edit,
        "hair-3-result": outcome.result,
        "hair-4-ideal": _levels(trial.ideal),
    }
    for name, side in sides.items():
        part = Image.fromarray(side[HAIR])
        part.resize((480, 360), Image.Resampling.NEAREST).save(folder / f"{name}.jpg", quality=85)
    return list(sides)


if __name__ == "__main__":
    main()
