"""Opening a picture: checked by its header first, then upright, in 8 bits, alpha apart."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile

from pipeline.container.examination import Incomplete, Kind, Verdict, examine
from pipeline.container.foreign import NotAPicture
from pipeline.picture import deep as deep_pixels
from pipeline.picture.carried import Carried, orientation, read_carried
from pipeline.picture.colours import Colours, settle
from pipeline.picture.damage import COPY_AGAIN, readable
from pipeline.picture.deep import DeepPixels
from pipeline.picture.modes import depth, split
from pipeline.pictures import PictureError

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

FURTHER_FRAMES = {
    Kind.JPEG: "carries further pictures, as phones add them; only the main one is edited",
    Kind.PNG: "is animated; only its first frame is edited",
    Kind.WEBP: "is animated; only its first frame is edited",
    Kind.TIFF: "has several pages; only the first is edited",
    Kind.BMP: "holds several pictures; only the first is edited",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An opened picture: upright, 8 bits per channel, in the file's own colours."""

    name: str
    kind: Kind
    pixels: Image.Image  # RGB, L, CMYK or LAB
    alpha: Image.Image | None  # L, of the same size
    colours: Colours
    carried: Carried
    is_deep: bool  # the file has more than 8 bits a channel
    deep: DeepPixels | None  # all of them, where they were asked for and can be kept
    notes: tuple[str, ...]  # plain sentences


def open_picture(path: Path, name: str, *, most_pixels: int, all_bits: bool = False) -> Picture:
    """Open a picture of at most `most_pixels`; `name` is what people call it.

    With `all_bits`, 16 bits a channel are read beside the 8 where the file has them. Colours
    under transparent parts are kept as they are. Raises PictureError for a file that can not be
    used, OSError where the file system fails.
    """
    with path.open("rb") as file, warnings.catch_warnings(record=True) as heard, readable(name):
        warnings.simplefilter("always")
        verdict = examine(file, file.seek(0, 2))
        _require_picture(name, verdict)
        with _header(file, name, verdict) as image:
            _require_small(image, name, most_pixels)
            _require_whole(name, verdict)
            _require_sound(image, file)
            picture = _decoded(image, file, name, all_bits=all_bits)
    said = dict.fromkeys(f"{name}: {warning.message}" for warning in heard)
    return dataclasses.replace(picture, notes=(*picture.notes, *said))


def open_own(path: Path, what: str) -> Image.Image:
    """Open a picture that lies on scratch because we, or an editor, wrote it there; as RGB or L.

    Raises PictureError, naming it `what`, when it is not whole; OSError from the file system.
    """
    Image.MAX_IMAGE_PIXELS = None
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with readable(what), Image.open(path) as image:
        image.load()
        return image


def _require_picture(name: str, verdict: Verdict) -> None:
    if isinstance(verdict, NotAPicture):
        cause = f"{name} is no picture that can be edited: it is {verdict.what}"
        raise PictureError(cause, f"{verdict.advice[:1].upper()}{verdict.advice[1:]}.")


def _require_whole(name: str, verdict: Verdict) -> None:
    if isinstance(verdict, Incomplete):
        cause = f"{name} is not complete: {verdict.why}"
        raise PictureError(cause, COPY_AGAIN)


def _require_small(image: Image.Image, name: str, most_pixels: int) -> None:
    width, height = image.size
    if width * height > most_pixels:
        cause = (
            f"{name} says that it has {width}x{height} pixels "
            f"({width * height / 1e6:.1f} megapixels), {most_pixels / 1e6:g} are allowed"
        )
        advice = "Make the picture smaller, or raise limits.max_megapixels in the settings."
        raise PictureError(cause, advice)
    Image.MAX_IMAGE_PIXELS = most_pixels  # for whatever the decoder meets further inside


def _require_sound(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    """Compare the checksums of a PNG, which Pillow's decoder passes over."""
    if image.format == Kind.PNG:
        place = file.tell()
        file.seek(0)
        with Image.open(file, formats=(Kind.PNG,)) as twin:
            twin.verify()
        file.seek(place)


@contextmanager
def _header(file: BinaryIO, name: str, verdict: Verdict) -> Iterator[ImageFile.ImageFile]:
    """Open a picture without decoding it."""
    Image.MAX_IMAGE_PIXELS = None  # the check that follows names the size
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    file.seek(0)
    try:
        image = Image.open(file, formats=tuple(Kind))
    except (OSError, SyntaxError):
        _require_whole(name, verdict)
        raise
    with image:
        yield image


def _decoded(image: ImageFile.ImageFile, file: BinaryIO, name: str, *, all_bits: bool) -> Picture:
    kind = Kind.JPEG if image.format == "MPO" else Kind(str(image.format))
    samples, turn = depth(image), orientation(image)
    image.load()
    carried, carried_notes = read_carried(image, file, name, kind, is_sideways=turn >= 5)
    # Pillow itself turns TIFF pictures while it loads them.
    stands = turn == 1 or kind is Kind.TIFF
    pixels, alpha = split(image.copy() if stands else image.transpose(TURNS[turn]), samples)
    deep = None
    if all_bits and samples.is_deep and kind in deep_pixels.KINDS:
        deep = deep_pixels.read_deep(file, pixels, alpha, orientation=turn)
    pixels, colours, colour_notes = settle(pixels, image.info.get("icc_profile"), name)
    pixels.info.clear()  # Pillow would write what stands there into the result by itself
    notes = _surprises(image, name, kind, is_deep=samples.is_deep, has_alpha=alpha is not None)
    return Picture(
        name=name,
        kind=kind,
        pixels=pixels,
        alpha=alpha,
        colours=colours,
        carried=carried,
        is_deep=samples.is_deep,
        deep=deep,
        notes=(*notes, *carried_notes, *colour_notes),
    )


def _surprises(
    image: Image.Image, name: str, kind: Kind, *, is_deep: bool, has_alpha: bool
) -> list[str]:
    notes = []
    if not kind.is_named_by(Path(name).suffix):
        notes.append(f"{name} holds a {kind} picture, whatever its name says.")
    if getattr(image, "is_animated", False):
        notes.append(f"{name} {FURTHER_FRAMES[kind]}.")
    if is_deep:
        notes.append(f"{name} has more than 8 bits per channel; the model sees 8.")
    if has_alpha:
        notes.append(f"{name} has transparency; the model sees the colours under it.")
    return notes
