"""Lays out what a hot folder has made, one row each: contact_sheet.py HOT_FOLDER SHEET.jpg."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image, ImageDraw, ImageFont, ImageOps

THUMB, SMALL, TEXT, GAP = 360, 96, 460, 20  # pixels
WIDTH = 2 * THUMB + TEXT + 4 * GAP
BLACK, GREY, RED, PAPER = (25, 25, 28), (110, 110, 115), (176, 32, 32), (255, 255, 255)
TOLD = ("mask", "region", "images", "megapixels", "size", "format", "cfg", "seed")  # of a recipe
USUAL: tuple[object, ...] = (None, [], "original", "same", 1)
_WORDS = re.compile(r"[\x21-\u02ff]{1,28}\s*|.\s*")  # Chinese may break anywhere

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One result or one failure."""

    name: str
    before: Path | None
    after: Path | None  # None: there is no result
    prompt: str
    notes: tuple[str, ...]
    helpers: tuple[Path, ...] = ()  # the mask, further pictures


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text that fits its column."""

    text: str
    font: Font
    size: int
    colour: tuple[int, int, int]


def results(root: Path) -> Iterator[Row]:
    """What the receipts tell, by name."""
    filed = [path for path in (root / "done").rglob("*") if path.is_file()]
    originals = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in filed}
    for folder in ("outbox", "review"):
        for path in sorted((root / folder).rglob("*.json")):
            if path.with_suffix("").is_file():  # else no receipt, or its result was taken away
                receipt = json.loads(path.read_text(encoding="utf-8"))
                yield _result(root, path, receipt, originals.get(receipt["input"]["sha256"]))


def _result(root: Path, path: Path, receipt: dict[str, Any], original: Path | None) -> Row:
    recipe = receipt["recipe"]
    prompt = recipe["prompt"]
    if _font(_rare(prompt), 16) is None:
        prompt = f"(No font here has the letters of this prompt. It is in {path.name}.)"
    told = {key: recipe[key] for key in TOLD if recipe[key] not in USUAL}
    names = [*recipe["images"], *([recipe["mask"]] if recipe["mask"] else [])]
    beside = [original.with_name(name) for name in names] if original else []
    return Row(
        name=str(path.relative_to(root).with_name(receipt["output"]["name"])),
        before=original,
        after=path.with_name(receipt["output"]["name"]),
        prompt=prompt,
        notes=(", ".join(f"{key} {_plain(value)}" for key, value in told.items()),),
        helpers=tuple(helper for helper in beside if helper.exists()),
    )


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def failures(root: Path) -> Iterator[Row]:
    """What each WHY.txt tells, by folder."""
    for why in sorted((root / "failed").rglob("WHY.txt")):
        title, *lines = why.read_text(encoding="utf-8").splitlines()
        report = json.loads(why.with_name("report.json").read_text(encoding="utf-8"))
        picture = why.with_name(report["input"]["name"])
        yield Row(
            name=str(why.parent.relative_to(root)),
            before=picture if picture.exists() else None,
            after=None,
            prompt=title,
            notes=tuple(line for line in lines if line.startswith(("Cause:", "What to do:"))),
        )


def sheet(rows: list[Row]) -> Image.Image:
    """All rows below each other, under a line that names the columns."""
    strips = [_head(), *map(_strip, rows)]
    whole = Image.new("RGB", (WIDTH, sum(strip.height for strip in strips)), PAPER)
    top = 0
    for strip in strips:
        whole.paste(strip, (0, top))
        top += strip.height
    return whole


def _head() -> Image.Image:
    strip = Image.new("RGB", (WIDTH, 2 * GAP + 10), PAPER)
    for column, word in enumerate(("before", "after", "prompt")):
        at = GAP + column * (THUMB + GAP), GAP // 2
        ImageDraw.Draw(strip).text(at, word, GREY, ImageFont.load_default(22))
    return strip


def _strip(row: Row) -> Image.Image:
    lines = [*_lines(row.name, 16, GREY), *_lines(row.prompt, 24, BLACK if row.after else RED)]
    lines += [line for note in row.notes for line in _lines(note, 16, GREY)]
    pictures = [_thumb(row.before, THUMB)]
    if row.after:
        pictures.append(_thumb(row.after, THUMB))
    text_height = sum(_height(line) for line in lines) + (GAP // 2 + SMALL if row.helpers else 0)
    height = max(text_height, *(picture.height for picture in pictures)) + GAP
    strip = Image.new("RGB", (WIDTH, height), PAPER)
    for column, picture in enumerate(pictures):
        strip.paste(picture, (GAP + column * (THUMB + GAP), 0))
    left, top = 3 * GAP + 2 * THUMB, 0
    for line in lines:
        ImageDraw.Draw(strip).text((left, top), line.text, line.colour, line.font)
        top += _height(line)
    for helper in row.helpers:
        small = _thumb(helper, SMALL)
        strip.paste(small, (left, top + GAP // 2))
        left += small.width + GAP // 2
    return strip


def _thumb(path: Path | None, side: int) -> Image.Image:
    """A picture upright, small and framed; grey where there is none that can be opened."""
    try:
        with Image.open(path or "") as image:
            seen = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, ValueError, Image.DecompressionBombError):
        return Image.new("RGB", (side, side * 3 // 4), (215, 215, 215))
    upright = Image.new("RGB", seen.size, "white")
    upright.paste(seen, mask=seen)
    upright.thumbnail((side - 2, side * 3 // 4 - 2))
    return ImageOps.expand(upright, 1, GREY)


def _height(line: Line) -> int:
    return line.size * 4 // 3


def _lines(text: str, size: int, colour: tuple[int, int, int]) -> list[Line]:
    """A text broken into lines as wide as the column."""
    words = " ".join(text.split())
    font = _font(_rare(words), size)
    if font is None:
        words = words.encode("ascii", "backslashreplace").decode()
        font = ImageFont.load_default(size)
    broken = [""]
    for word in _WORDS.findall(words):
        if broken[-1] and font.getlength((broken[-1] + word).rstrip()) > TEXT:
            broken.append("")
        broken[-1] += word
    return [Line(line, font, size, colour) for line in broken]


def _rare(text: str) -> str:
    return "".join(sorted({letter for letter in text if not letter.isascii()}))


@cache
def _font(letters: str, size: int) -> Font | None:
    """A font of this machine that has these rare letters, and the Latin ones."""
    if not letters:
        return ImageFont.load_default(size)
    lister = shutil.which("fc-list")
    if lister is None:
        return None
    wanted = ":charset=61 " + " ".join(f"{ord(letter):x}" for letter in letters)
    command = [lister, "--format", "%{file}\n", wanted]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    files = [
        file for file in sorted(found.splitlines()) if file.endswith((".ttf", ".ttc", ".otf"))
    ]
    return ImageFont.truetype(files[0], size) if files else None


def main() -> None:
    """Make the sheet of a hot folder."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    root, target = map(Path, sys.argv[1:])
    sheet([*results(root), *failures(root)]).save(target, quality=88)


if __name__ == "__main__":
    main()
