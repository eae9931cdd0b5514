"""What of a model stays on the GPU in each stage, decided from sizes and a budget alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

GIB = 2**30
SLOTS = 2  # blocks under way: one at work, one on the bus

# What a stage needs beside weights, in numbers of the model's width for each token, or of the
# VAE's width for each pixel: peaks measured on the full-size architecture, rounded up.
_TRANSFORMER_WIDTHS_PER_TOKEN = 20
_KEPT_WIDTHS_PER_TOKEN = 2  # by each sequence in flight
_MODULATION_WIDTHS = 12  # of a block: shift, scale and gate, twice, of picture and text
_TEXT_WIDTHS_PER_TOKEN = 64
_READ_WIDTHS_PER_TOKEN = 1.5  # by each prompt that is being read: its state, its position tables
_POSITION_BYTES = 8  # of a complex number: the rotary tables have one for two of a head's numbers
_KEPT_OF_PATCH = 3  # its picture or noise, its latents, its prediction
_VAE_WIDTHS_PER_PIXEL = 12
_VAE_BYTES_PER_PIXEL = 140  # what even a tiled picture takes: its coarsest layers, its result
_MARGIN_BYTES = 3 * GIB // 4  # workspaces of the libraries, fixed tables, waste by fragmentation
_SMALLEST_TILE = 256  # pixels along its side
_TILE_MULTIPLE = 64
_TILE_BORDER = 256  # pixels that a tile is computed wider than it is used, both sides together
_AFTER_OUT_OF_MEMORY = 0.8


class TooSmallError(Exception):
    """The budget holds not even the smallest plan."""

    def __init__(self, stage: str, needed_bytes: int) -> None:
        super().__init__(f"{stage} needs {needed_bytes / GIB:.1f} GiB of GPU memory")
        self.stage = stage
        self.needed_bytes = needed_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSize:
    """Blocks of equal shape, one after the other."""

    blocks: int
    block_bytes: int  # as it is computed with
    packed_bytes: int | None = None  # as it waits, crosses and stays; None: it is not packed

    @property
    def all_bytes(self) -> int:
        """All blocks together, as they are computed with."""
        return self.blocks * self.block_bytes

    @property
    def crossing_bytes(self) -> int:
        """Of one block, as it crosses and stays."""
        return self.block_bytes if self.packed_bytes is None else self.packed_bytes

    @property
    def expanding_bytes(self) -> int:
        """The one place where packed blocks are expanded."""
        return 0 if self.packed_bytes is None else self.block_bytes

    @property
    def passing_bytes(self) -> int:
        """What it takes to let blocks pass through."""
        return SLOTS * self.crossing_bytes + self.expanding_bytes

    @property
    def staying_bytes(self) -> int:
        """What it takes to let all blocks stay."""
        return self.blocks * self.crossing_bytes + self.expanding_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """How large a model's parts are; "rest" is what of a part belongs to no block."""

    vision: StackSize
    text: StackSize
    encoder_rest_bytes: int
    transformer: StackSize  # without the modulation layers
    modulation: StackSize  # never packed
    transformer_rest_bytes: int
    vae_bytes: int
    vision_width: int  # numbers of the vision tower that become one token of a prompt
    text_width: int  # numbers for each token in the text encoder
    transformer_width: int
    head_width: int  # numbers for each token in one head of the transformer
    patch_width: int  # numbers of latents in each patch of a picture
    vae_width: int  # channels of the VAE at full resolution
    item_bytes: int  # of one number
    blocks_on_gpu: int = 0  # of the transformer, that are there for good and nowhere else

    @property
    def rest_bytes(self) -> int:
        """What belongs to no block."""
        return self.encoder_rest_bytes + self.transformer_rest_bytes + self.vae_bytes

    @property
    def all_bytes(self) -> int:
        """All weights, as they are computed with."""
        blocks = (self.vision, self.text, self.transformer, self.modulation)
        return self.rest_bytes + sum(stack.all_bytes for stack in blocks)

    @property
    def staying_bytes(self) -> int:
        """All weights, as they stay."""
        blocks = (self.vision, self.text, self.transformer, self.modulation)
        return self.rest_bytes + sum(stack.staying_bytes for stack in blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The largest of what a batch asks for, and all of what is kept until its end."""

    sequences: int  # passes through the transformer in each step: two for a job with guidance
    tokens: int  # of the longest sequence: result, references and text
    text_tokens: int  # of the longest prompt with its pictures
    pixels: int  # of the largest picture
    timesteps: int  # different ones, of all jobs that are denoised together
    kept_patches: int  # of the pictures in all sequences of the batch: a token each
    kept_text_tokens: int  # of all prompts of the batch, which stay embedded until its end
    lora_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What stays where."""

    keeps_all: bool  # every weight stays on the GPU from job to job
    # Blocks of the text encoder's towers that keep their place while it reads, and so may arrive
    # long before they are needed.
    vision_resident: int
    text_resident: int
    transformer_resident: int  # blocks that stay while denoising; the others pass through
    read_together: int  # prompts that share one passage of the text encoder
    together: int  # sequences that share one passage of the blocks
    tile_side: int | None  # pixels along a tile of the VAE; None: pictures are taken whole


def plan(size: ModelSize, work: Work, budget_bytes: int) -> Plan:
    """The fastest plan within the budget; raises TooSmallError if there is none."""
    if size.blocks_on_gpu:
        others = without_blocks_on_gpu(size)
        found = plan(others, work, budget_bytes - on_gpu_bytes(size))
        resident = found.transformer_resident + size.blocks_on_gpu
        return replace(found, transformer_resident=resident)
    room_bytes = budget_bytes - _MARGIN_BYTES
    tile_side = _tile_side(size, work, room_bytes)
    if size.staying_bytes + _most_working_bytes(size, work) <= room_bytes:
        return everything(size, work)
    _refuse_unless("reading the prompt", _encoding_bytes(size, work, together=1), room_bytes)
    _refuse_unless("denoising", _denoising_bytes(size, work, together=1), room_bytes)
    together = _together(size, work, room_bytes)
    read_together = _read_together(size, work, room_bytes)
    vision, text = _reading_resident(size, work, room_bytes, read_together)
    return Plan(
        keeps_all=False,
        vision_resident=vision,
        text_resident=text,
        transformer_resident=_resident(size, work, room_bytes, together),
        read_together=read_together,
        together=together,
        tile_side=tile_side,
    )


def on_gpu_bytes(size: ModelSize) -> int:
    """What the blocks that are on the GPU for good take of it."""
    return size.blocks_on_gpu * size.transformer.crossing_bytes


def without_blocks_on_gpu(size: ModelSize) -> ModelSize:
    """The model as if it had not the blocks that are on the GPU for good."""
    blocks = size.transformer.blocks - size.blocks_on_gpu
    return replace(size, transformer=replace(size.transformer, blocks=blocks), blocks_on_gpu=0)


def everything(size: ModelSize, work: Work) -> Plan:
    """The plan where there is room for all."""
    return Plan(
        keeps_all=True,
        vision_resident=size.vision.blocks,
        text_resident=size.text.blocks,
        transformer_resident=size.transformer.blocks,
        read_together=work.sequences,
        together=work.sequences,
        tile_side=None,
    )


def after_out_of_memory(budget_bytes: int) -> int:
    """The budget to plan with once the GPU has turned out to be smaller than thought."""
    return int(budget_bytes * _AFTER_OUT_OF_MEMORY)


def smallest_bytes(size: ModelSize, work: Work) -> int:
    """The smallest budget that holds any plan: sequences one by one, pictures in tiles."""
    if size.blocks_on_gpu:
        return smallest_bytes(without_blocks_on_gpu(size), work) + on_gpu_bytes(size)
    picture = min(_whole_picture_bytes(size, work), _smallest_tiles_bytes(size, work))
    in_stages = max(
        _encoding_bytes(size, work, together=1),
        _denoising_bytes(size, work, together=1),
        size.vae_bytes + kept_bytes(size, work) + picture,
    )
    at_once = size.staying_bytes + _most_working_bytes(size, work)
    return min(in_stages, at_once) + _MARGIN_BYTES


def describe(found: Plan, size: ModelSize, budget_bytes: int) -> str:
    """The plan in a sentence for people."""
    allowed = f"{budget_bytes / GIB:.1f} GiB of GPU memory allowed"
    return f"{allowed}: {'; '.join(stages(found, size))}"


def stages(found: Plan, size: ModelSize) -> tuple[str, str, str]:
    """What the plan means for reading prompts, for denoising, and for pictures: a clause each."""
    side = found.tile_side
    pictures = f"pictures pass the VAE {'whole' if side is None else f'in tiles of {side} pixels'}"
    denoising = f"it denoises {_sequences(found.together)}"
    if found.keeps_all:
        whole = f"the whole model ({size.staying_bytes / GIB:.1f} GiB) stays on the GPU"
        return (whole, denoising, pictures)
    layers = _staying_words(found.text_resident, size.text, "text encoder layers", "a batch")
    blocks = _staying_words(
        found.transformer_resident, size.transformer, "transformer blocks", "a step"
    )
    return (f"while it reads prompts, {layers}", f"while {denoising}, {blocks}", pictures)


def _staying_words(staying: int, stack: StackSize, what: str, how_often: str) -> str:
    passing = stack.blocks - staying
    if passing == 0:
        return f"all {stack.blocks} {what} stay on the GPU"
    gib = passing * stack.crossing_bytes / GIB
    there = f"{staying} of {stack.blocks} {what} stay on the GPU"
    return f"{there}, the others ({gib:.1f} GiB) pass through once {how_often}"


def _sequences(together: int) -> str:
    return f"{together} sequences together" if together > 1 else "one sequence at a time"


def _refuse_unless(stage: str, needed_bytes: int, room_bytes: int) -> None:
    if needed_bytes > room_bytes:
        raise TooSmallError(stage, needed_bytes + _MARGIN_BYTES)


def _most_working_bytes(size: ModelSize, work: Work) -> int:
    reading = _reading_bytes(size, work, together=work.sequences)
    denoising = _computing_bytes(size, work, together=work.sequences) + work.lora_bytes
    return max(reading, denoising, kept_bytes(size, work) + _whole_picture_bytes(size, work))


def kept_bytes(size: ModelSize, work: Work) -> int:
    """What all jobs of the batch keep from their reading on, whichever is at work."""
    patch_bytes = _KEPT_OF_PATCH * size.patch_width * size.item_bytes
    position_bytes = size.head_width // 2 * _POSITION_BYTES
    embeddings = work.kept_text_tokens * size.text_width * size.item_bytes
    return embeddings + work.kept_patches * (patch_bytes + position_bytes)


def kept_reading_bytes(size: ModelSize, work: Work, *, together: int) -> int:
    """What stays from layer to layer while so many prompts are read, the others being embedded.

    Until a prompt is embedded it keeps what the vision tower made of its pictures, too.
    """
    being_read = min(work.kept_text_tokens, together * work.text_tokens)
    widths = math.ceil(_READ_WIDTHS_PER_TOKEN * size.text_width) + size.vision_width
    embedded = (work.kept_text_tokens - being_read) * size.text_width
    return (being_read * widths + embedded) * size.item_bytes


def kept_denoising_bytes(size: ModelSize, work: Work, *, together: int) -> int:
    """What stays from block to block while so many sequences pass through them."""
    widths = _KEPT_WIDTHS_PER_TOKEN * together
    in_flight = work.tokens * size.transformer_width * size.item_bytes * widths
    return in_flight + kept_bytes(size, work)


def _reading_bytes(size: ModelSize, work: Work, *, together: int) -> int:
    text = work.text_tokens * size.text_width * size.item_bytes * _TEXT_WIDTHS_PER_TOKEN
    return text + kept_reading_bytes(size, work, together=together)


def _encoding_bytes(size: ModelSize, work: Work, *, together: int) -> int:
    slots = size.vision.passing_bytes + size.text.passing_bytes
    reading = _reading_bytes(size, work, together=together)
    # Packed, the rest lands before it is expanded, and before anything is read.
    landing = 0 if size.text.packed_bytes is None else size.encoder_rest_bytes
    return size.encoder_rest_bytes + slots + max(reading, landing)


def _sequences_bytes(size: ModelSize, work: Work, *, together: int) -> int:
    widths = _TRANSFORMER_WIDTHS_PER_TOKEN
    at_work = work.tokens * size.transformer_width * size.item_bytes * widths
    return at_work + kept_denoising_bytes(size, work, together=together)


def _row_bytes(size: ModelSize) -> int:
    """What the modulation of one timestep takes: twelve vectors a block."""
    numbers = _MODULATION_WIDTHS * size.transformer_width * size.modulation.blocks
    return numbers * size.item_bytes


def _computing_bytes(size: ModelSize, work: Work, *, together: int) -> int:
    """Of denoising, beside weights and LoRA: rows, and the sequences, which come after them."""
    rows = (work.timesteps + 1) * _row_bytes(size)  # one more for references
    making = (
        kept_bytes(size, work) + rows + SLOTS * size.modulation.block_bytes // 2
    )  # one layer in each slot
    return rows + max(making, _sequences_bytes(size, work, together=together))


def _denoising_bytes(size: ModelSize, work: Work, *, together: int) -> int:
    weights = size.transformer_rest_bytes + size.transformer.passing_bytes
    return weights + work.lora_bytes + _computing_bytes(size, work, together=together)


def _together(size: ModelSize, work: Work, room_bytes: int) -> int:
    for together in range(work.sequences, 1, -1):
        if _denoising_bytes(size, work, together=together) <= room_bytes:
            return together
    return 1


def _read_together(size: ModelSize, work: Work, room_bytes: int) -> int:
    for together in range(work.sequences, 1, -1):
        if _encoding_bytes(size, work, together=together) <= room_bytes:
            return together
    return 1


def _reading_resident(
    size: ModelSize, work: Work, room_bytes: int, together: int
) -> tuple[int, int]:
    """Of the vision tower, which comes first, and of the text layers."""
    spare_bytes = room_bytes - _encoding_bytes(size, work, together=together)
    vision = _staying(size.vision, spare_bytes)
    taken_bytes = vision * size.vision.crossing_bytes
    return vision, _staying(size.text, spare_bytes - taken_bytes)


def _resident(size: ModelSize, work: Work, room_bytes: int, together: int) -> int:
    spare_bytes = room_bytes - _denoising_bytes(size, work, together=together)
    return _staying(size.transformer, spare_bytes)


def _staying(stack: StackSize, spare_bytes: int) -> int:
    """How many blocks can stay, with the slots counted already."""
    if spare_bytes + stack.passing_bytes >= stack.staying_bytes:
        return stack.blocks
    return max(0, min(spare_bytes // stack.crossing_bytes, stack.blocks - 1))


def _whole_picture_bytes(size: ModelSize, work: Work) -> int:
    return work.pixels * (_VAE_BYTES_PER_PIXEL + _window_bytes_per_pixel(size))


def _smallest_tiles_bytes(size: ModelSize, work: Work) -> int:
    window_bytes = (_SMALLEST_TILE + _TILE_BORDER) ** 2 * _window_bytes_per_pixel(size)
    return work.pixels * _VAE_BYTES_PER_PIXEL + window_bytes


def _window_bytes_per_pixel(size: ModelSize) -> int:
    return _VAE_WIDTHS_PER_PIXEL * size.vae_width * size.item_bytes


def _tile_side(size: ModelSize, work: Work, room_bytes: int) -> int | None:
    beside = size.vae_bytes + kept_bytes(size, work)
    for_windows = room_bytes - beside - work.pixels * _VAE_BYTES_PER_PIXEL
    if work.pixels * _window_bytes_per_pixel(size) <= for_windows:
        return None
    widest = math.isqrt(max(for_windows, 0) // _window_bytes_per_pixel(size))
    side = (widest - _TILE_BORDER) // _TILE_MULTIPLE * _TILE_MULTIPLE
    if side < _SMALLEST_TILE:
        needed_bytes = beside + _smallest_tiles_bytes(size, work)
        _refuse_unless("the picture", needed_bytes, room_bytes)
    return max(side, _SMALLEST_TILE)
