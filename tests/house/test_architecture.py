"""The page on the architecture is true: its drawing, its packages, its modules."""

import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs" / "architecture.md").read_text(encoding="utf-8")
DRAWING = TOP / "docs" / "architecture.svg"
SCRIPT = TOP / "scripts" / "draw_architecture"
MODULE = re.compile(r"`([\w./]+\.py|(?:config|daemon|docs|pipeline|scripts|tests)/[\w./]*)`")
ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
NAME = re.compile(r'class="name" x="[\d.]+" y="([\d.]+)">(\w+)<')
NOT_OF_THE_DAEMON = {"pipeline", "config"}


def test_the_drawing_shows_the_imports_of_now(tmp_path: Path) -> None:
    fresh = tmp_path / "architecture.svg"
    subprocess.run([sys.executable, SCRIPT, fresh], check=True)
    is_the_same = fresh.read_bytes() == DRAWING.read_bytes()
    assert is_the_same, "run scripts/draw_architecture, and look at what it draws"


def test_the_page_lists_the_packages_of_the_drawing_from_top_to_bottom() -> None:
    heights = {
        name: float(y)
        for y, name in NAME.findall(DRAWING.read_text(encoding="utf-8"))
        if name not in NOT_OF_THE_DAEMON
    }
    listed = ROW.findall(PAGE)
    assert sorted(listed) == sorted(heights)
    assert [heights[name] for name in listed] == sorted(heights.values())


def test_every_module_that_the_page_names_exists() -> None:
    named = MODULE.findall(PAGE)
    assert len(named) > 30
    assert [name for name in named if not (TOP / name).exists()] == []
