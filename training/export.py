"""A finished training as a model folder: `python -m training.export OUT FOLDER`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file

from config.problems import UserError
from pipeline.checkpoint import EDIT_PLUS
from pipeline.tiny_model import (
    appearing_whole,
    in_bfloat16,
    in_the_way,
    make_scheduler,
    write_index,
    write_processors,
)
from training import parts

WORKING_PIXELS = 256 * 256
_USUAL = {"steps": 8, "cfg": 1}  # as it learned to edit
_SHARD = "14MB"  # smaller than what hosts of repositories take for a large file


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="where training.vae and training.model worked")
    parser.add_argument("folder", type=Path, help="the model folder to make")
    given = parser.parse_args()
    export(given.out, given.folder)


def export(out: Path, folder: Path) -> None:
    """Write the trained parts in the layout of the published checkpoints, whole or not at all."""
    if problems := in_the_way(folder):
        raise UserError(problems)
    statistics = json.loads((out / "training.json").read_text())["latents"]
    words = parts.tokenizer()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with appearing_whole(folder) as staging:
        write_index(staging, EDIT_PLUS, {"working_pixels": WORKING_PIXELS, **_USUAL})
        write_processors(staging, words, most_pixels=parts.GLIMPSE_PIXELS)
        _scheduler().save_pretrained(staging / "scheduler")
        vae = parts.autoencoder(statistics["mean"], statistics["deviation"])
        for name, module in (
            ("vae", vae),
            ("transformer", parts.transformer()),
            ("text_encoder", parts.text_encoder(words)),
        ):
            _fill(module, out / f"{name}.safetensors")
            in_bfloat16(module).save_pretrained(staging / name, max_shard_size=_SHARD)


def _scheduler() -> FlowMatchEulerDiscreteScheduler:
    """The published schedule without its stretch: with eight steps, none is to be lost on 2 %."""
    return FlowMatchEulerDiscreteScheduler.from_config(
        make_scheduler().config, shift_terminal=None
    )


def _fill(module: Any, file: Path) -> None:
    # The text encoder's head is its embedding once more, and was not trained for itself.
    missing, unexpected = module.load_state_dict(load_file(file), strict=False)
    assert not unexpected, f"{file} holds what the model has not: {unexpected[:3]}"
    assert set(missing) <= {"lm_head.weight"}, f"{file} lacks {missing[:3]}"
    assert all(bool(torch.isfinite(one).all()) for one in module.state_dict().values())


if __name__ == "__main__":
    main()
