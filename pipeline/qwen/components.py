"""The parts of a model with the loaders of their weights."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from pipeline.qwen import lossless, modulation
from pipeline.qwen.arrival_check import ArrivalCheck
from pipeline.qwen.block_pass import BlockStack
from pipeline.qwen.copy_stream import InlineCopyStream
from pipeline.qwen.device import InHostMemory, ModelDevice, Streamed
from pipeline.qwen.host_plan import HostPlan
from pipeline.qwen.load import Pipeline
from pipeline.qwen.offload_plan import GIB, ModelSize, StackSize
from pipeline.qwen.packed_memory import PackedMemory
from pipeline.qwen.pinned_memory import PinnedMemory, StagedMemory
from pipeline.qwen.weight_files import UnreadWeight
from pipeline.qwen.weight_loading import ReadingWay
from pipeline.qwen.weight_streaming import (
    HostMemory,
    Loader,
    ResidentLoader,
    StreamLoader,
    evenly,
)

log = logging.getLogger(__name__)

_Units: TypeAlias = Sequence[Sequence[torch.nn.Parameter]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A model that is on the device while its stage lasts: its stacks, and all beside them."""

    rest: Loader
    stacks: tuple[BlockStack, ...] = ()
    modulation: modulation.Modulation | None = None  # comes when it is asked; goes with the others

    def expect(self, *, resident: Sequence[int]) -> None:
        """Start bringing it, before its stage; what goes wrong leaves nothing behind."""
        try:
            for loader, units in zip(self._loaders(), (1, *resident), strict=True):
                loader.begin(units)
        except torch.OutOfMemoryError:
            self.leave()
            raise

    def leave(self) -> None:
        """Give the device's memory back, as far as it has stayed beyond its stage."""
        for loader in (*self._loaders(), *self._aside()):
            loader.end()

    @contextmanager
    def on_stage(self, *, resident: Sequence[int], stays: bool) -> Iterator[None]:
        """Within this context it can compute; `resident` blocks of each stack stay till its end.

        With `stays` they stay for longer, unless the stage goes wrong.
        """
        begun: list[Loader] = list(self._aside())
        if not stays:
            for loader in begun:
                loader.end()
        is_good = False
        try:
            for loader, units in zip(self._loaders(), (1, *resident), strict=True):
                begun.append(loader)
                loader.begin(units)
            self.rest.acquire(0)
            yield
            is_good = True
        finally:
            if not (stays and is_good):
                for loader in begun:
                    loader.end()

    def _loaders(self) -> tuple[Loader, ...]:
        return (self.rest, *(stack.loader for stack in self.stacks))

    def _aside(self) -> tuple[Loader, ...]:
        return () if self.modulation is None else (self.modulation.loader,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """What a pipeline consists of."""

    encoder: Component  # its stacks: the vision tower, the text layers
    transformer: Component
    vae: Component
    size: ModelSize
    loaders: tuple[StreamLoader, ...]  # but of modulation; none where the weights are at home

    def make_way(self, part: Component) -> None:
        """Let all other parts give the device's memory back."""
        for other in (self.encoder, self.transformer, self.vae):
            if other is not part:
                other.leave()

    def close(self) -> None:
        """Give all memory back."""
        for loader in self.all_loaders():
            loader.close()

    def linear_layers_aside(self) -> dict[str, torch.nn.Linear]:
        """Those of the transformer that are elsewhere, by their names in it."""
        aside = self.transformer.modulation
        return {} if aside is None else aside.named_layers

    def all_loaders(self) -> tuple[StreamLoader, ...]:
        """With that of modulation."""
        aside = self.transformer.modulation
        return self.loaders if aside is None else (*self.loaders, aside.loader)


class _LoaderFactory:
    """Makes the loaders for a place, one after the other."""

    def __init__(self, place: ModelDevice) -> None:
        self._place = place
        self.loaders: list[StreamLoader] = []

    def loader(self, units: _Units, *, on_device: Collection[int] = ()) -> Loader:
        """Of units that wait in main memory, but for some that are on the device alone."""
        match self._place:
            case InHostMemory(device=device):
                _read_into_host(units, device)
                return ResidentLoader()
            case Streamed(device=device, copy_stream=lane, host_plan=plan):
                if plan.packs or on_device:
                    packed = PackedMemory(
                        units, lane, device, packs=plan.packs, on_device=on_device, way=_way(plan)
                    )
                    return self._made(self._place, units, packed)
                check = ArrivalCheck(lane, device)
                memory = PinnedMemory(units, lane, _way(plan), check=check)
                return self._made(self._place, units, memory)

    def _made(self, place: Streamed, units: _Units, memory: HostMemory) -> Loader:
        self.loaders.append(StreamLoader(units, memory, place.copy_stream, place.device))
        return self.loaders[-1]

    def modulation(self, transformer: torch.nn.Module) -> modulation.Modulation | None:
        """Of a transformer whose weights are streamed; what is at hand is computed as ever."""
        match self._place:
            case InHostMemory():
                return None
            case Streamed(device=device, copy_stream=lane, host_plan=plan):
                layers = modulation.take_out(transformer)
                units = modulation.weights(layers)
                is_kept = plan.keeps_modulation
                memory = StagedMemory(units, lane, in_files=not is_kept, way=_way(plan))
                loader = StreamLoader(units, memory, lane, device)
                waits = "main memory" if is_kept else "their files"
                return modulation.Modulation(transformer, layers, loader, waits=waits)

    def tower(self, owner: torch.nn.Module, name: str) -> BlockStack:
        """A stack of the text encoder."""
        units = _weights(getattr(owner, name))
        match self._place:
            case Streamed(copy_stream=lane, host_plan=plan) if not plan.keeps_encoder:
                memory = StagedMemory(units, lane, in_files=True, way=_way(plan))
                return BlockStack(owner, name, self._made(self._place, units, memory))
            case _:
                return BlockStack(owner, name, self.loader(units))

    def blocks(self, transformer: torch.nn.Module) -> BlockStack:
        """Of the transformer, some of which may be on the device alone."""
        name = "transformer_blocks"
        units = _weights(getattr(transformer, name))
        on_device: Collection[int] = ()
        match self._place:
            case Streamed(host_plan=plan):
                on_device = evenly(plan.blocks_on_gpu, len(units))
            case InHostMemory():
                pass
        carried = ("encoder_hidden_states", "hidden_states")
        return BlockStack(
            transformer, name, self.loader(units, on_device=on_device), carried=carried
        )

    def rest(self, model: torch.nn.Module, blocks: Sequence[torch.nn.Module]) -> Loader:
        taken = {id(weight) for block in blocks for weight in block.parameters()}
        rest = [weight for weight in model.parameters() if id(weight) not in taken]
        for buffer in model.buffers():
            buffer.data = buffer.data.to(self._place.device)
        return self.loader([rest])


def _weights(blocks: Sequence[torch.nn.Module]) -> _Units:
    return [list(block.parameters()) for block in blocks]


def _way(plan: HostPlan) -> ReadingWay:
    return ReadingWay(drops_page_cache=plan.drops_page_cache)


def _read_into_host(units: Sequence[Sequence[torch.nn.Parameter]], device: torch.device) -> None:
    """Read the weights that are in files yet; the others are where they are used."""
    unread = [[weight for weight in unit if isinstance(weight, UnreadWeight)] for unit in units]
    PinnedMemory(unread, InlineCopyStream())  # its memory stays for as long as the weights do
    for unit in unread:
        for weight in unit:
            weight.data = weight.data.to(device)


def place_components(pipe: Pipeline, place: ModelDevice) -> Components:
    """Bring the pipeline's weights, from files or memory, to where they wait for their stages.

    Raises UserError if a file cannot be read or the system gives no memory, and TransferError
    if weights do not reach the device as they were sent.
    """
    _ask_for_kernel(place)
    size = measure(pipe)
    encoder, transformer, vae = pipe.text_encoder, pipe.transformer, pipe.vae
    towers = [*encoder.model.visual.blocks, *encoder.model.language_model.layers]
    making = _LoaderFactory(place)
    encoder_rest = making.rest(encoder, towers)
    vision = making.tower(encoder.model.visual, "blocks")
    text = making.tower(encoder.model.language_model, "layers")
    vae_rest = making.rest(vae, ())
    transformer_rest = making.rest(transformer, transformer.transformer_blocks)
    aside = making.modulation(transformer)
    blocks = making.blocks(transformer)
    return Components(
        encoder=Component(rest=encoder_rest, stacks=(vision, text)),
        transformer=Component(rest=transformer_rest, stacks=(blocks,), modulation=aside),
        vae=Component(rest=vae_rest),
        size=_as_loaded(size, vision.loader, text.loader, blocks.loader),
        loaders=tuple(making.loaders),
    )


def _ask_for_kernel(place: ModelDevice) -> None:
    """Compile what expands packed weights, before a step would wait for it."""
    match place:
        case Streamed(device=device, host_plan=plan) if plan.packs and device.type == "cuda":
            if refusal := lossless.kernel_refusal(device):
                log.warning("%s: plain torch does it, and each step is slower", refusal)
        case _:
            pass


def tell_what_is_not_pinned(loaders: Sequence[StreamLoader]) -> None:
    """Warn where the driver refused to lock memory."""
    told = [loader.host.pins.refusal for loader in loaders]
    if not (refusals := {one for one in told if one is not None}):
        return
    log.warning(
        "the GPU's driver locks no more main memory (%s): %.1f of %.1f GiB of weights wait"
        " unlocked, and every step is slower; raise the limit (WSL2: memory= in .wslconfig; a"
        " container: --ulimit memlock=-1), or use a smaller DTYPE or model",
        ", ".join(sorted(refusals)),
        sum(loader.host.pins.unpinned_bytes for loader in loaders) / GIB,
        sum(loader.host.bytes for loader in loaders) / GIB,
    )


def _as_loaded(size: ModelSize, vision: Loader, text: Loader, blocks: Loader) -> ModelSize:
    return replace(
        size,
        vision=_as_it_crosses(size.vision, vision),
        text=_as_it_crosses(size.text, text),
        transformer=_as_it_crosses(size.transformer, blocks),
        blocks_on_gpu=len(blocks.host.on_device) if isinstance(blocks, StreamLoader) else 0,
    )


def _as_it_crosses(stack: StackSize, loader: Loader) -> StackSize:
    packed = loader.packed_bytes if isinstance(loader, StreamLoader) else None
    return replace(stack, packed_bytes=packed)


def measure(pipe: Pipeline) -> ModelSize:
    """The sizes that a plan is made from, as long as nothing is packed."""
    encoder, transformer, vae = pipe.text_encoder, pipe.transformer, pipe.vae
    vision = _stack_size(encoder.model.visual.blocks)
    text = _stack_size(encoder.model.language_model.layers)
    blocks = transformer.transformer_blocks
    aside = StackSize(
        blocks=len(blocks), block_bytes=_bytes(blocks[0].img_mod) + _bytes(blocks[0].txt_mod)
    )
    return ModelSize(
        vision=vision,
        text=text,
        encoder_rest_bytes=_bytes(encoder) - vision.all_bytes - text.all_bytes,
        transformer=StackSize(
            blocks=len(blocks), block_bytes=_bytes(blocks[0]) - aside.block_bytes
        ),
        modulation=aside,
        transformer_rest_bytes=_bytes(transformer) - sum(map(_bytes, blocks)),
        vae_bytes=_bytes(vae),
        vision_width=encoder.model.visual.merger.mlp[0].in_features,
        text_width=encoder.config.text_config.hidden_size,
        transformer_width=transformer.inner_dim,
        head_width=transformer.config.attention_head_dim,
        patch_width=transformer.config.in_channels,
        vae_width=vae.config.base_dim,
        item_bytes=transformer.dtype.itemsize,
    )


def _stack_size(blocks: Sequence[torch.nn.Module]) -> StackSize:
    return StackSize(blocks=len(blocks), block_bytes=_bytes(blocks[0]))


def _bytes(module: torch.nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in module.parameters())
