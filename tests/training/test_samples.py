"""Lessons can be looked at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image

from training.lessons import FORMATS

TOP = Path(__file__).parents[2]


def test_a_command_draws_lessons_of_every_format_with_their_words(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.samples", str(tmp_path / "look"), "--count", "7"]
    subprocess.run(command, check=True, cwd=TOP)
    for number, form in enumerate(FORMATS):
        one = tmp_path / "look" / f"{number:03}"
        assert one.with_suffix(".txt").read_text(encoding="utf-8").strip()
        names = ["before", "after", *(["second"] if form.pictures == 2 else [])]
        for name in names:
            with Image.open(one.with_suffix(f".{name}.png")) as picture:
                assert picture.size == (form.width, form.height)
        assert len(list(one.parent.glob(f"{one.name}.*.png"))) == len(names)
