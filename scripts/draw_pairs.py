"""Lays before and after side by side for the documents: draw_pairs.py HOT_FOLDER FOLDER.

HOT_FOLDER is one in which the example was edited, as `make demo` leaves it. FOLDER (docs/pairs)
gets one JPEG for each result, and `pairs.json`, which says what was asked and which model edited.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

SIDE, GAP, PAPER = 320, 12, (255, 255, 255)  # pixels
OURS = ("prompt", "negative_prompt", "steps", "cfg", "seed", "images", "mask", "region", "size")


def receipts(outbox: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give each result with its receipt, in the order of their names."""
    for path in sorted(outbox.rglob("*.json")):
        yield path.with_suffix(""), json.loads(path.read_text(encoding="utf-8"))


def pair(before: Path, after: Path) -> Image.Image:
    """Give both upright, of one height, beside each other."""
    small = []
    for path in (before, after):
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
        upright.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        small.append(upright)
    height = max(it.height for it in small)
    whole = Image.new("RGB", (sum(it.width for it in small) + GAP, height), PAPER)
    whole.paste(small[0], (0, 0))
    whole.paste(small[1], (small[0].width + GAP, 0))
    return whole


def main() -> None:
    """Make a picture for each result of a hot folder."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    root, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    filed = [path for path in (root / "done").rglob("*") if path.is_file()]
    originals = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in filed}
    told = {}
    for result, receipt in receipts(root / "outbox"):
        name = f"{result.stem if result.stem.isascii() else 'chinese-name'}.jpg"
        before = originals[receipt["input"]["sha256"]]
        pair(before, result).save(folder / name, quality=82, optimize=True)
        model = receipt["model"]
        told[name] = {
            "input": before.name,
            "model": {"name": Path(model["path"]).name, "fingerprint": model["fingerprint"]},
            "recipe": {key: receipt["recipe"][key] for key in OURS},
        }
    text = json.dumps(told, indent=1, ensure_ascii=False)
    (folder / "pairs.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
