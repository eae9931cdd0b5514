"""Defaults for many instructions: a folder's `_preset.yaml` and the presets of the settings."""

from __future__ import annotations

from collections.abc import Collection

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


def read_named_presets(settings: Fields, loras: Collection[str]) -> dict[str, Written]:
    """Read the presets of the settings, each without a preset of its own: no chains of them.

    `loras` are the names that the settings give a file.
    """
    presets = {}
    for name, fields in settings.named_tables("presets"):
        presets[name] = preset = read_written(fields)
        if preset.preset is not None:
            fields.complain("preset", "has no place here", "write the other preset's keys instead")
        if preset.lora is not None and preset.lora not in loras:
            what = f"is '{preset.lora}', which model.loras lacks"
            fields.complain("lora", what, "add it there or write another name")
    return presets
