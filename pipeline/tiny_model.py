"""A tiny checkpoint of the real model classes with random weights, for trying and testing."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageTransformer2DModel,
)
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from config.problems import Problem, UserError
from pipeline.checkpoint import EDIT, EDIT_CLASSES, EDIT_PLUS

WORKING_PIXELS = 256 * 256
CONDITION_PIXELS = 96 * 96  # the real model looks at 384 * 384 of its 1024 * 1024 pixels

# The system prompt of both pipelines. They drop its first 64 tokens whatever the tokenizer, so
# a tokenizer that makes 64 tokens of it behaves as the real one does.
SYSTEM_PROMPT = (
    "system\nDescribe the key features of the input image (color, shape, size, texture, objects, "
    "background), then explain how the user's text instruction should alter or modify the image. "
    "Generate a new image that meets the user's requirements while maintaining consistency with "
    "the original input where appropriate."
)
TEMPLATE_WORDS = [SYSTEM_PROMPT, "\n", "user\n", "assistant\n", "Picture 1: "]
SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HIDDEN = 64  # of the text encoder, hence also the width at which the transformer takes text

# Weights as modules initialise them let every signal fade. These gains, found by trial, give
# pictures with contrast in which another prompt, reference or seed shows.
LAYER_GAIN = 3**0.5  # keeps the variance of a linear layer's input
VELOCITY_GAIN = 16.0
CONTRAST_GAIN = 2.0
TEXT_INITIALIZER_RANGE = 0.15


def build(folder: Path, *, edit_class: str = EDIT_PLUS, seed: int = 0) -> None:
    """Write a complete tiny checkpoint to `folder`, whole or not at all.

    The same class, seed and library versions give the same bytes. Raises UserError if the class
    is no edit class or `folder` holds something already.
    """
    _refuse_what_cannot_be_built(folder, edit_class)
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with appearing_whole(folder) as staging, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = make_tokenizer()
        ours = {"working_pixels": WORKING_PIXELS, "condition_pixels": CONDITION_PIXELS}
        write_index(staging, edit_class, {**ours, "weights": "random"})
        write_processors(staging, tokenizer, most_pixels=512 * 512)
        make_scheduler().save_pretrained(staging / "scheduler")
        in_bfloat16(_vae()).save_pretrained(staging / "vae")
        in_bfloat16(_transformer(edit_class)).save_pretrained(staging / "transformer")
        in_bfloat16(_text_encoder(tokenizer)).save_pretrained(staging / "text_encoder")


def _refuse_what_cannot_be_built(folder: Path, edit_class: str) -> None:
    problems = []
    if edit_class not in EDIT_CLASSES:
        classes = " or ".join(EDIT_CLASSES)
        problems.append(Problem("class", f"'{edit_class}' is no edit class", f"use {classes}"))
    problems += in_the_way(folder)
    if problems:
        raise UserError(problems)


def in_the_way(folder: Path) -> list[Problem]:
    """What keeps a folder from appearing; nothing if it is empty or not there."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return []
    advice = "name a folder that does not exist yet"
    return [Problem(str(folder), "it exists and is not empty", advice)]


@contextmanager
def appearing_whole(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `folder` at the end, readable for everybody."""
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        yield staging
        for path in [staging, *staging.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)  # weights are saved as 0600
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def in_bfloat16(module: Any) -> Any:
    """The module with all its weights in bf16."""
    # torch's own method: the libraries' override warns of parts that these models do not have.
    return torch.nn.Module.to(module, torch.bfloat16)


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_index(folder: Path, edit_class: str, ours: Mapping[str, object]) -> None:
    """Name a checkpoint's parts, and in `hotfolder.json` what Hotfolder has to know of it."""
    components = {
        "processor": ["transformers", "Qwen2VLProcessor"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
        "tokenizer": ["transformers", "Qwen2Tokenizer"],
        "transformer": ["diffusers", "QwenImageTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKLQwenImage"],
    }
    _write_json(folder / "model_index.json", {"_class_name": edit_class, **components})
    _write_json(folder / "hotfolder.json", {**ours})


def write_processors(folder: Path, tokenizer: Qwen2Tokenizer, *, most_pixels: int) -> None:
    """Tokenizer and processor in the layout of the published checkpoints.

    The text encoder sees a picture at `most_pixels` at most.
    """
    for name in ("tokenizer", "processor"):
        tokenizer.save_pretrained(folder / name)
    size = {"shortest_edge": 28 * 28, "longest_edge": most_pixels}
    pictures = Qwen2VLImageProcessorPil(size=size)
    # The name that every transformers has: it picks the implementation that it can import.
    written = pictures.to_dict() | {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
    }
    _write_json(folder / "processor" / "preprocessor_config.json", written)
    videos = {**written, "video_processor_type": "Qwen2VLVideoProcessor"}
    del videos["image_processor_type"]
    _write_json(folder / "processor" / "video_preprocessor_config.json", videos)


def make_tokenizer(words: Iterable[str] = ()) -> Qwen2Tokenizer:
    """Byte-level BPE, trained on the template and these words: others are spelled in bytes."""
    split = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator([*TEMPLATE_WORDS, *words], trainer)
    model = json.loads(trained.to_str())["model"]
    return Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=[tuple(merge) for merge in model["merges"]],
        eos_token="<|im_end|>",  # noqa: S106, a token of text
        pad_token="<|endoftext|>",  # noqa: S106, a token of text
        unk_token=None,
        extra_special_tokens=SPECIAL_TOKENS[1:],
        chat_template=CHAT_TEMPLATE,
        model_max_length=131072,
    )


def make_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """The published checkpoints' schedule."""
    return FlowMatchEulerDiscreteScheduler(
        base_image_seq_len=256,
        base_shift=0.5,
        max_image_seq_len=8192,
        max_shift=0.9,
        shift_terminal=0.02,
        use_dynamic_shifting=True,
        time_shift_type="exponential",
    )


def _vae() -> AutoencoderKLQwenImage:
    """An eighth of the picture's width and 16 channels, as the real one."""
    vae = AutoencoderKLQwenImage(base_dim=8, num_res_blocks=1)
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(CONTRAST_GAIN)
    return vae


def _transformer(edit_class: str) -> QwenImageTransformer2DModel:
    transformer = QwenImageTransformer2DModel(
        in_channels=64,
        out_channels=16,
        num_layers=4,
        num_attention_heads=3,
        attention_head_dim=32,
        axes_dims_rope=(8, 12, 12),
        joint_attention_dim=HIDDEN,
        zero_cond_t=edit_class != EDIT,  # as in the newest checkpoint of each class
    )
    with torch.no_grad():
        for weight in transformer.parameters():
            weight.mul_(LAYER_GAIN if weight.dim() == 2 else 1.0)
        transformer.proj_out.weight.mul_(VELOCITY_GAIN)
    return transformer


def _text_encoder(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLForConditionalGeneration:
    token_id = tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "initializer_range": TEXT_INITIALIZER_RANGE,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [2, 3, 3],
        },
        "bos_token_id": None,
        "eos_token_id": token_id("<|im_end|>"),
        "pad_token_id": token_id("<|endoftext|>"),
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "initializer_range": TEXT_INITIALIZER_RANGE,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": HIDDEN,
        "fullatt_block_indexes": [1],
    }
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=token_id("<|image_pad|>"),
        video_token_id=token_id("<|video_pad|>"),
        vision_start_token_id=token_id("<|vision_start|>"),
        vision_end_token_id=token_id("<|vision_end|>"),
    )
    return Qwen2_5_VLForConditionalGeneration(config)
