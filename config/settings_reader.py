"""The text of a settings file, read into Settings with every problem named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from config import values
from config.presets import read_named_presets
from config.problems import Complaints
from config.reader import Fields, read_fields
from config.settings import (
    Attention,
    FolderSettings,
    Gps,
    Limits,
    Lora,
    ModelSettings,
    OnDuplicate,
    Settings,
    Watch,
)

_DAY_SECONDS = 86400
_SECONDS = values.number(0, _DAY_SECONDS)
_SECONDS_OR_AUTO = values.unless("auto", _SECONDS)
_POLL_SECONDS_OR_AUTO = values.unless("auto", values.number(0.01, _DAY_SECONDS))
_SETTLE_MAX_SECONDS = values.number(0, 30 * _DAY_SECONDS)
_HANG_SECONDS = values.number(1, _DAY_SECONDS)
_HOURS = values.number(0, 24 * 366)
_DAYS = values.unless("forever", values.number(1, 36500))
_PSNR = values.unless("off", values.number(0, 100))
_PIXELS = values.unless("off", values.number(0, 16384))
_SHARE = values.unless("off", values.number(0, 1))
_GIB = values.number(0, 1024**2)
_VRAM_GIB_OR_AUTO = values.unless("auto", values.number(1, 4096))
_MEGAPIXELS = values.number(0.001, 10000)
_MIB = values.number(0.001, 1024**2)


def read_settings(content: bytes, name: str) -> Settings:
    """Read a settings file; `name` is for messages. Raises UserError with all that is wrong."""
    complaints = Complaints(name)
    settings = _settings(read_fields(content, complaints, may_be_empty=True))
    complaints.raise_any()
    return settings


def _settings(fields: Fields) -> Settings:
    model = fields.table("model")
    loras = model.table("loras").mapping.lines
    defaults = _folder(fields.table("defaults"), FolderSettings(root=Path()))
    settings = Settings(
        model=_model(model),
        folders=_folders(fields, defaults),
        defaults=defaults,
        presets=read_named_presets(fields, loras),
        limits=_limits(fields.table("limits")),
    )
    fields.finish()
    return settings


def _model(fields: Fields) -> ModelSettings:
    usual = ModelSettings()
    model = ModelSettings(
        path=fields.read("path", values.absolute_path, usual.path),
        vram_gib=fields.read("vram_gib", _VRAM_GIB_OR_AUTO, usual.vram_gib),
        batch=fields.read("batch", values.whole_number(1, 64), usual.batch),
        compile=fields.read("compile", values.truth, usual.compile),
        attention=fields.read("attention", values.choice(Attention), usual.attention),
        loras=_loras(fields),
        hang_seconds=fields.read("hang_seconds", _HANG_SECONDS, usual.hang_seconds),
    )
    fields.finish()
    return model


def _loras(model: Fields) -> dict[str, Lora]:
    loras = {}
    for name, fields in model.named_tables("loras"):
        path = fields.require("path", values.absolute_path)
        steps = fields.require("steps", values.whole_number(1, 100))
        cfg = fields.require("cfg", values.number(1, 20))
        fields.finish()
        if path is not None and steps is not None and cfg is not None:
            loras[name] = Lora(path=path, steps=steps, cfg=cfg)
    return loras


def _folders(fields: Fields, defaults: FolderSettings) -> tuple[FolderSettings, ...]:
    folders: list[FolderSettings] = []
    for entry in fields.listed_tables("folders"):
        root = entry.require("root", values.absolute_path)
        if root is not None:
            _complain_of_overlap(entry, root, folders)
        folders.append(_folder(entry, replace(defaults, root=root or Path())))
    return tuple(folders)


def _complain_of_overlap(entry: Fields, root: Path, others: Sequence[FolderSettings]) -> None:
    for other in others:
        if root == other.root:
            entry.complain("root", f"{root} is listed already", "remove one of the two")
        elif root.is_relative_to(other.root) or other.root.is_relative_to(root):
            what = f"{root} and {other.root} lie inside each other"
            entry.complain("root", what, "put hot folders side by side")


def _folder(fields: Fields, usual: FolderSettings) -> FolderSettings:
    read = fields.read
    folder = FolderSettings(
        root=usual.root,
        settle_seconds=read("settle_seconds", _SECONDS_OR_AUTO, usual.settle_seconds),
        poll_seconds=read("poll_seconds", _POLL_SECONDS_OR_AUTO, usual.poll_seconds),
        settle_max_seconds=read(
            "settle_max_seconds", _SETTLE_MAX_SECONDS, usual.settle_max_seconds
        ),
        sidecar_wait_hours=read("sidecar_wait_hours", _HOURS, usual.sidecar_wait_hours),
        sidecar_grace_seconds=read("sidecar_grace_seconds", _SECONDS, usual.sidecar_grace_seconds),
        min_free_gib=read("min_free_gib", _GIB, usual.min_free_gib),
        on_duplicate=read("on_duplicate", values.choice(OnDuplicate), usual.on_duplicate),
        watch=read("watch", values.choice(Watch), usual.watch),
        min_keep_psnr=read("min_keep_psnr", _PSNR, usual.min_keep_psnr),
        max_shift_px=read("max_shift_px", _PIXELS, usual.max_shift_px),
        max_changed=read("max_changed", _SHARE, usual.max_changed),
        preview=read("preview", values.truth, usual.preview),
        embed_prompt=read("embed_prompt", values.truth, usual.embed_prompt),
        gps=read("gps", values.choice(Gps), usual.gps),
        active=read("active", values.hours, usual.active),
        keep_done_days=read("keep_done_days", _DAYS, usual.keep_done_days),
        keep_failed_days=read("keep_failed_days", _DAYS, usual.keep_failed_days),
        keep_logs_days=read("keep_logs_days", _DAYS, usual.keep_logs_days),
    )
    fields.finish()
    return folder


def _limits(fields: Fields) -> Limits:
    usual = Limits()
    limits = Limits(
        max_megapixels=fields.read("max_megapixels", _MEGAPIXELS, usual.max_megapixels),
        max_steps=fields.read("max_steps", values.whole_number(1, 100), usual.max_steps),
        max_variants=fields.read("max_variants", values.whole_number(1, 8), usual.max_variants),
        max_file_mib=fields.read("max_file_mib", _MIB, usual.max_file_mib),
    )
    fields.finish()
    return limits
