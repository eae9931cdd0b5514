"""Every choice of one job, made: an instruction, its presets and the limits become one recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from config.fields import nearest
from config.instruction_keys import LARGEST_SEED, Keys
from config.problems import Problem, UserError
from config.settings import Limits, Lora, Settings
from config.values import (
    ExactSize,
    Format,
    Keep,
    Limit,
    MinConfidence,
    Off,
    OriginalSize,
    Region,
    Size,
)
from config.yaml_nodes import JsonValue
from pipeline.instruction import Instruction

Value = TypeVar("Value")

NO_LIMIT: Limit = Off.OFF
MEGAPIXEL = 1024 * 1024  # of the key, so that 1 is the published models' own area


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All keys of an instruction, resolved; alone enough to repeat the job."""

    prompt: str
    negative_prompt: str
    preset: str | None
    steps: int
    cfg: float
    seed: int  # of the first variant; variant i has seed + i
    lora: str | None
    images: tuple[str, ...]  # further references, base names in the image's folder
    mask: str | None
    region: Region | None
    variants: int
    priority: int
    megapixels: float | None  # the area to edit at; None = the model's own
    size: Size
    keep: Keep
    format: Format
    quality: int | None  # None = as the original was packed, if it was a JPEG
    min_keep_psnr: Limit  # decibels; what falls short of these four needs a look
    max_shift_px: Limit  # of the original
    max_changed: Limit  # share of the result's pixels
    min_confidence: MinConfidence

    @property
    def asked_pixels(self) -> int | None:
        """The area that was asked for; None = the model's own."""
        return None if self.megapixels is None else round(self.megapixels * MEGAPIXEL)

    def as_json(self) -> dict[str, JsonValue]:
        """Give all keys with plain values, null where there is none: a valid sidecar itself."""
        region: list[JsonValue] | None = None
        if self.region is not None:
            region = [self.region.x, self.region.y, self.region.width, self.region.height]
        return {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "preset": self.preset,
            "steps": self.steps,
            "cfg": self.cfg,
            "seed": self.seed,
            "lora": self.lora,
            "images": list(self.images),
            "mask": self.mask,
            "region": region,
            "variants": self.variants,
            "priority": self.priority,
            "megapixels": self.megapixels,
            "size": str(self.size),
            "keep": self.keep.value,
            "format": self.format.value,
            "quality": self.quality,
            "min_keep_psnr": _plain(self.min_keep_psnr),
            "max_shift_px": _plain(self.max_shift_px),
            "max_changed": _plain(self.max_changed),
            "min_confidence": self.min_confidence.value,
        }


def _plain(limit: Limit) -> JsonValue:
    return limit.value if isinstance(limit, Off) else limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A recipe and, in plain sentences, where it is not what was asked for."""

    recipe: Recipe
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Steps and guidance of an instruction that names none, nor its presets, nor its LoRA."""

    steps: int = 40  # these are those of the model cards of Qwen-Image-Edit-2509 and -2511,
    cfg: float = 4.0  # as is the negative prompt of one space


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRules:
    """What a recipe is made by, beside an instruction and the presets of its folder."""

    presets: Mapping[str, Keys]
    loras: Mapping[str, Lora]
    limits: Limits
    defaults: Defaults
    folder: Keys = Keys()  # what the settings say of the hot folder, below its own presets

    @staticmethod
    def of(settings: Settings, defaults: Defaults, folder: Keys = Keys()) -> RecipeRules:
        """Those of the settings; the defaults are those of their model."""
        return RecipeRules(
            presets=settings.presets,
            loras=settings.model.loras,
            limits=settings.limits,
            defaults=defaults,
            folder=folder,
        )


def resolve(
    instruction: Instruction,
    *,
    folder_presets: Sequence[Keys],
    rules: RecipeRules,
    drawn_seed: int,
) -> Resolved:
    """Make every choice: folder presets < named preset < sidecar, key by key; the limits win.

    `folder_presets` begin with the outermost. The named preset is the one that the sidecar names,
    else the innermost folder preset that names one; it comes after all folder presets.
    `drawn_seed` is used where nothing has a seed. Raises UserError with every problem.
    """
    folder = merged([rules.folder, *folder_presets])
    wanted = merged([folder, instruction.written])
    named = rules.presets.get(wanted.preset) if wanted.preset else None
    if named is not None:
        wanted = merged([folder, named, instruction.written])
    variants = min(wanted.variants or 1, rules.limits.max_variants)
    problems = [
        *_unknown(instruction, "preset", wanted.preset, rules.presets),
        *_unknown(instruction, "lora", wanted.lora, rules.loras),
        *_contradictions(instruction, wanted, variants, rules.limits),
    ]
    if wanted.prompt is None and (wanted.preset is None or named is not None):
        problems.append(_no_prompt(instruction))
    if problems:
        raise UserError(problems)
    lora = None if wanted.lora is None else rules.loras[wanted.lora]
    seed = min(drawn_seed, LARGEST_SEED - (variants - 1))
    resolved = _limited(_completed(wanted, lora or rules.defaults, seed), rules.limits)
    return replace(resolved, notes=(*instruction.notes, *resolved.notes))


def merged(layers: Iterable[Keys]) -> Keys:
    """Lay what was written over each other, key by key; the last that has a key wins."""
    whole = Keys()
    for layer in layers:
        values = {field.name: getattr(layer, field.name) for field in fields(layer)}
        written = {key: value for key, value in values.items() if value is not None}
        whole = replace(whole, **written)
    return whole


def _unknown(
    instruction: Instruction, key: str, name: str | None, known: Mapping[str, object]
) -> Iterator[Problem]:
    if name is None or name in known:
        return
    existing = ", ".join(known) or "none"
    near = nearest(name, list(known))
    advice = f"did you mean '{near}'?" if near else "write another or remove the line"
    what = f"{key} '{name}' is not in the settings"
    yield Problem(_where(instruction, key), what, f"{advice} (there are: {existing})")


def _contradictions(
    instruction: Instruction, wanted: Keys, variants: int, limits: Limits
) -> Iterator[Problem]:
    if wanted.keep is Keep.MASK and wanted.mask is None and wanted.region is None:
        what, advice = "keep is mask, but there is no mask", "add a mask or write keep: auto"
        yield Problem(_where(instruction, "keep"), what, advice)
    if wanted.seed is not None and wanted.seed + variants - 1 > LARGEST_SEED:
        what = f"{variants} variants from seed {wanted.seed} pass the largest seed"
        advice = f"write a seed of at most {LARGEST_SEED - variants + 1}"
        yield Problem(_where(instruction, "seed"), what, advice)
    match wanted.size:
        case ExactSize(width, height) if width * height > limits.max_megapixels * 1e6:
            what = f"size {width}x{height} has more than {limits.max_megapixels:g} megapixels"
            yield Problem(_where(instruction, "size"), what, "write a smaller one")
        case _:
            pass


def _no_prompt(instruction: Instruction) -> Problem:
    if "prompt" in instruction.lines:
        what, advice = "prompt is null", "write after it what to do with the picture"
        return Problem(instruction.where("prompt"), what, advice)
    advice = "add a line `prompt: …` that says what to do with the picture"
    return Problem(instruction.name, "there is no prompt", advice)


def _where(instruction: Instruction, key: str) -> str:
    written_there = getattr(instruction.written, key) is not None
    return instruction.where(key) if written_there else "the presets"


def _completed(wanted: Keys, usual: Lora | Defaults, drawn_seed: int) -> Recipe:
    assert wanted.prompt is not None  # its absence is a contradiction, found before
    return Recipe(
        prompt=wanted.prompt,
        negative_prompt=_or(wanted.negative_prompt, " "),
        preset=wanted.preset,
        steps=_or(wanted.steps, usual.steps),
        cfg=_or(wanted.cfg, usual.cfg),
        seed=_or(wanted.seed, drawn_seed),
        lora=wanted.lora,
        images=_or(wanted.images, ()),
        mask=wanted.mask,
        region=wanted.region,
        variants=_or(wanted.variants, 1),
        priority=_or(wanted.priority, 5),
        megapixels=wanted.megapixels,
        size=OriginalSize() if wanted.size is None else wanted.size,
        keep=_or(wanted.keep, Keep.AUTO),
        format=_or(wanted.format, Format.SAME),
        quality=wanted.quality,
        min_keep_psnr=_or(wanted.min_keep_psnr, NO_LIMIT),
        max_shift_px=_or(wanted.max_shift_px, NO_LIMIT),
        max_changed=_or(wanted.max_changed, NO_LIMIT),
        min_confidence=_or(wanted.min_confidence, MinConfidence.OFF),
    )


def _or(written: Value | None, default: Value) -> Value:
    return default if written is None else written


def _limited(recipe: Recipe, limits: Limits) -> Resolved:
    steps = min(recipe.steps, limits.max_steps)
    variants = min(recipe.variants, limits.max_variants)
    notes = []
    if steps < recipe.steps:
        notes.append(f"{recipe.steps} steps were asked for; the settings allow {steps}.")
    if variants < recipe.variants:
        notes.append(f"{recipe.variants} variants were asked for; the settings allow {variants}.")
    if recipe.mask is not None and recipe.keep is Keep.NONE:
        notes.append("The mask has no effect, because keep is none.")
    return Resolved(recipe=replace(recipe, steps=steps, variants=variants), notes=tuple(notes))
