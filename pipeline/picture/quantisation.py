"""How finely a JPEG was packed, so that its result can be packed alike.

With the same tables and the same subsampling, blocks of the original that come back unchanged lose
next to nothing a second time (ITU-T T.81, A.3.4: what was rounded is rounded to itself).
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

_SAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
_ENTRIES = 64  # of a table: one for each frequency of a block
_COMPONENTS = 3  # of what is written: brightness and two of colour


@dataclass(frozen=True, slots=True)
class Quantisation:
    """The tables, and the subsampling of colour."""

    tables: tuple[tuple[int, ...], ...]  # of brightness and colours; the last has to do for more
    subsampling: str


def read(image: Image.Image) -> Quantisation | None:
    """What a loaded JPEG was packed with; None of another picture, and where it is incomplete.

    Of a grey JPEG the table of brightness has to do for colours, too. Where the subsampling is one
    that cannot be written, colours keep their full resolution.
    """
    if not isinstance(image, JpegImageFile):
        return None
    of_components = [number for _, _, _, number in image.layer[:_COMPONENTS]]
    found = [image.quantization.get(number) for number in of_components]
    tables = [tuple(table) for table in found if table and len(table) == _ENTRIES]
    if not tables or len(tables) < len(found):
        return None
    while tables[-1:] == tables[-2:-1]:
        tables.pop()
    return Quantisation(tuple(tables), _SAMPLINGS.get(get_sampling(image), "4:4:4"))
