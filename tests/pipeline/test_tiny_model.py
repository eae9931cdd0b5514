"""The tiny checkpoint is a real one in all but its size."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from diffusers import DiffusionPipeline
from PIL import Image

from config.problems import UserError
from pipeline import checkpoint, tiny_model
from pipeline.checkpoint import EDIT, EDIT_PLUS


def _contents(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("edit_class", [EDIT, EDIT_PLUS])
def test_the_library_itself_loads_it(edit_class: str, tiny_models: dict[str, Path]) -> None:
    # Only its processor stays out: the library cannot build one without torchvision.
    pipe = DiffusionPipeline.from_pretrained(
        tiny_models[edit_class], processor=None, local_files_only=True
    )
    assert type(pipe).__name__ == edit_class


def test_the_librarys_processor_finds_all_its_files(tiny_models: dict[str, Path]) -> None:
    from transformers import AutoTokenizer
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
        Qwen2VLImageProcessorPil,
    )

    folder = tiny_models[EDIT_PLUS] / "processor"
    pictures = Qwen2VLImageProcessorPil.from_pretrained(folder)
    grid = pictures(images=Image.new("RGB", (112, 56)), return_tensors="pt")["image_grid_thw"]
    assert grid.tolist() == [[1, 4, 8]]
    words = AutoTokenizer.from_pretrained(folder)
    said = words.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "red"}]}],
        tokenize=False,
    )
    assert said == "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>red<|im_end|>\n"


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_with_torchvision_nothing_has_to_stay_out(tiny_models: dict[str, Path]) -> None:
    pipe = DiffusionPipeline.from_pretrained(tiny_models[EDIT_PLUS], local_files_only=True)
    assert type(pipe.processor).__name__ == "Qwen2VLProcessor"


def test_the_same_seed_gives_the_same_bytes(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    tiny_model.build(tmp_path / "again", edit_class=EDIT)
    assert _contents(tmp_path / "again") == _contents(tiny_models[EDIT])


def test_another_seed_gives_other_weights(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    tiny_model.build(tmp_path / "other", edit_class=EDIT_PLUS, seed=1)
    ours, other = (checkpoint.read(f) for f in (tiny_models[EDIT_PLUS], tmp_path / "other"))
    assert ours.fingerprint != other.fingerprint


def test_building_leaves_the_callers_randomness_alone(tmp_path: Path) -> None:
    import torch

    before = torch.random.get_rng_state()
    tiny_model.build(tmp_path / "model")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_it_is_small_safe_and_readable_by_everybody(tiny_models: dict[str, Path]) -> None:
    for folder in tiny_models.values():
        assert folder.stat().st_mode & 0o777 == 0o755
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) < 6_000_000
        assert {path.stat().st_mode & 0o777 for path in files} == {0o644}
        assert not {path.suffix for path in files} & {".bin", ".pt", ".ckpt", ".part"}


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        tiny_model.build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_another_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="QwenImagePipeline"):
        tiny_model.build(tmp_path / "model", edit_class="QwenImagePipeline")
    assert not (tmp_path / "model").exists()


def test_an_empty_folder_is_filled_and_nothing_else_stays_beside_it(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    tiny_model.build(tmp_path / "model")
    assert checkpoint.read(tmp_path / "model").class_name == EDIT_PLUS
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
