"""What a LoRA file says of itself: which layers it changes, and how strongly.

All of it is read from the header, so that a check finds what a use would stumble over. Only the
numbers in the factors themselves are not looked at.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from pipeline import checkpoint
from pipeline.checkpoint import BrokenWeightsError, WeightFile
from pipeline.qwen import lora_strength
from pipeline.qwen.lora_strength import Strength, UnusableLoraError

# What stands in front of a layer's name. In order: as diffusers writes it, ComfyUI, DiffSynth,
# peft, and kohya, who writes a layer's name with _ for each dot. None of them is right, too.
_PEFT = "base_model.model."
_PREFIXES = ("transformer.", "diffusion_model.", "pipe.dit.", _PEFT, "lora_unet_")
# What stands behind it: the factors in peft's names, with the name of its usual adapter, and in
# the names of kohya.
_DOWN = (".lora_A.weight", ".lora_A.default.weight", ".lora_down.weight")
_UP = (".lora_B.weight", ".lora_B.default.weight", ".lora_up.weight")
_ALPHA = ".alpha"
_METADATA = "lora_adapter_metadata"
_CONFIG = "adapter_config.json"
_SAVED_BESIDE_IT = "adapter_model.safetensors"
_LONGEST_CONFIG_BYTES = 10_000_000
_OTHER_KINDS = {
    "dora_scale": "a DoRA",
    "lora_magnitude_vector": "a DoRA",
    ".lokr_": "a LoKr",
    ".hada_": "a LoHa",
    ".oft_": "an OFT",
}
# Bytes of a number, by the names of the safetensors format.
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
_SCALARS = {"F64": "<d", "F32": "<f", "F16": "<e", "I64": "<q", "I32": "<i", "I16": "<h"}
_BFLOAT16 = "BF16"  # the upper half of an F32

Layers = Mapping[str, tuple[int, int]]  # (numbers in, numbers out) of a model's linear layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What changes when another file takes a file's place, or its content changes."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Identity:
        """That of the file whose state this is."""
        return cls(
            device=stat.st_dev,
            inode=stat.st_ino,
            size_bytes=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor as it lies in the file."""

    key: str
    dtype: str  # as the safetensors format names it
    shape: tuple[int, ...]
    start_byte: int  # counted from the beginning of the file
    size_bytes: int

    @property
    def numbers(self) -> int:
        """How many it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChange:
    """What is added to a layer's output: scale * up(down(input))."""

    layer: str
    down: Tensor  # (rank, in)
    up: Tensor  # (out, rank)
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraFile:
    """A whole LoRA file, with the layers as it spells them."""

    path: Path
    identities: tuple[Identity, ...]  # of all that was read
    changes: tuple[LayerChange, ...]  # at least one; `scale` without what `strength` says
    strength: Strength | None

    @property
    def size_bytes(self) -> int:
        """On disk."""
        return self.identities[0].size_bytes


def identities(path: Path) -> tuple[Identity, ...]:
    """Of all files that `read` would read now; raises OSError and UnusableLoraError."""
    if not path.is_absolute() or not path.is_file():
        why = "there is no such file"
        raise UnusableLoraError(why)
    config = path.parent / _CONFIG
    named = path.name == _SAVED_BESIDE_IT and config.is_file()
    return tuple(Identity.of(it.stat()) for it in ([path, config] if named else [path]))


def read(path: Path) -> LoraFile:
    """What the file says; of its data only the alphas are read.

    Raises UnusableLoraError if it is no LoRA of which each part is understood, OSError if it
    cannot be read.
    """
    found = identities(path)
    try:
        file = checkpoint.read_weight_file(path)
        header = json.loads(file.header)
    except BrokenWeightsError as error:
        raise UnusableLoraError(str(error)) from error
    metadata = header.pop("__metadata__", {})
    tensors = [_tensor(file, key, written) for key, written in header.items()]
    spelled = [_spelled(tensor) for tensor in tensors]
    strength = _strength(path, metadata, {it.prefix for it in spelled})
    with path.open("rb") as opened:
        changes = _changes(spelled, opened)
    if strength is None and any(it.prefix == _PEFT for it in spelled) and not _alphas(spelled):
        why = f"peft keeps its strength in a file {_CONFIG}, which is not beside it"
        raise UnusableLoraError(why)
    if strength is not None and _alphas(spelled):
        why = f"its strength is said twice, by its {strength.name} and by {_alphas(spelled)[0]}"
        raise UnusableLoraError(why)
    return LoraFile(path=path, identities=found, changes=changes, strength=strength)


def for_layers(file: LoraFile, layers: Layers) -> tuple[LayerChange, ...]:
    """The file's changes by the names of a model's layers, each with its whole scale.

    Raises UnusableLoraError if one is none of the model's.
    """
    flat = {name.replace(".", "_"): name for name in layers}
    found: dict[str, LayerChange] = {}
    for change in file.changes:
        name = change.layer if change.layer in layers else flat.get(change.layer, "")
        (rank, wide), (high, _) = change.down.shape, change.up.shape
        if name not in layers:
            why = f"its layer {change.layer} is none of this model's"
            raise UnusableLoraError(why)
        if layers[name] != (wide, high):
            own_wide, own_high = layers[name]
            why = (
                f"its {name} makes {high} numbers of {wide}, this model's {own_high} of {own_wide}"
            )
            raise UnusableLoraError(why)
        if name in found:
            raise _twice(name)
        scale = change.scale if file.strength is None else file.strength.scale(name, rank)
        found[name] = replace(change, layer=name, scale=scale)
    return tuple(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spelled:
    """A tensor with what its key says."""

    prefix: str
    layer: str
    suffix: str
    tensor: Tensor

    def beside(self, suffix: str) -> str:
        """The key of another tensor of the same layer."""
        return f"{self.prefix}{self.layer}{suffix}"


def _tensor(file: WeightFile, key: str, written: Any) -> Tensor:
    try:
        shape = tuple(written["shape"])
        start, stop = written["data_offsets"]
        dtype = written["dtype"]
    except (KeyError, TypeError, ValueError) as error:
        raise _odd(key) from error
    if not isinstance(dtype, str) or not all(map(_is_count, [start, stop, *shape])):
        raise _odd(key)
    first = file.data_start_byte
    return Tensor(
        key=key, dtype=dtype, shape=shape, start_byte=first + start, size_bytes=stop - start
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _odd(key: str) -> UnusableLoraError:
    return UnusableLoraError(f"its {key} is written in a way that is not known here")


def _twice(layer: str) -> UnusableLoraError:
    return UnusableLoraError(f"it changes {layer} twice")


def _spelled(tensor: Tensor) -> _Spelled:
    """Raises UnusableLoraError for what would be left out without a word."""
    for mark, kind in _OTHER_KINDS.items():
        if mark in tensor.key:
            why = f"it is {kind} ({tensor.key}), of which only a part would be used"
            raise UnusableLoraError(why)
    prefix = next((it for it in _PREFIXES if tensor.key.startswith(it)), "")
    rest = tensor.key.removeprefix(prefix)
    suffix = next((it for it in (*_DOWN, *_UP, _ALPHA) if rest.endswith(it)), "")
    if not suffix:
        why = f"its {tensor.key} is nothing that is understood"
        raise UnusableLoraError(why)
    layer = rest.removesuffix(suffix)
    return _Spelled(prefix=prefix, layer=layer, suffix=suffix, tensor=tensor)


def _alphas(spelled: Sequence[_Spelled]) -> list[str]:
    return [it.tensor.key for it in spelled if it.suffix == _ALPHA]


def _changes(spelled: Sequence[_Spelled], file: BinaryIO) -> tuple[LayerChange, ...]:
    by_key = {it.tensor.key: it for it in spelled}
    for it in spelled:
        _refuse_unless_paired(it, by_key)
    found: dict[str, LayerChange] = {}
    for it in spelled:
        if it.suffix in _DOWN:
            up = by_key[it.beside(_UP[_DOWN.index(it.suffix)])]
            if it.layer in found:
                raise _twice(it.layer)
            found[it.layer] = _change(it, up, by_key.get(it.beside(_ALPHA)), file)
    if not found:
        why = "it changes no layer"
        raise UnusableLoraError(why)
    return tuple(found.values())


def _refuse_unless_paired(it: _Spelled, by_key: Mapping[str, _Spelled]) -> None:
    if it.suffix == _ALPHA:
        wanted = [it.beside(suffix) for suffix in _DOWN]
    else:
        ours, theirs = (_DOWN, _UP) if it.suffix in _DOWN else (_UP, _DOWN)
        wanted = [it.beside(theirs[ours.index(it.suffix)])]
    if not any(key in by_key for key in wanted):
        why = f"its {it.tensor.key} has no {wanted[0]}"
        raise UnusableLoraError(why)


def _change(down: _Spelled, up: _Spelled, alpha: _Spelled | None, file: BinaryIO) -> LayerChange:
    """Raises UnusableLoraError if the factors are no matrices of numbers that fit together."""
    for tensor in (down.tensor, up.tensor):
        if tensor.dtype not in _FLOATS:
            why = f"its {tensor.key} holds {tensor.dtype} without a scale"
            raise UnusableLoraError(why)
        if len(tensor.shape) != 2 or 0 in tensor.shape:
            why = f"its {tensor.key} is no matrix"
            raise UnusableLoraError(why)
        _refuse_unless_whole(tensor, _FLOATS[tensor.dtype])
    rank = down.tensor.shape[0]
    if up.tensor.shape[1] != rank:
        why = f"its {down.tensor.key} and {up.tensor.key} have different ranks"
        raise UnusableLoraError(why)
    scale = 1.0 if alpha is None else _scalar(alpha.tensor, file) / rank
    return LayerChange(layer=down.layer, down=down.tensor, up=up.tensor, scale=scale)


def _refuse_unless_whole(tensor: Tensor, item_bytes: int) -> None:
    if tensor.size_bytes != tensor.numbers * item_bytes:
        why = f"its {tensor.key} takes {tensor.size_bytes} bytes, and its shape another number"
        raise UnusableLoraError(why)


def _scalar(tensor: Tensor, file: BinaryIO) -> float:
    """The one positive number in a tensor."""
    if tensor.numbers != 1:
        why = f"its {tensor.key} is no single number"
        raise UnusableLoraError(why)
    layout = _SCALARS.get(tensor.dtype, "<f" if tensor.dtype == _BFLOAT16 else None)
    if layout is None:
        why = f"its {tensor.key} holds {tensor.dtype}"
        raise UnusableLoraError(why)
    filling = b"\0\0" if tensor.dtype == _BFLOAT16 else b""
    _refuse_unless_whole(tensor, struct.calcsize(layout) - len(filling))
    file.seek(tensor.start_byte)
    data = filling + file.read(tensor.size_bytes)
    if len(data) != struct.calcsize(layout):
        why = "it changed while it was read"
        raise UnusableLoraError(why)
    number = float(struct.unpack(layout, data)[0])
    if not 0 < number < math.inf:
        why = f"its {tensor.key} is {number:g}, and no positive number"
        raise UnusableLoraError(why)
    return number


def _strength(path: Path, metadata: object, prefixes: Iterable[str]) -> Strength | None:
    """What the metadata says, or for a file of peft the configuration beside it."""
    if not isinstance(metadata, dict) or not isinstance(metadata.get(_METADATA, ""), str):
        why = "its metadata is no text"
        raise UnusableLoraError(why)
    if text := metadata.get(_METADATA):
        # diffusers names the part of the pipeline in all keys of a file, or in none.
        return lora_strength.read(text, name=_METADATA, of_transformer=set(prefixes) != {""})
    config = path.parent / _CONFIG
    if path.name == _SAVED_BESIDE_IT and _PEFT in prefixes and config.is_file():
        with config.open("rb") as file:
            text = file.read(_LONGEST_CONFIG_BYTES).decode("utf-8", "replace")
        return lora_strength.read(text, name=_CONFIG, of_transformer=False)
    return None
