"""Under which names the libraries write a model's weights down."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightNames:
    """How a library names a model's weights."""

    renamed: Callable[[str], str]  # a weight's name in the model, by its name in the files
    unused: frozenset[str] = frozenset()  # weights that a file may hold for others


def _renamed_encoder(name: str) -> str:
    """The text encoder's published files name its weights as transformers did before 4.52."""
    if name.startswith("visual."):
        return f"model.{name}"
    return re.sub(r"^model\.(?!visual\.|language_model\.)", "model.language_model.", name)


OF_DIFFUSERS = WeightNames(renamed=str)
OF_ENCODER = WeightNames(
    renamed=_renamed_encoder,
    unused=frozenset({"lm_head.weight"}),  # see load.drop_the_logits
)
# By the folder of each part, as the pipelines take them.
OF_PARTS = {"text_encoder": OF_ENCODER, "transformer": OF_DIFFUSERS, "vae": OF_DIFFUSERS}
