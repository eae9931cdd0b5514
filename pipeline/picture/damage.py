"""What decoders raise on a bad picture, in plain words."""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from pipeline.pictures import PictureError

COPY_AGAIN = "Copy the file again, or export it once more from the program that made it."
SMALLER = "Make the picture smaller."

DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
# What a decoder says itself, and what comes of seeking where a damaged header leads.
_NOT_OF_THE_DISK = (None, errno.EINVAL, errno.EOVERFLOW)


@contextmanager
def fitting(name: str) -> Iterator[None]:
    """Raise PictureError where the picture needs more memory than there is."""
    try:
        yield
    except MemoryError as error:
        cause = f"{name} does not fit into the memory that a picture may take"
        raise PictureError(cause, SMALLER) from error


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Raise PictureError for what is the picture's fault; the disk's OSError stays as it is."""
    try:
        yield
    except UnidentifiedImageError as error:
        cause = f"{name} begins like a picture but its header makes no sense"
        raise PictureError(cause, COPY_AGAIN) from error
    except Image.DecompressionBombError as error:
        cause = f"{name} holds more pixels than its header says"
        raise PictureError(cause, COPY_AGAIN) from error
    except DECODER_ERRORS as error:
        if isinstance(error, OSError) and error.errno not in _NOT_OF_THE_DISK:
            raise
        cause = f"{name} is damaged: {error}"
        raise PictureError(cause, COPY_AGAIN) from error
