"""What is loaded is what the library loads, read once, straight to where it will wait."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from config.problems import Problem, UserError
from pipeline import checkpoint
from pipeline.checkpoint import EDIT, EDIT_PLUS, WeightFile
from pipeline.qwen import components, load
from pipeline.qwen.copy_stream import InlineCopyStream
from pipeline.qwen.device import InHostMemory, ModelDevice, Streamed
from pipeline.qwen.pinned_memory import PinnedMemory
from pipeline.qwen.precision import Precision
from pipeline.qwen.weight_files import Extent, UnreadWeight

CPU = torch.device("cpu")
MODELS = ("text_encoder", "transformer", "vae")
ENCODER = "text_encoder/model.safetensors"
TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16}
PLACES: list[ModelDevice] = [
    InHostMemory(device=CPU),
    Streamed(device=CPU, copy_stream=InlineCopyStream(), budget_bytes=lambda: 2**40),
]


class CountingLane(InlineCopyStream):
    """Knows what is pinned: (address, bytes) in the order of pinning."""

    def __init__(self) -> None:
        self.pinned: list[tuple[int, int]] = []

    def pin(self, host: torch.Tensor) -> None:
        self.pinned.append((host.data_ptr(), host.numel()))

    def unpin(self, host: torch.Tensor) -> None:
        self.pinned.remove((host.data_ptr(), host.numel()))


@pytest.fixture
def model(tiny_models: dict[str, Path], tmp_path: Path) -> Path:
    """A whole checkpoint to change."""
    return Path(shutil.copytree(tiny_models[EDIT_PLUS], tmp_path / "model"))


def _loaded(
    folder: Path, precision: Precision = Precision.BF16, place: ModelDevice = PLACES[0]
) -> dict[str, torch.Tensor]:
    pipe = load.load(checkpoint.read(folder), precision)
    parts = components.place_components(pipe, place)
    parts.wait()
    aside = parts.linear_layers_aside()
    return _tensors(pipe) | {
        f"transformer.{owner}.{name}": value
        for owner, layer in aside.items()
        for name, value in _own_tensors(layer)
    }


def _tensors(pipe: Any) -> dict[str, torch.Tensor]:
    """All parameters, buffers and tables of the pipeline's models, by name."""
    return {
        f"{model}.{owner}.{name}": value
        for model in MODELS
        for owner, module in getattr(pipe, model).named_modules()
        for name, value in _own_tensors(module)
        if "lm_head" not in owner
    }


def _own_tensors(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)
    yield from ((name, it) for name, it in vars(module).items() if isinstance(it, torch.Tensor))


def _assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (type(found[name]), found[name].dtype) == (type(value), value.dtype), name
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("place", PLACES, ids=["at home", "streamed"])
@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("edit_class", [EDIT, EDIT_PLUS])
def test_every_tensor_is_what_the_library_loads(
    edit_class: str, precision: Precision, place: ModelDevice, tiny_models: dict[str, Path]
) -> None:
    expected = DiffusionPipeline.from_pretrained(
        tiny_models[edit_class], processor=None, dtype=DTYPES[precision], local_files_only=True
    )
    _assert_same(_loaded(tiny_models[edit_class], precision, place), _tensors(expected))


def test_loading_reads_no_weights_before_they_have_a_place(tiny_models: dict[str, Path]) -> None:
    pipe = load.load(checkpoint.read(tiny_models[EDIT_PLUS]), Precision.BF16)
    for name in MODELS:
        for weight in getattr(pipe, name).parameters():
            assert isinstance(weight, UnreadWeight)
            assert weight.is_meta


def _rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def _newer_name(name: str) -> str:
    if name.startswith("visual."):
        return f"model.{name}"
    return name.replace("model.", "model.language_model.", 1)


def test_the_text_encoders_older_and_newer_names_mean_the_same(model: Path) -> None:
    expected = _loaded(model)
    older = set(load_file(model / ENCODER))
    assert {"visual.merger.ln_q.weight", "model.norm.weight"} <= older

    def rename(tensors: dict[str, torch.Tensor]) -> None:
        for name in older - {"lm_head.weight"}:
            tensors[_newer_name(name)] = tensors.pop(name)

    _rewrite(model / ENCODER, rename)
    assert "model.language_model.norm.weight" in load_file(model / ENCODER)
    _assert_same(_loaded(model), expected)


def test_the_head_that_is_not_used_need_not_be_there(model: Path) -> None:
    expected = _loaded(model)
    _rewrite(model / ENCODER, lambda tensors: tensors.pop("lm_head.weight"))
    _assert_same(_loaded(model), expected)


def _shard(path: Path, count: int) -> None:
    """Replace a file by so many shards and their index."""
    tensors = load_file(path)
    where: dict[str, str] = {}
    for number in range(count):
        shard = path.with_name(f"{path.stem}-{number + 1:05}-of-{count:05}.safetensors")
        own = dict(list(tensors.items())[number::count])
        save_file(own, shard)
        where |= dict.fromkeys(own, shard.name)
    path.unlink()
    Path(f"{path}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def test_shards_load_as_a_single_file_does(model: Path) -> None:
    expected = _loaded(model)
    for name, count in ((ENCODER, 2), (TRANSFORMER, 3)):
        _shard(model / name, count)
    _assert_same(_loaded(model), expected)


@pytest.mark.parametrize("stored", [torch.float32, torch.float64])
def test_other_formats_are_turned_into_the_one_that_is_computed_with(
    stored: torch.dtype, model: Path
) -> None:
    expected = _loaded(model)
    _rewrite(model / VAE, lambda held: held.update({k: v.to(stored) for k, v in held.items()}))
    _assert_same(_loaded(model), expected)


def _problems(folder: Path) -> list[Problem]:
    with pytest.raises(UserError) as raised:
        load.load(checkpoint.read(folder), Precision.BF16)
    return list(raised.value.problems)


def test_all_weights_that_do_not_fit_are_named_at_once(model: Path) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["img_in.bias"], tensors["proj_out.weight"]
        tensors["proj_in.scale"] = torch.zeros(3)
        tensors["txt_norm.weight"] = torch.zeros(4, 2)

    _rewrite(model / TRANSFORMER, spoil)
    _rewrite(model / VAE, lambda tensors: tensors.pop("quant_conv.bias"))
    problems = _problems(model)
    assert [Path(problem.where).name for problem in problems] == ["transformer"] * 3 + ["vae"]
    missing, unknown, misshapen, missing_in_vae = (problem.what for problem in problems)
    assert "img_in.bias, proj_out.weight" in missing
    assert "proj_in.scale" in unknown
    assert "txt_norm.weight (4x2 instead of 64)" in misshapen
    assert "quant_conv.bias" in missing_in_vae


def test_a_long_list_of_weights_is_cut_short(model: Path) -> None:
    _rewrite(model / TRANSFORMER, lambda tensors: [tensors.pop(n) for n in [*tensors][:-1]])
    (problem,) = _problems(model)
    assert "and 128 more" in problem.what
    assert len(problem.what) < 1000


def test_numbers_in_a_format_that_is_not_known_are_named(model: Path) -> None:
    _rewrite(model / VAE, lambda tensors: tensors.update(scale=torch.zeros(3, dtype=torch.int8)))
    (problem,) = _problems(model)
    assert problem.where == str(model / VAE)
    assert "scale" in problem.what
    assert "I8" in problem.what


@pytest.mark.parametrize("difference_bytes", [-2, 2])
def test_a_file_that_changes_before_it_is_read_is_named(
    difference_bytes: int, model: Path
) -> None:
    pipe = load.load(checkpoint.read(model), Precision.BF16)
    os.truncate(model / TRANSFORMER, (model / TRANSFORMER).stat().st_size + difference_bytes)
    with pytest.raises(UserError, match="has changed since") as raised:
        components.place_components(pipe, PLACES[0])
    assert raised.value.problems[0].where == str(model / TRANSFORMER)


def test_a_file_that_goes_away_before_it_is_read_is_named(model: Path) -> None:
    pipe = load.load(checkpoint.read(model), Precision.BF16)
    (model / VAE).unlink()
    with pytest.raises(UserError, match="No such file") as raised:
        components.place_components(pipe, PLACES[0])
    assert raised.value.problems[0].where == str(model / VAE)


def _unread(path: Path, *, start_byte: int, numbers: int) -> UnreadWeight:
    file = WeightFile(path=path, header=b"", tensors={}, size_bytes=path.stat().st_size)
    extent = Extent(
        file=file, start_byte=start_byte, dtype=torch.float32, shape=torch.Size([numbers])
    )
    return UnreadWeight(extent, torch.float32)


def test_a_file_that_ends_while_it_is_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(bytes(100))
    weight = _unread(path, start_byte=60, numbers=20)
    with pytest.raises(UserError, match=r"short\.safetensors: .* it ends after 100 bytes"):
        PinnedMemory([[weight]], InlineCopyStream())


def test_a_disk_that_cannot_be_read_is_named() -> None:
    memory = Path("/proc/self/mem")  # its first bytes answer as a broken disk does
    weight = _unread(memory, start_byte=0, numbers=20)
    with pytest.raises(UserError, match=r"/proc/self/mem: .*Input/output error"):
        PinnedMemory([[weight]], InlineCopyStream())


def test_nothing_stays_pinned_when_a_file_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(bytes(100))
    copy_stream = CountingLane()
    good, bad = (_unread(path, start_byte=start, numbers=20) for start in (0, 60))
    with pytest.raises(UserError):
        PinnedMemory([[good], [bad]], copy_stream)
    assert copy_stream.pinned == []


def test_weights_in_memory_and_in_files_share_a_slab(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(torch.arange(5.0).numpy().tobytes())
    held = torch.nn.Parameter(torch.full((3, 3), 7.0))
    unread = _unread(path, start_byte=4, numbers=3)
    slab = PinnedMemory([[held, unread]], InlineCopyStream())
    assert torch.equal(held, torch.full((3, 3), 7.0))
    assert unread.tolist() == [1, 2, 3]
    assert type(unread) is torch.nn.Parameter
    memory = slab.flat(0).untyped_storage().data_ptr()
    assert {one.untyped_storage().data_ptr() for one in (held, unread)} == {memory}


def test_a_weight_of_many_requests_is_read_and_turned_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    numbers = torch.randn(9_000_001, generator=torch.Generator().manual_seed(0))
    save_file({"weight": numbers}, path)
    file = checkpoint.read_weight_file(path)
    start_byte = 8 + len(file.header)
    extent = Extent(file=file, start_byte=start_byte, dtype=torch.float32, shape=numbers.shape)
    for dtype in (torch.float32, torch.bfloat16):
        weight = UnreadWeight(extent, dtype)
        PinnedMemory([[weight]], InlineCopyStream())
        assert torch.equal(weight, numbers.to(dtype))


def test_each_unit_is_pinned_by_pages_of_its_own() -> None:
    units = [[torch.nn.Parameter(torch.zeros(size))] for size in (1, 1024, 1025, 5000)]
    copy_stream = CountingLane()
    slab = PinnedMemory(units, copy_stream)
    assert [size for _, size in copy_stream.pinned] == [4096, 4096, 8192, 20480]
    assert all(address % 4096 == 0 for address, _ in copy_stream.pinned)
    assert all(
        start + size <= end for (start, size), (end, _) in pairwise(sorted(copy_stream.pinned))
    )
    slab.close()
    assert copy_stream.pinned == []


WIDE = {"num_attention_heads": 16, "attention_head_dim": 64, "axes_dims_rope": [16, 24, 24]}
PEAK = """
import gc
import sys
from pathlib import Path
from pipeline.qwen import offline
offline.enforce()
import torch
from pipeline import checkpoint
from pipeline.qwen import components, load
from pipeline.qwen.device import InHostMemory
from pipeline.qwen.precision import Precision

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024

def load_all(folder, precision):
    pipe = load.load(checkpoint.read(Path(folder)), precision)
    components.place_components(pipe, InHostMemory(device=torch.device("cpu")))
    models = (pipe.text_encoder, pipe.transformer, pipe.vae)
    return pipe, sum(weight.nbytes for model in models for weight in model.parameters())

load_all(sys.argv[1], Precision.BF16)  # a tiny one: what is imported late is there now
for precision in (Precision.BF16, Precision.FP32):
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from now
    pipe, weights_bytes = load_all(sys.argv[2], precision)
    print(weights_bytes, status("VmHWM") - before)
    del pipe
    gc.collect()
"""


@pytest.fixture(scope="module")
def wide(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a transformer of 300 MB, all zeros."""
    from diffusers import QwenImageTransformer2DModel

    folder = tmp_path_factory.mktemp("wide") / "model"
    shutil.copytree(tiny_models[EDIT_PLUS], folder)
    config = folder / "transformer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **WIDE}))
    with torch.device("meta"):
        meta = QwenImageTransformer2DModel.from_config(json.loads(config.read_text()))
    zeros = {k: torch.zeros(v.shape, dtype=torch.bfloat16) for k, v in meta.state_dict().items()}
    save_file(zeros, folder / TRANSFORMER)
    return folder


def test_loading_never_takes_the_memory_of_a_second_copy(
    wide: Path, tiny_models: dict[str, Path]
) -> None:
    command = [sys.executable, "-W", "error", "-c", PEAK, str(tiny_models[EDIT_PLUS]), str(wide)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    as_it_is, turned = (map(int, line.split()) for line in done.stdout.splitlines())
    for weights_bytes, peak_bytes in (as_it_is, turned):
        assert weights_bytes > 280e6
        assert peak_bytes < 1.25 * weights_bytes
