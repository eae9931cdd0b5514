"""Modulation comes from rows that are computed once, and the pictures stay what they were."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rig.batches import run
from rig.copy_streams import EarlyLane, LateLane
from rig.stage_memory import decide, passing_through, place
from safetensors.torch import save_file

from config.problems import UserError
from config.settings import Lora, ModelSettings
from pipeline import checkpoint
from pipeline.checkpoint import EDIT_PLUS
from pipeline.editor import EditRequest
from pipeline.qwen import components, load, modulation
from pipeline.qwen.copy_stream import CopyStream, InlineCopyStream
from pipeline.qwen.denoise_loop import runs
from pipeline.qwen.device import InHostMemory
from pipeline.qwen.engine import QwenEditor
from pipeline.qwen.engine import open_editor as opening
from pipeline.qwen.host_plan import HostPlan
from pipeline.qwen.pinned_memory import StagedMemory
from pipeline.qwen.precision import Precision
from pipeline.qwen.weight_streaming import StreamLoader

BLOCKS = 4
SIZE = 96
WEIGHTS = "diffusion_pytorch_model.safetensors"


class CountingPins(EarlyLane):
    """Knows how many bytes are pinned."""

    pinned_bytes = 0

    def pin(self, host: torch.Tensor) -> None:
        """Count."""
        self.pinned_bytes += host.numel()

    def unpin(self, host: torch.Tensor) -> None:
        """Count."""
        self.pinned_bytes -= host.numel()


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Lora]:
    """One that changes modulation layers, one that does not."""
    folder = tmp_path_factory.mktemp("loras")
    chance = torch.Generator().manual_seed(5)

    def write(name: str, *layers: str, out: int) -> Lora:
        tensors = {}
        for layer in layers:
            key = f"transformer.transformer_blocks.1.{layer}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(4, SIZE, generator=chance)
            tensors[f"{key}.lora_B.weight"] = torch.randn(out, 4, generator=chance)
        save_file(tensors, folder / f"{name}.safetensors")
        return Lora(path=folder / f"{name}.safetensors", steps=3, cfg=4.0)

    return {
        "modulating": write("modulating", "img_mod.1", "txt_mod.1", out=6 * SIZE),
        "plain": write("plain", "attn.to_q", out=SIZE),
    }


@pytest.fixture
def streaming(
    tiny_models: dict[str, Path], loras: dict[str, Lora]
) -> Iterator[Callable[..., QwenEditor]]:
    """streaming(copy_stream, path, in_files) -> an editor whose blocks pass through."""
    opened: list[QwenEditor] = []

    def open_it(
        copy_stream: CopyStream, path: Path | None = None, *, in_files: bool = False
    ) -> QwenEditor:
        settings = ModelSettings(path=path or tiny_models[EDIT_PLUS], batch=8, loras=loras)
        plan = HostPlan(keeps_modulation=not in_files)
        at = replace(place(copy_stream), host_plan=plan)
        opened.append(opening(settings, {"DTYPE": "fp32"}, at=at))
        decide(opened[-1], passing_through(1))
        return opened[-1]

    yield open_it
    for editor in opened:
        editor.close()


@pytest.fixture(scope="module")
def at_home(tiny_models: dict[str, Path], loras: dict[str, Lora]) -> Iterator[QwenEditor]:
    """All weights where they are used: the blocks have their own layers."""
    settings = ModelSettings(path=tiny_models[EDIT_PLUS], batch=8, loras=loras)
    opened = opening(settings, {"DTYPE": "fp32"})
    assert opened._parts.transformer.modulation is None
    yield opened
    opened.close()


def same(found: list[Any], expected: list[Any]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("in_files", [False, True])
@pytest.mark.parametrize("copy_stream", [InlineCopyStream, LateLane])
def test_a_lora_that_changes_modulation_acts_and_leaves_no_trace(
    *,
    copy_stream: Callable[[], CopyStream],
    in_files: bool,
    streaming: Callable[..., QwenEditor],
    at_home: QwenEditor,
    request_of: Callable[..., EditRequest],
) -> None:
    editor = streaming(copy_stream(), in_files=in_files)
    names = (None, "modulating", "plain", "modulating", None)
    made = [run(editor, request_of(lora=name, steps=3)) for name in names]
    expected = [run(at_home, request_of(lora=name, steps=3)) for name in names]
    assert all(map(same, made, expected))
    assert not same(made[0], made[1])


def test_jobs_with_and_without_it_share_a_batch(
    streaming: Callable[..., QwenEditor],
    at_home: QwenEditor,
    request_of: Callable[..., EditRequest],
) -> None:
    asked: list[dict[str, Any]] = [
        {"lora": "modulating"},
        {"lora": None, "steps": 4, "cfg": 3.0},
        {"lora": "plain"},
    ]
    requests, others = ([request_of(**one) for one in asked] for _ in range(2))
    assert same(run(streaming(LateLane()), *requests), run(at_home, *others))


@pytest.mark.parametrize("dtype", [Precision.FP32, Precision.BF16])
@pytest.mark.parametrize("zero_cond_t", [False, True])
def test_the_rows_are_what_the_layers_give_in_the_models_own_forward(
    *, tiny_models: dict[str, Path], dtype: Precision, zero_cond_t: bool
) -> None:
    transformer = _transformer(tiny_models[EDIT_PLUS], dtype)
    transformer.zero_cond_t = zero_cond_t
    timesteps = [1000.0, 731.25, 20.5]
    latents = torch.randn(1, 24, 64, generator=torch.Generator().manual_seed(1))
    latents = latents.to(transformer.dtype)
    with torch.no_grad():
        expected = [_given_by_layers(transformer, latents, timestep) for timestep in timesteps]
    layers = modulation.take_out(transformer)
    units = modulation.weights(layers)
    memory = StagedMemory(units, InlineCopyStream(), in_files=False)
    loader = StreamLoader(units, memory, InlineCopyStream(), latents.device)
    made = modulation.Modulation(transformer, layers, loader, waits="memory")
    rows = made.rows(timesteps, latents, stays=False, changed=())
    for timestep, outputs in zip(timesteps, expected, strict=True):
        for index, block in enumerate(transformer.transformer_blocks):
            temb = rows.replaced(timestep, index)["temb"]
            image, text = outputs[2 * index : 2 * index + 2]
            assert torch.equal(block.img_mod(temb), image)
            assert torch.equal(block.txt_mod(temb.chunk(1 + zero_cond_t)[0]), text)


def _transformer(path: Path, dtype: Precision) -> Any:
    pipe = load.load(checkpoint.read(path), dtype)
    components.place_components(pipe, InHostMemory(device=torch.device("cpu")))
    return pipe.transformer


def _given_by_layers(transformer: Any, latents: torch.Tensor, timestep: float) -> list[Any]:
    """Picture and text of each block, in a whole forward at the timestep."""
    outputs: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _args, output: outputs.append(output))
        for block in transformer.transformer_blocks
        for layer in (block.img_mod, block.txt_mod)
    ]
    transformer(
        hidden_states=latents,
        timestep=torch.tensor([timestep]).to(latents.dtype) / 1000,
        encoder_hidden_states_mask=None,
        encoder_hidden_states=torch.ones(1, 5, transformer.config.joint_attention_dim).to(latents),
        img_shapes=[[(1, 4, 4), (1, 2, 4)]],
        return_dict=False,
    )
    for hook in hooks:
        hook.remove()
    return outputs


def test_a_schedule_that_was_seen_brings_no_modulation_again(
    streaming: Callable[..., QwenEditor], request_of: Callable[..., EditRequest]
) -> None:
    copy_stream = EarlyLane()
    editor = streaming(copy_stream)

    def copies(**asked: Any) -> int:
        before = copy_stream.copies
        run(editor, request_of(**asked))
        return copy_stream.copies - before

    first, second, other_seed = copies(), copies(), copies(seed=8)
    ahead = 2  # of a round that never came
    assert first - second == 2 * BLOCKS + ahead
    assert second == other_seed
    assert copies(lora="plain") == second
    assert copies(lora="modulating") == first
    assert copies(lora="modulating") == first


def test_only_one_layer_of_modulation_is_pinned(streaming: Callable[..., QwenEditor]) -> None:
    copy_stream = CountingPins()
    editor = streaming(copy_stream)
    parts = editor._parts
    assert parts.size.modulation.all_bytes > parts.size.transformer.all_bytes / 3
    pinned = parts.size.all_bytes - (BLOCKS - 0.5) * parts.size.modulation.block_bytes
    assert pinned <= copy_stream.pinned_bytes <= 1.2 * pinned
    parts.close()
    assert copy_stream.pinned_bytes == 0


def test_weights_left_in_their_files_take_no_memory_and_are_missed_when_they_are_gone(
    streaming: Callable[..., QwenEditor],
    request_of: Callable[..., EditRequest],
    tiny_models: dict[str, Path],
    tmp_path: Path,
) -> None:
    shutil.copytree(tiny_models[EDIT_PLUS], tmp_path / "model")
    editor = streaming(InlineCopyStream(), tmp_path / "model", in_files=True)
    made = editor._parts.transformer.modulation
    assert made is not None
    weights = [weight for unit in modulation.weights(made._layers) for weight in unit]
    assert all(weight.untyped_storage().nbytes() <= 4 for weight in weights)
    run(editor, request_of())
    (tmp_path / "model" / "transformer" / WEIGHTS).unlink()
    run(editor, request_of(seed=9))
    with pytest.raises(UserError, match=r"transformer.*cannot be read"):
        run(editor, request_of(steps=5))


def test_rows_are_forgotten_oldest_first_and_those_in_use_last() -> None:
    kept = OrderedDict[float | None, torch.Tensor]()
    for timestep in (3.0, 2.0, 1.0, None):
        kept[timestep] = torch.zeros(2**29, dtype=torch.uint8, device="meta")
    modulation._forget_oldest(kept)
    assert list(kept) == [1.0, None]


@pytest.mark.parametrize(
    ("steps", "most_jobs", "groups"),
    [
        ([(0, 40)] * 5, 4, [(0, 4), (4, 5)]),  # the same schedule
        ([(0, 100), (100, 200), (200, 300), (200, 300)], 8, [(0, 2), (2, 4)]),
        ([(0, 300), (0, 300), (0, 2)], 8, [(0, 1), (1, 2), (2, 3)]),  # more than there is room for
    ],
)
def test_a_group_has_no_more_timesteps_than_there_is_room_for(
    steps: list[tuple[int, int]], most_jobs: int, groups: list[tuple[int, int]]
) -> None:
    timesteps = [frozenset(map(float, range(*span))) for span in steps]
    assert list(runs(timesteps, most_jobs)) == groups
