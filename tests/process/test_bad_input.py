"""Bad input: a clear WHY.txt, the originals kept, the next job runs."""

import os
import re
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from harness import HotFolder
from PIL import Image

PROMPT = b"prompt: Make it blue\n"

SIDECARS = {
    "empty": (b"", "empty"),
    "binary": (b"\x00\x01\x02\xff\xfe" * 40, "no text"),
    "latin": ("prompt: Make the café blue\n".encode("latin-1"), "UTF-8"),
    "large": (b"prompt: " + b"x" * (1 << 20), "64 KiB"),
    "nested": (b"[" * 32_000, "bad.yaml"),
    "tabs": (b"prompt: blue\n\tsteps: 4\n", "tab"),
    "tag": (b"prompt: !!python/object:os.system blue\n", "tag"),
    "anchor": (b"prompt: &a blue\nnegative_prompt: *a\n", "anchor"),
    "twice": (b"prompt: blue\nprompt: red\n", "prompt"),
    "unknown": (PROMPT + b"step: 4\n", "steps"),
    "wrong type": (PROMPT + b"steps: many\n", "steps"),
    "out of range": (PROMPT + b"steps: 4000\n", "100"),
    "colon": (b"prompt: make it: red\n", "quote"),
    "path": (PROMPT + b"images: [../../etc/logo.png]\n", "../../etc/logo.png"),
    "address": (PROMPT + b"mask: http://example.com/mask.png\n", "http"),
    "missing": (PROMPT + b"images: [logo.png]\n", "logo.png"),
    "no prompt": (b"steps: 4\n", "prompt"),
}


class Night:
    """A hot folder after a run of the command, and what the command said."""

    def __init__(self, hot: HotFolder, run: subprocess.CompletedProcess[str]) -> None:
        self.hot, self.root, self.inbox, self.run = hot, hot.root, hot.inbox, run

    def why(self, stem: str) -> str:
        """The WHY.txt of a failed job."""
        return self.hot.why(stem)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """One night in which everything bad was dropped at once, beside one good pair."""
    hot = HotFolder(tmp_path_factory.mktemp("night"))
    for name, (content, _) in SIDECARS.items():
        image = hot.drop(f"{name}/bad.png")
        image.with_suffix(".yaml").write_bytes(content)
    for name, content in pictures(hot).items():
        hot.drop(f"pictures/{Path(name).stem}.png").unlink()
        (hot.inbox / "pictures" / name).write_bytes(content)
    hot.drop("other size/cat.png", mask="m.png")
    Image.new("L", (10, 10), 255).save(hot.inbox / "other size/m.png")
    odd_things(hot)
    hot.drop("good.png")
    return Night(hot, hot.once())


def pictures(hot: HotFolder) -> dict[str, bytes]:
    """Files that are no whole pictures."""
    whole = {}
    for suffix in ("jpg", "png", "bmp", "tif", "webp"):
        path = hot.cwd / f"whole.{suffix}"
        Image.effect_noise((300, 200), 80).convert("RGB").save(path)
        whole[suffix] = path.read_bytes()
    zeroed = {
        f"zeroed-{suffix}.{suffix}": content[:-9000] + bytes(9000)
        for suffix, content in whole.items()
    }
    cut = {
        f"cut-{suffix}.{suffix}": content[: len(content) // 2] for suffix, content in whole.items()
    }
    return {
        **zeroed,
        **cut,
        "nothing.jpg": b"",
        "text.jpg": b"this is no picture\n" * 50,
        "bomb.png": png_header(50_000, 50_000),
        "large.png": png_header(9_000, 9_000),
    }


def png_header(width: int, height: int) -> bytes:
    """A PNG file of that size that ends before its pixels could be believed."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def odd_things(hot: HotFolder) -> None:
    """What is never taken for input."""
    (hot.inbox / "folder.jpg").mkdir()
    (hot.inbox / "link.png").symlink_to("/etc/hostname")
    os.mkfifo(hot.inbox / "pipe.png")
    for name in ("folder", "link", "pipe"):
        (hot.inbox / f"{name}.yaml").write_bytes(PROMPT)
    (hot.inbox / "photo.heic").write_bytes(b"\x00\x00\x00\x18ftypheic")


def test_the_good_pair_is_done_and_the_night_counts_as_failed(night: Night) -> None:
    assert night.hot.receipt("good.png")["status"] == "done"
    assert night.run.returncode == 1


@pytest.mark.parametrize("name", SIDECARS)
def test_a_bad_sidecar_is_explained(night: Night, name: str) -> None:
    whys = [path.read_text() for path in night.root.glob("failed/*/*/WHY.txt")]
    found = [why for why in whys if f"Picture: {name}/bad.png" in why]
    assert len(found) == 1
    first, cause, advice, *_ = found[0].splitlines()
    assert first == f"{name}/bad.png was not edited."
    assert cause.startswith("Cause: ")
    assert advice.startswith("What to do: ")
    assert SIDECARS[name][1].lower() in told(found[0])


@pytest.mark.parametrize(
    ("name", "word"),
    [
        *((f"zeroed-{suffix}", "incomplete") for suffix in ("jpg", "png", "bmp", "tif", "webp")),
        *((f"cut-{suffix}", "incomplete") for suffix in ("jpg", "png", "bmp", "tif", "webp")),
        ("nothing", "empty"),
        ("text", "text"),
        ("bomb", "megapixels"),
        ("large", "megapixels"),
    ],
)
def test_a_bad_picture_is_explained(night: Night, name: str, word: str) -> None:
    why = night.why(name)
    (file,) = re.findall(rf"^Picture: pictures/({name}\.\w+)$", why, re.MULTILINE)
    assert word in told(why).replace(file, "")


def told(why: str) -> str:
    """What a WHY.txt explains: the cause and the advice, without what it says of the file."""
    _, cause, advice, *_ = why.splitlines()
    return f"{cause.removeprefix('Cause: ')} {advice.removeprefix('What to do: ')}".lower()


def test_a_mask_of_another_size_is_explained(night: Night) -> None:
    explained = told(night.why("cat"))
    assert "10x10" in explained
    assert "96x64" in explained


def test_the_originals_of_every_failure_are_kept(night: Night) -> None:
    for folder in night.root.glob("failed/*/*"):
        kept = {path.name for path in folder.iterdir()} - {"WHY.txt", "report.json"}
        assert len(kept) >= 2, folder


def test_odd_things_are_left_alone_and_said(night: Night) -> None:
    left = {path.name for path in night.inbox.iterdir()}
    assert {"folder.jpg", "link.png", "pipe.png", "photo.heic"} <= left
    for name in ("folder.jpg", "link.png", "pipe.png", "photo.heic"):
        assert name in night.run.stderr


@pytest.mark.parametrize("forged", ["[" * 200_000, "1e999", '{"strikes": -10}'])
def test_forged_records_neither_end_a_run_nor_keep_it_from_ending(
    hot: HotFolder, forged: str
) -> None:
    hot.drop("cat.png")
    assert hot.once().returncode == 0
    hot.drop("dog.png")
    work = hot.root / ".hotfolder" / "work" / "20261122-120000-aaaaaaaa"
    work.mkdir(parents=True)
    for name in ("job.json", "failing.json", "published.json"):
        (work / name).write_text(forged)
    (work / "emu.png").write_bytes(b"somebody's")
    for record in (hot.outbox / "cat.png.json", *(hot.root / ".hotfolder/filed").iterdir()):
        record.write_text(forged)
    report = hot.root / "failed" / "2026-11-22" / "fox" / "report.json"
    report.parent.mkdir(parents=True)
    report.write_text(forged)
    run = hot.once()
    assert run.returncode == 1  # emu.png lost its record, and is filed with the reason
    assert "job.json is missing or damaged" in hot.why("emu")
    assert hot.receipt("dog.png")["status"] == "done"
