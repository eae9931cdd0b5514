"""Which settings and hot folders a command line means."""

import argparse
from pathlib import Path

import pytest

from config.problems import UserError
from config.settings import ModelSettings
from daemon.commands.select import (
    defaults_of,
    find_folders,
    read_settings,
    unmarked,
    usable,
)
from daemon.fs.hot_folder import make_hot_folder
from pipeline.recipe import Defaults


@pytest.fixture
def hot(tmp_path: Path) -> Path:
    """A hot folder."""
    make_hot_folder(tmp_path / "hot", "an id")
    return tmp_path / "hot"


def settings_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hotfolder.yaml"
    path.write_text(text)
    return path


def test_a_root_needs_no_settings_file(hot: Path, tmp_path: Path) -> None:
    settings, path = read_settings(None, tmp_path)
    (folder,) = find_folders(settings, path, Path("hot"), tmp_path)
    assert path is None
    assert folder.root == hot
    assert folder.min_free_gib == 2


def test_a_root_that_the_settings_list_has_its_entry(hot: Path, tmp_path: Path) -> None:
    settings_file(tmp_path, f"folders: [{{root: {hot}, min_free_gib: 7}}]")
    settings, path = read_settings(None, tmp_path)
    (tmp_path / "link").symlink_to(hot)
    (folder,) = find_folders(settings, path, tmp_path / "link", tmp_path)
    assert folder.min_free_gib == 7


def test_a_root_that_the_settings_do_not_list_has_their_defaults(tmp_path: Path) -> None:
    settings_file(tmp_path, "defaults: {min_free_gib: 5}\nfolders: [{root: /elsewhere}]")
    settings, path = read_settings(None, tmp_path)
    (folder,) = find_folders(settings, path, tmp_path / "hot", tmp_path)
    assert (folder.root, folder.min_free_gib) == (tmp_path / "hot", 5)


def test_without_a_root_all_folders_of_the_settings_are_meant(tmp_path: Path) -> None:
    settings_file(tmp_path, "folders: [{root: /one}, {root: /two}]")
    settings, path = read_settings(None, tmp_path)
    assert len(find_folders(settings, path, None, tmp_path)) == 2


@pytest.mark.parametrize("text", [None, "folders: []"])
def test_no_folder_at_all_says_how_to_make_one(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        settings_file(tmp_path, text)
    settings, path = read_settings(None, tmp_path)
    with pytest.raises(UserError) as caught:
        find_folders(settings, path, None, tmp_path)
    assert "hotfolder init DIR" in str(caught.value)
    assert "--root" in str(caught.value)


def test_every_folder_without_its_marker_is_named(hot: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    text = "".join(f"  - root: {root}\n" for root in (hot, one, two))
    path = settings_file(tmp_path, f"folders:\n{text}")
    with pytest.raises(UserError) as caught:
        usable(argparse.Namespace(config=path, root=None))
    assert [problem.where for problem in caught.value.problems] == [str(one), str(two)]
    assert f"hotfolder init {one}" in str(caught.value)


def test_a_root_that_is_a_file_is_no_hot_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (problem,) = unmarked(tmp_path / "file")
    assert "it is no hot folder" in problem.what


def test_a_settings_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        read_settings(tmp_path / "missing.yaml", tmp_path)


@pytest.mark.parametrize(("written", "steps"), [("", 40), ("1", 1), (" 100 ", 100)])
def test_num_steps_gives_the_default_steps(written: str, steps: int) -> None:
    assert defaults_of(ModelSettings(), {"NUM_STEPS": written}) == Defaults(steps=steps, cfg=4.0)


def test_the_models_folder_says_how_it_is_run_where_num_steps_does_not(tmp_path: Path) -> None:
    model = ModelSettings(path=tmp_path)
    (tmp_path / "hotfolder.json").write_text('{"steps": 8, "cfg": 1}')
    assert defaults_of(model, {}) == Defaults(steps=8, cfg=1.0)
    assert defaults_of(model, {"NUM_STEPS": "3"}) == Defaults(steps=3, cfg=1.0)
    (tmp_path / "hotfolder.json").write_text('{"steps": 8}')
    assert defaults_of(model, {}) == Defaults(steps=8, cfg=4.0)


@pytest.mark.parametrize("said", ["", "{", "[]", '{"steps": 0, "cfg": "1"}'])
def test_a_model_that_says_nothing_sound_is_run_as_is_usual(tmp_path: Path, said: str) -> None:
    (tmp_path / "hotfolder.json").write_text(said)
    for path in (tmp_path, tmp_path / "missing"):
        assert defaults_of(ModelSettings(path=path), {}) == Defaults()


@pytest.mark.parametrize("written", ["0", "101", "many", "-4", "1.5"])
def test_any_other_num_steps_is_a_problem(written: str) -> None:
    with pytest.raises(UserError, match="NUM_STEPS"):
        defaults_of(ModelSettings(), {"NUM_STEPS": written})
