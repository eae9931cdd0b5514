"""The short ways of the training compute what the library computes."""

from __future__ import annotations

import pytest
import torch
from diffusers import QwenImageEditPlusPipeline

from training import parts, planar
from training.flow import (
    Scene,
    denoise,
    pack,
    rotate_in_reals,
    sigmas,
    spare_lengths,
    token_weights,
    unpack,
)


def test_a_picture_passes_the_flat_vae_as_the_whole_one() -> None:
    torch.manual_seed(0)
    whole, flat = parts.autoencoder().eval(), parts.autoencoder().eval()
    flat.load_state_dict(whole.state_dict())
    planar.flatten(flat)
    picture = torch.rand(2, 3, 64, 32) * 2 - 1
    with torch.no_grad():
        theirs = whole.encode(picture[:, :, None]).latent_dist.mode()
        ours, _ = planar.encode(flat, picture)
        torch.testing.assert_close(ours, theirs[:, :, 0], rtol=1e-4, atol=1e-5)
        decoded = whole.decode(theirs, return_dict=False)[0][:, :, 0]
        torch.testing.assert_close(
            planar.decode(flat, ours).clamp(-1, 1), decoded, rtol=1e-4, atol=1e-4
        )


@pytest.mark.usefixtures("as_published")
def test_the_short_ways_of_the_transformer_are_the_librarys_and_padding_is_nothing() -> None:
    torch.manual_seed(0)
    transformer = parts.transformer()
    with torch.no_grad():
        for weight in transformer.parameters():  # it begins as the identity
            weight.add_(torch.randn_like(weight) * 0.02)
        noisy, reference = torch.randn(2, 1, 12, 4 * parts.CHANNELS)
        text = torch.randn(1, 9, parts.WIDTH)
        mask = torch.tensor([[True] * 7 + [False] * 2])
        sigma, shapes = torch.tensor([0.3]), [(1, 3, 4)] * 2
        padded = Scene(references=[reference], text=text, mask=mask, shapes=shapes)
        short = Scene(references=[reference], text=text[:, :7], mask=None, shapes=shapes)
        theirs = denoise(transformer, noisy, sigma, short)
        rotate_in_reals(transformer)
        spare_lengths()
        ours = denoise(transformer, noisy, sigma, padded)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_latents_are_packed_as_the_pipeline_packs_them() -> None:
    latents = torch.randn(2, parts.CHANNELS, 6, 8)
    packed = pack(latents)
    theirs = QwenImageEditPlusPipeline._pack_latents(latents[:, None], 2, parts.CHANNELS, 6, 8)
    assert torch.equal(packed, theirs)
    assert torch.equal(unpack(packed, 6, 8), latents)


def test_what_changes_weighs_as_what_stays_within_bounds_and_every_edit_alike() -> None:
    changed = torch.zeros(4, 100, dtype=torch.bool)
    changed[0, :10] = True  # a thing
    changed[1, :1] = True  # a dot
    changed[2, :] = True  # the whole picture
    weights = token_weights(changed)
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert weights[0, :10].sum().item() == pytest.approx(0.5)
    assert weights[1, 0] / weights[1, 1] == pytest.approx(20)
    for even in (weights[2], weights[3]):
        assert torch.equal(even, torch.full((100,), 0.01))


def test_there_is_much_noise_more_often_than_little() -> None:
    torch.manual_seed(0)
    drawn = sigmas(10_000, torch.device("cpu"))
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    # Half of the even draws end below 3 * 0.5 / (1 + 2 * 0.5) = 0.75.
    assert drawn.median().item() == pytest.approx(0.75, abs=0.02)
