"""A request turned into what the transformer works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus import calculate_dimensions
from PIL import Image
from transformers import BatchFeature

from pipeline.editor import EditError, EditRequest, Failure
from pipeline.qwen import errors
from pipeline.qwen.load import Pipeline, is_plus
from pipeline.qwen.prompt import Length, check_length, disarm, wrap

_LEAST_GLIMPSE = 32  # pixels along a side of what the text encoder sees; its own patch has 28
_LONGEST_ASPECT = 100  # the text encoder refuses 200, and its own rounding may double the ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request as the text encoder and the VAE take it; everything on the CPU."""

    canvases: tuple[Image.Image, ...]
    shapes: tuple[tuple[int, int, int], ...]  # frames, rows, columns in patches: result, pictures
    prompt: BatchFeature
    negative: BatchFeature | None  # with the same pictures; None: no classifier-free guidance

    @property
    def prompts(self) -> tuple[BatchFeature, ...]:
        """What the text encoder has to read."""
        return (self.prompt,) if self.negative is None else (self.prompt, self.negative)

    @property
    def text_tokens(self) -> int:
        """Of the longest prompt, its pictures counted."""
        return max(map(_tokens, self.prompts))

    @property
    def all_text_tokens(self) -> int:
        """Of all prompts together."""
        return sum(map(_tokens, self.prompts))

    @property
    def patches(self) -> int:
        """Of the result and all pictures."""
        return sum(rows * columns for _, rows, columns in self.shapes)

    @property
    def tokens(self) -> int:
        """Of a sequence in the transformer, at most."""
        return self.patches + self.text_tokens

    @property
    def pixels(self) -> int:
        """Of the largest picture."""
        return max(one.width * one.height for one in self.canvases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """All that denoising one picture needs; every tensor in the model's dtype, on its device."""

    prompt: torch.Tensor  # (1, tokens, width of the text encoder)
    negative: torch.Tensor | None  # like it; None: no classifier-free guidance
    noise: torch.Tensor  # (1, patches, channels): where the denoising starts
    references: torch.Tensor  # (1, patches of all pictures, channels)
    shapes: tuple[tuple[int, int, int], ...]  # frames, rows, columns in patches: result, pictures


def _tokens(prompt: BatchFeature) -> int:
    return int(prompt["input_ids"].shape[1])


def prepare(
    pipe: Pipeline, request: EditRequest, *, condition_pixels: int, multiple: int
) -> Prepared:
    """Open the request's pictures and spell out its prompts.

    Raises EditError for pictures and prompts that the model cannot take.
    """
    canvases = open_canvases(request.images, several=is_plus(pipe), multiple=multiple)
    with errors.mapped("reading the pictures and the prompt"):
        glimpses = _for_text_encoder(pipe, canvases, condition_pixels)
        shapes = _shapes(pipe, canvases)
        pictures = pipe.processor.pictures(glimpses)
        read = partial(_inputs, pipe, glimpses, pictures, shapes)
        prompt = read(request.prompt, what="prompt")
        negative = None
        if request.cfg > 1:
            negative = read(request.negative_prompt, what="negative prompt")
    return Prepared(canvases=tuple(canvases), shapes=shapes, prompt=prompt, negative=negative)


def look(
    pipe: Pipeline,
    prepared: Prepared,
    texts: Sequence[torch.Tensor],
    *,
    seed: int,
    device: torch.device,
) -> Encoded:
    """Take the pictures through the VAE; the noise comes from the seed alone.

    `texts` is what became of the prepared prompts. Raises EditError if it goes wrong.
    """
    with errors.mapped("reading the pictures"):
        dtype = texts[0].dtype
        noise, references = _latents(pipe, prepared.canvases, seed, dtype, device)
    return Encoded(
        prompt=texts[0],
        negative=texts[1] if len(texts) == 2 else None,
        noise=noise,
        references=references,
        shapes=prepared.shapes,
    )


def open_canvases(paths: Sequence[Path], *, several: bool, multiple: int) -> list[Image.Image]:
    """The request's pictures; raises EditError if there are too many or one is unusable."""
    if len(paths) > 1 and not several:
        cause = "This model (QwenImageEditPipeline) edits one picture, without references."
        advice = "Remove 'images', or use a QwenImageEditPlusPipeline checkpoint (2509, 2511)."
        raise EditError(cause, advice, Failure.PERMANENT)
    return [_open(path, multiple) for path in paths]


def _open(path: Path, multiple: int) -> Image.Image:
    try:
        with Image.open(path) as file:
            picture = file.convert("RGB")
    except OSError as error:
        cause = f"The prepared picture {path.name} cannot be read ({error})."
        raise EditError(cause, "Try again.", Failure.TRANSIENT) from error
    width, height = picture.size
    if width % multiple or height % multiple:
        cause = f"{path.name} is {width}x{height}; both sides must be multiples of {multiple}."
        raise EditError(cause, "Report this: the picture was prepared wrongly.", Failure.PERMANENT)
    if max(width, height) > _LONGEST_ASPECT * min(width, height):
        cause = f"The picture is too long for its width ({width}x{height} for the model)."
        advice = f"Crop it, or name a region of at most {_LONGEST_ASPECT} times its width."
        raise EditError(cause, advice, Failure.PERMANENT)
    return picture


def _for_text_encoder(
    pipe: Pipeline, canvases: Sequence[Image.Image], condition_pixels: int
) -> list[Image.Image]:
    """The pictures as the text encoder sees them: whole for Edit, small for Plus."""
    if not is_plus(pipe):
        return list(canvases)
    sizes = [calculate_dimensions(condition_pixels, one.width / one.height) for one in canvases]
    return [
        pipe.image_processor.resize(one, max(height, _LEAST_GLIMPSE), max(width, _LEAST_GLIMPSE))
        for one, (width, height) in zip(canvases, sizes, strict=True)
    ]


def _shapes(pipe: Pipeline, canvases: Sequence[Image.Image]) -> tuple[tuple[int, int, int], ...]:
    side = pipe.vae_scale_factor * 2  # pixels along a side of one patch
    return tuple((1, one.height // side, one.width // side) for one in (canvases[0], *canvases))


def _inputs(
    pipe: Pipeline,
    glimpses: list[Image.Image],
    pictures: BatchFeature,
    shapes: tuple[tuple[int, int, int], ...],
    written: str,
    *,
    what: str,
) -> BatchFeature:
    words = disarm(written)
    check_length(measure(pipe, words, [one.size for one in glimpses], shapes), what=what)
    numbered = len(glimpses) if is_plus(pipe) else 0
    text = wrap(pipe.prompt_template_encode, words, numbered_pictures=numbered)
    inputs: BatchFeature = pipe.processor.inputs([text], pictures, padding=True)
    return inputs


def measure(
    pipe: Pipeline,
    words: str,
    sizes: Sequence[tuple[int, int]],
    shapes: tuple[tuple[int, int, int], ...],
) -> Length:
    """The length of a prompt beside pictures of these (width, height) sizes.

    QwenEmbedRope gives text the positions behind the largest half side of a picture, and its
    table ends at 4096; the pipelines drop the first tokens of the template.
    """
    numbered = len(sizes) if is_plus(pipe) else 0
    template = pipe.prompt_template_encode
    full = wrap(template, words, numbered_pictures=numbered)
    empty = wrap(template, "", numbered_pictures=numbered)
    around = pipe.processor.count_tokens(empty, sizes)
    offset = max(max(rows // 2, columns // 2) for _, rows, columns in shapes)
    table = pipe.transformer.pos_embed.pos_freqs.shape[0]
    return Length(
        tokens=pipe.processor.count_tokens(full, sizes) - around,
        allowed=table - offset - (around - pipe.prompt_template_encode_start_idx),
    )


def _latents(
    pipe: Pipeline,
    canvases: Sequence[Image.Image],
    seed: int,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise in the first picture's size, and all pictures through the VAE, pixel by pixel."""
    pixels = [
        # At its own size nothing is resized.
        pipe.image_processor.preprocess(one, one.height, one.width).unsqueeze(2)
        for one in canvases
    ]
    noise, references = pipe.prepare_latents(
        pixels if is_plus(pipe) else pixels[0],
        1,
        pipe.transformer.config.in_channels // 4,
        canvases[0].height,
        canvases[0].width,
        dtype,
        device,
        torch.Generator("cpu").manual_seed(seed),  # the same noise whatever the device
    )
    return noise, references
