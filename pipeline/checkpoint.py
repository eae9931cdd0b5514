"""A model folder, looked over before anything is loaded: each file read once, whole or not."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from config import codec
from config.instruction_keys import MOST_CFG, MOST_STEPS
from config.problems import Problem, UserError

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
COPY_AGAIN = "copy the model folder again, whole"
_LENGTH_BYTES = 8  # a file opens with the length of its JSON header, little-endian
_LONGEST_HEADER_BYTES = 100_000_000  # the format's own limit
_SAMPLE_BYTES = 64 * 1024
_PATCH_PIXELS = 16  # along a side, of pixels that the transformer takes as one token
_LARGEST_MULTIPLE = 256  # 112 is what users of these models name; more is mostly padding
_ODD_HEADER = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What hotfolder.json says of a model, and what holds where it is silent."""

    working_pixels: int = 1024 * 1024
    condition_pixels: int = 384 * 384
    multiple: int = 32
    weights: str = "trained"
    steps: int | None = None  # of an instruction that names none; None: it does not say
    cfg: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A complete model folder."""

    path: Path  # absolute
    class_name: str  # one of EDIT_CLASSES
    working_pixels: int  # the area of a picture that the model edits at
    condition_pixels: int  # the area at which the text encoder of Plus sees each picture
    multiple: int  # both sides of a canvas are multiples of this
    weights: str  # "trained" or "random"
    steps: int | None  # that it wants to be edited with, where it says so, and with which cfg
    cfg: float | None
    fingerprint: str  # changes when anything that decides a result changes
    licence: str | None  # as the folder itself names it
    weight_files: Mapping[str, tuple[WeightFile, ...]] = field(repr=False)  # by component


def read(path: Path) -> Checkpoint:
    """Look the folder over; raises UserError with every file that is missing or broken.

    Of weights only the headers and ends are read: a folder of 58 GB takes no longer than its
    configuration does.
    """
    _refuse_what_is_no_folder(path)
    folder = ModelFolder(path)
    class_name = _class_name(folder)
    weight_files = {component: _look_at(folder, component) for component in COMPONENTS}
    says = _declared(folder)
    if folder.problems:
        raise UserError(folder.problems)
    return Checkpoint(
        path=path,
        class_name=class_name,
        working_pixels=says.working_pixels,
        condition_pixels=says.condition_pixels,
        multiple=says.multiple,
        weights=says.weights,
        steps=says.steps,
        cfg=says.cfg,
        fingerprint=folder.fingerprint(),
        licence=_licence(path),
        weight_files=weight_files,
    )


def declared(path: Path) -> Declared:
    """What a model folder says of itself; the usual where it says nothing that can be read."""
    try:
        return _declared(ModelFolder(path))
    except OSError:
        return Declared()


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


def _look_at(folder: ModelFolder, component: str) -> tuple[WeightFile, ...]:
    """The whole files of a component's weights; reads all that counts, notes what is wrong."""
    problems_before = len(folder.problems)
    names = folder.files_in(component)
    if len(folder.problems) > problems_before:
        return ()
    for name in sorted(_required(component, names) - names):
        folder.note(f"{component}/{name}", "it is missing")
    index = f"{_WEIGHTS.get(component)}.safetensors.index.json"
    for name in sorted(names - {index}):
        if Path(name).suffix == ".json":
            folder.json_object(f"{component}/{name}")
        elif Path(name).suffix in _CONFIG_SUFFIXES:
            folder.content(f"{component}/{name}")
    if component not in _WEIGHTS:
        return ()
    weighed = [folder.weigh(name) for name in _weight_files(folder, component, names)]
    return tuple(file for file in weighed if file is not None)


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


def _weight_files(folder: ModelFolder, component: str, names: set[str]) -> list[str]:
    """Their relative names; none, and noted, if there are none to use."""
    single = f"{_WEIGHTS[component]}.safetensors"
    if f"{single}.index.json" in names:
        shards = _shards(folder, f"{component}/{single}.index.json")
        return [f"{component}/{shard}" for shard in shards]
    if single in names:
        return [f"{component}/{single}"]
    if pickled := sorted(name for name in names if Path(name).suffix in _PICKLED_SUFFIXES):
        what = f"it holds only {pickled[0]}, which could run any program when it is loaded"
        folder.note(component, what, "use a checkpoint with .safetensors files")
    else:
        folder.note(f"{component}/{single}", "it is missing, and so is an index of shards")
    return []


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
    working_pixels = _area(folder, written, "working_pixels", usual.working_pixels)
    return Declared(
        working_pixels=working_pixels,
        condition_pixels=_area(folder, written, "condition_pixels", usual.condition_pixels),
        multiple=_multiple(folder, written, usual.multiple, working_pixels),
        weights=str(kind),
        steps=_steps(folder, written.get("steps")),
        cfg=_cfg(folder, written.get("cfg")),
    )


def _steps(folder: ModelFolder, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_STEPS:
        return value
    folder.note(_OURS, f"steps is {value!r}", f"write a whole number from 1 to {MOST_STEPS}")
    return None


def _cfg(folder: ModelFolder, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= MOST_CFG:
        return float(value)
    folder.note(_OURS, f"cfg is {value!r}", f"write a number from 1 to {MOST_CFG}")
    return None


def _multiple(
    folder: ModelFolder, written: dict[str, object], usual: int, working_pixels: int
) -> int:
    value = written.get("multiple", usual)
    widest = math.isqrt(working_pixels) // _PATCH_PIXELS * _PATCH_PIXELS
    most = min(widest, _LARGEST_MULTIPLE)
    possible = range(_PATCH_PIXELS, most + 1, _PATCH_PIXELS)
    if isinstance(value, int) and value in possible:
        return value
    advice = f"write 32, or another multiple of {_PATCH_PIXELS} up to {most}"
    folder.note(_OURS, f"multiple is {value!r}", advice)
    return usual


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


class ModelFolder:
    """Reads what it is asked for and never raises: what is wrong stands in `problems`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self._digests: dict[str, bytes] = {}  # by relative name

    def fingerprint(self) -> str:
        """One digest over the names and contents of all that was read."""
        lines = [f"{name}\0{digest.hex()}\n" for name, digest in sorted(self._digests.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def note(self, name: str, what: str, advice: str = COPY_AGAIN) -> None:
        """Something to mend in the file or folder of that relative name."""
        self.problems.append(Problem(str(self.path / name), what, advice))

    def has(self, name: str) -> bool:
        """Whether there is a file or folder of that relative name."""
        return (self.path / name).exists()

    def files_in(self, name: str) -> set[str]:
        """The names of the visible files in a folder; none, and noted, if it cannot be listed."""
        try:
            entries = [entry for entry in (self.path / name).iterdir() if entry.is_file()]
        except (FileNotFoundError, NotADirectoryError):
            self.note(name, "the folder is missing")
            return set()
        except OSError as error:
            self._note_unreadable(name, error)
            return set()
        return {entry.name for entry in entries if not entry.name.startswith(".")}

    def json_object(self, name: str) -> dict[str, object] | None:
        """The JSON object in a file; None, and noted, if there is none."""
        content = self.content(name)
        if content is None:
            return None
        try:
            written = codec.parse(content)
        except ValueError as error:
            self.note(name, f"it is no JSON ({error})")
            return None
        if not isinstance(written, dict):
            self.note(name, "it holds no JSON object")
            return None
        return written

    def content(self, name: str) -> bytes | None:
        """The bytes of a file; None, and noted, if it cannot be read."""
        try:
            content = (self.path / name).read_bytes()
        except FileNotFoundError:
            self.note(name, "it is missing")
            return None
        except OSError as error:
            self._note_unreadable(name, error)
            return None
        self._digests[name] = hashlib.sha256(content).digest()
        return content

    def weigh(self, name: str) -> WeightFile | None:
        """A safetensors file by its header and ends; None, and noted, if it is not whole."""
        try:
            file = read_weight_file(self.path / name)
            self._digests[name] = file.digest()
        except FileNotFoundError:
            self.note(name, "it is missing")
        except OSError as error:
            self._note_unreadable(name, error)
        except BrokenWeightsError as error:
            self.note(name, str(error))
        else:
            return file
        return None

    def _note_unreadable(self, name: str, error: OSError) -> None:
        advice = f"let everybody read the model: chmod -R a+rX '{self.path}'"
        self.note(name, f"it cannot be read ({error.strerror})", advice)


class BrokenWeightsError(Exception):
    """The file is no whole safetensors file; says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """A whole safetensors file."""

    path: Path
    header: bytes
    tensors: Mapping[str, Any]  # what the header says of each, by its name
    size_bytes: int

    @property
    def data_start_byte(self) -> int:
        """Where the numbers of the tensors begin, which their offsets count from."""
        return _LENGTH_BYTES + len(self.header)

    def digest(self) -> bytes:
        """SHA-256 of size, header, and the first and last 64 KiB of the tensors.

        Honest about names, types and shapes, and never reads a large file through.
        """
        start = self.data_start_byte
        with self.path.open("rb") as file:
            file.seek(start)
            first = file.read(_SAMPLE_BYTES)
            file.seek(max(start, self.size_bytes - _SAMPLE_BYTES))
            last = file.read(_SAMPLE_BYTES)
        parts = (str(self.size_bytes).encode(), self.header, first, last)
        return hashlib.sha256(b"\0".join(parts)).digest()


def read_weight_file(path: Path) -> WeightFile:
    """Raise BrokenWeightsError if the file is not whole, OSError if it cannot be read."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        header = _safetensors_header(file, size_bytes)
    tensors, tensor_bytes = _tensors(header)
    whole_bytes = _LENGTH_BYTES + len(header) + tensor_bytes
    if size_bytes != whole_bytes:
        size = "cut off" if size_bytes < whole_bytes else "too long"
        what = f"it is {size}: {size_bytes} bytes where its header says {whole_bytes}"
        raise BrokenWeightsError(what)
    return WeightFile(path=path, header=header, tensors=tensors, size_bytes=size_bytes)


def _safetensors_header(file: BinaryIO, size_bytes: int) -> bytes:
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if size_bytes < _LENGTH_BYTES:
        what = f"it is cut off: {size_bytes} bytes"
        raise BrokenWeightsError(what)
    if length > _LONGEST_HEADER_BYTES:
        what = "it is no safetensors file"
        raise BrokenWeightsError(what)
    header = file.read(length)
    if len(header) < length:
        what = f"it is cut off: {size_bytes} bytes, and its header alone has {length}"
        raise BrokenWeightsError(what)
    return header


def _tensors(header: bytes) -> tuple[dict[str, Any], int]:
    """What a header says of each tensor, and where the last one ends, from the header on."""
    try:
        written = json.loads(header).items()
        tensors = {name: tensor for name, tensor in written if name != "__metadata__"}
        ends = [int(tensor["data_offsets"][1]) for tensor in tensors.values()]
    except _ODD_HEADER as error:
        what = "it is no safetensors file: its header cannot be read"
        raise BrokenWeightsError(what) from error
    return tensors, max(ends, default=0)
