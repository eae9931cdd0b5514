"""The settings of one daemon, read once from hotfolder.yaml."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from config import values
from config.fields import key, read_by
from config.hours import Hours
from config.instruction_keys import MOST_CFG, MOST_STEPS, Keys
from config.values import Limit, MinConfidence, Off

_DAY_SECONDS = 86400
_SECONDS = values.number(0, _DAY_SECONDS, "seconds")
_DAYS = values.unless("forever", values.number(1, 36500, "days"))


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
    """What becomes of the coordinates in a picture."""

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

    path: Path = field(metadata=read_by(values.absolute_path))
    steps: int = field(
        metadata=read_by(values.whole_number(1, MOST_STEPS))
    )  # of a job that names it
    cfg: float = field(metadata=read_by(values.number(1, MOST_CFG)))  # of a job that names it


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Which model edits, and with what means."""

    path: Path | None = key(values.absolute_path, None)
    """folder of the model

    For example /models/Qwen-Image-Edit-2511; the folder that `hotfolder make-tiny-model DIR`
    writes is good for trying.
    """
    pack: Pack = key(values.choice(Pack), Pack.AUTO)
    """how weights in bf16 wait in main memory and cross to the GPU |
    `none`: in 16 bits each; `lossless`: exactly the same weights and pictures in 12 bits, with a
    longer start, and steps that may be a little slower; `auto`: `none` where main memory has room,
    else `lossless`
    """
    ram_gib: float | None = key(values.unless("auto", values.number(0.001, 65536, "GiB")), None)
    """main memory that the weights may take; where it is short, some of them are on the GPU alone
    or stay in their files ([memory](model.md#memory)) |
    {values}: what is available when the model is loaded, less 2; never more than is available

    What stays in its files is read again when it is needed: keep the model on a fast disk then.
    """
    vram_gib: float | None = key(values.unless("auto", values.number(1, 4096, "GiB")), None)
    """GPU memory that the model may use |
    {values}: what other programs leave free at each batch, less a margin
    """
    batch: int = key(values.whole_number(1, 64), 4)
    """jobs edited in one pass, where so many wait"""
    compile: bool = key(values.truth, False)
    """compile the transformer's blocks when first used: a slow first job, then faster steps; jobs
    with a LoRA run uncompiled
    """
    attention: str = key(values.choice(Attention), Attention.NATIVE)
    """attention kernel of diffusers |
    `native`, `flash`, `_flash_3`, `sage`, `xformers`, `flex`, …; all but the native ones need
    their package; those that would be downloaded are refused
    """
    loras: dict[str, Lora] = field(default_factory=dict)
    """LoRA files that an instruction may name, each with `path`, and the `steps` and `cfg` that it
    was made for; with a `cfg` of 1 it runs on the schedule of the Lightning LoRAs
    ([which files](engine.md)) | a mapping by name | `{}`

        lightning-8: {path: /models/loras/lightning-8.safetensors, steps: 8, cfg: 1}
    """
    hang_seconds: float = key(values.number(1, _DAY_SECONDS, "seconds"), 600.0)
    """an editor that says nothing for so long counts as hung and is replaced"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSettings:
    """One hot folder and how it is watched."""

    root: Path
    settle_seconds: float | None = key(values.unless("auto", _SECONDS), None)
    """a file that has not changed for so long counts as complete |
    {values}: 2 on a local disk, 10 on a share
    """
    poll_seconds: float | None = key(
        values.unless("auto", values.number(0.01, _DAY_SECONDS, "seconds")), None
    )
    """the time between two looks at the folder |
    {values}: 30 where the system reports changes, else 5
    """
    settle_max_seconds: float = key(values.number(0, 30 * _DAY_SECONDS, "seconds"), 900.0)
    """a picture that is still incomplete after so long goes to `failed/`"""
    sidecar_wait_hours: float = key(values.number(0, 24 * 366, "hours"), 24.0)
    """a picture without instruction, or an instruction without picture, is reported after so
    long
    """
    sidecar_grace_seconds: float = key(_SECONDS, 120.0)
    """where a preset has a prompt, a picture waits so long for an instruction of its own"""
    min_free_gib: float = key(values.number(0, 1024**2, "GiB"), 2.0)
    """no job is begun with less free disk space than this"""
    on_duplicate: OnDuplicate = key(values.choice(OnDuplicate), OnDuplicate.VERSION)
    """the same name with the same content again |
    `version`: edited, beside the earlier result as `name_2`; `skip`: not edited; `redo`: edited,
    in place of the earlier result, unless somebody has changed that
    """
    watch: Watch = key(values.choice(Watch), Watch.AUTO)
    """how new files are noticed |
    `auto`: by file system; `events`: the system reports them, on local disks; `poll`: by looking,
    on shares
    """
    min_keep_psnr: Limit = key(values.min_keep_psnr, Off.OFF)
    max_shift_px: Limit = key(values.max_shift_px, Off.OFF)
    max_changed: Limit = key(values.max_changed, Off.OFF)
    min_confidence: MinConfidence = key(values.min_confidence, MinConfidence.OFF)
    preview: bool = key(values.truth, False)
    """beside each result a JPEG of before and after, `photo.jpg.preview.jpg`, at most 1600 pixels
    a side
    """
    embed_prompt: bool = key(values.truth, True)
    """results hold their prompt, for whoever opens the file; receipts always do
    ([what a result says of itself](results.md#what-a-result-says-of-itself))
    """
    gps: Gps = key(values.choice(Gps), Gps.KEEP)
    """the coordinates of a camera in EXIF and XMP |
    `keep`: results have them, too; `strip`: they do not
    """
    active: Hours | None = key(values.hours, None)
    """when jobs are begun, by this machine's clock ([pause](running.md#pause))

    When all hot folders are paused, the model leaves the GPU; it comes back ten minutes before one
    of them opens.
    """
    keep_done_days: float | None = key(_DAYS, None)
    """originals in `done/` are deleted after so long ([what is deleted](#what-is-deleted))

    Only files that Hotfolder filed itself and that nobody has changed since; results in outbox/
    are never deleted.
    """
    keep_failed_days: float | None = key(_DAYS, None)
    """the same for `failed/`"""
    keep_logs_days: float | None = key(_DAYS, None)
    """the same for `logs/`"""

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

    max_megapixels: float = key(values.number(0.001, 10000, "megapixels"), 70.0)
    """larger pictures are refused before they are decoded; 70 lets 8192 x 8192 pass"""
    max_steps: int = key(values.whole_number(1, MOST_STEPS), 50)
    """more steps are reduced to this, and the log says so"""
    max_variants: int = key(values.whole_number(1, 8), 8)
    """more variants are reduced to this, and the log says so"""
    max_file_mib: float = key(values.number(0.001, 1024**2, "MiB"), 512.0)
    """larger files are refused"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSettings:
    """Programs that are told of what has ended."""

    on_done: tuple[str, ...] = key(values.command, ())
    """called when a result is there, with the path of its receipt as last argument
    ([hooks](operations.md#hooks))
    """
    on_failed: tuple[str, ...] = key(values.command, ())
    """the same when a job has failed, with the path of its `report.json`"""
    on_idle: tuple[str, ...] = key(values.command, ())
    """called when all that was ready is done"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that one daemon is told."""

    model: ModelSettings
    """the model that edits

    Nothing is ever downloaded: it lies on this machine.
    """
    defaults: FolderSettings  # its root is Path()
    """any key of a folder, for all that do not say otherwise | a mapping"""
    folders: tuple[FolderSettings, ...]
    """the hot folders; each has a `root`, an absolute path, and any key of `defaults` |
    a list | `[]`

    Each is made with `hotfolder init DIR`.

        - root: /srv/hot
          settle_seconds: 5
    """
    presets: dict[str, Keys]
    """named presets: the keys of an instruction under a name | a mapping by name | `{}`

    They are used with `preset: product`, and win over the _preset.yaml of a folder; the
    instruction wins over them.

        product: {prompt: Put the product on a white background, steps: 20}
    """
    limits: Limits
    """what no instruction can exceed"""
    hooks: HookSettings = HookSettings()
    """programs of yours that are told of what has ended

    Each is a list: the program, by its absolute path, and its arguments. No shell reads it.
    """


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
