"""Every way of sharing a GPU gives the same picture: whole, by part, by block (run by hand).

Builds the tiny checkpoint, edits with each way and compares the results byte for byte. Needs a
CUDA device. Prints a table and writes JSON: python benchmarks/residence.py --out FILE
"""

import argparse
import hashlib
import json
import logging
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from config.settings import ModelSettings
from pipeline.editor import Done, EditRequest, Event, Failed
from pipeline.qwen import offline

# Budgets that make the choice of pipeline.qwen.residence fall on each of its three ways.
BUDGETS_GIB = {"whole": None, "by part": 4.0036, "by block": 4.0005}


@dataclass(frozen=True, slots=True)
class Run:
    """One way, two edits."""

    residence: str
    sha256: Sequence[str]
    seconds: Sequence[float]
    peak_vram_gib: float


def request(folder: Path, name: str, seed: int, image: Path) -> EditRequest:
    """One edit with CFG."""
    return EditRequest(
        request_id=name,
        images=(image,),
        prompt="Make the background blue",
        negative_prompt=" ",
        steps=6,
        cfg=4.0,
        seed=seed,
        lora=None,
        result=folder / f"{name}.png",
    )


def run(model: Path, folder: Path, image: Path, residence: str) -> Run:
    """Edit twice with one way."""
    from pipeline.qwen.engine import open_editor

    settings = ModelSettings(path=model, vram_gib=BUDGETS_GIB[residence])
    editor = open_editor(settings)
    events: list[Event] = []

    def on_event(event: Event) -> frozenset[str]:
        events.append(event)
        return frozenset()

    seconds, digests = [], []
    for seed in (1, 2):
        job = request(folder, f"{residence}-{seed}".replace(" ", "-"), seed, image)
        began = time.perf_counter()
        editor.edit([job], on_event)
        seconds.append(round(time.perf_counter() - began, 3))
        last = events[-1]
        assert not isinstance(last, Failed), last.error.cause
        assert isinstance(last, Done)
        digests.append(hashlib.sha256(job.result.read_bytes()).hexdigest())
    peak = max(event.result.peak_vram_gib for event in events if isinstance(event, Done))
    editor.close()
    return Run(residence, digests, seconds, round(peak, 3))


def main() -> None:
    """Compare all ways on this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    offline.enforce()
    logging.basicConfig(level=logging.INFO)  # shows that each way was really taken
    import torch
    from PIL import Image

    from pipeline import tiny

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tiny.build(folder / "tiny")
        image = folder / "image.png"
        Image.effect_noise((256, 256), 60).convert("RGB").save(image)
        runs = [run(folder / "tiny", folder, image, residence) for residence in BUDGETS_GIB]
    for one in runs:
        print(f"{one.residence:9} {one.seconds} s  {one.peak_vram_gib} GiB  {one.sha256[0][:12]}")
    same = len({tuple(one.sha256) for one in runs}) == 1
    print("same pictures" if same else "DIFFERENT PICTURES")
    document = {
        "hardware": torch.cuda.get_device_name(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "checkpoint": "tiny, random weights",
        "same_pictures": same,
        "runs": [asdict(one) for one in runs],
    }
    if out:
        out.write_text(json.dumps(document, indent=2) + "\n")
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
