"""Low-rank changes to the transformer, put on for one request and taken off without a trace."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.loaders import QwenImageLoraLoaderMixin

from config.settings import Lora
from pipeline import checkpoint
from pipeline.editor import EditError, Failure

# The schedule that the Lightning models were distilled on: generate_with_diffusers.py of
# ModelTC/Qwen-Image-Lightning.
LIGHTNING_SCHEDULE: dict[str, Any] = {
    "base_image_seq_len": 256,
    "base_shift": math.log(3),
    "invert_sigmas": False,
    "max_image_seq_len": 8192,
    "max_shift": math.log(3),
    "num_train_timesteps": 1000,
    "shift": 1.0,
    "shift_terminal": None,
    "stochastic_sampling": False,
    "time_shift_type": "exponential",
    "use_beta_sigmas": False,
    "use_dynamic_shifting": True,
    "use_exponential_sigmas": False,
    "use_karras_sigmas": False,
}
_PREFIX = "transformer."
_DOWN = ".lora_A.weight"
_UP = ".lora_B.weight"


def schedule_for(lora: Lora | None, own: dict[str, Any]) -> dict[str, Any]:
    """The scheduler's configuration: one that does without guidance was distilled on its own."""
    return LIGHTNING_SCHEDULE if lora is not None and lora.cfg <= 1 else own


def find(loras: Mapping[str, Lora], name: str | None) -> Lora | None:
    """The LoRA of that name; raises EditError if the settings have none."""
    if name is None:
        return None
    if name not in loras:
        known = ", ".join(sorted(loras)) or "none"
        cause = f"The settings know no LoRA '{name}' (known: {known})."
        advice = "Write a known one, or add it under model.loras."
        raise EditError(cause, advice, Failure.PERMANENT)
    return loras[name]


def size_bytes(lora: Lora | None) -> int:
    """How much memory it takes to wear it, or nothing for one that cannot be worn."""
    try:
        return 0 if lora is None else lora.path.stat().st_size
    except OSError:
        return 0


@contextmanager
def applied(
    transformer: torch.nn.Module, lora: Lora | None, *, device: torch.device, dtype: torch.dtype
) -> Iterator[None]:
    """Within this context the transformer's layers add the LoRA's product to what they compute.

    The weights stay as they are, so that nothing is left behind, and no precision is lost.
    Raises EditError if the LoRA is none for this transformer.
    """
    factors = _factors(transformer, lora)
    handles = []
    try:
        for layer, (down, up) in factors.items():
            add = _addition(down.to(device, dtype), up.to(device, dtype))
            handles.append(layer.register_forward_hook(add))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _addition(down: torch.Tensor, up: torch.Tensor) -> Any:
    def add(_layer: Any, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        low_rank = torch.nn.functional.linear(args[0], down)
        return output + torch.nn.functional.linear(low_rank, up)

    return add


def _factors(
    transformer: torch.nn.Module, lora: Lora | None
) -> dict[torch.nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    """The (rank, in) and (out, rank) matrices of each layer that the LoRA changes."""
    if lora is None:
        return {}
    tensors = _read(lora)
    _refuse_unless_understood(lora, tensors)
    layers = dict(transformer.named_modules())
    factors = {}
    for key in [key for key in tensors if key.endswith(_DOWN)]:
        name = key.removeprefix(_PREFIX).removesuffix(_DOWN)
        up = tensors.get(key.removesuffix(_DOWN) + _UP)
        layer = layers.get(name)
        if up is None or layer is None or not _fits(layer, tensors[key], up):
            raise _foreign(lora, f"its layer {name} is none of this model's")
        factors[layer] = (tensors[key], up)
    if not factors:
        raise _foreign(lora, "it changes no layer of this model")
    return factors


def _refuse_unless_understood(lora: Lora, tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise EditError for what would be left out without a word, or is no number as it stands."""
    for key, tensor in tensors.items():
        if not key.endswith((_DOWN, _UP)):
            raise _foreign(lora, f"its {key} is nothing that is understood")
        pair = (
            key.removesuffix(_UP) + _DOWN if key.endswith(_UP) else key.removesuffix(_DOWN) + _UP
        )
        if pair not in tensors:
            raise _foreign(lora, f"its {key} has no {pair}")
        if not tensor.is_floating_point():
            raise _foreign(lora, f"its {key} holds {tensor.dtype} without a scale")


def _read(lora: Lora) -> dict[str, torch.Tensor]:
    if not lora.path.is_absolute() or not lora.path.is_file():
        raise _foreign(lora, "there is no such file")
    try:
        header = checkpoint.read_weight_file(lora.path).header
        # Knows the spellings of the usual trainers, and folds their alpha in.
        tensors: dict[str, torch.Tensor] = QwenImageLoraLoaderMixin.lora_state_dict(
            str(lora.path.parent),
            weight_name=lora.path.name,
            local_files_only=True,
            use_safetensors=True,
        )
    except MemoryError:
        raise
    except Exception as error:  # whatever a library makes of a file of unknown origin
        raise _foreign(lora, f"it cannot be read ({type(error).__name__}: {error})") from error
    if b"dora_scale" in header:
        raise _foreign(lora, "it is a DoRA, of which only a part would be used")
    return tensors


def _fits(layer: torch.nn.Module, down: torch.Tensor, up: torch.Tensor) -> bool:
    return (
        isinstance(layer, torch.nn.Linear)
        and down.ndim == up.ndim == 2
        and down.shape == (up.shape[1], layer.in_features)
        and up.shape[0] == layer.out_features
    )


def _foreign(lora: Lora, why: str) -> EditError:
    cause = f"The LoRA {lora.path} cannot be used: {why}."
    advice = "Point model.loras to a safetensors LoRA for this very model."
    return EditError(cause, advice, Failure.PERMANENT)
