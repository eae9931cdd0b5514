"""A picture that is taken in tiles is the picture that is taken whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLQwenImage
from hypothesis import given
from hypothesis import strategies as st

from pipeline.qwen.tiles import WindowedVae, spans

# In fp32 on the CPU; other sizes take other ways through the libraries' convolutions.
MAXIMUM_DIFFERENCE = 2e-5


@pytest.fixture(scope="module")
def vae(open_editor: Callable[..., Any]) -> Any:
    return open_editor()._pipe.vae


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def windowed(vae: Any) -> Iterator[WindowedVae]:
    yield WindowedVae(vae)
    WindowedVae(vae)  # whole again


def _gradient(height: int, width: int) -> torch.Tensor:
    down = torch.linspace(-1, 1, height)[:, None].expand(height, width)
    across = torch.linspace(-1, 1, width)[None].expand(height, width)
    return torch.stack([down, across, -down])[None, :, None]


def _photo(height: int, width: int) -> torch.Tensor:
    """Smooth regions, edges and grain."""
    chance = torch.Generator().manual_seed(3)
    coarse = torch.randn(1, 3, height // 32, width // 32, generator=chance)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    picture = torch.tanh(3 * smooth) + 0.05 * torch.randn(smooth.shape, generator=chance)
    return picture.clamp(-1, 1)[:, :, None]


@pytest.mark.parametrize("picture", [_gradient, _photo])
@pytest.mark.parametrize(("height", "width"), [(256, 384), (416, 224)])
def test_tiles_change_nothing_that_can_be_seen(
    picture: Callable[[int, int], torch.Tensor],
    height: int,
    width: int,
    vae: Any,
    windowed: WindowedVae,
) -> None:
    pixels = picture(height, width)
    whole = vae.encode(pixels).latent_dist.mode()
    windowed.tile_side = 128
    tiled = vae.encode(pixels).latent_dist.mode()
    assert (tiled - whole).abs().max() <= MAXIMUM_DIFFERENCE * whole.abs().max()
    tiled_picture = vae.decode(whole).sample
    windowed.tile_side = None
    difference = (tiled_picture - vae.decode(whole).sample).abs().max()
    assert difference <= MAXIMUM_DIFFERENCE


def test_a_border_any_narrower_than_the_kernels_reach_would_be_seen(
    vae: Any, windowed: WindowedVae
) -> None:
    latents = vae.encode(_photo(256, 256)).latent_dist.mode()
    whole = vae.decode(latents).sample
    windowed.tile_side = 128
    windowed._decoder_border //= 4
    assert (vae.decode(latents).sample - whole).abs().max() > 100 * MAXIMUM_DIFFERENCE


def test_whole_pictures_go_the_librarys_way_bit_for_bit(vae: Any) -> None:
    plain = AutoencoderKLQwenImage.from_config(vae.config)
    plain.load_state_dict(vae.state_dict())
    pixels = _photo(96, 160)
    latents = plain.encode(pixels).latent_dist.mode()
    assert torch.equal(vae.encode(pixels).latent_dist.mode(), latents)
    assert torch.equal(vae.decode(latents).sample, plain.decode(latents).sample)


@given(st.integers(1, 3000), st.integers(1, 300), st.integers(0, 4), st.sampled_from([1, 8]))
def test_spans_cover_a_side_once_and_see_their_border(
    length: int, side: int, border: int, multiple: int
) -> None:
    length, side, border = (number * multiple for number in (length, side, border))
    found = list(spans(length, side, border, multiple))
    assert [one.start for one in found] == [0, *(one.stop for one in found[:-1])]
    assert found[-1].stop == length
    for one in found:
        assert one.stop - one.start <= side
        assert one.first == max(one.start - border, 0)
        assert one.last == min(one.stop + border, length)
        assert one.first % multiple == 0
