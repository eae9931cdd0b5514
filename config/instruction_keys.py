"""The keys of a sidecar or a preset: what each may hold, and how they are read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from config import values
from config.fields import Fields, key, read_fields
from config.problems import Complaints
from config.values import Format, Keep, Limit, MinConfidence, Region, Size

MOST_STEPS, MOST_CFG = 100, 20
LARGEST_SEED = 2**63 - 1
MOST_REFERENCES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys of a sidecar or a preset as somebody wrote them; None = not written."""

    prompt: str | None = key(values.prompt, None)
    """what to do with the picture, in any language | {values} |
    none: must be written, or come from a preset
    """
    negative_prompt: str | None = key(values.negative_prompt, None)
    """what to stay away from; counts only where `cfg` is above 1 | {values} |
    one space, as the model was trained
    """
    preset: str | None = key(values.name, None)
    """a preset of the settings | {values} | none"""
    steps: int | None = key(values.whole_number(1, MOST_STEPS), None)
    """denoising steps | {values}, at most `limits.max_steps` |
    that of the LoRA, else `NUM_STEPS`, else that of
    [the model's folder](model.md#the-models-own-file), else `40`
    """
    cfg: float | None = key(values.number(1, MOST_CFG), None)
    """guidance, the model's `true_cfg_scale`; above 1 the model is asked twice for each step |
    {values}; 1 is off | that of the LoRA, else that of the model's folder, else `4.0`
    """
    seed: int | None = key(
        values.whole_number(0, LARGEST_SEED, or_else=", or remove the line to have one drawn"),
        None,
    )
    """the beginning of chance; the same seed gives the same picture | {values} |
    drawn, and noted in the receipt
    """
    lora: str | None = key(values.name, None)
    """a LoRA of the settings | {values} | none"""
    images: tuple[str, ...] | None = key(values.file_names(MOST_REFERENCES), None)
    """further pictures to look at | {values} | none"""
    mask: str | None = key(values.file_name, None)
    """what may change: white (or transparent, where the mask has transparency) |
    {values}, of a picture of exactly the original's size | none
    """
    region: Region | None = key(values.region, None)
    """edit this part only, at the model's full resolution | {values} | the whole picture"""
    variants: int | None = key(values.whole_number(1, 8), None)
    """how many results | {values}, at most `limits.max_variants`; seeds `seed`, `seed` + 1, … |
    `1`
    """
    priority: int | None = key(values.whole_number(0, 9), None)
    """which jobs go first | {values}; 9 goes first | `5`"""
    megapixels: float | None = key(
        values.number(0.25, 4, or_else=", or remove the line for the model's own area"), None
    )
    """the area at which the model edits: 1 is 1024×1024 pixels
    ([what more of it does](#the-area-at-which-a-model-edits)) |
    a number from {values} | the model's own, of published models 1
    """
    size: Size | None = key(values.size, None)
    """the result's size | {values} | `original`"""
    keep: Keep | None = key(values.choice(Keep), None)
    """how pixels outside the edit return from the original |
    `auto`: wherever the edit changed nothing, and outside mask and region; `mask`: outside mask
    and region, one of which must be there; `none`: the mask has no effect, and the edit stays
    as it is | `auto`
    """
    format: Format | None = key(values.choice(Format, jpeg=Format.JPG), None)
    """the result's file format | {values} | `same`"""
    quality: int | None = key(values.whole_number(1, 100), None)
    """of JPEG and WebP files | {values} |
    of a JPEG that stays one, that of the original with its subsampling; else 95
    """
    min_keep_psnr: Limit | None = key(values.min_keep_psnr, None)
    """[the gate](results.md#the-gate): how close what was to stay must be to the original |
    {values} | that of the hot folder's settings

    A result that falls short of this or of one of the next three is edited once more with another
    seed, then put into review/ instead of outbox/, with the reason; off = all results pass.
    Presets and instructions may have these four keys, too, and say otherwise. A result of which
    nothing was kept falls short, unless its instruction has keep: none.
    """
    max_shift_px: Limit | None = key(values.max_shift_px, None)
    """the gate: how far the picture may be shifted | {values} | that of the settings"""
    max_changed: Limit | None = key(values.max_changed, None)
    """the gate: how much of the picture may have changed | {values} | that of the settings"""
    min_confidence: MinConfidence | None = key(values.min_confidence, None)
    """the gate: how sure it must be what was found | `high`, or `off` | that of the settings

    high = no results of which the receipt says that the confidence of its fidelity is low.
    """


def read_preset(content: bytes, name: str) -> Keys:
    """Read a folder's preset; it may name one of the settings, and every key may be left out.

    `name` is for messages. Raises UserError with every problem of the file.
    """
    complaints = Complaints(name)
    written = read_fields(content, complaints).read_table(Keys())
    complaints.raise_any()
    return written


def read_named_presets(settings: Fields, loras: Collection[str]) -> dict[str, Keys]:
    """Read the presets of the settings, each without a preset of its own: no chains of them.

    `loras` are the names that the settings give a file.
    """
    presets = {}
    for name, fields in settings.named_tables("presets"):
        presets[name] = preset = fields.read_table(Keys())
        if preset.preset is not None:
            fields.complain("preset", "has no place here", "write the other preset's keys instead")
        if preset.lora is not None and preset.lora not in loras:
            what = f"is '{preset.lora}', which model.loras lacks"
            fields.complain("lora", what, "add it there or write another name")
    return presets
