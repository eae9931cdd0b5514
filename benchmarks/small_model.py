"""How well the small model edits: held-out edits through our engine, measured in the known scenes.

Run by hand: python -m benchmarks.small_model --out FILE [--photographs DIR]. It prints how far it
is and writes FILE. The edits are never trained: combinations of shape, colour and place that are
held out, in sentences that are held out.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import machine
from pipeline.qwen import offline

if TYPE_CHECKING:  # torch comes after the offline switches
    from training.exam import Mark
    from training.world import Edit

SIZES = ((256, 256), (288, 224))  # square, and what Hotfolder makes of 4:3
TOGETHER = 8
PER_LANGUAGE = 9  # of each kind and size: 14 kinds * 2 languages * 2 sizes * 9 = 504 edits
TIMED = 5
Row = dict[str, object]


def main() -> None:
    """Measure, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/small"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cfg", type=float, default=1.0)
    parser.add_argument("--each", type=int, default=PER_LANGUAGE)
    parser.add_argument("--photographs", type=Path, help="a folder of photographs to grade too")
    given = parser.parse_args()
    offline.enforce()
    measured: Row = {
        **machine.measured(Path.cwd()),
        "accelerator": _accelerator(),
        "load_before": machine.load(),
        "cfg": given.cfg,
        **_measure(given),
    }
    given.out.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


def _accelerator() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"


def _measure(given: argparse.Namespace) -> Row:
    from training.exam import STEPS, summary

    editor = _editor(given.model)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        marks, by_size = [], {}
        for size in SIZES:
            of_size = list(_edited(editor, _edits(size, given.each), size, given.cfg, scratch))
            by_size[f"{size[0]}x{size[1]}"] = summary(of_size)
            marks += of_size
        rows: Row = {"steps": STEPS, **summary(marks), "by_size": by_size}
        rows["seconds_an_edit_alone"] = _timed(editor, scratch, given.cfg)
        rows["autoencoder_median_psnr_db"] = _autoencoder(given.model)
        if given.photographs:
            rows["photographs"] = _photographs(editor, given.photographs, given.cfg, scratch)
    editor.close()
    return rows


def _editor(model: Path) -> Any:
    from config.settings import ModelSettings
    from pipeline.qwen.engine import open_editor

    return open_editor(ModelSettings(path=model.absolute(), batch=TOGETHER))


def _edits(size: tuple[int, int], each: int) -> list[Edit]:
    from training.exam import questions
    from training.sayings import Kind

    return questions(2 * each, f"benchmark {size}", size[0] / size[1], Kind)


def _edited(
    editor: Any, edits: Sequence[Edit], size: tuple[int, int], cfg: float, scratch: Path
) -> Iterator[Mark]:
    from training.exam import mark

    for start in range(0, len(edits), TOGETHER):
        batch = edits[start : start + TOGETHER]
        pictures = [_pictures(edit, size) for edit in batch]
        requests = [
            _request(edit.words, shown, f"{start + number}", cfg, scratch)
            for number, (edit, shown) in enumerate(zip(batch, pictures, strict=True))
        ]
        _run(editor, requests)
        for edit, shown, request in zip(batch, pictures, requests, strict=True):
            yield mark(edit, shown[0], shown[1], _opened(request.result))
        print(f"{start + len(batch)} of {len(edits)} at {size}", flush=True)


def _pictures(edit: Edit, size: tuple[int, int]) -> list[Any]:
    """Before, after and, where there is one, the second picture."""
    import torch

    from training.lessons import Format, drawn, picture_numbers

    form = Format(*size, pictures=1 if edit.second is None else 2, share=1.0)
    made = drawn(picture_numbers([edit]), form, torch.device("cpu"))
    return [made.before[0], made.after[0], *([] if made.second is None else made.second)]


def _request(words: str, shown: Sequence[Any], name: str, cfg: float, scratch: Path) -> Any:
    from pipeline.editor import EditRequest
    from training.exam import STEPS
    from training.samples import save

    paths = []
    for number, picture in enumerate([shown[0], *shown[2:]]):
        paths.append(scratch / f"{name}-{number}.png")
        save(picture, paths[-1])
    return EditRequest(
        request_id=name,
        images=tuple(paths),
        prompt=words,
        negative_prompt=" ",
        steps=STEPS,
        cfg=cfg,
        seed=7,
        lora=None,
        result=scratch / f"{name}-result.png",
    )


def _run(editor: Any, requests: Sequence[Any]) -> None:
    from pipeline.editor import Event, Failed

    def watch(event: Event) -> frozenset[str]:
        if isinstance(event, Failed):
            raise event.error
        return frozenset()

    editor.edit(requests, watch)


def _opened(path: Path) -> Any:
    import numpy as np
    import torch
    from PIL import Image

    with Image.open(path) as picture:
        values = np.asarray(picture.convert("RGB"), np.float32) / 255
    return torch.from_numpy(values.copy()).permute(2, 0, 1)


def _timed(editor: Any, scratch: Path, cfg: float) -> Row:
    """Edits one by one, as a job that is alone in the queue."""
    edits = _edits(SIZES[0], 1)[:TIMED]
    seconds = []
    for number, edit in enumerate(edits):
        request = _request(edit.words, _pictures(edit, SIZES[0])[:2], f"t{number}", cfg, scratch)
        began = time.perf_counter()
        _run(editor, [request])
        seconds.append(time.perf_counter() - began)
    return {"median": round(median(seconds), 2), "each": [round(one, 2) for one in seconds]}


def _autoencoder(model: Path) -> Row:
    """What is lost by going through the VAE and back, on the world and on crowded pictures."""
    import torch
    from diffusers import AutoencoderKLQwenImage

    from training import planar
    from training.drawing import draw, numbers
    from training.exam import decibel
    from training.scene import busy, studio

    vae = AutoencoderKLQwenImage.from_pretrained(model / "vae").float().eval()
    planar.flatten(vae)
    result: Row = {}
    for name, scene in (("world", studio), ("busy", busy)):
        chance = random.Random(f"autoencoder {name}")
        lost = []
        for _ in range(64):
            one = scene(chance, 1.0)
            rows = numbers([one], len(one.things))
            picture = draw(torch.from_numpy(rows), 256, 256)
            with torch.no_grad():
                mean, _ = planar.encode(vae, picture * 2 - 1)
                back = (planar.decode(vae, mean) / 2 + 0.5).clamp(0, 1)
            lost.append(decibel(float((back - picture).square().mean())))
        result[name] = round(median(lost), 2)
    return result


def _photographs(editor: Any, folder: Path, cfg: float, scratch: Path) -> Row:
    """Global edits of photographs: nearer to what was asked than to what was, and how near."""
    from PIL import Image, ImageOps

    from training.exam import decibel
    from training.sayings import ENGLISH
    from training.world import GLOBAL, graded

    rows: Row = {}
    for path in sorted(folder.iterdir()):
        photograph = scratch / f"{path.stem}.png"
        with Image.open(path) as opened:
            ImageOps.fit(opened.convert("RGB"), SIZES[0]).save(photograph)
        before = _opened(photograph)
        for kind in GLOBAL:
            request = _request(
                ENGLISH[kind].trained[0], [before], f"{path.stem}-{kind}", cfg, scratch
            )
            _run(editor, [request])
            result, wanted = _opened(request.result), graded(kind, before)
            towards = float((result - wanted).square().mean())
            follows = towards < float((result - before).square().mean())
            rows[f"{path.stem}: {kind.value}"] = [follows, round(decibel(towards), 2)]
    return rows


if __name__ == "__main__":
    main()
