"""Errors of the model libraries reach people in their words, and a broken GPU ends the process."""

from __future__ import annotations

import pytest
import torch

from pipeline.editor import EditError, Failure
from pipeline.qwen import errors


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "computer ran out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't"), "computer ran out of memory"),
        (RuntimeError("mat1 and mat2"), "RuntimeError: mat1 and mat2"),
        (ValueError("tokens"), "ValueError: tokens"),
    ],
)
def test_an_error_is_explained_and_may_be_tried_again(error: Exception, said: str) -> None:
    with pytest.raises(EditError) as raised, errors.mapped("computing"):
        raise error
    assert said in raised.value.cause
    assert "while computing" in raised.value.cause
    assert raised.value.failure is Failure.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("an illegal memory access was encountered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
        KeyError("a bug"),
    ],
)
def test_what_a_smaller_plan_or_a_new_process_may_cure_and_a_bug_are_not_mapped(
    error: Exception,
) -> None:
    with pytest.raises(type(error)), errors.mapped("computing"):
        raise error


def test_an_explained_error_passes_unchanged() -> None:
    known = EditError("cause", "advice", Failure.PERMANENT)
    with pytest.raises(EditError) as raised, errors.mapped("computing"):
        raise known
    assert raised.value is known
