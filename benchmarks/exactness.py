"""Whether streaming and tiling change a picture, and whether memory is left behind, on a device.

Run by hand on a machine with a GPU: python -m benchmarks.exactness --out FILE. It prints a JSON
row for each thing that it compares, writes all of them to FILE, and ends with 1 if one is not as
it has to be. With --device cpu a reduced form shows that the script itself runs.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import leftovers, machine
from pipeline.qwen import allocator, offline

if TYPE_CHECKING:  # torch comes after the offline switches
    from benchmarks.tiled import Difference

MEGAPIXEL_SIDE = 1024
# What tiles may change, of values from -1 to 1. Kernels are chosen by size, and so is the order
# in which they add up: bf16 keeps eight bits of a number, and fp32 is multiplied as tf32 unless
# that is switched off.
GREATEST = {"bf16": 2**-5, "fp32": 2**-9, "fp32 without tf32": 2**-15}
WORST_SEAM = 1.5
JOBS_OF_THE_HUNT = 200
Row = dict[str, object]


def streams(scratch: Path, device: Any, *, is_whole: bool) -> Iterator[Row]:
    """Streamed, resident and diffusers' own pictures of batches of mixed shapes are the same."""
    from benchmarks.trial import BLOCKS, Trial
    from pipeline.checkpoint import EDIT, EDIT_PLUS

    counts = range(BLOCKS + 1) if is_whole else (0, 2, BLOCKS)
    for edit_class in (EDIT_PLUS, EDIT):
        trial = Trial(scratch, device, edit_class)
        for dtype in ("fp32", "bf16"):
            for row in _streams(trial, dtype, edit_class == EDIT_PLUS, counts):
                yield {"what": "streams", "class": edit_class, "dtype": dtype, **row}


def _streams(trial: Any, dtype: str, several: bool, counts: Iterable[int]) -> Iterator[Row]:
    from benchmarks.oracle import Oracle
    from benchmarks.trial import close, edited

    mixed = partial(trial.mixed, several=several)
    editor = trial.resident(dtype)
    resident = edited(editor, mixed())
    alone = [edited(editor, [request])[0] for request in mixed()]
    close(editor)
    oracle = Oracle(trial.folder, dtype, trial.device)
    theirs = [oracle.picture(request) for request in mixed()]
    yield {"compared": "batch with diffusers", "ok": _same(resident, theirs)}
    yield {"compared": "batch with alone", "ok": _same(resident, alone)}
    for packs in (False, True) if dtype == "bf16" else (False,):
        for row in _streamed(trial, dtype, counts, packs=packs, mixed=mixed, expected=resident):
            yield {"packed": packs, **row}


def _streamed(
    trial: Any,
    dtype: str,
    counts: Iterable[int],
    *,
    packs: bool,
    mixed: Callable[[], list[Any]],
    expected: list[Any],
) -> Iterator[Row]:
    from benchmarks.trial import BLOCKS, close, edited

    copy_stream = trial.copy_stream()
    editor = trial.streaming(dtype, copy_stream, 0, packs=packs)
    for staying in counts:
        trial.plan_anew(editor, staying)
        before = copy_stream.copies
        found = edited(editor, mixed())
        copies = copy_stream.copies - before
        yield {
            "compared": f"{staying} blocks resident with all resident",
            "copies": copies,
            # Four steps of the longest job.
            "ok": _same(found, expected) and copies >= 4 * (BLOCKS - staying),
        }
    close(editor)


def tiles(_scratch: Path, device: Any, *, is_whole: bool) -> Iterator[Row]:
    """Tiled pictures differ from whole ones by no more than is allowed, and not by seams."""
    import torch

    from benchmarks import tiled

    side = MEGAPIXEL_SIDE if is_whole else 256
    sizes = [(side, side, side // 2), (side, side * 3 // 2, side * 3 // 8)]
    if is_whole:
        sizes.append((2 * side, 2 * side, 768))
    for precision, allowed in GREATEST.items():
        torch.backends.cudnn.allow_tf32 = precision == "fp32"
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        model = tiled.vae(dtype, device, 96 if is_whole else 8)
        for height, width, tile_side in sizes[: 1 if "without" in precision else None]:
            for picture in tiled.PICTURES:
                began = time.perf_counter()
                pixels = picture(height, width).to(device, dtype)
                with torch.no_grad():
                    found = tiled.compare(model, pixels, tile_side)
                shown = {
                    "what": "tiles",
                    "precision": precision,
                    "picture": picture.__name__,
                    "size": f"{width}x{height}",
                    "tile_side": tile_side,
                    "seconds": round(time.perf_counter() - began, 2),
                }
                yield from ({**shown, **row} for row in _tiles(found, allowed))
        del model
        leftovers.release(device)
    torch.backends.cudnn.allow_tf32 = True


def _tiles(found: dict[str, Difference], allowed: float) -> Iterator[Row]:
    for way, seen in found.items():
        yield {
            "way": way,
            "greatest": _short(seen.greatest),
            "mean": _short(seen.mean),
            "beside_borders_over_elsewhere": _short(seen.seam),
            "allowed": allowed,
            "ok": seen.greatest <= allowed and seen.seam <= WORST_SEAM,
        }


def races(scratch: Path, device: Any, *, is_whole: bool) -> Iterator[Row]:
    """Many streamed jobs give the same bytes, with copies and computing that begin late."""
    from benchmarks.trial import Trial, close, edited
    from pipeline.checkpoint import EDIT_PLUS

    trial = Trial(scratch / "races", device, EDIT_PLUS)
    editor = trial.resident("bf16")
    expected = edited(editor, [trial.request(cfg=4.0)])[0]
    close(editor)
    for packs in (False, True):
        for row in _races(trial, expected, is_whole=is_whole, packs=packs):
            yield {"what": "races", "packed": packs, **row}


def _races(trial: Any, expected: Any, *, is_whole: bool, packs: bool) -> Iterator[Row]:
    from benchmarks.trial import CarelessLane, close, edited

    jobs = JOBS_OF_THE_HUNT if is_whole else 8
    for resident in (0, 1):
        copy_stream = trial.copy_stream()
        editor = trial.streaming("bf16", copy_stream, resident, packs=packs)
        began, before = time.perf_counter(), copy_stream.copies
        different = sum(
            not _same([found], [expected])
            for _ in range(jobs // 8)
            for found in edited(editor, [trial.request(cfg=4.0) for _ in range(4)])
        )
        close(editor)
        yield {
            "resident": resident,
            "jobs": jobs // 2,
            "copies": copy_stream.copies - before,
            "different": different,
            "seconds": round(time.perf_counter() - began, 1),
            "ok": different == 0,
        }
    # Packed, what has not arrived would name places far outside the unit, and end the process.
    if trial.on_gpu and not packs:
        editor = trial.streaming("bf16", trial.copy_stream(), 0)
        careless = CarelessLane(trial.device, cycles=50_000_000)
        for loader in editor._parts.loaders:
            loader._copy_stream = careless
        found = edited(editor, [trial.request(cfg=4.0)], lambda _event: frozenset())[0]
        close(editor)
        what = "a copy_stream that does not wait is found"
        yield {"compared": what, "ok": not _same([found], [expected])}


def _same(some: list[Any], others: list[Any]) -> bool:
    import numpy as np

    pairs = zip(some, others, strict=True)
    return all(a is not None and b is not None and np.array_equal(a, b) for a, b in pairs)


def _short(number: float) -> float:
    return float(f"{number:.3g}")


SECTIONS: dict[str, Callable[..., Iterator[Row]]] = {
    "streams": streams,
    "tiles": tiles,
    "races": races,
    "leaks": leftovers.leaks,
}


def _device(device: Any) -> Row:
    import diffusers
    import torch
    import transformers

    from pipeline.qwen import lossless

    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": str(torch.__version__),
        "diffusers": str(diffusers.__version__),
        "transformers": str(transformers.__version__),
        "expanding": lossless.kernel_refusal(device) or "by the kernel",
    }


def main() -> int:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    offline.enforce()
    allocator.enforce()
    import torch

    logging.disable(logging.WARNING)  # failures are part of the check
    on_gpu = arguments.device == "cuda"
    device = torch.device("cuda", 0) if on_gpu else torch.device("cpu")
    rows: list[Row] = []
    began = time.perf_counter()
    stamp = {**machine.measured(Path.cwd()), "hardware": _device(device)}
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.sections:
            for row in SECTIONS[name](Path(scratch), device, is_whole=on_gpu):
                row["at_s"] = round(time.perf_counter() - began, 1)
                rows.append(row)
                print(json.dumps(row), flush=True)
                if arguments.out:
                    found = {**stamp, "rows": rows}
                    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
