"""The sizes of the published model, and of jobs."""

from __future__ import annotations

from pipeline.qwen.offload_plan import ModelSize, StackSize, Work

MIB = 2**20
# Qwen-Image-Edit in bf16.
REAL = ModelSize(
    vision=StackSize(blocks=32, block_bytes=40 * MIB),
    text=StackSize(blocks=28, block_bytes=466 * MIB),
    encoder_rest_bytes=1150 * MIB,
    transformer=StackSize(blocks=60, block_bytes=432 * MIB),
    modulation=StackSize(blocks=60, block_bytes=216 * MIB),
    transformer_rest_bytes=80 * MIB,
    vae_bytes=250 * MIB,
    vision_width=5120,
    text_width=3584,
    transformer_width=3072,
    head_width=128,
    patch_width=64,
    vae_width=96,
    item_bytes=2,
)


def work_of(sequences: int, tokens: int, text_tokens: int, pixels: int) -> Work:
    """Jobs that are all alike."""
    return Work(
        sequences=sequences,
        tokens=tokens,
        text_tokens=text_tokens,
        pixels=pixels,
        timesteps=40,
        kept_patches=sequences * tokens,
        kept_text_tokens=sequences * text_tokens,
    )


GUIDED = work_of(2, 8700, 700, 2**20)
