"""What goes wrong inside the model libraries, in words for the person at the inbox."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline import editor
from pipeline.editor import EditError, Failure

log = logging.getLogger(__name__)

_SMALLER = (
    "Close other programs on the GPU, write a smaller megapixels, use fewer references, or "
    "set model.vram_gib."
)


_OF_LIBRARIES = (MemoryError, OSError, RuntimeError, ValueError)


@contextmanager
def mapped(doing: str, kinds: tuple[type[Exception], ...] = _OF_LIBRARIES) -> Iterator[None]:
    """Turn a library's error into an EditError; two of the GPU's own pass as they are.

    Other `kinds` than the usual ones are bugs of ours, unless a library reads what it never saw.
    The GPU's two: out-of-memory, which a smaller plan may cure. And any other CUDA error: every
    later call fails too, only a new process helps, so that such an error must end this one.
    """
    try:
        yield
    except (EditError, torch.OutOfMemoryError):
        raise
    except kinds as error:
        if is_sticky(error):
            raise
        log.warning("%s failed", doing, exc_info=error)
        raise explain(error, doing) from error


def is_sticky(error: Exception) -> bool:
    """Whether the GPU can no longer be used by this process."""
    if isinstance(error, torch.OutOfMemoryError) or not isinstance(error, RuntimeError):
        return False
    text = str(error)
    return isinstance(error, torch.AcceleratorError) or "CUDA" in text or "cuDNN" in text


def explain(error: Exception, doing: str) -> EditError:
    """The EditError for an error of a library."""
    match error:
        case torch.OutOfMemoryError():
            cause = f"The GPU ran out of memory while {doing}."
            return EditError(cause, _SMALLER, Failure.TRANSIENT)
        case MemoryError():
            cause = f"The computer ran out of memory while {doing}."
            return EditError(cause, "Close other programs or add memory.", Failure.TRANSIENT)
        case RuntimeError() if "DefaultCPUAllocator" in str(error):
            cause = f"The computer ran out of memory while {doing}."
            return EditError(cause, "Close other programs or add memory.", Failure.TRANSIENT)
        case OSError() if editor.is_of_the_machine(error):
            return editor.machine_error(error)
        case _:
            cause = f"The model failed while {doing} ({type(error).__name__}: {error})."
            advice = "Try once more; if it fails again, the log of the daemon has the details."
            return EditError(cause, advice, Failure.TRANSIENT)


def without_traceback(error: EditError) -> EditError:
    """The same error; a traceback would keep every tensor of its frames in memory."""
    return EditError(error.cause, error.advice, error.failure)


def refuse_unless_finite(is_finite: bool, dtype: torch.dtype, *, what: str) -> None:
    """Raise EditError if a value was NaN or infinite; such values turn into black pixels."""
    if is_finite:
        return
    cause = f"The model computed values that are no numbers (NaN or infinite) in the {what}."
    advice = "Check that the model folder was copied whole (hotfolder check), then try again."
    if dtype == torch.float16:
        advice = "Unset DTYPE: this model overflows in fp16, bf16 does not."
    raise EditError(cause, advice, Failure.TRANSIENT)


def give_back_memory() -> None:
    """Free what the tracebacks of an ended request may still have held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
