"""How large the parts of a model are, read from the headers of its files alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod

from config.problems import Problem, UserError
from pipeline.checkpoint import Checkpoint, WeightFile
from pipeline.qwen.offload_plan import ModelSize, StackSize
from pipeline.qwen.weight_names import OF_PARTS, WeightNames

_Shapes = Mapping[str, tuple[int, ...]]


def read(source: Checkpoint, item_bytes: int) -> ModelSize:
    """The sizes that a plan is made from, as they will be once the model is loaded.

    `item_bytes` is the size of a number as it is computed with, whatever the files hold. Raises
    UserError if they do not hold the weights of such a model.
    """
    with _explained(source):
        encoder, transformer, vae = (
            _shapes(source.weight_files[part], spelling) for part, spelling in OF_PARTS.items()
        )
        return _size(encoder, transformer, vae, item_bytes)


@contextmanager
def _explained(source: Checkpoint) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        what = f"its weights are not those of a {source.class_name} ({error} is missing or odd)"
        advice = "use the model folder as it was published"
        raise UserError([Problem(str(source.path), what, advice)]) from error


def linear_layers(source: Checkpoint) -> dict[str, tuple[int, int]]:
    """The numbers in and out of each linear layer of a model's transformer, by its name.

    Raises UserError as `read` does.
    """
    with _explained(source):
        shapes = _shapes(source.weight_files["transformer"], OF_PARTS["transformer"])
        return {
            name.removesuffix(".weight"): (shape[1], shape[0])
            for name, shape in shapes.items()
            if name.endswith(".weight") and len(shape) == 2
        }


def _size(encoder: _Shapes, transformer: _Shapes, vae: _Shapes, item_bytes: int) -> ModelSize:
    vision = _stack(encoder, "model.visual.blocks.", item_bytes)
    text = _stack(encoder, "model.language_model.layers.", item_bytes)
    blocks = _stack(transformer, "transformer_blocks.", item_bytes)
    modulation = StackSize(
        blocks=blocks.blocks, block_bytes=_numbers(_modulation(transformer)) * item_bytes
    )
    return ModelSize(
        vision=vision,
        text=text,
        encoder_rest_bytes=_numbers(encoder) * item_bytes - vision.all_bytes - text.all_bytes,
        transformer=StackSize(
            blocks=blocks.blocks, block_bytes=blocks.block_bytes - modulation.block_bytes
        ),
        modulation=modulation,
        transformer_rest_bytes=_numbers(transformer) * item_bytes - blocks.all_bytes,
        vae_bytes=_numbers(vae) * item_bytes,
        vision_width=encoder["model.visual.merger.mlp.0.weight"][1],
        text_width=encoder["model.language_model.embed_tokens.weight"][1],
        transformer_width=transformer["img_in.weight"][0],
        head_width=transformer["transformer_blocks.0.attn.norm_q.weight"][0],
        patch_width=transformer["img_in.weight"][1],
        vae_width=vae["encoder.conv_in.weight"][0],
        item_bytes=item_bytes,
    )


def _stack(shapes: _Shapes, prefix: str, item_bytes: int) -> StackSize:
    inside = [name.removeprefix(prefix) for name in shapes if name.startswith(prefix)]
    blocks = {name.partition(".")[0] for name in inside}
    first = {name: shape for name, shape in shapes.items() if name.startswith(f"{prefix}0.")}
    if not first:
        missing = f"{prefix}0"
        raise KeyError(missing)
    return StackSize(blocks=len(blocks), block_bytes=_numbers(first) * item_bytes)


def _modulation(shapes: _Shapes) -> _Shapes:
    """Of the first block."""
    prefixes = ("transformer_blocks.0.img_mod.", "transformer_blocks.0.txt_mod.")
    return {name: shape for name, shape in shapes.items() if name.startswith(prefixes)}


def _numbers(shapes: _Shapes) -> int:
    return sum(map(prod, shapes.values()))


def _shapes(files: Sequence[WeightFile], spelling: WeightNames) -> _Shapes:
    """The shape of every weight that is loaded, by its name in the model."""
    return {
        spelling.renamed(name): tuple(map(int, tensor["shape"]))
        for file in files
        for name, tensor in file.tensors.items()
        if name not in spelling.unused
    }
