"""How strongly a LoRA acts on each layer, as the configuration that peft saves with it says."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from config import codec

# Of peft's LoraConfig: how it was trained, and on what. Nothing of it changes a trained LoRA, and
# which layers it changes is said by its tensors.
_OF_TRAINING = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "corda_config",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_dropout",
        "lora_ga_config",
        "megatron_config",
        "megatron_core",
        "peft_version",
        "qalora_group_size",
        "revision",
        "target_modules",
        "task_type",
    }
)
_UNDERSTOOD = frozenset({"r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora"})
# Where the key has one of these values, the LoRA is a plain one. The other ways to begin
# (pissa, olora, loftq, ...) take a part out of the model's own weights.
_PLAIN: Mapping[str, tuple[object, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "init_lora_weights": (True, False, None, "gaussian", "eva", "orthogonal"),
}
_OF_TRANSFORMER = "transformer."
# What a pattern may be made of: as a regular expression it could go on for ever.
_PARTS = re.compile(r"\\[.]|\\d\+?|[.][*+]|[\w.^$|()-]")
_MOST_WILDCARDS = 2
_LONGEST_PATTERN = 500  # characters
_MOST_PATTERNS = 4096
_LONGEST_REASON = 500  # characters

_Patterns = tuple[tuple[re.Pattern[str], float], ...]


class UnusableLoraError(Exception):
    """The file is no LoRA that can be used; says why, as the end of a sentence.

    It quotes a file of unknown origin: what cannot be shown is escaped, and what is long is cut.
    """

    def __init__(self, why: str) -> None:
        shown = (it if it.isprintable() else ascii(it)[1:-1] for it in why[:_LONGEST_REASON])
        super().__init__("".join(shown) + ("..." if len(why) > _LONGEST_REASON else ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """What a configuration says of rank and strength."""

    name: str  # of the configuration, for people
    rank: float
    alpha: float
    ranks: _Patterns  # of layers that differ; the first that fits holds
    alphas: _Patterns
    uses_root: bool  # rank-stabilised: divided by the root of the rank

    def scale(self, layer: str, rank: int) -> float:
        """What the product of the layer's factors is multiplied with.

        As peft's LoraLayer.update_layer has it. Raises UnusableLoraError if the layer's factors
        have another rank than the configuration says.
        """
        said = _first(self.ranks, layer, self.rank)
        if said != rank:
            why = f"its {layer} has rank {rank}, and its {self.name} says {said:g}"
            raise UnusableLoraError(why)
        alpha = _first(self.alphas, layer, self.alpha)
        return alpha / (math.sqrt(rank) if self.uses_root else rank)


def read(text: str, *, name: str, of_transformer: bool) -> Strength:
    """The strength that a configuration in JSON says; raises UnusableLoraError for any doubt.

    `of_transformer`: each key begins with the part of the pipeline that it is about, as
    diffusers writes it, and those of others are passed over.
    """
    written = _object(text, name)
    if of_transformer:
        written = {
            key.removeprefix(_OF_TRANSFORMER): value
            for key, value in written.items()
            if key.startswith(_OF_TRANSFORMER)
        }
    _refuse_what_changes_more(written, name)
    for key in ("r", "lora_alpha"):
        if key not in written:
            part = _OF_TRANSFORMER if of_transformer else ""
            why = f"its {name} has no {part}{key}"
            raise UnusableLoraError(why)
    uses_root = written.get("use_rslora", False)
    if not isinstance(uses_root, bool):
        why = f"use_rslora is {uses_root!r} in its {name}"
        raise UnusableLoraError(why)
    return Strength(
        name=name,
        rank=_number(written["r"], "r", name),
        alpha=_number(written["lora_alpha"], "lora_alpha", name),
        ranks=_patterns(written, "rank_pattern", name),
        alphas=_patterns(written, "alpha_pattern", name),
        uses_root=uses_root,
    )


def _first(patterns: _Patterns, layer: str, otherwise: float) -> float:
    return next((value for pattern, value in patterns if pattern.match(layer)), otherwise)


def _object(text: str, name: str) -> dict[str, object]:
    try:
        written = codec.parse(text)
    except ValueError as error:
        why = f"its {name} is no JSON ({error})"
        raise UnusableLoraError(why) from error
    if not isinstance(written, dict):
        why = f"its {name} is no JSON object"
        raise UnusableLoraError(why)
    return written


def _refuse_what_changes_more(written: Mapping[str, object], name: str) -> None:
    """Raise for a key that may change the result in a way that is not understood here."""
    for key, value in written.items():
        if key in _PLAIN:
            is_plain = any(value is plain or value == plain for plain in _PLAIN[key])
        else:
            is_plain = key in _OF_TRAINING | _UNDERSTOOD or not value
        if not is_plain:
            why = f"{key} is {_shown(value)} in its {name}, which is not understood"
            raise UnusableLoraError(why)


def _patterns(written: Mapping[str, object], key: str, name: str) -> _Patterns:
    """The values of the layers whose names end in a match, as peft's get_pattern_key has it."""
    patterns = written.get(key) or {}
    if not isinstance(patterns, dict) or len(patterns) > _MOST_PATTERNS:
        why = f"{key} is {_shown(patterns)} in its {name}"
        raise UnusableLoraError(why)
    where = f"{key} of its {name}"
    return tuple(
        (_pattern(pattern, where), _number(value, pattern, where))
        for pattern, value in patterns.items()
    )


def _pattern(text: str, where: str) -> re.Pattern[str]:
    parts = _PARTS.findall(text)
    wildcards = [part for part in parts if part in (".*", ".+")]
    is_plain = "".join(parts) == text and len(text) <= _LONGEST_PATTERN
    if is_plain and len(wildcards) <= _MOST_WILDCARDS and parts.count("(") <= 1:
        try:
            return re.compile(rf"(.*\.)?({text})$")
        except re.error:
            pass
    why = f"{_shown(text)} in the {where} is no pattern that is understood"
    raise UnusableLoraError(why)


def _number(value: object, key: str, where: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        number = float(value) if is_number else math.nan  # type: ignore[arg-type] # is a number
    except OverflowError:
        number = math.inf
    if not 0 < number < math.inf:
        why = f"{_shown(key)} is {_shown(value)} in the {where}, and no positive number"
        raise UnusableLoraError(why)
    return number


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
