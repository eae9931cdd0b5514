"""How large a model is follows from the headers of its files, before anything is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from published import ENCODER_WEIGHTS, HEAD_WEIGHTS, TRANSFORMER_WEIGHTS, VAE_WEIGHTS, write

from config.problems import UserError
from pipeline import checkpoint
from pipeline.checkpoint import EDIT, EDIT_PLUS
from pipeline.qwen import components, load, model_sizes
from pipeline.qwen.precision import Precision

MODULATION_WEIGHTS = 60 * 2 * (3072 * 6 * 3072 + 6 * 3072)


@pytest.fixture(scope="module")
def published(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "model"
    write(folder, tiny_models[EDIT_PLUS])
    return folder


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("edit_class", [EDIT, EDIT_PLUS])
def test_the_headers_tell_what_the_loaded_model_measures(
    tiny_models: dict[str, Path], edit_class: str, precision: Precision
) -> None:
    source = checkpoint.read(tiny_models[edit_class])
    loaded = components.measure(load.load(source, precision))
    assert model_sizes.read(source, precision.item_bytes) == loaded


def test_a_published_model_has_its_known_sizes(published: Path) -> None:
    size = model_sizes.read(checkpoint.read(published), 2)
    assert (size.vision.blocks, size.text.blocks, size.transformer.blocks) == (32, 28, 60)
    encoder_bytes = size.vision.all_bytes + size.text.all_bytes + size.encoder_rest_bytes
    assert encoder_bytes == 2 * (ENCODER_WEIGHTS - HEAD_WEIGHTS)
    blocks_bytes = size.transformer.all_bytes + size.modulation.all_bytes
    assert blocks_bytes + size.transformer_rest_bytes == 2 * TRANSFORMER_WEIGHTS
    assert size.modulation.all_bytes == 2 * MODULATION_WEIGHTS
    assert size.vae_bytes == 2 * VAE_WEIGHTS
    assert (size.text_width, size.transformer_width, size.vae_width) == (3584, 3072, 96)


def test_the_names_of_newer_files_mean_the_same(
    tiny_models: dict[str, Path], published: Path, tmp_path: Path
) -> None:
    newer = tmp_path / "newer"
    write(newer, tiny_models[EDIT_PLUS], has_newer_names=True)
    index = (newer / "text_encoder" / "model.safetensors.index.json").read_text()
    assert '"model.language_model.layers.0' in index
    assert model_sizes.read(checkpoint.read(newer), 2) == model_sizes.read(
        checkpoint.read(published), 2
    )


def test_weights_of_another_kind_of_model_are_told(
    tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(tiny_models[EDIT], folder)
    weights = "diffusion_pytorch_model.safetensors"
    shutil.copy(folder / "vae" / weights, folder / "transformer" / weights)
    with pytest.raises(UserError, match=r"its weights are not those of a QwenImageEdit"):
        model_sizes.read(checkpoint.read(folder), 2)


def test_headers_are_read_once_for_the_look_the_sizes_and_the_model(
    tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    shutil.copytree(tiny_models[EDIT], folder)
    source = checkpoint.read(folder)
    for file in folder.rglob("*.safetensors"):
        file.unlink()
    size = model_sizes.read(source, 2)
    assert components.measure(load.load(source, Precision.BF16)) == size
