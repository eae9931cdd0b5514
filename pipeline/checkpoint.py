"""A model folder, looked at before anything is loaded from it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from config.problems import Problem, UserError
from pipeline import weights

EDIT = "QwenImageEditPipeline"
EDIT_PLUS = "QwenImageEditPlusPipeline"
EDIT_CLASSES = (EDIT, EDIT_PLUS)

DEFAULT_WORKING_PIXELS = 1024 * 1024  # what the published checkpoints were trained at
DEFAULT_CONDITION_PIXELS = 384 * 384  # what their text encoder sees of it (Plus)

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
_COMPONENTS = (*_CONFIGS, "processor")
_CONFIG_SUFFIXES = {".json", ".txt", ".jinja"}
_PICKLED_SUFFIXES = {".bin", ".ckpt", ".pt", ".pth"}
_FETCH = "copy the model folder again, whole"


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


def read(folder: Path) -> Checkpoint:
    """Look the folder over; raises UserError with every file that is missing or broken."""
    inspection = _Inspection(folder)
    if not inspection.finds_a_folder():
        raise UserError(inspection.problems)
    class_name = inspection.class_name()
    for component in _COMPONENTS:
        inspection.look_at(component)
    ours = inspection.our_own()
    if inspection.problems:
        raise UserError(inspection.problems)
    return Checkpoint(
        path=folder,
        class_name=class_name,
        fingerprint=inspection.fingerprint(),
        licence=_licence(folder),
        working_pixels=ours.working_pixels,
        condition_pixels=ours.condition_pixels,
        weights=ours.weights,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ours:
    """What hotfolder.json says; absent, the published checkpoints' values."""

    working_pixels: int = DEFAULT_WORKING_PIXELS
    condition_pixels: int = DEFAULT_CONDITION_PIXELS
    weights: str = "trained"


class _Inspection:
    """Goes through a model folder and gathers problems and what makes the fingerprint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[Problem] = []
        self._parts: dict[str, bytes] = {}  # relative name: digest of what counts in it

    def fingerprint(self) -> str:
        """One digest over all that was read."""
        lines = [f"{name}\0{digest.hex()}\n" for name, digest in sorted(self._parts.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def finds_a_folder(self) -> bool:
        """Whether there is anything to look at."""
        if not self.folder.is_absolute():
            self._add(self.folder, "it is no absolute path", "write the whole path, from / on")
        elif not self.folder.exists():
            self._add(self.folder, "it does not exist", "set model.path to a local model folder")
        elif not self.folder.is_dir():
            self._add(self.folder, "it is no folder", "set model.path to a local model folder")
        return not self.problems

    def class_name(self) -> str:
        """The pipeline class that model_index.json names."""
        path = self.folder / "model_index.json"
        before = len(self.problems)
        name = self._json(path).get("_class_name")
        if len(self.problems) == before and name not in EDIT_CLASSES:
            advice = f"use a checkpoint of {' or '.join(EDIT_CLASSES)}"
            self._add(path, f"its class is {name!r}, which edits no pictures here", advice)
        return str(name)

    def look_at(self, component: str) -> None:
        """Everything that one component needs."""
        folder = self.folder / component
        if not folder.is_dir():
            self._add(folder, "the folder is missing", _FETCH)
            return
        try:
            names = {path.name for path in folder.iterdir() if path.is_file()}
        except OSError as error:
            self._cannot_read(folder, error)
            return
        for name in sorted(_required(component, names) - names):
            self._add(folder / name, "it is missing", _FETCH)
        for name in sorted(names):
            if Path(name).suffix in _CONFIG_SUFFIXES and not name.startswith("."):
                self._config(folder / name)
        if component in _WEIGHTS:
            self._weights(folder, _WEIGHTS[component], names)

    def our_own(self) -> _Ours:
        """What hotfolder.json says of this model."""
        path = self.folder / "hotfolder.json"
        if not path.exists():
            return _Ours()
        written = self._json(path)
        return _Ours(
            working_pixels=self._area(path, written, "working_pixels", DEFAULT_WORKING_PIXELS),
            condition_pixels=self._area(
                path, written, "condition_pixels", DEFAULT_CONDITION_PIXELS
            ),
            weights=self._kind_of_weights(path, written),
        )

    def _area(self, path: Path, written: dict[str, object], key: str, default: int) -> int:
        value = written.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 32 * 32:
            self._add(path, f"{key} is {value!r}", "write a whole number of pixels, 1024 or more")
            return default
        return value

    def _kind_of_weights(self, path: Path, written: dict[str, object]) -> str:
        value = written.get("weights", "trained")
        if value not in ("trained", "random"):
            self._add(path, f"weights is {value!r}", 'write "trained" or "random"')
        return str(value)

    def _weights(self, folder: Path, stem: str, names: set[str]) -> None:
        index = f"{stem}.safetensors.index.json"
        single = f"{stem}.safetensors"
        if index in names:
            for shard in self._shards(folder / index):
                self._weight_file(folder / shard)
        elif single in names:
            self._weight_file(folder / single)
        elif pickled := sorted(n for n in names if Path(n).suffix in _PICKLED_SUFFIXES):
            what = f"it holds only {pickled[0]}, which could run any program when it is loaded"
            self._add(folder, what, "use a checkpoint with .safetensors files")
        else:
            self._add(folder / single, "it is missing, and so is an index of shards", _FETCH)

    def _shards(self, path: Path) -> list[str]:
        weight_map = self._json(path).get("weight_map")
        if isinstance(weight_map, dict) and weight_map:
            return sorted({str(shard) for shard in weight_map.values()})
        if not any(problem.where == str(path) for problem in self.problems):
            self._add(path, "it has no weight_map", _FETCH)
        return []

    def _weight_file(self, path: Path) -> None:
        try:
            self._parts[str(path.relative_to(self.folder))] = weights.read(path).digest()
        except FileNotFoundError:
            self._add(path, "it is missing", _FETCH)
        except OSError as error:
            self._cannot_read(path, error)
        except weights.BrokenWeightsError as error:
            self._add(path, str(error), _FETCH)

    def _config(self, path: Path) -> None:
        if path.suffix == ".json":
            self._json(path)
        else:
            self._read(path)

    def _json(self, path: Path) -> dict[str, object]:
        """The JSON object in a file; empty, and a problem noted once, if there is none."""
        content = self._read(path)
        if content is None:
            return {}
        try:
            written = json.loads(content)
        except ValueError as error:
            self._add(path, f"it is no JSON ({error})", _FETCH)
            return {}
        if not isinstance(written, dict):
            self._add(path, "it holds no JSON object", _FETCH)
            return {}
        return written

    def _read(self, path: Path) -> bytes | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            self._add(path, "it is missing", _FETCH)
            return None
        except OSError as error:
            self._cannot_read(path, error)
            return None
        self._parts[str(path.relative_to(self.folder))] = hashlib.sha256(content).digest()
        return content

    def _cannot_read(self, path: Path, error: OSError) -> None:
        advice = f"let everybody read the model: chmod -R a+rX '{self.folder}'"
        self._add(path, f"it cannot be read ({error.strerror})", advice)

    def _add(self, path: Path, what: str, advice: str) -> None:
        problem = Problem(str(path), what, advice)
        if problem not in self.problems:
            self.problems.append(problem)


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


def _licence(folder: Path) -> str | None:
    """The licence that the model card names, or else the title of the licence text."""
    card = _opening(folder / "README.md")
    front_matter = re.match(r"---\s*\n(.*?)\n---", card, re.DOTALL)
    if front_matter:
        named = re.search(r"^license(?:_name)?:\s*(\S.*?)\s*$", front_matter[1], re.MULTILINE)
        if named:
            return named[1]
    title = _opening(folder / "LICENSE").strip().partition("\n")[0].strip()
    return title or None


def _opening(path: Path) -> str:
    """The first 64 KiB of a text that nothing depends on; empty if there is none to read."""
    try:
        with path.open("rb") as file:
            return file.read(64 * 1024).decode("utf-8", "replace")
    except OSError:
        return ""
