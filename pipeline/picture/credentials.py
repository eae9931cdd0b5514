"""Signed Content Credentials of an original, which no edit leaves valid.

C2PA Technical Specification 2.2, annex A.3: where each format embeds its manifest store.
"""

from __future__ import annotations

from typing import BinaryIO

from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from pipeline.container.endings import webp_chunks
from pipeline.container.window import Window

_TIFF_TAG = 52545
_JPEG_SEGMENT, _JPEG_LABEL = "APP11", b"c2pa"
_PNG_CHUNK, _WEBP_CHUNK = b"caBX", b"C2PA"


def has_credentials(image: Image.Image, file: BinaryIO) -> bool:
    """Whether a loaded picture carries a manifest store; nothing in it is verified."""
    match image:
        case JpegImagePlugin.JpegImageFile():
            segments = (text for name, text in image.applist if name == _JPEG_SEGMENT)
            return any(_JPEG_LABEL in text for text in segments)
        case PngImagePlugin.PngImageFile():
            return any(chunk[0] == _PNG_CHUNK for chunk in image.private_chunks)
        case TiffImagePlugin.TiffImageFile():
            return _TIFF_TAG in image.tag_v2
        case WebPImagePlugin.WebPImageFile():
            chunks = webp_chunks(Window(file, file.seek(0, 2)))
            return any(name == _WEBP_CHUNK for name, _, _ in chunks)
        case _:
            return False
