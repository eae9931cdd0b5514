"""Lessons as files, to look at: `python -m training.samples FOLDER` draws some of the world."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from PIL import Image

from training.lessons import FORMATS, drawn, picture_numbers
from training.world import training_edit


def main() -> None:
    """Draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="made if it is not there")
    parser.add_argument("--count", type=int, default=28)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    write(given.folder, given.count, given.seed)


def write(folder: Path, count: int, seed: int) -> None:
    """Edits that may be trained, each as words and pictures, the formats by turns.

    `000.txt` has the words; beside it `000.before.png`, `000.after.png` and, where there is a
    second picture, `000.second.png`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    for number in range(count):
        form = FORMATS[number % len(FORMATS)]
        edit = training_edit(chance, form.aspect, two_pictures=form.pictures == 2)
        pictures = drawn(picture_numbers([edit]), form, torch.device("cpu"))
        (folder / f"{number:03}.txt").write_text(edit.words + "\n", encoding="utf-8")
        save(pictures.before[0], folder / f"{number:03}.before.png")
        save(pictures.after[0], folder / f"{number:03}.after.png")
        if pictures.second is not None:
            save(pictures.second[0], folder / f"{number:03}.second.png")


def save(pixels: torch.Tensor, file: Path) -> None:
    """Write a picture (3, height, width), 0..1, in 8 bits a channel."""
    values = (pixels.permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(values).save(file)


if __name__ == "__main__":
    main()
