"""The keys of a sidecar or a preset and what each may hold."""

from __future__ import annotations

from config import values
from config.keys import Format, Keep, Written
from config.reader import Fields

LARGEST_SEED = 2**63 - 1
MOST_REFERENCES = 2

_STEPS = values.whole_number(1, 100)
_CFG = values.number(1, 20)
_SEED = values.whole_number(0, LARGEST_SEED, ", or remove the line to have one drawn")
_IMAGES = values.file_names(MOST_REFERENCES)
_VARIANTS = values.whole_number(1, 8)
_PRIORITY = values.whole_number(0, 9)
_KEEP = values.choice(Keep)
_FORMAT = values.choice(Format, jpeg=Format.JPG)
_QUALITY = values.whole_number(1, 100)


def read_written(fields: Fields) -> Written:
    """Read every key of an instruction; what is unfit or unknown goes to the complaints."""
    written = Written(
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
        size=fields.read("size", values.size, None),
        keep=fields.read("keep", _KEEP, None),
        format=fields.read("format", _FORMAT, None),
        quality=fields.read("quality", _QUALITY, None),
    )
    fields.finish()
    return written
