"""A model folder that cannot be used is told file by file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.problems import UserError
from pipeline import checkpoint
from pipeline.checkpoint import EDIT, EDIT_PLUS

TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture
def model(tiny_models: dict[str, Path], tmp_path: Path) -> Path:
    """A whole checkpoint to break."""
    return Path(shutil.copytree(tiny_models[EDIT_PLUS], tmp_path / "model"))


def _problems(folder: Path) -> dict[str, str]:
    """What is wrong, by the file's name within the folder."""
    with pytest.raises(UserError) as raised:
        checkpoint.read(folder)
    return {
        problem.where.removeprefix(f"{folder}/"): problem.what for problem in raised.value.problems
    }


def _shard(model: Path) -> Path:
    """Make the transformer an indexed one of two equal shards; returns the second."""
    single = model / TRANSFORMER
    names = [f"diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for name in names:
        shutil.copy(single, single.with_name(name))
    single.unlink()
    index = {"weight_map": {"a": names[0], "b": names[1], "c": names[1]}}
    Path(f"{single}.index.json").write_text(json.dumps(index))
    return single.with_name(names[1])


def test_a_whole_folder_tells_what_it_is(tiny_models: dict[str, Path]) -> None:
    for edit_class in (EDIT, EDIT_PLUS):
        found = checkpoint.read(tiny_models[edit_class])
        assert (found.path, found.class_name) == (tiny_models[edit_class], edit_class)
        assert (found.working_pixels, found.weights, found.licence) == (65536, "random", None)


def test_without_our_file_it_is_a_trained_model_of_one_megapixel(model: Path) -> None:
    (model / "hotfolder.json").unlink()
    found = checkpoint.read(model)
    assert (found.working_pixels, found.condition_pixels) == (1024 * 1024, 384 * 384)
    assert (found.weights, found.multiple) == ("trained", 32)
    assert (found.steps, found.cfg) == (None, None)


def test_how_it_wants_to_be_run_is_the_model_s_to_declare(model: Path) -> None:
    (model / "hotfolder.json").write_text('{"steps": 8, "cfg": 1}')
    found = checkpoint.read(model)
    assert (found.steps, found.cfg) == (8, 1.0)


@pytest.mark.parametrize("value", [0, 101, -1, True, "8", [8]])
def test_steps_and_a_cfg_that_no_instruction_may_have_are_refused(
    value: object, model: Path
) -> None:
    (model / "hotfolder.json").write_text(json.dumps({"steps": value, "cfg": value}))
    with pytest.raises(UserError) as raised:
        checkpoint.read(model)
    steps, cfg = raised.value.problems
    assert str(steps).endswith(f"steps is {value!r}; write a whole number from 1 to 100")
    assert str(cfg).endswith(f"cfg is {value!r}; write a number from 1 to 20")


@pytest.mark.parametrize("multiple", [16, 112, 256])
def test_the_multiple_of_a_canvas_is_the_model_s_to_declare(multiple: int, model: Path) -> None:
    (model / "hotfolder.json").write_text(json.dumps({"multiple": multiple}))
    assert checkpoint.read(model).multiple == multiple


@pytest.mark.parametrize("multiple", [0, -32, 8, 100, 272, 32.0, "112", True, None])
def test_a_multiple_that_no_canvas_can_keep_to_is_refused(multiple: object, model: Path) -> None:
    (model / "hotfolder.json").write_text(json.dumps({"multiple": multiple}))
    with pytest.raises(UserError) as raised:
        checkpoint.read(model)
    advice = "write 32, or another multiple of 16 up to 256"
    assert str(raised.value) == f"{model}/hotfolder.json: multiple is {multiple!r}; {advice}"


def test_a_multiple_is_no_wider_than_the_area_that_is_edited_at(model: Path) -> None:
    written = {"working_pixels": 128 * 128, "multiple": 144}
    (model / "hotfolder.json").write_text(json.dumps(written))
    with pytest.raises(UserError, match="another multiple of 16 up to 128"):
        checkpoint.read(model)


def test_the_path_must_be_an_absolute_folder_that_exists(model: Path, tmp_path: Path) -> None:
    assert "absolute" in _problems(Path("model"))["model"]
    assert "does not exist" in _problems(tmp_path / "none")[str(tmp_path / "none")]
    index = model / "model_index.json"
    assert "no folder" in _problems(index)[str(index)]


@pytest.mark.parametrize(
    "name",
    [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "transformer/config.json",
        "vae/config.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/tokenizer.json",
        "processor/preprocessor_config.json",
        "text_encoder/model.safetensors",
        TRANSFORMER,
        "vae/diffusion_pytorch_model.safetensors",
    ],
)
def test_a_missing_file_is_named(name: str, model: Path) -> None:
    (model / name).unlink()
    problems = _problems(model)
    assert list(problems) == [name]
    assert "missing" in problems[name]


@pytest.mark.parametrize("component", checkpoint.COMPONENTS)
def test_a_missing_component_is_named_once(component: str, model: Path) -> None:
    shutil.rmtree(model / component)
    assert _problems(model) == {component: "the folder is missing"}


def test_all_problems_are_told_at_once(model: Path) -> None:
    (model / TRANSFORMER).unlink()
    (model / "vae/config.json").write_text("{")
    (model / "hotfolder.json").write_text('{"working_pixels": "many", "weights": "good"}')
    names = [TRANSFORMER, "vae/config.json", "hotfolder.json"]
    assert sorted(_problems(model)) == sorted(names)


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00\x00"])
@pytest.mark.parametrize("name", ["model_index.json", "transformer/config.json"])
def test_a_broken_json_file_is_named(name: str, content: str, model: Path) -> None:
    (model / name).write_text(content)
    assert list(_problems(model)) == [name]


@pytest.mark.parametrize("name", ["QwenImagePipeline", None, 7])
def test_another_class_is_refused_by_its_name(name: object, model: Path) -> None:
    index = model / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_class_name": name}))
    assert repr(name) in _problems(model)["model_index.json"]


@pytest.mark.parametrize("size_bytes", [0, 5, 100, 100_000])
def test_cut_off_weights_are_named_with_their_size(size_bytes: int, model: Path) -> None:
    os.truncate(model / TRANSFORMER, size_bytes)
    problems = _problems(model)
    assert list(problems) == [TRANSFORMER]
    assert f"cut off: {size_bytes} bytes" in problems[TRANSFORMER]


@pytest.mark.parametrize("content", [b"version https://git-lfs.github.com/spec/v1\n", bytes(64)])
def test_a_file_that_only_has_the_name_of_weights_is_refused(content: bytes, model: Path) -> None:
    (model / TRANSFORMER).write_bytes(content)
    assert list(_problems(model)) == [TRANSFORMER]


def test_a_missing_or_cut_off_shard_is_named(model: Path) -> None:
    shard = _shard(model)
    assert checkpoint.read(model).class_name == EDIT_PLUS
    os.truncate(shard, 1000)
    assert "cut off" in _problems(model)[str(shard.relative_to(model))]
    shard.unlink()
    assert _problems(model) == {str(shard.relative_to(model)): "it is missing"}


def test_pickled_weights_are_refused(model: Path) -> None:
    weights = model / TRANSFORMER
    weights.rename(weights.with_suffix(".bin"))
    assert "diffusion_pytorch_model.bin" in _problems(model)["transformer"]


def test_half_a_vocabulary_is_told_by_its_other_half(model: Path) -> None:
    (model / "tokenizer/tokenizer.json").unlink()
    (model / "tokenizer/vocab.json").write_text("{}")
    assert _problems(model) == {"tokenizer/merges.txt": "it is missing"}


@contextmanager
def _as_somebody_else() -> Iterator[None]:
    """Within this context not even root's tests may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_files_that_this_user_may_not_read_are_named(model: Path) -> None:
    for folder in model.parents[:4]:  # the private ones of pytest and of pytest-xdist
        folder.chmod(folder.stat().st_mode | 0o111)
    for name in (TRANSFORMER, "vae/config.json"):
        (model / name).chmod(0)
    with _as_somebody_else():
        problems = _problems(model)
    assert sorted(problems) == sorted([TRANSFORMER, "vae/config.json"])
    assert set(problems.values()) == {"it cannot be read (Permission denied)"}


@pytest.mark.parametrize(
    ("name", "content", "licence"),
    [
        ("README.md", "---\nlicense: apache-2.0\nlanguage: en\n---\n# Model", "apache-2.0"),
        ("README.md", "license: this is prose", None),
        ("LICENSE", "\n   Apache License\n  Version 2.0", "Apache License"),
    ],
)
def test_the_licence_is_what_the_folder_says(
    name: str, content: str, licence: str | None, model: Path
) -> None:
    (model / name).write_text(content)
    assert checkpoint.read(model).licence == licence


def _flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def _write_elsewhere(path: Path) -> None:
    path.parent.parent.joinpath("README.md").write_text("other words")


@pytest.mark.parametrize(
    ("change", "name", "differs"),
    [
        (_flip_a_byte, TRANSFORMER, True),
        (lambda path: path.write_text("{}"), "scheduler/scheduler_config.json", True),
        (lambda path: path.write_text("x"), "processor/chat_template.jinja", True),
        (_write_elsewhere, "vae/config.json", False),
        (lambda path: os.utime(path, (0, 0)), TRANSFORMER, False),
    ],
)
def test_the_fingerprint_changes_with_what_decides_a_result(
    change: Callable[[Path], object], name: str, differs: bool, model: Path
) -> None:
    before = checkpoint.read(model).fingerprint
    change(model / name)
    assert (checkpoint.read(model).fingerprint != before) is differs


def test_the_fingerprint_does_not_depend_on_where_the_folder_lies(
    model: Path, tiny_models: dict[str, Path]
) -> None:
    there = checkpoint.read(tiny_models[EDIT_PLUS]).fingerprint
    assert checkpoint.read(model).fingerprint == there


def test_looking_over_a_folder_takes_no_time(model: Path) -> None:
    began = time.process_time()
    checkpoint.read(model)
    assert time.process_time() - began < 0.1


def test_looking_over_a_folder_needs_no_model_library() -> None:
    code = "import sys; from pipeline import checkpoint\n"
    code += "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
