"""The model of a local folder, with what the library gets wrong put right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import diffusers
import torch
import transformers
from huggingface_hub import is_offline_mode

from config.problems import Problem, UserError
from pipeline.checkpoint import COPY_AGAIN, EDIT, EDIT_PLUS, Checkpoint
from pipeline.qwen import meta_init, weight_inventory
from pipeline.qwen.precision import Precision
from pipeline.qwen.processor import PlainProcessor
from pipeline.qwen.weight_names import OF_PARTS

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
    """The pipeline, ready to edit once `place_components` has brought its weights.

    Takes no memory to speak of. Raises UserError if the library cannot make a model of the
    folder or the weights in it are not the model's, and RuntimeError if the libraries were
    imported before they were told to stay off the network.
    """
    if not is_offline_mode():
        message = "call pipeline.qwen.offline.enforce() before importing the model libraries"
        raise RuntimeError(message)
    _keep_quiet()
    dtype = TORCH_DTYPES[precision]
    with _explained(checkpoint.path):
        models = {
            "text_encoder": meta_init.text_encoder(checkpoint.path / "text_encoder", dtype),
            "transformer": meta_init.transformer(checkpoint.path / "transformer", dtype),
            "vae": meta_init.vae(checkpoint.path / "vae", dtype),
        }
    drop_the_logits(models["text_encoder"])
    _promise(models, checkpoint)
    with _explained(checkpoint.path):
        pipe = _PIPELINES[checkpoint.class_name].from_pretrained(
            str(checkpoint.path),
            **models,
            processor=None,  # the library's own needs torchvision
            local_files_only=True,
        )
        pipe.processor = PlainProcessor(pipe.tokenizer, checkpoint.path / "processor")
    return pipe


def drop_the_logits(text_encoder: torch.nn.Module) -> None:
    """Compute no logits: the pipelines read hidden states only, and the head weighs 1 GB."""
    text_encoder.lm_head = torch.nn.Identity()


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


def _promise(models: Mapping[str, meta_init.Model], source: Checkpoint) -> None:
    problems: list[Problem] = []
    for name, model in models.items():
        try:
            files = source.weight_files[name]
            weight_inventory.promise(model, source.path / name, files, OF_PARTS[name])
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn what a library raises at a folder that it cannot use into a UserError."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        what = f"the model cannot be loaded ({type(error).__name__}: {error})"
        raise UserError([Problem(str(folder), what, COPY_AGAIN)]) from error


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
