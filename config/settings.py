"""The settings of one daemon, read once from hotfolder.yaml; every key has a default but folders and model.path."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from config.keys import Written


class OnDuplicate(StrEnum):
    """What happens when the same name with the same content is dropped again."""

    VERSION = "version"  # edit again, publish beside the earlier result as name_2
    REDO = "redo"  # edit again, replace the earlier result
    SKIP = "skip"  # do not edit, file the originals as duplicate


class Watch(StrEnum):
    """How new files are noticed; AUTO asks the file system of the folder."""

    AUTO = "auto"
    EVENTS = "events"
    POLL = "poll"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """A LoRA file that instructions may name, with what it was distilled for."""

    path: Path
    steps: int  # default steps of a job that names it
    cfg: float  # default cfg of a job that names it


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Which model edits, and with what means."""

    path: Path | None = None
    vram_gib: float | None = None  # None = what is free, less a margin
    batch: int = 4
    compile: bool = False
    attention: str = "native"
    loras: dict[str, Lora] = field(default_factory=dict)
    hang_seconds: float = 600.0  # an editor that says nothing for so long is taken for hung


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSettings:
    """One hot folder and how it is watched."""

    root: Path
    settle_seconds: float | None = None  # None = by file system: 2 local, 10 on a share
    poll_seconds: float | None = None  # None = by file system: 30 beside events, 5 without
    settle_max_seconds: float = 900.0
    sidecar_wait_hours: float = 24.0
    sidecar_grace_seconds: float = 120.0
    min_free_gib: float = 2.0
    on_duplicate: OnDuplicate = OnDuplicate.VERSION
    watch: Watch = Watch.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What no instruction can exceed."""

    max_megapixels: float = 70.0
    max_steps: int = 50
    max_variants: int = 8
    max_file_mib: float = 512.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that one daemon is told."""

    model: ModelSettings
    folders: tuple[FolderSettings, ...]
    defaults: FolderSettings  # for a folder that the settings do not list; its root is Path()
    presets: dict[str, Written]
    limits: Limits
