"""A picture that is taken in tiles is the picture that is taken whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLQwenImage
from hypothesis import given
from hypothesis import strategies as st
from rig.tally import Tally

from pipeline.qwen.vae_tiling import WindowedVae, spans

# Of values from -1 to 1. Other sizes may take other ways through the libraries' convolutions;
# bf16 keeps eight bits of a number, and this is four of its steps beside 1.
MAXIMUM_DIFFERENCE = {torch.float32: 2e-5, torch.bfloat16: 2**-6}
Draw = Callable[[int, int], torch.Tensor]


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def vaes(open_editor: Callable[..., Any]) -> dict[torch.dtype, Any]:
    """The tiny VAE in two precisions."""
    own = open_editor()._pipe.vae
    copies = {}
    for dtype in MAXIMUM_DIFFERENCE:
        copy = AutoencoderKLQwenImage.from_config(own.config)
        copy.load_state_dict(own.state_dict())
        copies[dtype] = torch.nn.Module.to(copy, dtype)
    return copies


@pytest.fixture(scope="module")
def published() -> Any:
    """The published VAE's architecture in bf16, with random weights that keep contrasts."""
    with torch.device("meta"):
        vae = AutoencoderKLQwenImage()
    torch.nn.Module.to_empty(torch.nn.Module.to(vae, torch.bfloat16), device="cpu")
    chance = torch.Generator().manual_seed(0)
    for name, weight in vae.named_parameters():
        if weight.dim() == 1:
            weight.data.zero_()
        elif name.endswith("gamma"):
            weight.data.fill_(1)
        else:
            weight.data.normal_(0, weight[0].numel() ** -0.5, generator=chance)
    return vae


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


def _encoded(vae: Any, pixels: torch.Tensor, tile_side: int | None) -> torch.Tensor:
    WindowedVae(vae).tile_side = tile_side
    latents: torch.Tensor = vae.encode(pixels).latent_dist.mode()
    return latents


def _decoded(vae: Any, latents: torch.Tensor, tile_side: int | None) -> torch.Tensor:
    WindowedVae(vae).tile_side = tile_side
    pixels: torch.Tensor = vae.decode(latents).sample
    return pixels


def _differences(
    vae: Any, pixels: torch.Tensor, tile_side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """How far tiled is from whole: latents as parts of the largest, and pixels."""
    latents = _encoded(vae, pixels, None)
    of_latents = (_encoded(vae, pixels, tile_side) - latents).float() / latents.abs().max()
    tiled, whole = (_decoded(vae, latents, side).float() for side in (tile_side, None))
    assert whole.std() > 0.1, "a picture without contrast would hide seams"
    return of_latents.abs(), (tiled - whole).abs()


@pytest.mark.parametrize("dtype", MAXIMUM_DIFFERENCE)
@pytest.mark.parametrize("picture", [_gradient, _photo])
@pytest.mark.parametrize(
    ("height", "width", "tile_side"),
    [(256, 232, 128), (168, 200, 64), (104, 424, 160), (32, 1024, 256), (1024, 32, 320)],
)
def test_tiles_change_nothing_that_can_be_seen(
    *, picture: Draw, height: int, width: int, tile_side: int, dtype: torch.dtype, vaes: Any
) -> None:
    pixels = picture(height, width).to(dtype)
    of_latents, of_pixels = _differences(vaes[dtype], pixels, tile_side)
    assert of_latents.max() <= MAXIMUM_DIFFERENCE[dtype]
    assert of_pixels.max() <= MAXIMUM_DIFFERENCE[dtype]


@pytest.mark.parametrize("picture", [_gradient, _photo])
def test_tiles_change_nothing_in_the_published_architecture(picture: Draw, published: Any) -> None:
    pixels = picture(32, 312).to(torch.bfloat16)  # the longer side reaches beyond a window
    of_latents, of_pixels = _differences(published, pixels, 64)
    assert of_latents.max() <= MAXIMUM_DIFFERENCE[torch.bfloat16]
    assert of_pixels.max() <= MAXIMUM_DIFFERENCE[torch.bfloat16]


def _seams(vae: Any, *, border_latents: int | None = None) -> tuple[float, float]:
    """The mean difference beside the borders of tiles, and elsewhere."""
    latents = _encoded(vae, _photo(256, 256), None)
    whole = _decoded(vae, latents, None)
    windowed = WindowedVae(vae)
    windowed.tile_side = 128
    if border_latents is not None:
        windowed._decoder_border = border_latents
    difference = (vae.decode(latents).sample - whole).abs()
    beside = torch.zeros(256, 256, dtype=torch.bool)
    beside[:, 124:132] = beside[124:132] = True
    return float(difference[..., beside].mean()), float(difference[..., ~beside].mean())


def test_the_borders_of_tiles_are_no_worse_than_elsewhere(vaes: Any) -> None:
    at_borders, elsewhere = _seams(vaes[torch.float32])
    assert at_borders <= 2 * elsewhere + 1e-7  # a rounding of a number beside 1


def test_tiles_that_saw_too_little_of_their_neighbours_would_show_at_their_borders(
    vaes: Any,
) -> None:
    at_borders, elsewhere = _seams(vaes[torch.float32], border_latents=2)
    assert at_borders > 10 * elsewhere
    assert at_borders > 10 * MAXIMUM_DIFFERENCE[torch.float32]


@pytest.mark.parametrize("blocks", [1, 2])  # of the tiny VAE, of the published one
def test_a_window_sees_all_that_reaches_it_and_little_more(blocks: int) -> None:
    vae = AutoencoderKLQwenImage(base_dim=8, num_res_blocks=blocks)
    windowed = WindowedVae(torch.nn.Module.to(vae, torch.float64))
    features = torch.randn(1, 32, 1, 2, 64, generator=torch.Generator().manual_seed(0)).double()
    first, last = _changed(windowed._up, features, at=32)
    reach = max(32 - first / 8, (last + 1) / 8 - 33)
    assert reach <= windowed._decoder_border < reach + 3
    pixels = torch.randn(1, 3, 1, 16, 512, generator=torch.Generator().manual_seed(0)).double()
    for at in range(256, 264):
        first, last = _changed(windowed._down, pixels, at=at)
        reach = max(at + 1 - 8 * (first + 1), 8 * last - at)
        assert reach <= windowed._encoder_border < reach + 32


def _changed(
    local: Callable[[torch.Tensor], torch.Tensor], whole: torch.Tensor, *, at: int
) -> tuple[int, int]:
    """The first and the last column that depend on one column."""
    other = whole.clone()
    other[..., at] += 1
    differs = (local(whole) != local(other)).flatten(end_dim=-2).any(dim=0)
    found = differs.nonzero().flatten()
    return int(found[0]), int(found[-1])


@pytest.mark.parametrize("doing", [_encoded, _decoded])
def test_memory_grows_with_the_tile_and_not_with_the_picture(doing: Any, vaes: Any) -> None:
    def tally(height: int, tile_side: int | None) -> Tally:
        shape = (1, 3, 1, height, 128) if doing is _encoded else (1, 16, 1, height // 8, 16)
        found = Tally()
        with found:
            doing(vaes[torch.bfloat16], torch.zeros(shape, dtype=torch.bfloat16), tile_side)
        return found

    small, large = tally(384, 96), tally(768, 96)
    assert large.largest_bytes == small.largest_bytes
    # The picture itself, and the coarsest features, which are computed whole.
    assert large.peak_bytes - small.peak_bytes <= 14 * 384 * 128
    assert tally(768, 192).peak_bytes > 1.2 * large.peak_bytes
    assert tally(768, None).peak_bytes - tally(384, None).peak_bytes >= 90 * 384 * 128


def test_whole_pictures_go_the_librarys_way_bit_for_bit(vaes: Any) -> None:
    vae = vaes[torch.float32]
    plain = AutoencoderKLQwenImage.from_config(vae.config)
    plain.load_state_dict(vae.state_dict())
    pixels = _photo(96, 160)
    latents = plain.encode(pixels).latent_dist.mode()
    assert torch.equal(_encoded(vae, pixels, None), latents)
    assert torch.equal(_decoded(vae, latents, None), plain.decode(latents).sample)


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
