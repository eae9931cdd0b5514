"""The model in memory: loaded from a local folder, with what the library gets wrong put right."""

from __future__ import annotations

from typing import Any, TypeAlias

import diffusers
import torch
import transformers
from huggingface_hub import is_offline_mode

from config.problems import Problem, UserError
from pipeline.checkpoint import EDIT, EDIT_PLUS, Checkpoint
from pipeline.qwen.precision import Precision
from pipeline.qwen.processor import PlainProcessor, mark_image_tokens

# diffusers' pipelines are untyped: this stands for one of the two edit pipelines.
Pipeline: TypeAlias = Any

_PIPELINES = {
    EDIT: diffusers.QwenImageEditPipeline,
    EDIT_PLUS: diffusers.QwenImageEditPlusPipeline,
}
TORCH_DTYPES = {
    Precision.BF16: torch.bfloat16,
    Precision.FP16: torch.float16,
    Precision.FP32: torch.float32,
}


def load(checkpoint: Checkpoint, precision: Precision) -> Pipeline:
    """The pipeline on the CPU, ready to edit.

    Raises UserError if the library cannot make a model of the folder, and RuntimeError if the
    libraries were imported before they were told to stay off the network.
    """
    if not is_offline_mode():
        message = "call pipeline.qwen.offline.enforce() before importing the model libraries"
        raise RuntimeError(message)
    _keep_quiet()
    pipe = _from_folder(checkpoint, TORCH_DTYPES[precision])
    pipe.processor = PlainProcessor(pipe.tokenizer, checkpoint.path / "processor")
    drop_the_logits(pipe.text_encoder)
    restore_picture_positions(pipe.text_encoder)
    return pipe


def drop_the_logits(text_encoder: torch.nn.Module) -> None:
    """Compute no logits: the pipelines read hidden states only, and the head weighs 1 GB."""
    text_encoder.lm_head = torch.nn.Identity()


def restore_picture_positions(text_encoder: torch.nn.Module) -> None:
    """Give picture tokens the 2-D positions that the model was trained with (M-RoPE).

    Since transformers 5.3 the encoder falls back to 1-D positions, without a word, unless it is
    told which tokens stand for pictures; the pipelines do not tell it
    (huggingface/diffusers#14194).
    """

    def tell(
        module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if kwargs.get("image_grid_thw") is None or "mm_token_type_ids" in kwargs:
            return args, kwargs
        marks = mark_image_tokens(kwargs["input_ids"], module.config.image_token_id)
        return args, {**kwargs, "mm_token_type_ids": marks}

    # A hook, not a wrapped forward: offloading replaces forward.
    text_encoder.register_forward_pre_hook(tell, with_kwargs=True)


def choose_attention(pipe: Pipeline, name: str) -> None:
    """Use that attention kernel; raises UserError if it is none or would have to be fetched."""
    if name == "native":
        return
    problem = None
    if name.endswith("_hub"):
        problem = f"'{name}' is fetched from the network"
    else:
        try:
            pipe.transformer.set_attention_backend(name)
        except (ValueError, RuntimeError, ImportError) as error:
            problem = f"'{name}' cannot be used ({error})"
    if problem:
        raise UserError([Problem("model.attention", problem, "write 'native'")])


def compile_blocks(pipe: Pipeline) -> None:
    """Compile the transformer's blocks when they are first used, once for all of them."""
    for block in pipe.transformer.transformer_blocks:
        block.compile()


def _from_folder(checkpoint: Checkpoint, dtype: torch.dtype) -> Pipeline:
    try:
        return _PIPELINES[checkpoint.class_name].from_pretrained(
            str(checkpoint.path),
            processor=None,  # the library's own needs torchvision
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
        )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        what = f"the model cannot be loaded ({type(error).__name__}: {error})"
        advice = "copy the model folder again, whole"
        raise UserError([Problem(str(checkpoint.path), what, advice)]) from error


def _keep_quiet() -> None:
    # Progress bars of the libraries would fill the journal.
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def versions() -> tuple[tuple[str, str], ...]:
    """The libraries that a result depends on."""
    return (
        ("torch", str(torch.__version__)),
        ("diffusers", str(diffusers.__version__)),
        ("transformers", str(transformers.__version__)),
    )


def is_plus(pipe: Pipeline) -> bool:
    """Whether the model takes several pictures."""
    return isinstance(pipe, diffusers.QwenImageEditPlusPipeline)
