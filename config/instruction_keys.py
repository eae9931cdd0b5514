"""The keys of a sidecar or a preset: what each may hold, and how they are read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from config import values
from config.fields import Fields, read_fields
from config.problems import Complaints
from config.values import Format, Keep, Limit, MinConfidence, Region, Size

LARGEST_SEED = 2**63 - 1
MOST_REFERENCES = 2
_STEPS = values.whole_number(1, 100)
_CFG = values.number(1, 20)
_SEED = values.whole_number(0, LARGEST_SEED, ", or remove the line to have one drawn")
_IMAGES = values.file_names(MOST_REFERENCES)
_VARIANTS = values.whole_number(1, 8)
_PRIORITY = values.whole_number(0, 9)
_MEGAPIXELS = values.number(0.25, 4, ", or remove the line for the model's own area")
_KEEP = values.choice(Keep)
_FORMAT = values.choice(Format, jpeg=Format.JPG)
_QUALITY = values.whole_number(1, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys of a sidecar or a preset as somebody wrote them; None = not written."""

    prompt: str | None = None
    negative_prompt: str | None = None
    preset: str | None = None
    steps: int | None = None
    cfg: float | None = None
    seed: int | None = None
    lora: str | None = None
    images: tuple[str, ...] | None = None
    mask: str | None = None
    region: Region | None = None
    variants: int | None = None
    priority: int | None = None
    megapixels: float | None = None  # of 1024x1024 pixels: the area to edit at
    size: Size | None = None
    keep: Keep | None = None
    format: Format | None = None
    quality: int | None = None
    min_keep_psnr: Limit | None = None
    max_shift_px: Limit | None = None
    max_changed: Limit | None = None
    min_confidence: MinConfidence | None = None


def read_keys(fields: Fields) -> Keys:
    """Read every key of an instruction; what is unfit or unknown goes to the complaints."""
    written = Keys(
        prompt=fields.read("prompt", values.prompt, None),
        negative_prompt=fields.read("negative_prompt", values.negative_prompt, None),
        preset=fields.read("preset", values.name, None),
        steps=fields.read("steps", _STEPS, None),
        cfg=fields.read("cfg", _CFG, None),
        seed=fields.read("seed", _SEED, None),
        lora=fields.read("lora", values.name, None),
        images=fields.read("images", _IMAGES, None),
        mask=fields.read("mask", values.file_name, None),
        region=fields.read("region", values.region, None),
        variants=fields.read("variants", _VARIANTS, None),
        priority=fields.read("priority", _PRIORITY, None),
        megapixels=fields.read("megapixels", _MEGAPIXELS, None),
        size=fields.read("size", values.size, None),
        keep=fields.read("keep", _KEEP, None),
        format=fields.read("format", _FORMAT, None),
        quality=fields.read("quality", _QUALITY, None),
        min_keep_psnr=fields.read("min_keep_psnr", values.min_keep_psnr, None),
        max_shift_px=fields.read("max_shift_px", values.max_shift_px, None),
        max_changed=fields.read("max_changed", values.max_changed, None),
        min_confidence=fields.read("min_confidence", values.min_confidence, None),
    )
    fields.finish()
    return written


def read_preset(content: bytes, name: str) -> Keys:
    """Read a folder's preset; it may name one of the settings, and every key may be left out.

    `name` is for messages. Raises UserError with every problem of the file.
    """
    complaints = Complaints(name)
    written = read_keys(read_fields(content, complaints))
    complaints.raise_any()
    return written


def read_named_presets(settings: Fields, loras: Collection[str]) -> dict[str, Keys]:
    """Read the presets of the settings, each without a preset of its own: no chains of them.

    `loras` are the names that the settings give a file.
    """
    presets = {}
    for name, fields in settings.named_tables("presets"):
        presets[name] = preset = read_keys(fields)
        if preset.preset is not None:
            fields.complain("preset", "has no place here", "write the other preset's keys instead")
        if preset.lora is not None and preset.lora not in loras:
            what = f"is '{preset.lora}', which model.loras lacks"
            fields.complain("lora", what, "add it there or write another name")
    return presets
