"""Operations on arrays give what they promise, however the arrays lie."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pipeline.composite.arrays import WIDE, blurred, length

Floats = npt.NDArray[np.float32]
CACHE_LINE = 64  # bytes


def lying(values: Floats, offset: int) -> Floats:
    """The same values, so many bytes behind the beginning of a cache line."""
    memory = np.zeros(values.nbytes + 2 * CACHE_LINE, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE + offset
    placed = memory[first : first + values.nbytes].view(np.float32).reshape(values.shape)
    placed[...] = values
    return placed


@pytest.mark.parametrize("seed", range(6))
def test_a_length_is_the_same_to_the_bit_wherever_its_planes_lie(seed: int) -> None:
    across, down = np.random.default_rng(seed).uniform(0, 255, (2, 64, 480)).astype(np.float32)
    offsets = range(0, CACHE_LINE, 4)
    lengths = {
        length(lying(across, one), lying(down, other)).tobytes()
        for one in offsets
        for other in offsets
    }
    assert len(lengths) == 1


@pytest.mark.parametrize("shape", [(240, 317), (66, 1000, 3), (7, 9), (1, 1)])
def test_a_wide_window_is_the_gaussian_that_it_stands_for(shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(3).normal(0, 800, shape).astype(np.float32)
    plane = np.asarray(cv2.GaussianBlur(noise, (0, 0), 6.0), np.float32)
    for deviation in (WIDE, 2.4 * WIDE):
        full = cv2.GaussianBlur(plane, (0, 0), deviation)
        off = blurred(plane, deviation) - full
        assert off.shape == full.shape
        assert np.abs(off).max() < 0.2 * max(1.0, float(plane.std()))
