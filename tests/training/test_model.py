"""A training runs, stops, goes on, and leaves what a model folder is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from studio import SMALL_MODEL

from config.problems import UserError
from pipeline import checkpoint
from training import model, parts
from training.course import Plan, half
from training.export import export
from training.model import Training
from training.ranks import Rank

ALONE = Rank(0, 1, torch.device("cpu"))
A_MOMENT = Plan(seed=3, minutes=1e-4, batch=2, peak_rate=1e-6)  # one step, two at the most


pytestmark = pytest.mark.usefixtures("as_published")


def test_a_training_begins_with_a_model_folder_and_leaves_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "_EXAM_OF_EACH_KIND", 1)
    training = Training(A_MOMENT, tmp_path, ALONE, weights=SMALL_MODEL)
    training.run(workers=0)
    steps = training.steps
    assert steps >= 1
    assert Training(A_MOMENT, tmp_path, ALONE).steps == steps
    export(tmp_path, tmp_path / "folder")
    assert checkpoint.read(tmp_path / "folder").weights == "trained"
    told = json.loads((tmp_path / "training.json").read_text())
    assert told["began_with"] == checkpoint.read(SMALL_MODEL).fingerprint
    with pytest.raises(UserError, match="it exists and is not empty"):
        export(tmp_path, tmp_path / "folder")


def test_weights_are_not_trained_on_the_latents_of_another_vae(tmp_path: Path) -> None:
    save_file(half(parts.autoencoder().state_dict()), tmp_path / "vae.safetensors")
    with pytest.raises(UserError, match="it is another VAE"):
        Training(A_MOMENT, tmp_path, ALONE, weights=SMALL_MODEL)
