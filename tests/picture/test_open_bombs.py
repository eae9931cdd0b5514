"""Small files that ask for endless memory or time get neither."""

import io
import json
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.sniff.whole_file import Incomplete, examine

GIB = 1 << 30
# What a pixel worker does, within a memory limit; it tells how each picture ended.
WORKER = """
import json, resource, sys
from pathlib import Path
from conftest import Job
from pipeline import pixel_worker
limit, into, *images = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))
from pipeline.pixel_requests import Prepare
for image in map(Path, images):
    request = Prepare(image=image, name=image.name, references=(), mask=None,
        recipe=Job(into=Path(into)).recipe, working_pixels=1 << 16, multiple=8,
        max_megapixels=70, into=Path(into))
    answer = pixel_worker.answer(request)
    said = getattr(answer, "cause", "")
    print(json.dumps([image.name, type(answer).__name__, said]), flush=True)
"""


def chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


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


def test_a_pixel_worker_answers_to_each_and_lives(tmp_path: Path) -> None:
    paths = []
    for name, make in BOMBS.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(make())
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(2 * GIB), tmp_path, *paths],
        env={"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    answers = {
        name: (kind, said) for name, kind, said in map(json.loads, done.stdout.splitlines())
    }
    assert set(answers) == set(BOMBS), done.stderr
    assert {kind for kind, _ in answers.values()} <= {"Refused", "Prepared"}
    assert time.monotonic() - began < 60
    assert answers["deep.tif"][0] == answers["profile.png"][0] == "Refused"


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
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with path.open("rb") as file:
        verdict = examine(file, len(content))
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert isinstance(verdict, Incomplete) is (pages > 1)
    assert grown_mib < 100
