"""A LoRA changes what it should, for the request that names it and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from PIL import Image
from rig.copy_streams import CrampedLane
from rig.loras import (
    LAYER,
    RANK,
    SIZE,
    factors,
    kohya,
    metadata,
    plain,
    spoil,
    write,
    write_broken,
)
from rig.stage_memory import MIXED_WORK, decide, passing_through, place

from config.settings import Lora, ModelSettings
from daemon.commands.check_model import look_at_loras
from daemon.commands.output import Verdict
from pipeline.checkpoint import EDIT_PLUS
from pipeline.editor import Done, EditError, EditRequest, Event, Failed, Failure, Step
from pipeline.qwen.device import InHostMemory
from pipeline.qwen.engine import QwenEditor
from pipeline.qwen.engine import open_editor as opening
from pipeline.qwen.lora import (
    KEPT_BYTES,
    LIGHTNING_SCHEDULE,
    ChosenLora,
    Loras,
    linear_layers,
    schedule_for,
)
from pipeline.qwen.offload_plan import Plan, Work
from pipeline.qwen.stage_memory import StageMemory

CPU = torch.device("cpu")
PLENTY = 2**40


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    return write_broken(tmp_path_factory.mktemp("broken"))


@pytest.fixture(scope="module")
def loras(
    tmp_path_factory: pytest.TempPathFactory, broken: dict[str, tuple[Path, str]]
) -> dict[str, Lora]:
    folder = tmp_path_factory.mktemp("loras")
    down, _ = plain()
    paths = {
        "plain": write(folder / "plain.safetensors", plain()),
        "kohya": write(folder / "kohya.safetensors", kohya()),
        "strong": write(folder / "strong.safetensors", plain(), metadata(lora_alpha=2 * RANK)),
        "no numbers": write(
            folder / "nan.safetensors", {**plain(), down: torch.full((RANK, SIZE), torch.nan)}
        ),
        **{name: path for name, (path, _) in broken.items()},
    }
    lightning = Lora(path=paths["plain"], steps=4, cfg=1.0)
    found = {name: Lora(path=path, steps=4, cfg=4.0) for name, path in paths.items()}
    return {**found, "lightning": lightning}


@pytest.fixture(scope="module")
def editor(tiny_models: dict[str, Path], loras: dict[str, Lora]) -> Iterator[QwenEditor]:
    opened = opening(ModelSettings(path=tiny_models[EDIT_PLUS], loras=loras), {"DTYPE": "fp32"})
    yield opened
    opened.close()


@pytest.mark.parametrize(("name", "scale"), [("plain", 1.0), ("kohya", 0.5), ("strong", 2.0)])
def test_a_lora_acts_as_if_it_were_part_of_the_weights(
    name: str,
    scale: float,
    editor: QwenEditor,
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    worn = picture_of(editor, request_of(lora=name)).astype(int)
    plain = picture_of(editor, request_of()).astype(int)
    layer = editor._pipe.transformer.get_submodule(LAYER)
    own = layer.weight.data
    down, up = factors()
    layer.weight.data = own + scale * (up @ down)
    merged = picture_of(editor, request_of()).astype(int)
    layer.weight.data = own
    assert abs(worn - merged).max() <= 1
    assert abs(worn - plain).max() > 5


def test_a_lora_leaves_no_trace(
    editor: QwenEditor,
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
    open_editor: Callable[..., Any],
) -> None:
    picture_of(editor, request_of(lora="plain"))

    def hang_up(event: Event) -> frozenset[str]:
        if isinstance(event, Step):
            raise BrokenPipeError
        return frozenset()

    with pytest.raises(BrokenPipeError):
        editor.edit([request_of(lora="plain")], hang_up)
    fresh = picture_of(open_editor(EDIT_PLUS, "fp32"), request_of())
    assert np.array_equal(picture_of(editor, request_of()), fresh)


def test_a_lora_for_no_guidance_brings_the_schedule_it_was_distilled_on(
    editor: QwenEditor,
) -> None:
    own = {"shift_terminal": 0.02}
    known = editor._means.loras
    assert schedule_for(None, own) is own
    assert schedule_for(known.find("plain"), own) is own
    assert schedule_for(known.find("lightning"), own) is LIGHTNING_SCHEDULE


def test_the_distilled_schedule_is_the_published_one() -> None:
    from pipeline.qwen.denoise import _timesteps

    scheduler = FlowMatchEulerDiscreteScheduler.from_config(LIGHTNING_SCHEDULE)
    found = _timesteps(scheduler, 4, 4096, torch.device("cpu")) / 1000
    assert found.tolist() == pytest.approx([1, 0.9, 0.75, 0.5], abs=1e-4)


def test_a_lightning_lora_edits(
    editor: QwenEditor, request_of: Callable[..., EditRequest], picture_of: Callable[..., Any]
) -> None:
    lightning = picture_of(editor, request_of(lora="lightning", steps=4))
    assert not np.array_equal(lightning, picture_of(editor, request_of(lora="plain", steps=4)))


def refusal(editor: QwenEditor, name: str) -> EditError:
    """Why the editor does not use the LoRA of that name."""
    with pytest.raises(EditError) as caught:
        editor._means.loras.find(name)
    return caught.value


def test_a_lora_that_cannot_be_used_is_refused_by_name_in_the_same_words_at_check_and_at_use(
    editor: QwenEditor, loras: dict[str, Lora], broken: dict[str, tuple[Path, str]]
) -> None:
    settings = ModelSettings(
        path=editor._source.path, loras={name: loras[name] for name in broken}
    )
    checked = dict(zip(broken, look_at_loras(settings), strict=True))
    for name, (path, why) in broken.items():
        error = refusal(editor, name)
        assert error.cause.startswith(f"The LoRA {path} cannot be used: {why}"), error.cause
        assert error.failure is Failure.PERMANENT
        said = error.cause.removeprefix(f"The LoRA {path} cannot be used: ").removesuffix(".")
        assert checked[name].verdict is Verdict.PROBLEM
        assert f"LoRA {name}, {path}, cannot be used: {said}; " in checked[name].text


def test_a_check_finds_sound_loras_sound(editor: QwenEditor, loras: dict[str, Lora]) -> None:
    sound = {name: loras[name] for name in ("plain", "kohya", "strong")}
    settings = ModelSettings(path=editor._source.path, loras=sound)
    findings = list(look_at_loras(settings))
    assert [it.verdict for it in findings] == [Verdict.OK] * 3
    assert all(it.text.endswith("0.0 MiB, changes 1 layer") for it in findings)


def test_without_a_model_a_check_looks_at_what_a_lora_says_alone(loras: dict[str, Lora]) -> None:
    names = ("foreign", "dora")
    settings = ModelSettings(path=None, loras={name: loras[name] for name in names})
    assert [it.verdict for it in look_at_loras(settings)] == [Verdict.OK, Verdict.PROBLEM]


def test_a_broken_lora_costs_the_jobs_that_name_it_and_no_neighbour(
    editor: QwenEditor,
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
    listener: Any,
) -> None:
    alone = [picture_of(editor, request_of(lora=name)) for name in (None, "plain")]
    names = ["half of kohya", None, "no numbers", "half of kohya", "plain", "nameless"]
    requests = [request_of(lora=name) for name in names]
    editor.edit(requests, listener)
    endings = {it.request_id: it for it in listener.events if isinstance(it, Done | Failed)}
    found = [endings[request.request_id] for request in requests]
    assert [type(it) for it in found] == [Failed, Done, Failed, Failed, Done, Failed]
    for ending, picture in zip([it for it in found if isinstance(it, Done)], alone, strict=True):
        assert np.array_equal(np.asarray(Image.open(ending.result.path)), picture)
    causes = [it.error for it in found if isinstance(it, Failed)]
    assert {it.failure for it in causes} == {Failure.PERMANENT}
    assert "holds values that are no numbers" in causes[1].cause
    assert "know no LoRA 'nameless'" in causes[3].cause


def test_numbers_too_large_to_compute_with_are_refused(
    loras: dict[str, Lora], editor: QwenEditor
) -> None:
    # 1e5 is no number in fp16.
    large = {key: value * 1e5 for key, value in plain().items()}
    write(loras["plain"].path.parent / "large.safetensors", large)
    known = {
        "large": replace(loras["plain"], path=loras["plain"].path.parent / "large.safetensors")
    }
    transformer = editor._pipe.transformer
    half = Loras(
        known, linear_layers(transformer), dtype=torch.float16, available_bytes=lambda: PLENTY
    )
    with (
        pytest.raises(EditError, match=r"no numbers \(NaN or infinite\) in torch.float16"),
        half.applied(half.find("large"), CPU),
    ):
        pass


class LoraFolder:
    """LoRAs for one layer, and what they make of it."""

    def __init__(self, folder: Path, *, dtype: torch.dtype = torch.float32) -> None:
        self.available_bytes = PLENTY
        self.layer = torch.nn.Linear(SIZE, SIZE)
        transformer = torch.nn.Module()
        transformer.add_module("it", self.layer)
        self.paths = {name: folder / f"{name}.safetensors" for name in ("one", "other", "third")}
        for number, path in enumerate(self.paths.values()):
            self.write(path, 1.0 + number)
        self.loras = Loras(
            {name: Lora(path=path, steps=4, cfg=4.0) for name, path in self.paths.items()},
            linear_layers(transformer),
            dtype=dtype,
            available_bytes=lambda: self.available_bytes,
        )

    def write(self, path: Path, strength: float) -> None:
        down, up = factors()
        tensors = {"it.lora_A.weight": down, "it.lora_B.weight": strength * up}
        write(path, {key: value.to(torch.bfloat16) for key, value in tensors.items()})

    def chosen(self, name: str) -> ChosenLora:
        found = self.loras.find(name)
        assert found is not None
        return found

    def worn(self, name: str) -> torch.Tensor:
        with torch.no_grad(), self.loras.applied(self.chosen(name), CPU):
            output: torch.Tensor = self.layer(torch.eye(SIZE).to(self.layer.weight.dtype))
        return output


def test_a_lora_that_is_used_again_is_not_read_again(tmp_path: Path) -> None:
    folder = LoraFolder(tmp_path)
    before = [folder.worn(name) for name in folder.paths]
    for path in folder.paths.values():
        spoil(path)
    for expected, name in zip(before, folder.paths, strict=True):
        assert torch.equal(folder.worn(name), expected)


def test_a_lora_file_that_has_changed_is_read_anew(tmp_path: Path) -> None:
    folder = LoraFolder(tmp_path)
    folder.worn("one")
    expected = folder.worn("other")
    fresh = tmp_path / "fresh"
    fresh.write_bytes(folder.paths["other"].read_bytes())
    fresh.rename(folder.paths["one"])
    assert torch.equal(folder.worn("one"), expected)
    folder.paths["one"].unlink()
    with pytest.raises(EditError, match="there is no such file"):
        folder.chosen("one")


@pytest.mark.parametrize("how", ["cut", "replaced"])
def test_a_file_that_changes_between_header_and_numbers_is_said_to(
    how: str, tmp_path: Path
) -> None:
    folder = LoraFolder(tmp_path)
    chosen, path = folder.chosen("one"), folder.paths["one"]
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        folder.paths["other"].rename(path)
    with (
        pytest.raises(EditError, match="changed while it was read") as caught,
        folder.loras.applied(chosen, CPU),
    ):
        pass
    assert caught.value.failure is Failure.TRANSIENT


def is_read_anew(folder: LoraFolder, name: str, before: torch.Tensor) -> bool:
    return not torch.equal(folder.worn(name), before)


@pytest.mark.parametrize("memory", ["short", "ample"])
def test_what_was_not_used_for_longest_goes_where_main_memory_gets_short(
    memory: str, tmp_path: Path
) -> None:
    folder = LoraFolder(tmp_path)
    before = {name: folder.worn(name) for name in ("one", "other")}
    if memory == "short":
        folder.available_bytes = 2**20  # enough for the third, and none to spare
    folder.worn("third")
    for path in folder.paths.values():
        spoil(path)
    found = [is_read_anew(folder, name, before[name]) for name in ("one", "other")]
    assert found == [memory == "short"] * 2


def test_a_lora_for_which_no_main_memory_is_left_is_a_sentence(tmp_path: Path) -> None:
    folder = LoraFolder(tmp_path)
    folder.available_bytes = 100
    with pytest.raises(EditError, match=r"GiB of main memory \(RAM\), and 0.0 GiB") as caught:
        folder.worn("one")
    assert caught.value.failure is Failure.TRANSIENT
    folder.available_bytes = PLENTY
    folder.worn("one")


def test_no_more_is_kept_than_is_said(tmp_path: Path) -> None:
    folder = LoraFolder(tmp_path)
    huge = replace(folder.chosen("third"), kept_bytes=KEPT_BYTES)
    before = folder.worn("one")
    with folder.loras.applied(huge, CPU):
        pass
    spoil(folder.paths["one"])
    assert is_read_anew(folder, "one", before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_lora_takes_what_its_numbers_take_where_they_are_computed_with(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    folder = LoraFolder(tmp_path, dtype=dtype)
    numbers = 2 * RANK * SIZE
    chosen = folder.chosen("one")
    assert chosen.size_bytes == numbers * dtype.itemsize
    assert chosen.kept_bytes == numbers * 2  # the file's own are of two bytes


class NotingMemory(StageMemory):
    """Plans as ever, and remembers for what."""

    def __init__(self, editor: QwenEditor) -> None:
        size = editor._parts.size
        at = InHostMemory(device=CPU)
        super().__init__(at, size, usual=MIXED_WORK, usual_batch=MIXED_WORK)
        self.works: list[Work] = []

    def plan(self, work: Work) -> Plan:
        """As ever."""
        self.works.append(work)
        return super().plan(work)


def test_the_plan_counts_a_lora_in_the_precision_of_the_model(
    editor: QwenEditor, request_of: Callable[..., EditRequest]
) -> None:
    means, memory = editor._means, NotingMemory(editor)
    editor._means = replace(means, room=memory)
    request = request_of(lora="plain")
    editor.edit([request], lambda _event: frozenset())
    editor._means = means
    assert memory.works[-1].lora_bytes == 2 * RANK * SIZE * torch.float32.itemsize


def test_neither_a_second_batch_nor_a_smaller_plan_reads_a_lora_again(
    tiny_models: dict[str, Path],
    tmp_path: Path,
    request_of: Callable[..., EditRequest],
    picture_of: Callable[..., Any],
) -> None:
    path = write(tmp_path / "it.safetensors", plain())
    settings = ModelSettings(
        path=tiny_models[EDIT_PLUS], loras={"it": Lora(path=path, steps=4, cfg=4.0)}
    )
    copy_stream = CrampedLane()
    editor = opening(settings, {"DTYPE": "fp32"}, at=place(copy_stream))
    decide(editor, passing_through(2), passing_through(1), passing_through(0))
    expected = picture_of(editor, request_of(lora="it"))
    spoil(path)
    request = request_of(lora="it")

    def cramp(event: Event) -> frozenset[str]:
        if event == Step(request.request_id, 1, request.steps):
            copy_stream.failing = 1
        return frozenset()

    editor.edit([request], cramp)
    assert copy_stream.failing == 0
    assert np.array_equal(np.asarray(Image.open(request.result)), expected)
    editor.close()
