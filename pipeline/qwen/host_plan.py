"""Where a model's weights wait for the GPU, decided from sizes and from what is free alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from config.comparison import needed_and_available_gib
from config.problems import Problem, UserError
from config.settings import ModelSettings, Pack
from pipeline.checkpoint import Checkpoint
from pipeline.qwen.offload_plan import GIB, ModelSize, StackSize, Work, smallest_bytes
from pipeline.qwen.precision import Precision
from pipeline.qwen.vram_budget import usual_work

SPARE_BYTES = 2 * GIB  # pictures, libraries, places for weights that are being read
# Of bf16 weights that are packed: 12 of 16 bits, and for one number in some thousands 6 bytes.
_PACKED_SHARE = 0.751
_SMALLEST_ITEM_BYTES = 2  # of a number in bf16


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """Where each part of a model waits."""

    packs: bool = False  # without loss; otherwise as they are computed with
    keeps_modulation: bool = True  # in main memory; otherwise in its files
    keeps_encoder: bool = True  # in main memory; otherwise its blocks stay in their files
    blocks_on_gpu: int = 0  # of the transformer, that are there for good and nowhere else
    drops_page_cache: bool = False  # of files, behind the reader


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLimits:
    """What a plan has to keep to."""

    available_bytes: int  # of main memory, for the process
    ram_gib: float | None  # for weights alone; None: what is available
    pack: Pack
    can_pack: bool  # only bf16 is packed
    budget_bytes: int | None  # of the GPU's memory; None: the processor computes
    usual: Work  # that has to fit beside what is on the GPU for good

    @property
    def weights_bytes(self) -> int:
        """What weights may take of main memory."""
        free_bytes = self.available_bytes - SPARE_BYTES
        return free_bytes if self.ram_gib is None else min(free_bytes, int(self.ram_gib * GIB))


def limits_of(
    source: Checkpoint,
    settings: ModelSettings,
    precision: Precision,
    *,
    available_bytes: int,
    budget_bytes: int | None,
) -> HostLimits:
    """What holds for a model with these settings, where so much is there."""
    return HostLimits(
        available_bytes=available_bytes,
        ram_gib=settings.ram_gib,
        pack=settings.pack,
        can_pack=precision is Precision.BF16,
        budget_bytes=budget_bytes,
        usual=usual_work(source),
    )


def sized(size: ModelSize, plan: HostPlan) -> ModelSize:
    """The model as the plan lets it wait and cross, as far as it is known before it is loaded."""
    found = replace(size, blocks_on_gpu=plan.blocks_on_gpu)
    if not plan.packs:
        return found
    found = replace(found, transformer=_packed(size.transformer))
    if not plan.keeps_encoder:
        return found
    return replace(found, vision=_packed(size.vision), text=_packed(size.text))


def _packed(stack: StackSize) -> StackSize:
    return replace(stack, packed_bytes=_packed_bytes(stack.block_bytes))


def _packed_bytes(count: int) -> int:
    return math.ceil(count * _PACKED_SHARE)


def weights_bytes(size: ModelSize, plan: HostPlan) -> int:
    """What the weights take of main memory."""
    found = sized(size, plan)
    transformer = (
        found.transformer.blocks - plan.blocks_on_gpu
    ) * found.transformer.crossing_bytes
    rest = size.rest_bytes if not plan.packs else _packed_bytes(size.rest_bytes)
    modulation = size.modulation
    layer_bytes = modulation.block_bytes // 2  # the place through which they all go
    aside = layer_bytes + (modulation.all_bytes if plan.keeps_modulation else 0)
    towers = (found.vision, found.text)
    encoder = sum(
        tower.blocks * tower.crossing_bytes if plan.keeps_encoder else tower.block_bytes
        for tower in towers
    )
    return transformer + rest + aside + encoder


def needed_bytes(size: ModelSize, plan: HostPlan) -> int:
    """What the model takes of main memory, with a little to work with."""
    return weights_bytes(size, plan) + SPARE_BYTES


def choose(size: ModelSize, limits: HostLimits, *, where: str) -> HostPlan:
    """The plan with which jobs are quickest; raises UserError, said of `where`, if none fits."""
    if limits.pack is Pack.LOSSLESS and not limits.can_pack:
        advice = "leave DTYPE out, or write none or auto"
        raise UserError([Problem("model.pack", "only weights in bf16 can be packed", advice)])
    for plan in _plans(size, limits):
        if weights_bytes(size, plan) <= limits.weights_bytes:
            left_bytes = limits.available_bytes - needed_bytes(size, plan)
            # What is left keeps too little of the files to make another start quicker.
            return replace(plan, drops_page_cache=left_bytes < size.all_bytes // 2)
    raise UserError([_no_room(size, limits, where)])


def most_bytes(size: ModelSize, limits: HostLimits) -> int:
    """What the model takes of main memory at most, where the limits name all that there is.

    A plan that is made while less is available takes no more, whatever is free of the GPU then.
    """
    for plan in _in_main_memory(limits):
        if weights_bytes(size, plan) <= limits.weights_bytes:
            return needed_bytes(size, plan)
    return limits.weights_bytes + SPARE_BYTES  # as many blocks as fit


def _plans(size: ModelSize, limits: HostLimits) -> Iterator[HostPlan]:
    """From the quickest to that which takes least."""
    yield from _in_main_memory(limits)
    if limits.budget_bytes is not None:
        for keeps_encoder in (True, False):
            yield _on_gpu(size, limits, limits.budget_bytes, keeps_encoder=keeps_encoder)


def _in_main_memory(limits: HostLimits) -> Iterator[HostPlan]:
    """Those that leave nothing to the GPU alone."""
    if limits.budget_bytes is None:
        yield HostPlan()
        return
    for keeps_modulation in (True, False):
        for packs in _choices(limits):
            yield HostPlan(packs=packs, keeps_modulation=keeps_modulation)


def _choices(limits: HostLimits) -> tuple[bool, ...]:
    match limits.pack:
        case Pack.NONE:
            return (False,)
        case Pack.LOSSLESS:
            return (True,)
        case Pack.AUTO:
            return (False, True) if limits.can_pack else (False,)


def _on_gpu(
    size: ModelSize, limits: HostLimits, budget_bytes: int, *, keeps_encoder: bool
) -> HostPlan:
    """As few blocks on the GPU alone as have to be, and no more than usual jobs have room for."""
    packs = _choices(limits)[-1]
    plan = HostPlan(packs=packs, keeps_modulation=False, keeps_encoder=keeps_encoder)
    block_bytes = sized(size, plan).transformer.crossing_bytes
    over_bytes = weights_bytes(size, plan) - limits.weights_bytes
    wanted = max(0, math.ceil(over_bytes / block_bytes))
    room_bytes = budget_bytes - smallest_bytes(sized(size, plan), limits.usual)
    most = min(max(0, room_bytes) // block_bytes, size.transformer.blocks)
    return replace(plan, blocks_on_gpu=min(wanted, most))


def _no_room(size: ModelSize, limits: HostLimits, where: str) -> Problem:
    *_, least = _plans(size, limits)
    needed, available = needed_bytes(size, least), limits.weights_bytes + SPARE_BYTES
    needed_gib, available_gib = needed_and_available_gib(needed, available)
    what = (
        f"the model needs {needed_gib} GiB of main memory (RAM), "
        f"and {available_gib} GiB are available"
    )
    return Problem(where, what, " or ".join(_ways_out(size, limits)))


def _ways_out(size: ModelSize, limits: HostLimits) -> Iterator[str]:
    free_bytes = limits.available_bytes - SPARE_BYTES
    if limits.weights_bytes < free_bytes:
        yield f"raise model.ram_gib ({free_bytes / GIB:.1f} are free for weights)"
    if limits.pack is Pack.NONE and limits.can_pack:
        *_, packed = _plans(size, replace(limits, pack=Pack.LOSSLESS))
        if weights_bytes(size, packed) <= limits.weights_bytes:
            gib = needed_bytes(size, packed) / GIB
            yield f"leave model.pack out: packed it needs {gib:.1f} GiB"
    *_, least = _plans(size, limits)
    smaller = weights_bytes(size, least) * _SMALLEST_ITEM_BYTES // size.item_bytes
    if smaller <= limits.weights_bytes:
        yield f"leave DTYPE out: in bf16 it needs {(smaller + SPARE_BYTES) / GIB:.1f} GiB"
    yield "close other programs or add memory"


def describe(size: ModelSize, plan: HostPlan) -> str:
    """The plan in a sentence for people."""
    gib = weights_bytes(size, plan) / GIB
    how = "packed in 12 bits each, without loss" if plan.packs else "as they are computed with"
    told = [f"the weights take {gib:.1f} GiB of main memory, {how}"]
    if plan.blocks_on_gpu:
        on_gpu = plan.blocks_on_gpu * sized(size, plan).transformer.crossing_bytes / GIB
        count = f"{plan.blocks_on_gpu} of {size.transformer.blocks} transformer blocks"
        told.append(f"on the GPU alone {count} ({on_gpu:.1f} GiB)")
    if not plan.keeps_encoder:
        count_bytes = size.vision.all_bytes + size.text.all_bytes
        told.append(
            f"the text encoder ({count_bytes / GIB:.1f} GiB) is read from its files for each batch"
        )
    if not plan.keeps_modulation:
        told.append(
            f"modulation ({size.modulation.all_bytes / GIB:.1f} GiB) is read from its files again "
            "for each new size of picture or number of steps"
        )
    return "; ".join(told)
