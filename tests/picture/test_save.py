"""How results are packed into their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, JpegImagePlugin

Scene = Callable[[int, int], Image.Image]
MakeJob = Callable[..., Any]  # the fixture `job`

FINEST = [[1] * 64, [1] * 64]  # nothing is rounded away


@pytest.mark.parametrize(
    "packing",
    [
        {"quality": 90},
        {"quality": 80, "optimize": True},
        {"quality": 80, "progressive": True},
        {"quality": 95, "subsampling": "4:4:4", "progressive": True},
    ],
)
def test_a_jpeg_that_comes_back_is_no_larger_than_its_original(
    tmp_path: Path, scene: Scene, job: MakeJob, packing: dict[str, Any]
) -> None:
    """But for what it says of itself."""
    path = tmp_path / "photo.jpg"
    scene(640, 480).save(path, **packing)
    result = job(has_model=False).run(path).path
    assert bytes_of_pixels(result) <= bytes_of_pixels(path) * 1.005
    with Image.open(path) as before, Image.open(result) as after:
        assert after.info.get("progressive") == before.info.get("progressive")


def bytes_of_pixels(path: Path) -> int:
    """The length of a JPEG from its tables on."""
    content = path.read_bytes()
    return len(content) - content.index(b"\xff\xdb")


@pytest.mark.parametrize("is_progressive", [False, True])
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("size", [(640, 480), (1, 3)])
def test_the_finest_tables_on_nothing_but_noise_are_saved(
    tmp_path: Path,
    job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    sampling: str,
    *,
    is_progressive: bool,
) -> None:
    """All that two passes write has to find room in one buffer of Pillow's."""
    edges = np.random.default_rng(0).integers(0, 2, (*size[::-1], 3), dtype=np.uint8) * 255
    path = tmp_path / "photo.jpg"
    with monkeypatch.context() as patch:
        patch.setattr(ImageFile, "MAXBLOCK", 10_000_000)
        packing: dict[str, Any] = {"subsampling": sampling, "progressive": is_progressive}
        Image.fromarray(edges).save(path, qtables=FINEST, **packing)
    usual = ImageFile.MAXBLOCK
    with Image.open(job(has_model=False).run(path).path) as after:
        assert isinstance(after, JpegImagePlugin.JpegImageFile)
        assert after.size == size
        assert after.quantization == {0: FINEST[0]}
        assert ("progressive" in after.info) is is_progressive
    assert usual == ImageFile.MAXBLOCK
