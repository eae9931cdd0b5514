"""Defaults for many instructions: a folder's `_preset.yaml` and the presets of the settings."""

from __future__ import annotations

from config.keys import Written
from config.problems import Complaints
from config.reader import Fields, read_fields
from config.written import read_written


def read_preset(content: bytes, name: str) -> Written:
    """Read a folder's preset; it may name one of the settings, and every key may be left out.

    `name` is for messages. Raises UserError with every problem of the file.
    """
    complaints = Complaints(name)
    written = read_written(read_fields(content, complaints))
    complaints.raise_any()
    return written


def read_named_presets(settings: Fields) -> dict[str, Written]:
    """Read the presets of the settings; one that names another is refused, so no chain is long."""
    presets = {}
    for name, fields in settings.named_tables("presets"):
        if "preset" in fields.mapping.entries:
            fields.complain("preset", "has no place here", "write the other preset's keys instead")
        presets[name] = read_written(fields)
    return presets
