"""Text and pictures as the text encoder takes them, without torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from transformers import BatchFeature, Qwen2Tokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105, a token of text


class PlainProcessor:
    """Takes the place of Qwen2VLProcessor, which cannot be built where torchvision is missing.

    Always the PIL implementation, so that a result does not depend on what else is installed.
    """

    def __init__(self, tokenizer: Qwen2Tokenizer, folder: Path) -> None:
        self.tokenizer = tokenizer
        self.image_processor = Qwen2VLImageProcessorPil.from_pretrained(
            folder, local_files_only=True
        )

    def __call__(
        self,
        *,
        text: Sequence[str],
        images: Image.Image | Sequence[Image.Image],
        padding: bool,
        return_tensors: str,
    ) -> BatchFeature:
        """Token ids and patches; one image token stands for each patch that the encoder sees."""
        pictures = self.pictures([images] if isinstance(images, Image.Image) else images)
        assert return_tensors == "pt", "torch's tensors are all that there are"
        return self.inputs(text, pictures, padding=padding)

    def pictures(self, images: Sequence[Image.Image]) -> BatchFeature:
        """Patches, one row each, and how many there are in each picture."""
        found: BatchFeature = self.image_processor(images=list(images), return_tensors="pt")
        return found

    def inputs(
        self, text: Sequence[str], pictures: BatchFeature, *, padding: bool
    ) -> BatchFeature:
        """The token ids of texts beside their pictures, which are not copied."""
        counts = (pictures["image_grid_thw"].prod(dim=1) // self._patches_per_token).tolist()
        expanded = [expand_image_tokens(one, counts) for one in text]
        tokens = self.tokenizer(expanded, padding=padding, return_tensors="pt")
        return BatchFeature({**tokens, **pictures})

    def count_tokens(self, text: str, sizes: Sequence[tuple[int, int]]) -> int:
        """How many tokens `text` makes with pictures of these (width, height) sizes in it."""
        words: int = len(self.tokenizer(text)["input_ids"])
        patches: list[int] = [
            self.image_processor.get_number_of_image_patches(height, width)
            for width, height in sizes
        ]
        return words - len(sizes) + sum(n // self._patches_per_token for n in patches)

    @property
    def _patches_per_token(self) -> int:
        return int(self.image_processor.merge_size**2)


def expand_image_tokens(text: str, counts: Sequence[int]) -> str:
    """Repeat the i-th image token of `text` `counts[i]` times."""
    parts = text.split(IMAGE_TOKEN)
    assert len(parts) == len(counts) + 1, "a text has one image token per picture"
    repeated = [IMAGE_TOKEN * count for count in counts]
    return parts[0] + "".join(a + b for a, b in zip(repeated, parts[1:], strict=True))


def mark_image_tokens(input_ids: torch.Tensor, image_token_id: int) -> torch.Tensor:
    """1 where a token stands for a part of a picture, else 0; int32, shape of `input_ids`."""
    return (input_ids == image_token_id).int()
