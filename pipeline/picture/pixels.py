"""The two things that a pixel worker does: pictures to canvases, and an edit back to a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from PIL import Image, ImageChops

from config.keys import Keep, ModelSize, Region
from pipeline.container.examination import Kind
from pipeline.picture.canvas import place
from pipeline.picture.colours import Srgb, to_srgb
from pipeline.picture.comparison import compared
from pipeline.picture.composite import Composite, compose_pixels, cut_away, result_size
from pipeline.picture.damage import fitting
from pipeline.picture.flatness import require_picture
from pipeline.picture.images import Picture, open_own, open_picture
from pipeline.picture.layers import Edit, Edited, Untouched, lay
from pipeline.picture.mask import box, open_mask
from pipeline.picture.metadata import Label, metadata
from pipeline.picture.padding import content, padded, scaled
from pipeline.picture.preview import Side, write
from pipeline.picture.saving import Finished, result_kind, save
from pipeline.pictures import Compose, Composed, PictureError, Prepare, Prepared, Preview
from pipeline.provenance import source_type

FURTHER_CAUSE = "; also, "


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
    with fitting(request.name):
        picture = _opened(request, request.image, request.name)
        region = _region(request.recipe.region, picture)
        if request.mask is not None and request.recipe.keep is not Keep.NONE:
            name, path = request.mask
            open_mask(path, name, of=picture, region=region)
        return _canvas(request, picture, region, request.into / "canvas.ppm")


def _prepare_reference(request: Prepare, index: int) -> Prepared:
    name, path = request.references[index]
    with fitting(name):
        picture = _opened(request, path, name)
        whole = Region(0, 0, *picture.pixels.size)
        return _canvas(request, picture, whole, request.into / f"reference-{index + 1}.ppm")


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


def _canvas(request: Prepare, picture: Picture, region: Region, path: Path) -> Prepared:
    """Write the canvas of one picture; colours are converted after scaling, which is faster."""
    width, height = picture.pixels.size
    placement = dataclasses.replace(
        place(
            region.width,
            region.height,
            working_pixels=request.working_pixels,
            multiple=request.multiple,
        ),
        region=region,
    )
    part = picture.pixels.crop(box(region))
    fitted = scaled(part, (placement.content_width, placement.content_height))
    padded(to_srgb(fitted, picture.colours), placement).save(path, format="PPM")
    return Prepared(
        canvases=(path,), width=width, height=height, placement=placement, notes=picture.notes
    )


def compose(request: Compose) -> Composed:
    """Bring an edited canvas back to its original and save it in the recipe's format and size.

    Raises PictureError, also for a black or flat edit; OSError where scratch fails.
    """
    with fitting(request.name):
        return _composed(request)


def _composed(request: Compose) -> Composed:
    prepared, recipe = request.prepared, request.recipe
    width, height, placement = prepared.width, prepared.height, prepared.placement
    edit = _edit(request)
    picture = open_picture(request.image, request.name, most_pixels=width * height)
    size = result_size(recipe.size, width, height, placement)
    kind, notes = result_kind(recipe.format, picture.kind, size)
    layers = lay(picture, edit, placement.region, may_be_grey=kind is not Kind.WEBP)
    composite = Composite(
        layers=layers,
        alpha=picture.alpha,
        mask=_mask(request, picture),
        placement=placement,
        size=recipe.size,
    )
    pixels, alpha = compose_pixels(composite)
    label = _label(request, shows_original=composite.shows_original)
    said, said_notes = metadata(picture.carried, label, kind, size)
    finished = Finished(
        pixels=pixels,
        alpha=alpha,
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
        fidelity=compared(composite, pixels),
        notes=(*notes, *cut_away(recipe.size, width, height), *said_notes, *save_notes),
    )


def _preview(request: Compose, picture: Picture, finished: Finished, label: Label) -> Preview:
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


def _mask(request: Compose, picture: Picture) -> Image.Image | None:
    if request.mask is None or request.recipe.keep is Keep.NONE:
        return None
    name, path = request.mask
    return open_mask(path, name, of=picture, region=request.prepared.placement.region)


def _edit(request: Compose) -> Edit:
    """Read what the editor made, and refuse what is no picture."""
    placement = request.prepared.placement
    before = open_own(request.prepared.canvases[0], f"the canvas of {request.name}")
    after = open_own(request.edited, f"the edited picture of {request.name}").convert("RGB")
    if after.size != before.size:
        cause = f"the editor returned {request.name} as {after.size}, not {before.size}"
        raise PictureError(cause, "Check the model folder and its hotfolder.json.")
    if ImageChops.difference(before, after).getbbox() is None:
        return Untouched()
    before, after = content(before, placement), content(after, placement)
    if not request.allow_flat:
        require_picture(request.name, before, after)
    return Edited(after)
