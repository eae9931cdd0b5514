"""What the weight files of a model hold, held against what the model needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch

from config.problems import Problem, UserError
from pipeline.checkpoint import COPY_AGAIN, BrokenWeightsError, WeightFile
from pipeline.qwen.weight_files import DTYPES, Extent, UnreadWeight
from pipeline.qwen.weight_names import WeightNames

_MOST_NAMES = 12  # in one message


def promise(
    model: torch.nn.Module, folder: Path, files: Sequence[WeightFile], spelling: WeightNames
) -> None:
    """Let every weight of the model be one that is yet to be read from the folder's files.

    Raises UserError with every file that cannot be used, or with all weights that are missing,
    that the model does not have, or that have another shape there.
    """
    found = _inventory(files, spelling)
    needed = dict(model.named_parameters())
    if problems := _mismatches(needed, found, folder):
        raise UserError(problems)
    for name, weight in needed.items():
        owner, _, own_name = name.rpartition(".")
        unread = UnreadWeight(found[name], weight.dtype)
        model.get_submodule(owner).register_parameter(own_name, unread)


def _inventory(files: Sequence[WeightFile], spelling: WeightNames) -> dict[str, Extent]:
    """Where each weight lies, by its name in the model."""
    problems = []
    found: dict[str, Extent] = {}
    for file in files:
        try:
            found |= {name: _extent(file, name, one) for name, one in file.tensors.items()}
        except BrokenWeightsError as error:
            problems.append(Problem(str(file.path), f"it cannot be used ({error})", COPY_AGAIN))
    if problems:
        raise UserError(problems)
    return {
        spelling.renamed(name): extent
        for name, extent in found.items()
        if name not in spelling.unused
    }


def _extent(file: WeightFile, name: str, tensor: dict[str, Any]) -> Extent:
    try:
        shape = torch.Size(tensor["shape"])
        dtype = DTYPES[tensor["dtype"]]
        start, stop = map(int, tensor["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        what = f"{name} is written in a way that is not known here: {tensor}"
        raise BrokenWeightsError(what) from error
    if start < 0 or stop - start != prod(shape) * dtype.itemsize:
        what = f"{name} takes {stop - start} bytes, which is not what its shape takes"
        raise BrokenWeightsError(what)
    first = file.data_start_byte
    return Extent(file=file, start_byte=first + start, dtype=dtype, shape=shape)


def _mismatches(
    needed: Mapping[str, torch.nn.Parameter], found: Mapping[str, Extent], folder: Path
) -> list[Problem]:
    misshapen = [
        f"{name} ({_size(found[name].shape)} instead of {_size(weight.shape)})"
        for name, weight in needed.items()
        if name in found and found[name].shape != weight.shape
    ]
    kinds = {
        "missing": sorted(needed.keys() - found.keys()),
        "unknown to this model": sorted(found.keys() - needed.keys()),
        "of another shape than config.json says": misshapen,
    }
    advice = f"the weights and config.json do not belong together: {COPY_AGAIN}"
    return [
        Problem(str(folder), f"{len(names)} weights are {kind}: {_list(names)}", advice)
        for kind, names in kinds.items()
        if names
    ]


def _size(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "one number"


def _list(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join([*names[:_MOST_NAMES], *([f"and {more} more"] if more > 0 else [])])
