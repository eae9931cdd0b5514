"""What lies inside what, and must not."""

import os
from pathlib import Path

import pytest

from config import settings_file
from daemon.service.preflight import Layout, layout_problems

HOT = Path("/srv/hot")


def site(
    *roots: str,
    apart: str = "/models/qwen",
    settings: str | None = None,
    identities: dict[Path, str] | None = None,
) -> Layout:
    return Layout(
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
def test_it_is_refused_in_words(found: Layout, words: str) -> None:
    (problem,) = layout_problems(found)
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
def test_what_lies_side_by_side_is_fine(found: Layout) -> None:
    assert list(layout_problems(found)) == []


def settings_in(folder: Path, mode: int) -> Path:
    path = folder / "hotfolder.yaml"
    path.write_text("")
    path.chmod(mode)
    return path


def complaints(path: Path, *, user: int, named: bool = True) -> list[str]:
    return [
        str(it) for it in settings_file.custody_problems(path, path.stat(), user=user, named=named)
    ]


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


def test_every_folder_above_the_settings_counts(tmp_path: Path) -> None:
    folder = tmp_path / "open/middle/inner"
    folder.mkdir(parents=True)
    path = settings_in(folder, 0o644)
    assert complaints(path, user=os.geteuid()) == []
    (tmp_path / "open").chmod(0o777)
    (found,) = complaints(path, user=os.geteuid())
    assert f"reached through {tmp_path}/open/middle, which everybody can replace" in found
    assert f"chmod o-w {tmp_path}/open" in found
    (tmp_path / "open").chmod(0o1777)
    assert complaints(path, user=os.geteuid()) == []


@pytest.mark.parametrize("target", ["absolute", "relative"])
@pytest.mark.parametrize("open_to_all", ["the link", "the target"])
def test_every_link_on_the_way_to_the_settings_counts(
    tmp_path: Path, target: str, open_to_all: str
) -> None:
    links, behind = tmp_path / "links", tmp_path / "behind"
    for folder in (links, behind / "real"):
        folder.mkdir(parents=True)
    settings_in(behind / "real", 0o644)
    to = behind / "real" if target == "absolute" else Path("../links/../behind/real")
    (links / "here").symlink_to(to)
    path = links / "here/hotfolder.yaml"
    assert complaints(path, user=os.geteuid()) == []
    opened, entry = (links, links / "here") if open_to_all == "the link" else (behind, None)
    opened.chmod(0o777)
    found = complaints(path, user=os.geteuid())
    assert all(f"chmod o-w {opened}" in it for it in found)
    assert f"reached through {entry or behind / 'real'}, which everybody can replace" in found[-1]


def test_settings_that_are_a_link_are_as_safe_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    real = settings_in(tmp_path / "open", 0o644)
    link = tmp_path / "hotfolder.yaml"
    link.symlink_to(real)
    (tmp_path / "open").chmod(0o777)
    (found,) = complaints(link, user=os.geteuid())
    assert f"chmod o-w {tmp_path}/open" in found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_in_a_folder_like_tmp_who_owns_the_next_one_can_replace_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    folder = tmp_path / "theirs"
    folder.mkdir()
    path = settings_in(folder, 0o644)
    assert complaints(path, user=0) == []
    os.chown(folder, 4321, 4321)
    (found,) = complaints(path, user=0)
    assert f"reached through {folder}, which user 4321 can replace" in found
    os.chown(path, 4321, 4321)  # named as it is, that user is trusted
    assert complaints(path, user=0) == []


def test_links_in_a_circle_are_an_error_and_no_endless_walk(tmp_path: Path) -> None:
    path = settings_in(tmp_path, 0o644)
    status = path.stat()
    for name, to in (("a", "b"), ("b", "a")):
        (tmp_path / name).symlink_to(to)
    with pytest.raises(OSError, match="symbolic links"):
        list(
            settings_file.custody_problems(
                tmp_path / "a/hotfolder.yaml", status, user=0, named=True
            )
        )


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
    assert settings_file.is_of_a_group(path)
