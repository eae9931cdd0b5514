"""Small files that ask for endless memory or time get neither."""

import io
import os
import resource
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
from PIL import Image
from rig.one_worker import OneWorker
from sample import RECIPE

from pipeline.ipc import Refused
from pipeline.picture.open import MEMORY_BYTES
from pipeline.pixel_requests import Prepare, Prepared
from pipeline.sniff.whole_file import Incomplete, examine

GIB = 1 << 30


def chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


@cache
def deflated_zeros(size: int) -> bytes:
    packer = zlib.compressobj(9)
    zeros = bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(size >> 20)) + packer.flush()


def png(*before: bytes, body: bytes | None = None, side: int = 64) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes((side * 3 + 1) * side)) if body is None else body
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + b"".join(before) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tiff(entries: list[tuple[int, int, int, int]], tail: bytes = b"") -> bytes:
    """A classic TIFF of one page: its entries are tag, type, count and value."""
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 0) + tail


def page(width: int, height: int, offset: int, length: int, **other: int) -> bytes:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: offset, 277: 1, 278: height}
    tags |= {279: length} | {int(tag[1:]): value for tag, value in other.items()}
    return tiff([(tag, 4, 1, value) for tag, value in sorted(tags.items())], bytes(64))


def saved_tiff(**options: object) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8000, 8000)).save(stream, "TIFF", compression="tiff_adobe_deflate", **options)
    return stream.getvalue()


BOMBS: dict[str, Callable[[], bytes]] = {
    "body.png": lambda: png(body=deflated_zeros(GIB)),
    "text.png": lambda: png(chunk(b"zTXt", b"k\0\0" + deflated_zeros(GIB))),
    "words.png": lambda: png(chunk(b"iTXt", b"k\0\1\0\0\0" + deflated_zeros(GIB))),
    "profile.png": lambda: png(chunk(b"iCCP", b"k\0\0" + deflated_zeros(GIB))),
    "flat.tif": saved_tiff,
    "count.tif": lambda: tiff([(256, 4, 0xFFFFFFFF, 8)]),
    "below.tif": lambda: page(64, 64, 0xFFFFFFF0, 4096),
    "long.tif": lambda: page(64, 64, 100, 0xFFFFFFFF),
    "deep.tif": lambda: page(8000, 8000, 8, 64, t258=64, t277=60000, t339=3),
    "rows.tif": lambda: page(64, 64, 8, 64, t278=0),
}


def opening(path: Path, content: bytes, max_megapixels: float = 70) -> Prepare:
    """A request to open a file of that content."""
    path.write_bytes(content)
    return Prepare(
        image=path,
        name=path.name,
        references=(),
        mask=None,
        recipe=RECIPE,
        working_pixels=1 << 16,
        multiple=8,
        max_megapixels=max_megapixels,
        into=path.parent,
    )


def test_a_pixel_worker_answers_to_each_and_lives(tmp_path: Path) -> None:
    began = time.monotonic()
    with closing(OneWorker()) as worker:
        answers = {
            name: worker.ask(opening(tmp_path / name, make())) for name, make in BOMBS.items()
        }
        assert worker.memory_mib("VmHWM") < 2048
    assert {type(answer) for answer in answers.values()} <= {Refused, Prepared}
    assert time.monotonic() - began < 60
    for name in ("deep.tif", "profile.png"):
        assert isinstance(answers[name], Refused)


def test_what_needs_more_memory_than_a_picture_may_take_is_refused_for_that(
    tmp_path: Path,
) -> None:
    side = 10_000  # of 400 MB as pixels; the file holds no more than the first row
    wide = png(body=zlib.compress(bytes(3 * side + 1)), side=side)
    with closing(OneWorker()) as worker:
        assert resource.prlimit(worker.pid, resource.RLIMIT_AS) == (MEMORY_BYTES, MEMORY_BYTES)
        # Lowered, so that the proof takes little memory itself.
        limit = int(worker.memory_mib("VmSize") + 100) << 20
        resource.prlimit(worker.pid, resource.RLIMIT_AS, (limit, limit))
        refused = worker.ask(opening(tmp_path / "wide.png", wide, max_megapixels=100))
        assert isinstance(refused, Refused)
        assert "does not fit into the memory that a picture may take" in refused.cause
        assert isinstance(worker.ask(opening(tmp_path / "small.png", png())), Prepared)


@pytest.mark.parametrize("pages", [1, 256])
def test_lists_that_pages_share_are_gone_through_once(tmp_path: Path, pages: int) -> None:
    pieces, entry, first = 900_000, 12, 8
    page_bytes = 2 + 2 * entry + 4
    lists = first + pages * page_bytes
    content = bytearray(b"II*\0" + struct.pack("<I", first))
    for number in range(pages):
        content += struct.pack("<H", 2)
        content += struct.pack("<HHII", 273, 4, pieces, lists)
        content += struct.pack("<HHII", 279, 4, pieces, lists)
        following = first + (number + 1) * page_bytes
        content += struct.pack("<I", following if number + 1 < pages else 0)
    content += struct.pack("<I", 8) * pieces
    path = tmp_path / "shared.tif"
    path.write_bytes(content)
    is_incomplete, grown_mib = examined(path)
    assert is_incomplete is (pages > 1)
    assert grown_mib < 100


def examined(path: Path) -> tuple[bool, float]:
    """Whether a file is incomplete, and how much memory it takes to know that.

    In a process of its own: what this one needed at most is of other tests.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            with path.open("rb") as file:
                verdict = examine(file, path.stat().st_size)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            os.write(writer, f"{isinstance(verdict, Incomplete)} {grown / 1024}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        is_incomplete, grown_mib = said.read().split()
    os.waitpid(child, 0)
    return is_incomplete == "True", float(grown_mib)
