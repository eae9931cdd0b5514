"""A program that drops pairs of pictures and instructions, each in another of the ways there are.

python writer.py INBOX FIRST LAST
"""

import io
import json
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from PIL import Image


def content_of(number: int) -> tuple[bytes, bytes]:
    """The picture and the instruction of a number; no two are alike."""
    color = (number % 256, number // 256 % 256, 77)
    file = io.BytesIO()
    Image.new("RGB", (24, 16), color).save(file, format="PNG")
    return file.getvalue(), json.dumps({"prompt": f"Make it {number}"}).encode()


def in_place(path: Path, content: bytes) -> None:
    """Write under the name itself, in two halves, as cp does."""
    with path.open("wb", buffering=0) as file:
        file.write(content[: len(content) // 2])
        file.write(content[len(content) // 2 :])


def renamed(path: Path, content: bytes) -> None:
    """Write under a hidden name, and rename, as rsync does."""
    hidden = path.with_name(f".{path.name}.Xy12Zw")
    hidden.write_bytes(content)
    hidden.rename(path)


def with_room_first(path: Path, content: bytes) -> None:
    """Make a file of zeros of its length first, and fill it after closing it."""
    path.write_bytes(bytes(len(content)))
    with path.open("r+b") as file:
        file.write(content)


def drop(inbox: Path, number: int, write: Callable[[Path, bytes], None]) -> None:
    """Drop one pair: the picture of an even number comes first, that of an odd one last."""
    picture, instruction = content_of(number)
    pair = [(f"{number}.png", picture), (f"{number}.yaml", instruction)]
    for name, content in reversed(pair) if number % 2 else pair:
        write(inbox / name, content)


if __name__ == "__main__":
    ways = cycle((in_place, renamed, with_room_first))
    for each in range(int(sys.argv[2]), int(sys.argv[3])):
        drop(Path(sys.argv[1]), each, next(ways))
