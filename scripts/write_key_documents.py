#!/usr/bin/env python3
"""Writes what documents say of the keys: two tables below docs/, and config/hotfolder.yaml.

    scripts/write_key_documents.py [--check]

All of it stands in config/settings.py and config/instruction_keys.py, in the form that
config/fields.py tells. With --check it writes nothing, and names the documents that would change.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import Field, dataclass, fields
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config import instruction_keys, settings
from config.fields import READER
from config.instruction_keys import Keys
from config.settings import FolderSettings, HookSettings, Limits, ModelSettings, Settings
from config.settings_file import SHIPPED_FILE
from config.values import Reader

TOP = Path(__file__).resolve().parents[1]
INSTRUCTIONS_PAGE = TOP / "docs" / "instructions.md"
SETTINGS_PAGE = TOP / "docs" / "settings.md"
WIDTH, NEXT_PARAGRAPH = 99, "\n\n"
INSTRUCTIONS_HEAD = "| Key | Meaning | Values | Default |\n|---|---|---|---|\n"
SETTINGS_HEAD = "| Key | Meaning | Unit or values | Default |\n|---|---|---|---|\n"
PARTS = {
    "model": ModelSettings,
    "defaults": FolderSettings,
    "limits": Limits,
    "hooks": HookSettings,
}
LINK = re.compile(r" \(\[[^]]+\]\([^)]+\)\)|\[([^]]+)\]\([^)]+\)")  # one in brackets is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key as documents tell of it."""

    name: str
    meaning: str
    values: str
    default: str
    more: str  # sentences for the settings alone
    example: str

    def row(self, prefix: str = "") -> str:
        """Give its line of a table."""
        return f"| `{prefix}{self.name}` | {self.meaning} | {self.values} | {self.default} |\n"

    def entry(self, indent: str = "") -> str:
        """Give its lines in the settings, its value with them where it is no mapping of keys."""
        is_part = not self.default
        told = self.meaning if is_part else f"{self.meaning} ({self.values})"
        told = LINK.sub(r"\1", told).replace("`", "")
        text = f"{told[0].upper()}{told[1:]}. {self.more}"
        comment = textwrap.wrap(text, WIDTH - len(indent) - 2, break_on_hyphens=False)
        value = "" if is_part else f" {self.default.strip('`')}"
        example = [f"#  {line}" for line in self.example.splitlines()]
        lines = [*(f"# {line}" for line in comment), f"{self.name}:{value}", *example]
        return "".join(f"{indent}{line}\n" for line in lines)


def main(arguments: list[str]) -> str | None:
    """Write the documents; with --check give a message where one is not as it would be."""
    fresh = {
        INSTRUCTIONS_PAGE: page(INSTRUCTIONS_PAGE, INSTRUCTIONS_HEAD, instruction_rows()),
        SETTINGS_PAGE: page(SETTINGS_PAGE, SETTINGS_HEAD, settings_rows()),
        SHIPPED_FILE: settings_file(),
    }
    changed = [path for path, text in fresh.items() if path.read_text(encoding="utf-8") != text]
    if arguments == ["--check"]:
        names = ", ".join(str(path.relative_to(TOP)) for path in changed)
        return f"run make docs: it changes {names}" if changed else None
    for path in changed:
        path.write_text(fresh[path], encoding="utf-8")
    return None


def page(path: Path, head: str, rows: Iterator[str]) -> str:
    """Give a page with a fresh table, which is found by its head."""
    before, found, rest = path.read_text(encoding="utf-8").partition(head)
    assert found, f"{path} has no table with these columns: {head}"
    return f"{before}{head}{''.join(rows).rstrip()}{rest[rest.index(NEXT_PARAGRAPH) :]}"


def instruction_rows() -> Iterator[str]:
    """Give the rows of all keys of an instruction."""
    return (it.row() for it in keys(Keys))


def settings_rows() -> Iterator[str]:
    """Give the rows of all settings; those of a folder stand below `folders`."""
    for it in keys(Settings):
        if it.name in ("model", "limits", "hooks"):
            yield from (part.row(f"{it.name}.") for part in keys(PARTS[it.name]))
        else:
            yield it.row()
        if it.name == "folders":
            yield from (part.row() for part in keys(FolderSettings))


def settings_file() -> str:
    """Give the settings with every default; what stands above the first gap remains."""
    text, _, _ = SHIPPED_FILE.read_text(encoding="utf-8").partition("\n\n")
    text += "\n"
    for it in keys(Settings):
        parts = keys(PARTS[it.name]) if it.name in PARTS else ()
        text += f"\n{it.entry()}{''.join(part.entry('  ') for part in parts)}"
    return text


def keys(table: type) -> Iterator[Key]:
    """Give all keys of a table but `root`, which `folders` tells of."""
    return (key(table, it) for it in fields(table) if it.name != "root")


def key(table: type, field: Field[Any]) -> Key:
    """Give what is told of a field; one without a docstring has that of the instruction's key."""
    name, reader = field.name, field.metadata.get(READER)
    docstring = DOCSTRINGS.get((table.__name__, name)) or DOCSTRINGS["Keys", name]
    told, *paragraphs = docstring.split("\n\n")
    meaning, values, default = [*map(str.strip, " ".join(told.split()).split("|")), "", ""][:3]
    if reader is not None:
        values = (values or "{values}").replace("{values}", reader.words)
        is_whole = "…" in values or all(word in values for word in reader.words.split(", "))
        assert is_whole, f"{table.__name__}.{name} takes {reader.words}"
        default = default if table is Keys else f"`{written(field.default, reader)}`"
    return Key(
        name=name,
        meaning=meaning,
        values=values,
        default=default,
        more=" ".join(" ".join(it.split()) for it in paragraphs if not it.startswith(" ")),
        example="\n".join(textwrap.dedent(it) for it in paragraphs if it.startswith(" ")),
    )


def written(default: object, reader: Reader[Any]) -> str:
    """Give a default as a file has it."""
    match default:
        case None:
            return reader.none
        case str():
            return default
        case float():
            return f"{default:g}"
        case _:
            return json.dumps(default)


def docstrings(module: ModuleType) -> Iterator[tuple[tuple[str, str], str]]:
    """Give the text below each field of a module's classes, by class and field."""
    for kind in ast.parse(inspect.getsource(module)).body:
        body = kind.body if isinstance(kind, ast.ClassDef) else []
        for field, below in pairwise(body):
            match kind, field, below:
                case (
                    ast.ClassDef(name=table),
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    yield (table, name), inspect.cleandoc(text)
                case _:
                    pass


DOCSTRINGS = dict([*docstrings(settings), *docstrings(instruction_keys)])

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
