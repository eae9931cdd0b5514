"""Training reads prompts and pictures as the pipelines do."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import QwenImageEditPlusPipeline
from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus import calculate_dimensions
from PIL import Image
from transformers import BatchFeature, Qwen2Tokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from pipeline.qwen.processor import PlainProcessor, mark_image_tokens
from pipeline.qwen.prompt import wrap
from pipeline.tiny_model import SYSTEM_PROMPT
from training import parts, reading
from training.lessons import FORMATS, Format, Reader, drawn, picture_numbers
from training.student import PREFIX
from training.world import training_edit


@pytest.fixture(scope="module")
def encoder(words: Qwen2Tokenizer) -> Any:
    torch.manual_seed(0)
    return parts.text_encoder(words).eval()


@pytest.fixture(scope="module")
def processor(words: Qwen2Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> PlainProcessor:
    folder = tmp_path_factory.mktemp("processor")
    size = {"shortest_edge": 28 * 28, "longest_edge": parts.GLIMPSE_PIXELS}
    Qwen2VLImageProcessorPil(size=size).save_pretrained(folder)
    return PlainProcessor(words, folder)


def template() -> str:
    """The template of the pipeline, which is a constant of its instances."""
    pipe = QwenImageEditPlusPipeline.__new__(QwenImageEditPlusPipeline)
    QwenImageEditPlusPipeline.__init__(pipe, *[None] * 6)
    return str(pipe.prompt_template_encode)


def as_the_pipeline_reads(
    processor: PlainProcessor, pictures: list[torch.Tensor], prompt: str
) -> BatchFeature:
    glimpses = []
    for picture in pictures:
        values = (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        opened = Image.fromarray(values)
        size = calculate_dimensions(reading.CONDITION_PIXELS, opened.width / opened.height)
        glimpses.append(opened.resize(size[:2], Image.Resampling.LANCZOS))
    text = wrap(template(), prompt, numbered_pictures=len(pictures))
    return processor(text=[text], images=glimpses, padding=True, return_tensors="pt")


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_a_prompt_is_read_as_the_library_reads_it(
    form: Format, encoder: Any, processor: PlainProcessor, words: Qwen2Tokenizer
) -> None:
    edit = training_edit(random.Random(2), form.aspect, two_pictures=form.pictures == 2)
    shown = drawn(picture_numbers([edit]), form, torch.device("cpu")).shown
    inputs = as_the_pipeline_reads(processor, [one[0] for one in shown], edit.words)
    reader = Reader(words)
    head, where = reader.layout(form)
    ids, counts = reader.read([edit.words])
    tokens = torch.cat([torch.tensor([head]), torch.from_numpy(ids)], dim=1)
    mask = torch.cat([torch.ones(1, len(head)).bool(), torch.from_numpy(counts)], dim=1)
    length = int(mask.sum())
    assert tokens[0, :length].tolist() == inputs["input_ids"][0].tolist()
    with torch.no_grad():
        marks = mark_image_tokens(inputs["input_ids"], encoder.config.image_token_id)
        theirs = encoder(**inputs, mm_token_type_ids=marks, output_hidden_states=True)
        given = inputs["pixel_values"].unflatten(0, (len(shown), -1))
        seen = reading.see(encoder, given, form.glimpse).flatten(0, 1)[None]
        ours = reading.read(encoder, tokens, seen, where, mask)[:, :length]
        torch.testing.assert_close(ours, theirs.hidden_states[-1], rtol=1e-4, atol=1e-4)
    own = reading.patches(torch.cat(shown), form.glimpse).flatten(0, 1)
    assert (own - inputs["pixel_values"]).abs().mean() < 0.02  # scaled once, not twice


def test_the_templates_beginning_has_the_length_that_the_pipelines_drop(
    words: Qwen2Tokenizer,
) -> None:
    beginning = f"<|im_start|>{SYSTEM_PROMPT}<|im_end|>\n<|im_start|>user\n"
    assert len(words(beginning)["input_ids"]) == PREFIX
    assert template().startswith(beginning)
