"""A model folder, looked over before anything is loaded from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from config.problems import Problem, UserError
from pipeline.model_folder import ModelFolder

EDIT = "QwenImageEditPipeline"
EDIT_PLUS = "QwenImageEditPlusPipeline"
EDIT_CLASSES = (EDIT, EDIT_PLUS)

_INDEX = "model_index.json"
_OURS = "hotfolder.json"
_CONFIGS = {
    "scheduler": "scheduler_config.json",
    "text_encoder": "config.json",
    "transformer": "config.json",
    "vae": "config.json",
    "tokenizer": "tokenizer_config.json",
}
_WEIGHTS = {
    "text_encoder": "model",
    "transformer": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
}
COMPONENTS = (*_CONFIGS, "processor")
_CONFIG_SUFFIXES = {".json", ".txt", ".jinja"}
_PICKLED_SUFFIXES = {".bin", ".ckpt", ".pt", ".pth"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What hotfolder.json says of a model, and what holds where it is silent."""

    working_pixels: int = 1024 * 1024
    condition_pixels: int = 384 * 384
    weights: str = "trained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A complete model folder."""

    path: Path  # absolute
    class_name: str  # one of EDIT_CLASSES
    working_pixels: int  # the area of a picture that the model edits at
    condition_pixels: int  # the area at which the text encoder of Plus sees each picture
    weights: str  # "trained" or "random"
    fingerprint: str  # changes when anything that decides a result changes
    licence: str | None  # as the folder itself names it


def read(path: Path) -> Checkpoint:
    """Look the folder over; raises UserError with every file that is missing or broken.

    Of weights only the headers and ends are read: a folder of 58 GB takes no longer than its
    configuration does.
    """
    _refuse_what_is_no_folder(path)
    folder = ModelFolder(path)
    class_name = _class_name(folder)
    for component in COMPONENTS:
        _look_at(folder, component)
    declared = _declared(folder)
    if folder.problems:
        raise UserError(folder.problems)
    return Checkpoint(
        path=path,
        class_name=class_name,
        working_pixels=declared.working_pixels,
        condition_pixels=declared.condition_pixels,
        weights=declared.weights,
        fingerprint=folder.fingerprint(),
        licence=_licence(path),
    )


def _refuse_what_is_no_folder(path: Path) -> None:
    what, advice = "", "set model.path to a local model folder"
    if not path.is_absolute():
        # The libraries take a relative path for a name on the network.
        what, advice = "it is no absolute path", "write the whole path, from / on"
    elif not path.exists():
        what = "it does not exist"
    elif not path.is_dir():
        what = "it is no folder"
    if what:
        raise UserError([Problem(str(path), what, advice)])


def _class_name(folder: ModelFolder) -> str:
    index = folder.json_object(_INDEX)
    if index is None:
        return ""
    name = index.get("_class_name")
    if name not in EDIT_CLASSES:
        advice = f"use a checkpoint of {' or '.join(EDIT_CLASSES)}"
        folder.note(_INDEX, f"its class is {name!r}, which edits no pictures here", advice)
    return str(name)


def _look_at(folder: ModelFolder, component: str) -> None:
    """Note what is wrong with one component, and read all that counts in it."""
    problems_before = len(folder.problems)
    names = folder.files_in(component)
    if len(folder.problems) > problems_before:
        return
    for name in sorted(_required(component, names) - names):
        folder.note(f"{component}/{name}", "it is missing")
    index = f"{_WEIGHTS.get(component)}.safetensors.index.json"
    for name in sorted(names - {index}):
        if Path(name).suffix == ".json":
            folder.json_object(f"{component}/{name}")
        elif Path(name).suffix in _CONFIG_SUFFIXES:
            folder.content(f"{component}/{name}")
    if component in _WEIGHTS:
        _weigh(folder, component, names)


def _required(component: str, names: set[str]) -> set[str]:
    """The files that a component cannot do without, given those that are there."""
    if component == "processor":
        # Newer libraries write all processors into one file.
        either = {"preprocessor_config.json", "processor_config.json"}
        return set() if names & either else {"preprocessor_config.json"}
    required = {_CONFIGS[component]}
    if component == "tokenizer" and "tokenizer.json" not in names:
        # Half a pair says which form was meant.
        pair = {"vocab.json", "merges.txt"}
        required |= pair if names & pair else {"tokenizer.json"}
    return required


def _weigh(folder: ModelFolder, component: str, names: set[str]) -> None:
    single = f"{_WEIGHTS[component]}.safetensors"
    if f"{single}.index.json" in names:
        for shard in _shards(folder, f"{component}/{single}.index.json"):
            folder.weigh(f"{component}/{shard}")
    elif single in names:
        folder.weigh(f"{component}/{single}")
    elif pickled := sorted(name for name in names if Path(name).suffix in _PICKLED_SUFFIXES):
        what = f"it holds only {pickled[0]}, which could run any program when it is loaded"
        folder.note(component, what, "use a checkpoint with .safetensors files")
    else:
        folder.note(f"{component}/{single}", "it is missing, and so is an index of shards")


def _shards(folder: ModelFolder, index: str) -> list[str]:
    written = folder.json_object(index)
    if written is None:
        return []
    weight_map = written.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        folder.note(index, "it has no weight_map")
        return []
    return sorted({str(shard) for shard in weight_map.values()})


def _declared(folder: ModelFolder) -> Declared:
    written = folder.json_object(_OURS) if folder.has(_OURS) else None
    if written is None:
        return Declared()
    usual = Declared()
    kind = written.get("weights", usual.weights)
    if kind not in ("trained", "random"):
        folder.note(_OURS, f"weights is {kind!r}", 'write "trained" or "random"')
    return Declared(
        working_pixels=_area(folder, written, "working_pixels", usual.working_pixels),
        condition_pixels=_area(folder, written, "condition_pixels", usual.condition_pixels),
        weights=str(kind),
    )


def _area(folder: ModelFolder, written: dict[str, object], key: str, usual: int) -> int:
    value = written.get(key, usual)
    if isinstance(value, bool) or not isinstance(value, int) or value < 32 * 32:
        folder.note(_OURS, f"{key} is {value!r}", "write a whole number of pixels, 1024 or more")
        return usual
    return value


def _licence(path: Path) -> str | None:
    """The licence that the model card names, or else the title of the licence text."""
    card = _opening(path / "README.md")
    if front_matter := re.match(r"---\s*\n(.*?)\n---", card, re.DOTALL):
        named = re.search(r"^license(?:_name)?:\s*(\S.*?)\s*$", front_matter[1], re.MULTILINE)
        if named:
            return named[1]
    title = _opening(path / "LICENSE").strip().partition("\n")[0].strip()
    return title or None


def _opening(path: Path) -> str:
    """The first 64 KiB of a text that nothing depends on; empty if there is none to read."""
    try:
        with path.open("rb") as file:
            return file.read(64 * 1024).decode("utf-8", "replace")
    except OSError:
        return ""
