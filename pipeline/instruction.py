"""What somebody asked for beside one picture, read from its sidecar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from config.fields import read_fields
from config.instruction_keys import Keys
from config.problems import Complaints, Problem, UserError
from config.text import decode
from config.yaml_mistakes import quoted, shortened
from config.yaml_nodes import JsonValue, Scalar, plain
from config.yaml_nodes import Mapping as KeysAndValues

_TEXTS = ("prompt", "negative_prompt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One sidecar, or none: then nothing is written and the presets decide."""

    name: str  # of the sidecar, for messages
    written: Keys
    as_written: Mapping[str, JsonValue]  # exactly the written keys
    lines: Mapping[str, int] = field(default_factory=dict)  # where each key stands
    notes: tuple[str, ...] = ()  # sentences on what may be meant in another way than it is read

    def where(self, key: str) -> str:
        """Give the place of a key for a message; the file alone where the key is not written."""
        return f"{self.name}, line {self.lines[key]}" if key in self.lines else self.name

    def where_named(self, file: str) -> str:
        """Give the place where a reference or the mask is named, for a message."""
        if self.written.images is not None and file in self.written.images:
            return self.where("images")
        return self.where("mask") if file == self.written.mask else "the presets"

    def as_json(self) -> dict[str, JsonValue]:
        """Give exactly the written keys with their values, for the receipt."""
        return dict(self.as_written)


NONE = Instruction(name="no instruction", written=Keys(), as_written={})


def parse(content: bytes, name: str, *, read_as: str | None = None) -> Instruction:
    """Read a sidecar by its extension: a .txt is the prompt, .yaml and .yml have keys.

    `read_as` is the name whose extension counts, where its own misleads. Raises UserError with
    every problem of the file.
    """
    match (read_as or name).lower().rpartition(".")[2]:
        case "txt":
            return _prompt_alone(content, name)
        case "yaml" | "yml":
            return _keys(content, name)
        case _:
            advice = "end its name in .yaml, .yml or .txt"
            raise UserError([Problem(name, "is no instruction", advice)])


def _prompt_alone(content: bytes, name: str) -> Instruction:
    prompt = decode(content, name).strip()
    if not prompt:
        raise UserError([Problem(name, "is empty", "write into it what to do with the picture")])
    return Instruction(name=name, written=Keys(prompt=prompt), as_written={"prompt": prompt})


def _keys(content: bytes, name: str) -> Instruction:
    complaints = Complaints(name)
    fields = read_fields(content, complaints)
    written = fields.read_table(Keys())
    complaints.raise_any()
    return Instruction(
        name=name,
        written=written,
        as_written={key: plain(node) for key, node in fields.mapping.entries.items()},
        lines=fields.mapping.lines,
        notes=tuple(_notes(fields.mapping, name)),
    )


def _notes(mapping: KeysAndValues, name: str) -> Iterator[str]:
    for key in _TEXTS:
        match mapping.entries.get(key):
            case Scalar(text=text, cut_off=cut_off, line=line) if cut_off:
                whole = quoted(f"{text} {cut_off}")
                yield (
                    f"{name}, line {line}: {key} ends before {shortened(cut_off)}, which is a"
                    f" comment to YAML; if it belongs to the text, quote it: {key}: {whole}."
                )
            case _:
                pass
