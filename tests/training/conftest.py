"""What the tests of the training share."""

from __future__ import annotations

import pytest
from transformers import Qwen2Tokenizer

from training import parts


@pytest.fixture(scope="session")
def words() -> Qwen2Tokenizer:
    """The tokenizer of the small model."""
    return parts.tokenizer()
