"""The transformer's blocks compiled: once for all of them, and for sequences of any length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.transformers import transformer_qwenimage

from pipeline.qwen.load import Pipeline

_rotated_by_the_library = transformer_qwenimage.apply_rotary_emb_qwen


def compile_blocks(pipe: Pipeline, backend: Any = "inductor") -> None:
    """Compile the transformer's blocks when they are first used.

    Lengths are left open from the start, so that a result does not depend on the sizes before it,
    and nothing else: where all may change (dynamic=True), widths and even the norms' epsilons
    become arguments of every kernel.
    """
    transformer_qwenimage.apply_rotary_emb_qwen = _rotated
    for block in pipe.transformer.transformer_blocks:
        block.compile(backend=backend)
        block._compiled_call_impl = _with_open_lengths(block._compiled_call_impl)


def _with_open_lengths(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, by name, with arguments whose lengths the compiler takes for no constants."""

    def call(**given: Any) -> Any:
        for name in ("hidden_states", "encoder_hidden_states", "modulate_index"):
            if given[name] is not None:
                torch._dynamo.maybe_mark_dynamic(given[name], 1)
        for table in given["image_rotary_emb"]:
            torch._dynamo.maybe_mark_dynamic(table, 0)
        return compiled(**given)

    return call


def _rotated(
    x: torch.Tensor, freqs_cis: Any, use_real: bool = True, use_real_unbind_dim: int = -1
) -> Any:
    """apply_rotary_emb_qwen of diffusers 0.42.1, where it is compiled with real numbers alone.

    torch's compiler makes no code for complex numbers ("does not support code generation for
    complex operators"): a product of them is a kernel of its own, between two more that fetch and
    store four bytes for each two of the model.
    """
    if use_real or not torch.compiler.is_compiling():
        return _rotated_by_the_library(x, freqs_cis, use_real, use_real_unbind_dim)
    real, imaginary = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = torch.view_as_real(freqs_cis.unsqueeze(1)).unbind(-1)
    turned = (real * cosine - imaginary * sine, real * sine + imaginary * cosine)
    return torch.stack(turned, dim=-1).flatten(3).type_as(x)
