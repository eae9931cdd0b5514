"""Compiled blocks compute what they would compute otherwise, and are compiled once for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rig.copy_streams import LateLane
from rig.stage_memory import decide, passing_through, place
from safetensors.torch import save_file

from config.settings import Lora, ModelSettings
from pipeline.checkpoint import EDIT, EDIT_PLUS
from pipeline.editor import EditRequest
from pipeline.qwen.compiled_blocks import compile_blocks
from pipeline.qwen.device import InHostMemory, ModelDevice
from pipeline.qwen.engine import QwenEditor
from pipeline.qwen.engine import open_editor as opening

AT_HOME = InHostMemory(device=torch.device("cpu"))
BLOCKS = 4
SIZES = [(96, 128), (160, 64), (64, 96), (96, 96), (192, 64), (64, 64), (256, 32), (224, 160)]


class Counting:
    """A backend that leaves the computing as it is."""

    def __init__(self) -> None:
        self.compilations = 0
        self.calls = 0
        self.targets: set[str] = set()

    def __call__(self, graph: Any, _examples: Sequence[Any]) -> Callable[..., Any]:
        """Compile nothing, and count."""
        self.compilations += 1
        self.targets |= {str(node.target) for node in graph.graph.nodes}

        def compute(*given: Any) -> Any:
            self.calls += 1
            return graph.forward(*given)

        return compute


@pytest.fixture(autouse=True)
def _nothing_is_compiled_yet() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Lora:
    chance = torch.Generator().manual_seed(5)
    layer = "transformer.transformer_blocks.1.attn.to_q"
    path = tmp_path_factory.mktemp("lora") / "strong.safetensors"
    factors = {
        f"{layer}.lora_A.weight": torch.randn(4, 96, generator=chance),
        f"{layer}.lora_B.weight": torch.randn(96, 4, generator=chance),
    }
    save_file(factors, path)
    return Lora(path=path, steps=2, cfg=4.0)


@pytest.fixture
def opened(tiny_models: dict[str, Path], lora: Lora) -> Iterator[Callable[..., QwenEditor]]:
    """opened(edit_class, backend, at) -> an editor that compiles with the backend, if any."""
    editors: list[QwenEditor] = []

    def open_it(
        edit_class: str = EDIT_PLUS,
        backend: Counting | None = None,
        at: ModelDevice = AT_HOME,
    ) -> QwenEditor:
        settings = ModelSettings(path=tiny_models[edit_class], loras={"strong": lora})
        editors.append(opening(settings, {"DTYPE": "fp32"}, at=at))
        if backend is not None:
            compile_blocks(editors[-1]._pipe, backend)
        return editors[-1]

    yield open_it
    for editor in editors:
        editor.close()


@pytest.mark.parametrize(("edit_class", "sizes"), [(EDIT, SIZES[:3]), (EDIT_PLUS, SIZES)])
def test_one_compilation_serves_all_blocks_and_all_sizes(
    *,
    edit_class: str,
    sizes: list[tuple[int, int]],
    opened: Callable[..., QwenEditor],
    open_editor: Callable[..., Any],
    canvas: Callable[..., Path],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    backend = Counting()
    editor = opened(edit_class, backend)
    for number, size in enumerate(sizes):
        calls = backend.calls
        differences = {"images": (canvas(size),), "cfg": 4.0, "prompt": "red " * (number + 1)}
        found = picture_of(editor, request_of(**differences))
        assert backend.compilations == 1
        assert backend.calls - calls == 2 * 2 * BLOCKS  # no block fell back to eager
        plain = picture_of(open_editor(edit_class), request_of(**differences))
        assert np.array_equal(found, plain)


def test_no_complex_number_is_left_to_the_compiler_which_makes_no_code_for_it(
    opened: Callable[..., QwenEditor],
    open_editor: Callable[..., Any],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    backend = Counting()
    found = picture_of(opened(EDIT_PLUS, backend), request_of())
    assert not [name for name in backend.targets if "view_as_complex" in name]
    assert [name for name in backend.targets if "view_as_real" in name]
    assert np.array_equal(found, picture_of(open_editor(EDIT_PLUS), request_of()))


def test_compiled_blocks_that_pass_through_compute_what_they_compute_at_home(
    opened: Callable[..., QwenEditor],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    backend, copy_stream, request = Counting(), LateLane(), request_of(cfg=4.0, steps=3)
    editor = opened(EDIT_PLUS, backend, place(copy_stream))
    decide(editor, passing_through(1))
    before = copy_stream.copies
    found = picture_of(editor, request)
    assert backend.calls == 2 * 3 * BLOCKS
    assert copy_stream.copies - before >= 3 * (BLOCKS - 1)
    resident = picture_of(opened(EDIT_PLUS, Counting()), request_of(cfg=4.0, steps=3))
    assert np.array_equal(found, resident)


def test_a_job_with_a_lora_goes_round_the_compiled_blocks(
    opened: Callable[..., QwenEditor],
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    backend = Counting()
    compiled, plain = opened(EDIT_PLUS, backend), opened()
    without = picture_of(compiled, request_of())
    compilations, calls = backend.compilations, backend.calls
    worn = picture_of(compiled, request_of(lora="strong"))
    assert backend.calls == calls
    assert np.array_equal(worn, picture_of(plain, request_of(lora="strong")))
    assert not np.array_equal(worn, without)
    assert np.array_equal(picture_of(compiled, request_of()), without)
    assert backend.compilations == compilations
    assert backend.calls == 2 * calls


# torch warns of itself when its compiler is imported.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_what_the_settings_ask_for_is_compiled(
    tiny_models: dict[str, Path],
) -> None:
    settings = ModelSettings(path=tiny_models[EDIT_PLUS], compile=True)
    editor = opening(settings, {"DTYPE": "fp32"}, at=AT_HOME)
    blocks = editor._pipe.transformer.transformer_blocks
    assert all(block._compiled_call_impl is not None for block in blocks)
    editor.close()
