"""A training runs, stops, goes on, and leaves what a model folder is made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers.models.transformers import transformer_qwenimage
from studio import SMALL_MODEL

from pipeline import checkpoint
from training import model
from training.course import Plan
from training.export import export
from training.model import Training
from training.ranks import Rank

ALONE = Rank(0, 1, torch.device("cpu"))
A_MOMENT = Plan(seed=3, minutes=1e-4, batch=2, peak_rate=1e-6)  # one step, two at the most


@pytest.fixture(autouse=True)
def complex_rotation() -> Iterator[None]:
    """The library's own function, put back afterwards."""
    kept = transformer_qwenimage.apply_rotary_emb_qwen
    yield
    transformer_qwenimage.apply_rotary_emb_qwen = kept


def test_a_training_begins_with_a_model_folder_and_leaves_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "_EXAM_OF_EACH_KIND", 1)
    training = Training(A_MOMENT, tmp_path, ALONE, start=SMALL_MODEL)
    training.run(workers=0)
    steps = training.steps
    assert steps >= 1
    assert Training(A_MOMENT, tmp_path, ALONE).steps == steps
    export(tmp_path, tmp_path / "folder")
    assert checkpoint.read(tmp_path / "folder").weights == "trained"
