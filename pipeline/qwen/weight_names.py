"""How the libraries write a model's weights down: in which files, under which names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.problems import Problem, UserError
from pipeline.checkpoint import COPY_AGAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightNames:
    """How a library writes a model's weights down."""

    stem: str  # of the file names
    renamed: Callable[[str], str]  # a weight's name in the model, by its name in the files
    unused: frozenset[str] = frozenset()  # weights that a file may hold for others

    def files(self, folder: Path) -> Sequence[Path]:
        """The files that hold the weights; raises UserError if their index cannot be used."""
        index = folder / f"{self.stem}.safetensors.index.json"
        if not index.exists():
            return [folder / f"{self.stem}.safetensors"]
        try:
            shards = set(json.loads(index.read_bytes())["weight_map"].values())
            return [folder / shard for shard in sorted(shards)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"it names no shards ({type(error).__name__}: {error})"
            raise UserError([Problem(str(index), what, COPY_AGAIN)]) from error


def _renamed_encoder(name: str) -> str:
    """The text encoder's published files name its weights as transformers did before 4.52."""
    if name.startswith("visual."):
        return f"model.{name}"
    return re.sub(r"^model\.(?!visual\.|language_model\.)", "model.language_model.", name)


OF_DIFFUSERS = WeightNames(stem="diffusion_pytorch_model", renamed=str)
OF_ENCODER = WeightNames(
    stem="model",
    renamed=_renamed_encoder,
    unused=frozenset({"lm_head.weight"}),  # see load.drop_the_logits
)
# By the folder of each part, as the pipelines take them.
OF_PARTS = {"text_encoder": OF_ENCODER, "transformer": OF_DIFFUSERS, "vae": OF_DIFFUSERS}
