"""Prompts and their pictures through the text encoder, which is never asked for a value.

What the encoder's forward would make from sizes and token ids, on the device or by asking it (the
positions of tokens and patches, the windows of the vision tower, masks), depends on the inputs
alone. The library's own functions make it here, on the host, and it is sent once. Else each such
question would hold the host up in every block, and each table would wait for a block that is
crossing the bus.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import Any

import torch
from transformers import BatchFeature
from transformers.vision_utils import (
    get_vision_cu_seqlens,
    get_vision_position_ids,
    get_vision_window_index,
)

from pipeline.editor import EditError
from pipeline.qwen.block_pass import BlockCall, BlockStack, run_blocks
from pipeline.qwen.load import Pipeline
from pipeline.qwen.processor import mark_image_tokens

_DOING = "reading the prompt"


def read_prompts(
    pipe: Pipeline,
    stacks: Sequence[BlockStack],
    prompts: Sequence[BatchFeature],
    device: torch.device,
) -> list[torch.Tensor | EditError]:
    """What the text encoder makes of each prompt and its pictures: (1, tokens, width).

    `stacks` are the vision tower's and the text layers'. Prompts with the same pixel_values, the
    same tensor and not only an equal one, have their pictures looked at once. As in the pipelines'
    encode_prompt the tokens of the template before the pictures are dropped. A single prompt has
    no padding: every token counts, and the transformer needs no mask.
    """
    vision, text = stacks
    pictures = {id(one["pixel_values"]): _Pictures(pipe, one, device) for one in prompts}
    looks = [BlockCall(doing=_DOING, forward=one.seen) for one in pictures.values()]
    seen = dict(zip(pictures, run_blocks([vision], looks), strict=True))
    del pictures, looks
    reads = [
        BlockCall(
            doing=_DOING,
            forward=partial(_Prompt(pipe, one, device).read, seen[id(one["pixel_values"])]),
        )
        for one in prompts
    ]
    return run_blocks([text], reads)


class _Pictures:
    """The pictures of a prompt."""

    def __init__(self, pipe: Pipeline, inputs: BatchFeature, device: torch.device) -> None:
        self._model = pipe.text_encoder.model
        self._inputs = inputs
        self._device = device

    def seen(self) -> torch.Tensor:
        """What the vision tower makes of them: (image tokens, width of the text layers)."""
        pixels = self._inputs["pixel_values"].to(self._model.visual.dtype)
        found = self._model.get_image_features(
            _sent(pixels, self._device),
            self._inputs["image_grid_thw"],
            return_dict=True,
            **self._tables,
        )
        return torch.cat(found.pooler_output, dim=0)

    @cached_property
    def _tables(self) -> dict[str, torch.Tensor]:
        """By the names under which the forward takes them; lengths are read by the host."""
        vision, grid = self._model.visual, self._inputs["image_grid_thw"]
        window_index, window_ends = get_vision_window_index(
            grid,
            spatial_merge_size=vision.spatial_merge_size,
            window_size=vision.window_size,
            patch_size=vision.patch_size,
        )
        positions = get_vision_position_ids(grid, vision.spatial_merge_size)
        return {
            "image_position_ids": _sent(positions, self._device),
            "image_window_index": _sent(window_index, self._device),
            "image_cu_window_seqlens": window_ends,
            "image_cu_seqlens": get_vision_cu_seqlens(grid),
        }


class _Prompt:
    """A prompt whose pictures have been looked at."""

    def __init__(self, pipe: Pipeline, inputs: BatchFeature, device: torch.device) -> None:
        self._encoder = pipe.text_encoder
        self._dropped = pipe.prompt_template_encode_start_idx
        self._inputs = inputs
        self._device = device

    def read(self, seen: torch.Tensor | EditError) -> torch.Tensor:
        """What the text layers make of it, the pictures in the places of their tokens.

        Raises the error with which they were looked at.
        """
        if isinstance(seen, EditError):
            raise seen
        ids, positions = self._tables
        embedded = self._encoder.get_input_embeddings()(ids)
        marks = (ids == self._image_token_id).unsqueeze(-1)
        # Without its head (load.drop_the_logits) the encoder's logits are its last hidden states.
        states: torch.Tensor = self._encoder(
            inputs_embeds=embedded.masked_scatter(marks, seen.to(embedded.dtype)),
            position_ids=positions,
            use_cache=False,
        ).logits
        return states[:, self._dropped :]

    @cached_property
    def _tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids, (1, tokens), and their positions in time, height and width (M-RoPE).

        Since transformers 5.3 the encoder falls back to 1-D positions, without a word, unless it
        is told which tokens stand for pictures; the pipelines do not tell it
        (huggingface/diffusers#14194).
        """
        ids = self._inputs["input_ids"]
        positions, _ = self._encoder.model.get_rope_index(
            ids,
            mm_token_type_ids=mark_image_tokens(ids, self._image_token_id),
            image_grid_thw=self._inputs["image_grid_thw"],
        )
        return _sent(ids, self._device), _sent(positions, self._device)

    @property
    def _image_token_id(self) -> int:
        return int(self._encoder.config.image_token_id)


def _sent(table: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The table on the device; the host does not wait for its arrival.

    Memory that is not pinned goes over the bus in small pieces, and each of them would wait for a
    piece of a block: 3.7 MB of pictures took 34 ms (one H200, within 16 GiB).
    """
    waiting: Any = table
    if device.type == "cuda":
        # The driver may lock no more memory (copy_stream.lock_pages); then it is the slow way.
        with suppress(RuntimeError):
            waiting = table.pin_memory()
    return waiting.to(device, non_blocking=True)
