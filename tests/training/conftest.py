"""What the tests of the training share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pipeline.qwen import offline

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer

# Before any test module imports a model library.
offline.enforce()


@pytest.fixture(scope="session")
def words() -> Qwen2Tokenizer:
    """The tokenizer of the small model."""
    from training import parts

    return parts.tokenizer()


@pytest.fixture
def as_published() -> Iterator[None]:
    """The library's own functions, put back afterwards."""
    from diffusers.models.transformers import transformer_qwenimage

    rotate = transformer_qwenimage.apply_rotary_emb_qwen
    measure = transformer_qwenimage.compute_text_seq_len_from_mask
    yield
    transformer_qwenimage.apply_rotary_emb_qwen = rotate
    transformer_qwenimage.compute_text_seq_len_from_mask = measure
