"""What lies inside what, and must not."""

import os
from pathlib import Path

import pytest

from config import custody
from daemon.separation import Site, problems

HOT = Path("/srv/hot")


def site(
    *roots: str,
    apart: str = "/models/qwen",
    settings: str | None = None,
    identities: dict[Path, str] | None = None,
) -> Site:
    return Site(
        roots=tuple(map(Path, roots)),
        identities=identities or {},
        settings=None if settings is None else Path(settings),
        apart=(("the model", Path(apart)),),
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (site("/srv/hot", "/srv/hot"), "is named twice"),
        (site("/srv/hot", "/srv/hot/inbox/more"), "lie inside each other"),
        (site("/srv/hot/inbox/more", "/srv/hot"), "lie inside each other"),
        (site("/srv/hot", apart="/srv/hot/model"), "the model (/srv/hot/model) and this"),
        (site("/srv/models/hot", apart="/srv/models"), "the model (/srv/models) and this"),
        (site("/srv/hot", apart="/srv/hot"), "the model (/srv/hot) and this"),
        (site("/srv/hot", settings="/srv/hot/inbox/hotfolder.yaml"), "everybody drops files"),
        (site("/srv/hot", settings="/srv/hot/.hotfolder/x.yaml"), "everybody drops files"),
        (site("/a", "/b", identities={Path("/a"): "one", Path("/b"): "one"}), "the id of /a"),
    ],
)
def test_it_is_refused_in_words(found: Site, words: str) -> None:
    (problem,) = problems(found)
    assert words in problem.what
    assert problem.advice


@pytest.mark.parametrize(
    "found",
    [
        site("/srv/hot", "/srv/hotter", apart="/srv/hot-model"),
        site("/srv/hot", settings="/srv/hot/hotfolder.yaml"),
        site("/srv/hot", settings="/srv/hotfolder.yaml"),
        site("/a", "/b", identities={Path("/a"): "one", Path("/b"): "two"}),
    ],
)
def test_what_lies_side_by_side_is_fine(found: Site) -> None:
    assert list(problems(found)) == []


def settings_in(folder: Path, mode: int) -> Path:
    path = folder / "hotfolder.yaml"
    path.write_text("")
    path.chmod(mode)
    return path


def complaints(path: Path, *, user: int, named: bool = True) -> list[str]:
    return [str(it) for it in custody.problems(path, path.stat(), user=user, named=named)]


def test_settings_that_everybody_may_change_or_replace_are_refused(tmp_path: Path) -> None:
    me = os.geteuid()
    assert complaints(settings_in(tmp_path, 0o644), user=me) == []
    (changed,) = complaints(settings_in(tmp_path, 0o646), user=me)
    assert "chmod o-w" in changed
    path = settings_in(tmp_path, 0o644)
    tmp_path.chmod(0o777)
    (replaced,) = complaints(path, user=me)
    assert f"chmod o-w {tmp_path}" in replaced
    tmp_path.chmod(0o1777)
    assert complaints(path, user=me) == []


def test_settings_of_somebody_else_that_nobody_named_are_refused(tmp_path: Path) -> None:
    path = settings_in(tmp_path, 0o644)
    stranger = os.geteuid() + 1
    if os.geteuid():
        (found,) = complaints(path, user=stranger, named=False)
        assert f"--config {path}" in found
    assert complaints(path, user=stranger, named=True) == []
    assert complaints(path, user=os.geteuid(), named=False) == []


def test_a_group_is_told_and_not_refused(tmp_path: Path) -> None:
    path = settings_in(tmp_path, 0o664)
    assert complaints(path, user=os.geteuid()) == []
    assert custody.is_of_a_group(path)
