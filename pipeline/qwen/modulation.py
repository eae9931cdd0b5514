"""What the transformer's modulation layers give at a timestep, computed once and kept.

A block's img_mod and txt_mod, a third of its weights, see nothing but the timestep's embedding
(QwenImageTransformerBlock.forward of diffusers). So their weights need not be where the blocks
are computed: what they give in all blocks at one timestep is a row of a few megabytes.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch

from pipeline.qwen.weight_streaming import StreamLoader

log = logging.getLogger(__name__)

_KEPT_BYTES = 2**30  # of rows in main memory: six schedules of 40 steps of the published model
_REFERENCES = None  # in place of a timestep, with zero_cond_t: theirs is always zero
_Row: TypeAlias = torch.Tensor  # (blocks, numbers of both layers)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulationLayers:
    """What has been taken out of one block."""

    image: torch.nn.Sequential
    text: torch.nn.Sequential


def weights(layers: Sequence[ModulationLayers]) -> list[list[torch.nn.Parameter]]:
    """The units in which they are brought: of the picture and of the text, block by block."""
    return [list(part.parameters()) for part in _parts(layers)]


def _parts(layers: Sequence[ModulationLayers]) -> list[torch.nn.Sequential]:
    return [part for one in layers for part in (one.image, one.text)]


class _Given(torch.nn.Module):  # type: ignore[misc] # torch is untyped here
    """Stands for a layer: what it would give is a part of what the block is given."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self._start, self._stop = start, stop

    def forward(self, temb: torch.Tensor) -> torch.Tensor:
        """The part of (rows, both layers' numbers)."""
        return temb[:, self._start : self._stop]


def take_out(transformer: Any) -> list[ModulationLayers]:
    """The layers of each block, in whose place the blocks now look into the rows."""
    taken = []
    for block in transformer.transformer_blocks:
        layers = ModulationLayers(image=block.img_mod, text=block.txt_mod)
        width = layers.image[1].out_features
        block.img_mod, block.txt_mod = _Given(0, width), _Given(width, 2 * width)
        taken.append(layers)
    return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulationRows:
    """The rows of some timesteps, on the device."""

    rows: Mapping[float | None, _Row]

    def replaced(self, timestep: float, block: int) -> dict[str, torch.Tensor]:
        """The argument of the block's forward in whose place its layers' part is given."""
        row = self.rows[timestep][block]
        if _REFERENCES not in self.rows:
            return {"temb": row.unsqueeze(0)}
        return {"temb": torch.stack((row, self.rows[_REFERENCES][block]))}


def replaced_by(
    rows: ModulationRows | None, timestep: float
) -> Callable[[int], Mapping[str, torch.Tensor]]:
    """What a block's forward is given otherwise at this timestep; nothing without rows."""
    return (lambda _block: {}) if rows is None else partial(rows.replaced, timestep)


class Modulation:
    """Computes rows with the model's own layers, and keeps those of the last schedules."""

    def __init__(
        self,
        transformer: Any,
        layers: Sequence[ModulationLayers],
        loader: StreamLoader,
        *,
        waits: str,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`loader` brings what `weights` makes of the layers; `waits` says from where."""
        self.loader = loader
        self._waits = waits
        self._transformer = transformer
        self._layers = layers
        self._clock = clock
        self._kept: OrderedDict[float | None, _Row] = OrderedDict()

    @property
    def named_layers(self) -> dict[str, torch.nn.Linear]:
        """The layers that a LoRA may change, by their names in the transformer."""
        return {
            f"transformer_blocks.{number}.{name}.1": layer[1]
            for number, layers in enumerate(self._layers)
            for name, layer in (("img_mod", layers.image), ("txt_mod", layers.text))
        }

    def rows(
        self,
        timesteps: Collection[float],
        like: torch.Tensor,
        *,
        stays: bool,
        changed: Collection[torch.nn.Module],
    ) -> ModulationRows:
        """The rows of these timesteps, with the dtype and on the device of `like`.

        All of the transformer but blocks and layers is on the device; with `stays` the layers
        come to stay. Rows are not kept where a LoRA has `changed` a layer.
        """
        is_changed = any(layer in changed for layer in self.named_layers.values())
        kept = OrderedDict[float | None, _Row]() if is_changed else self._kept
        wanted = [*timesteps, *([_REFERENCES] if self._transformer.zero_cond_t else [])]
        if missing := sorted({*timesteps} - kept.keys()):
            began = self._clock()
            kept.update(self._computed(missing, like, stays=stays))
            seconds = self._clock() - began
            what = "modulation of %d timesteps computed in %.1f s, with weights from %s"
            log.info(what, len(missing), seconds, self._waits)
        for key in wanted:
            kept.move_to_end(key)
        found = {key: kept[key].to(like.device) for key in wanted}
        _forget_oldest(kept)
        return ModulationRows(rows=found)

    def _computed(
        self, timesteps: Sequence[float], like: torch.Tensor, *, stays: bool
    ) -> dict[float | None, _Row]:
        embedded = {timestep: self._embedded(timestep, like) for timestep in timesteps}
        parts = _parts(self._layers)
        given: dict[float | None, list[torch.Tensor]] = {key: [] for key in embedded}
        if self._transformer.zero_cond_t:
            given[_REFERENCES] = []
        self.loader.begin(len(parts) if stays else 0)
        for number, part in enumerate(parts):
            self.loader.acquire(number)
            is_text = number % 2 == 1
            outputs = [part(temb[:1] if is_text else temb) for temb in embedded.values()]
            for timestep, output in zip(embedded, outputs, strict=True):
                given[timestep].append(output[0])
            if _REFERENCES in given:  # the text is none: its half is left empty
                own, *of_references = outputs[0]
                given[_REFERENCES] += of_references or [torch.zeros_like(own)]
            self.loader.release(number)
        rows = {key: _row(numbers) for key, numbers in given.items()}
        if not stays:
            self.loader.end()
        return rows

    def _embedded(self, timestep: float, like: torch.Tensor) -> torch.Tensor:
        """As Denoising hands the timestep over, and the transformer's forward goes on from it.

        Of diffusers 0.42.1; (1, width), with zero_cond_t (2, width).
        """
        scaled = torch.tensor([timestep], device=like.device).to(like.dtype) / 1000
        if self._transformer.zero_cond_t:
            scaled = torch.cat([scaled, scaled * 0], dim=0)
        embedded: torch.Tensor = self._transformer.time_text_embed(scaled, like, None)
        return embedded


def _row(outputs: Sequence[torch.Tensor]) -> _Row:
    """Of what the layers gave one after the other: a block's picture and text side by side."""
    return torch.stack(list(outputs)).view(len(outputs) // 2, -1).cpu()


def _forget_oldest(kept: OrderedDict[float | None, _Row]) -> None:
    while len(kept) > 1 and sum(row.nbytes for row in kept.values()) > _KEPT_BYTES:
        kept.popitem(last=False)
