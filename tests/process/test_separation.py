"""`run` refuses, and `check` names, what lies where it must not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Daemon, HotFolder, wait_for


def inside(hot: HotFolder) -> str:
    (hot.root / "model").mkdir()
    hot.write_settings(f"model: {{path: {hot.root / 'model'}}}")
    return "the model"


def scratch(hot: HotFolder) -> str:
    hot.environment["XDG_CACHE_HOME"] = str(hot.root / "cache")
    return "the scratch folder"


def by_link(hot: HotFolder) -> str:
    link = hot.root.parent / "link"
    link.symlink_to(hot.root)
    hot.settings.write_text(f"folders: [{{root: {hot.root}}}, {{root: {link}}}]")
    return "named twice"


def around(hot: HotFolder) -> str:
    more = hot.inbox / "more"
    assert hot.call("init", more).returncode == 0
    (hot.root.parent / "link").symlink_to(more)
    hot.settings.write_text(f"folders: [{{root: {hot.root}}}, {{root: {hot.root.parent}/link}}]")
    return "lie inside each other"


def changeable(hot: HotFolder) -> str:
    hot.settings.chmod(0o666)
    return "chmod o-w"


@pytest.mark.parametrize("wrong", [inside, scratch, by_link, around, changeable])
def test_it_is_refused_at_the_start_and_by_check(hot: HotFolder, wrong) -> None:  # type: ignore[no-untyped-def]
    words = wrong(hot)
    ran = hot.call("run", "--once", "--editor", "echo")
    assert ran.returncode == 78
    assert words in ran.stderr
    checked = hot.call("check", "--editor", "echo")
    assert checked.returncode == 78
    assert words in checked.stdout


def test_the_working_directory_may_hold_the_hot_folder(hot: HotFolder) -> None:
    hot.cwd = hot.root.parent
    assert hot.call("run", "--once", "--editor", "echo", "--root", hot.root).returncode == 0
    assert (
        "nothing lies in a hot folder"
        in hot.call("check", "--editor", "echo", "--root", hot.root).stdout
    )


def by_a_link(hot: HotFolder, name: str) -> Path:
    """Put a link to a folder outside in the place of one."""
    outside = hot.root.parent / "outside"
    (hot.root / name).rename(outside)
    (hot.root / name).symlink_to(outside)
    return outside


@pytest.mark.parametrize("name", ["inbox", "outbox", "logs"])
def test_a_link_in_place_of_a_folder_is_named(hot: HotFolder, name: str) -> None:
    by_a_link(hot, name)
    assert f"{hot.root / name} is a link" in hot.call("check", "--editor", "echo").stdout


def test_no_result_goes_through_a_link_and_its_job_says_why(hot: HotFolder) -> None:
    (hot.outbox / "s").mkdir()
    outside = by_a_link(hot, "outbox/s")
    hot.drop("s/cat.png")
    assert hot.once().returncode == 1
    assert "outbox/s" in hot.why("cat")
    assert list(outside.iterdir()) == []


def test_an_outbox_that_is_a_link_blames_no_job(
    hot: HotFolder, start: Callable[..., Daemon]
) -> None:
    hot.settle_fast()
    outside = by_a_link(hot, "outbox")
    hot.drop("cat.png")
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=folder_offline", "is a link or a file"))
    hot.outbox.unlink()
    hot.outbox.mkdir()
    wait_for((hot.outbox / "cat.png.json").exists)
    assert list(outside.iterdir()) == []
