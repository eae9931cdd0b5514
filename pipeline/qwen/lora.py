"""Low-rank changes to the transformer, put on for one request and taken off without a trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import Any

import torch

from config.comparison import needed_and_available_gib
from config.settings import Lora
from pipeline.editor import EditError, Failure
from pipeline.qwen import errors, lora_file
from pipeline.qwen.lora_file import Identity, LayerChange, LoraFile, Tensor
from pipeline.qwen.lora_strength import UnusableLoraError
from pipeline.qwen.weight_files import DTYPES

GIB = 2**30
KEPT_BYTES = 2 * GIB  # of main memory, for LoRAs that may be used again
_SPARE_BYTES = GIB  # of main memory, which is left to others

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenLora:
    """A LoRA that fits the transformer, by its file's header."""

    settings: Lora
    identities: tuple[Identity, ...]
    changes: tuple[LayerChange, ...]
    size_bytes: int  # of its numbers as they are computed with
    kept_bytes: int  # of its numbers as they are kept in main memory


@dataclass(frozen=True, slots=True, kw_only=True)
class _Factors:
    """The numbers of one layer's change, in main memory."""

    change: LayerChange
    down: torch.Tensor  # (rank, in)
    up: torch.Tensor  # (out, rank)

    @property
    def size_bytes(self) -> int:
        return int(self.down.nbytes + self.up.nbytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    identities: tuple[Identity, ...]
    factors: tuple[_Factors, ...]

    @property
    def size_bytes(self) -> int:
        return sum(it.size_bytes for it in self.factors)


def schedule_for(chosen: ChosenLora | None, own: dict[str, Any]) -> dict[str, Any]:
    """The scheduler's configuration: one that does without guidance was distilled on its own."""
    return LIGHTNING_SCHEDULE if chosen is not None and chosen.settings.cfg <= 1 else own


def linear_layers(transformer: torch.nn.Module) -> dict[str, torch.nn.Linear]:
    """What a LoRA may change, by name."""
    found = dict(transformer.named_modules())
    return {name: it for name, it in found.items() if isinstance(it, torch.nn.Linear)}


class Loras:
    """The LoRAs of the settings, for the linear layers of one transformer.

    The one that was used last stays in main memory, and those before it as long as all together
    take no more than `KEPT_BYTES`, and 1 GiB is left to others. A file that has changed is read
    anew.
    """

    def __init__(
        self,
        known: Mapping[str, Lora],
        layers: Mapping[str, torch.nn.Linear],
        *,
        dtype: torch.dtype,
        available_bytes: Callable[[], int],
    ) -> None:
        self._known = known
        self._layers = layers
        self._dtype = dtype
        self._available_bytes = available_bytes  # of main memory
        self._chosen: dict[Path, ChosenLora] = {}
        self._kept: dict[Path, _Kept] = {}  # the last one was used last

    def find(self, name: str | None) -> ChosenLora | None:
        """The LoRA of that name.

        Raises EditError if the settings have none, or its file is no LoRA for this transformer.
        """
        if name is None:
            return None
        if name not in self._known:
            known = ", ".join(sorted(self._known)) or "none"
            cause = f"The settings know no LoRA '{name}' (known: {known})."
            advice = "Write a known one, or add it under model.loras."
            raise EditError(cause, advice, Failure.PERMANENT)
        lora = self._known[name]
        with _explained(lora.path):
            found = lora_file.identities(lora.path)
            before = self._chosen.get(lora.path)
            if before is None or before.identities != found:
                self._chosen[lora.path] = self._fitted(lora, lora_file.read(lora.path))
        chosen = self._chosen[lora.path]
        return replace(chosen, settings=lora)  # two names may have one file

    @contextmanager
    def applied(
        self, chosen: ChosenLora | None, device: torch.device
    ) -> Iterator[Collection[torch.nn.Module]]:
        """Within this context the layers that it gives add the LoRA's product to their output.

        The weights stay as they are, so that nothing is left behind, and no precision is lost.
        Raises EditError if the LoRA cannot be read.
        """
        handles = []
        factors = () if chosen is None else self._factors(chosen)
        try:
            for it in factors:
                down, up = (factor.to(device, self._dtype) for factor in (it.down, it.up))
                add = _addition(down, up, it.change.scale)
                handles.append(self._layers[it.change.layer].register_forward_hook(add))
            yield {self._layers[it.change.layer] for it in factors}
        finally:
            for handle in handles:
                handle.remove()

    def _fitted(self, lora: Lora, file: LoraFile) -> ChosenLora:
        layers = {
            name: (layer.in_features, layer.out_features) for name, layer in self._layers.items()
        }
        changes = lora_file.for_layers(file, layers)
        tensors = [tensor for change in changes for tensor in (change.down, change.up)]
        item_bytes = self._dtype.itemsize
        return ChosenLora(
            settings=lora,
            identities=file.identities,
            changes=changes,
            size_bytes=sum(tensor.numbers * item_bytes for tensor in tensors),
            kept_bytes=sum(min(it.size_bytes, it.numbers * item_bytes) for it in tensors),
        )

    def _factors(self, chosen: ChosenLora) -> tuple[_Factors, ...]:
        path = chosen.settings.path
        kept = self._kept.pop(path, None)
        if kept is None or kept.identities != chosen.identities:
            del kept
            self._make_room(chosen)
            with _explained(path):
                factors = _read(chosen, self._dtype)
            kept = _Kept(identities=chosen.identities, factors=factors)
        self._kept[path] = kept
        return kept.factors

    def _make_room(self, chosen: ChosenLora) -> None:
        """Forget what was not used for longest, so that another finds room in main memory."""
        needed_bytes = chosen.kept_bytes
        while self._kept and not self._is_room_beside(needed_bytes):
            del self._kept[next(iter(self._kept))]
        available_bytes = self._available_bytes()
        if available_bytes < needed_bytes:
            needed, available = needed_and_available_gib(needed_bytes, available_bytes)
            cause = (
                f"The LoRA {chosen.settings.path} needs {needed} GiB of main "
                f"memory (RAM), and {available} GiB are available."
            )
            raise EditError(cause, "Close other programs or add memory.", Failure.TRANSIENT)

    def _is_room_beside(self, needed_bytes: int) -> bool:
        kept_bytes = sum(it.size_bytes for it in self._kept.values())
        is_allowed = kept_bytes + needed_bytes <= KEPT_BYTES
        return is_allowed and needed_bytes + _SPARE_BYTES <= self._available_bytes()


def _addition(down: torch.Tensor, up: torch.Tensor, scale: float) -> Any:
    """A hook that adds to a linear layer's output in place: it is nobody else's yet."""

    def add(_layer: Any, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        low_rank = torch.nn.functional.linear(args[0], down)
        output.view(-1, up.shape[0]).addmm_(low_rank.view(-1, down.shape[0]), up.t(), alpha=scale)

    return add


def _read(chosen: ChosenLora, dtype: torch.dtype) -> tuple[_Factors, ...]:
    """Raises UnusableLoraError if there are other numbers than the header said, or none."""
    by_start = sorted(chosen.changes, key=lambda change: change.down.start_byte)
    path = chosen.settings.path
    with path.open("rb") as file:
        found = tuple(
            _Factors(
                change=change,
                down=_numbers(file, change.down, dtype),
                up=_numbers(file, change.up, dtype),
            )
            for change in by_start
        )
    if lora_file.identities(path) != chosen.identities:
        raise _changed(path)
    return found


def _numbers(file: BufferedReader, tensor: Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The numbers of a tensor, in the file's dtype or in `dtype`, whichever is smaller."""
    read = torch.empty(tensor.size_bytes, dtype=torch.uint8)
    file.seek(tensor.start_byte)
    if file.readinto(read.numpy()) != tensor.size_bytes:
        raise _changed(Path(file.name))
    own = read.view(DTYPES[tensor.dtype]).view(tensor.shape)
    computed = own.to(dtype)
    if not torch.isfinite(computed).all():
        why = f"its {tensor.key} holds values that are no numbers (NaN or infinite) in {dtype}"
        raise UnusableLoraError(why)
    return own if own.itemsize < computed.itemsize else computed


def _changed(path: Path) -> EditError:
    cause = f"The LoRA {path} changed while it was read."
    return EditError(cause, "Once it is copied whole, the job goes through.", Failure.TRANSIENT)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what a file of unknown origin raises into an EditError."""
    with errors.mapped(f"reading the LoRA {path}", (Exception,)):
        try:
            yield
        except UnusableLoraError as error:
            raise _unusable(path, str(error)) from error
        except (FileNotFoundError, PermissionError) as error:
            raise _unusable(path, f"it cannot be read ({error.strerror})") from error


def _unusable(path: Path, why: str) -> EditError:
    cause = f"The LoRA {path} cannot be used: {why}."
    advice = "Point model.loras to a safetensors LoRA for this very model."
    return EditError(cause, advice, Failure.PERMANENT)
