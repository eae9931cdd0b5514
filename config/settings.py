"""The settings of one daemon, read once from hotfolder.yaml."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from config.hours import Hours
from config.instruction_keys import Keys
from config.values import Limit, MinConfidence, Off


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


class Pack(StrEnum):
    """How weights in bf16 wait for the GPU."""

    AUTO = "auto"  # as they are computed with, where main memory has room for that
    NONE = "none"  # as they are computed with
    LOSSLESS = "lossless"  # in 12 bits each, exactly


class Gps(StrEnum):
    """What becomes of the coordinates at which a photo was taken."""

    KEEP = "keep"
    STRIP = "strip"


class Attention(StrEnum):
    """The attention kernels of diffusers that work offline; the `_hub` ones fetch their code."""

    NATIVE = "native"
    NATIVE_FLASH = "_native_flash"
    NATIVE_CUDNN = "_native_cudnn"
    NATIVE_EFFICIENT = "_native_efficient"
    NATIVE_MATH = "_native_math"
    FLASH = "flash"
    FLASH_VARLEN = "flash_varlen"
    FLASH_3 = "_flash_3"
    FLASH_VARLEN_3 = "_flash_varlen_3"
    FLEX = "flex"
    SAGE = "sage"
    SAGE_VARLEN = "sage_varlen"
    SAGE_FP8 = "_sage_qk_int8_pv_fp8_cuda"
    SAGE_FP8_SM90 = "_sage_qk_int8_pv_fp8_cuda_sm90"
    SAGE_FP16 = "_sage_qk_int8_pv_fp16_cuda"
    SAGE_FP16_TRITON = "_sage_qk_int8_pv_fp16_triton"
    XFORMERS = "xformers"


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
    pack: Pack = Pack.AUTO
    ram_gib: float | None = None  # main memory that weights may take; None = what is available
    vram_gib: float | None = None  # None = what is free, less a margin
    batch: int = 4
    compile: bool = False
    attention: str = Attention.NATIVE
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
    min_keep_psnr: Limit = Off.OFF
    max_shift_px: Limit = Off.OFF
    max_changed: Limit = Off.OFF
    min_confidence: MinConfidence = MinConfidence.OFF
    preview: bool = False  # whether a picture of before and after lies beside each result
    embed_prompt: bool = True  # whether a result's file holds its prompt
    gps: Gps = Gps.KEEP
    active: Hours | None = None  # None = always
    keep_done_days: float | None = None  # None = for ever, here and below
    keep_failed_days: float | None = None
    keep_logs_days: float | None = None

    @property
    def keys(self) -> Keys:
        """What holds for an instruction here where neither it nor a preset says otherwise."""
        return Keys(
            min_keep_psnr=self.min_keep_psnr,
            max_shift_px=self.max_shift_px,
            max_changed=self.max_changed,
            min_confidence=self.min_confidence,
        )


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
    presets: dict[str, Keys]
    limits: Limits


def settings_without_file() -> Settings:
    """Give the settings of a machine that has no settings file."""
    return Settings(
        model=ModelSettings(),
        folders=(),
        defaults=FolderSettings(root=Path()),
        presets={},
        limits=Limits(),
    )


def folder_settings(settings: Settings, root: Path) -> FolderSettings:
    """Give the entry of a hot folder, by whatever path; the defaults where there is none.

    Where no path is the same as it is written, links are followed: that touches all hot folders.
    """
    by_words = folder_settings_as_written(settings, root)
    if by_words in settings.folders:
        return by_words
    real = os.path.realpath(root)
    linked = (entry for entry in settings.folders if os.path.realpath(entry.root) == real)
    return next(linked, by_words)


def folder_settings_as_written(settings: Settings, root: Path) -> FolderSettings:
    """Give the entry of a hot folder by its path as it is written, else the defaults."""
    path = os.path.abspath(root)  # noqa: PTH100 - Path has nothing that leaves links alone
    same = (entry for entry in settings.folders if os.path.abspath(entry.root) == path)  # noqa: PTH100
    return next(same, replace(settings.defaults, root=root.absolute()))
