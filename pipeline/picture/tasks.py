"""The two things that a pixel worker does: pictures to canvases, and an edit back to a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from config.values import ExactSize, Keep, ModelSize, OriginalSize, Region, Size
from pipeline.composite.compose import NOT_COMPARED
from pipeline.picture.canvas import (
    box,
    canvas_area,
    open_mask,
    padded,
    part_area,
    place,
    window,
)
from pipeline.picture.edited import Layers, lay, read_edit
from pipeline.picture.fidelity import Fidelity
from pipeline.picture.icc import Srgb, to_srgb
from pipeline.picture.metadata import Label, metadata
from pipeline.picture.open import Picture, fitting, open_own, open_picture
from pipeline.picture.overlay import Composite, Pixels, compose_pixels, cut_away, result_size
from pipeline.picture.preview import Side, write
from pipeline.picture.save import FinishedPicture, result_kind, save
from pipeline.picture.sixteen_bit import KINDS, Deep, SixteenBitPixels
from pipeline.picture.transparency import opaque
from pipeline.pixel_requests import Compose, Composed, PictureError, Prepare, Prepared, Preview
from pipeline.provenance import source_type
from pipeline.recipe import MEGAPIXEL
from pipeline.sniff.whole_file import Kind

FURTHER_CAUSE = "; also, "
LOSSY = frozenset({Kind.JPEG, Kind.WEBP})


def prepare(request: Prepare) -> Prepared:
    """Open the pictures of a job and write the model's canvases: 8-bit sRGB RGB, as PPM.

    Raises PictureError with every picture's problem at once, OSError where scratch fails.
    """
    steps = [
        partial(_prepare_image, request),
        *(partial(_prepare_reference, request, i) for i in range(len(request.references))),
    ]
    first, *others = _all(steps)
    return dataclasses.replace(
        first,
        canvases=tuple(path for part in (first, *others) for path in part.canvases),
        notes=tuple(dict.fromkeys(note for part in (first, *others) for note in part.notes)),
    )


def _all(steps: Iterable[Callable[[], Prepared]]) -> list[Prepared]:
    """Take every step, then raise what went wrong in any of them."""
    prepared, errors = [], []
    for step in steps:
        try:
            prepared.append(step())
        except PictureError as error:
            errors.append(error)
    if errors:
        cause = FURTHER_CAUSE.join(error.cause for error in errors)
        raise PictureError(cause, " ".join(dict.fromkeys(error.advice for error in errors)))
    return prepared


def _prepare_image(request: Prepare) -> Prepared:
    with fitting(request.name, request.image, *_mask_path(request)):
        picture = _opened(request, request.image, request.name)
        region = _region(request.recipe.region, picture)
        target = region
        if request.mask is not None and request.recipe.keep is not Keep.NONE:
            name, path = request.mask
            mask = open_mask(path, name, of=picture, region=region)
            target = _white(mask, region)
        part = (
            region
            if isinstance(request.recipe.size, ModelSize)
            else window(target, *picture.pixels.size, working_pixels=_part_area(request))
        )
        area = canvas_area(
            request.working_pixels,
            request.recipe.asked_pixels,
            shown=_shown(request.recipe.size, part, picture),
        )
        made = _canvas(request, picture, part, area, request.into / "canvas.ppm")
        return dataclasses.replace(made, notes=(*made.notes, *_other_area(request, area)))


def _part_area(request: Prepare) -> int | None:
    return part_area(request.working_pixels, request.recipe.asked_pixels)


def _shown(size: Size, part: Region, picture: Picture) -> int | None:
    """The pixels of a part in the original or in the result, whichever are more.

    None where the result is the canvas itself.
    """
    pixels = part.width * part.height
    match size:
        case ModelSize():
            return None
        case OriginalSize():
            return pixels
        case ExactSize(width, height):
            scale = max(width / picture.pixels.width, height / picture.pixels.height)
            return max(pixels, round(pixels * scale * scale))


def _other_area(request: Prepare, area: int | None) -> Iterator[str]:
    """Where `megapixels` is not what the picture is edited at, and why."""
    asked = request.recipe.asked_pixels
    if asked is None:
        return
    if area is None:
        yield "megapixels has no effect: what edits here takes pictures of any size."
    elif area < asked:
        yield (
            f"{request.name} is edited at {area / MEGAPIXEL:.3g} megapixels, not "
            f"{request.recipe.megapixels:g}: more would only enlarge it."
        )


def _white(mask: Image.Image, region: Region) -> Region:
    """The least part of a region that holds all that a mask lets change."""
    left, top, right, bottom = mask.crop(box(region)).getbbox() or (0, 0, 1, 1)
    return Region(region.x + left, region.y + top, right - left, bottom - top)


def _prepare_reference(request: Prepare, index: int) -> Prepared:
    name, path = request.references[index]
    with fitting(name, path):
        picture = _opened(request, path, name)
        whole = Region(0, 0, *picture.pixels.size)
        into = request.into / f"reference-{index + 1}.ppm"
        return _canvas(request, picture, whole, _part_area(request), into)


def _opened(request: Prepare, path: Path, name: str) -> Picture:
    return open_picture(path, name, most_pixels=round(request.max_megapixels * 1e6))


def _region(region: Region | None, picture: Picture) -> Region:
    width, height = picture.pixels.size
    if region is None:
        return Region(0, 0, width, height)
    left, top, right, bottom = box(region)
    if left < 0 or top < 0 or right > width or bottom > height:
        cause = (
            f"the region [{left}, {top}, {region.width}, {region.height}] reaches outside "
            f"{picture.name}, which has {width}x{height} pixels (upright)"
        )
        advice = "Write region: [x, y, width, height], counted from the top left corner."
        raise PictureError(cause, advice)
    return region


def _canvas(
    request: Prepare, picture: Picture, region: Region, area: int | None, path: Path
) -> Prepared:
    """Write the canvas of one picture; colours are converted after scaling, which is faster."""
    width, height = picture.pixels.size
    placement = dataclasses.replace(
        place(region.width, region.height, working_pixels=area, multiple=request.multiple),
        region=region,
    )
    part = box(region)
    fitted = opaque(
        picture.pixels.crop(part),
        None if picture.alpha is None else picture.alpha.crop(part),
        (placement.content_width, placement.content_height),
    )
    padded(to_srgb(fitted, picture.colours), placement).save(path, format="PPM")
    return Prepared(
        canvases=(path,), width=width, height=height, placement=placement, notes=picture.notes
    )


def compose(request: Compose) -> Composed:
    """Bring an edited canvas back to its original and save it in the recipe's format and size.

    Raises PictureError, also for a black or flat edit; OSError where scratch fails.
    """
    prepared = request.prepared
    size = result_size(request.recipe.size, prepared.width, prepared.height, prepared.placement)
    paths = (request.image, *_mask_path(request))
    with fitting(request.name, *paths, made_pixels=size[0] * size[1]):
        return _composed(request)


def _mask_path(request: Prepare | Compose) -> tuple[Path, ...]:
    return () if request.mask is None else (request.mask[1],)


def _composed(request: Compose) -> Composed:
    prepared, recipe = request.prepared, request.recipe
    width, height, placement = prepared.width, prepared.height, prepared.placement
    picture = open_picture(request.image, request.name, most_pixels=width * height, all_bits=True)
    mask = _mask(request, picture)
    edit = read_edit(request, mask, picture.alpha)
    size = result_size(recipe.size, width, height, placement)
    kind, notes = result_kind(recipe.format, picture.kind, size)
    layers = lay(picture, edit, may_be_grey=kind is not Kind.WEBP)
    composite = Composite(
        layers=layers,
        deep=_deep(picture, layers, recipe.size, kind),
        alpha=picture.alpha,
        mask=mask,
        within=recipe.region,
        placement=placement,
        size=recipe.size,
    )
    made = compose_pixels(composite)
    label = _label(request, shows_original=composite.shows_original(made.fidelity.strategy))
    said, said_notes = metadata(picture.carried, label, kind, size)
    finished = FinishedPicture(
        pixels=made.pixels,
        deep=_with_deep_alpha(made, picture),
        alpha=made.alpha,
        profile=layers.profile,
        carried=picture.carried,
        metadata=said,
        kind=kind,
        quality=recipe.quality,
    )
    path, digest, save_notes = save(finished, request.result)
    return Composed(
        path=path,
        format_changed=kind is not picture.kind,
        width=size[0],
        height=size[1],
        sha256=digest,
        preview=_preview(request, picture, finished, label) if request.wants_preview else None,
        notes=(
            *notes,
            *_cut_bits(picture, made),
            *_said(made, picture),
            *cut_away(recipe.size, width, height),
            *said_notes,
            *save_notes,
        ),
        fidelity=_with_file(made, path, kind),
    )


def _preview(
    request: Compose, picture: Picture, finished: FinishedPicture, label: Label
) -> Preview:
    """Before and after; where the result is the region alone, so is what was before."""
    region = request.prepared.placement.region
    part = box(region) if isinstance(request.recipe.size, ModelSize) else None
    before = Side(
        pixels=picture.pixels.crop(part) if part else picture.pixels,
        alpha=picture.alpha.crop(part) if part and picture.alpha else picture.alpha,
        colours=picture.colours,
    )
    after = Side(
        pixels=finished.pixels,
        alpha=finished.alpha,
        colours=picture.colours if finished.profile is not None else Srgb(None),
    )
    path = request.result.with_name(f"{request.result.name}.preview.jpg")
    return write(path, before, after, label.of_preview)


def _label(request: Compose, *, shows_original: bool) -> Label:
    placement = request.prepared.placement
    return Label(
        told=request.told,
        source=source_type(request.told, shows_original=shows_original),
        worked_at=(placement.content_width, placement.content_height),
        gps=request.gps,
    )


def _deep(picture: Picture, layers: Layers, size: Size, kind: Kind) -> Deep | None:
    """All bits of the original, where it stays as it is and the result can hold them."""
    stays = layers.base is picture.pixels and isinstance(size, OriginalSize)
    if picture.deep is None or kind not in KINDS or not stays:
        return None
    return picture.deep.pixels


def _said(made: Pixels, picture: Picture) -> tuple[str, ...]:
    """What was laid over the original and why, where somebody looked."""
    if made.fidelity.alignment == NOT_COMPARED:
        return ()
    return (f"{picture.name}: {made.fidelity.reason} (strategy: {made.fidelity.strategy}).",)


def _cut_bits(picture: Picture, made: Pixels) -> tuple[str, ...]:
    if not picture.is_deep or made.deep is not None:
        return ()
    return (f"The result of {picture.name} has 8 bits per channel.",)


def _with_deep_alpha(made: Pixels, picture: Picture) -> SixteenBitPixels | None:
    if made.deep is None or picture.deep is None:
        return None
    return SixteenBitPixels(made.deep, picture.deep.alpha)


def _with_file(made: Pixels, path: Path, kind: Kind) -> Fidelity:
    """The fidelity, with that of the file where its format loses something."""
    if made.outside is None:
        return made.fidelity
    if kind not in LOSSY:
        return dataclasses.replace(made.fidelity, file=made.fidelity.after)
    shown = open_own(path, f"the result {path.name}").convert(made.pixels.mode)
    file = made.outside.likeness(np.asarray(shown, np.uint8))
    return dataclasses.replace(made.fidelity, file=file)


def _mask(request: Compose, picture: Picture) -> Image.Image | None:
    if request.mask is None or request.recipe.keep is Keep.NONE:
        return None
    name, path = request.mask
    return open_mask(path, name, of=picture, region=request.prepared.placement.region)
