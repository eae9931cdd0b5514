"""What `init` makes is what all other tests begin with."""

import shutil

from harness import HotFolder


def made(hot: HotFolder) -> dict[str, int]:
    """All that lies there, with its mode."""
    paths = [hot.settings, hot.root, *hot.root.rglob("*")]
    return {str(path): path.lstat().st_mode for path in paths}


def test_the_command_makes_a_hot_folder_and_its_settings(hot: HotFolder) -> None:
    before, identity = made(hot), (hot.root / ".hotfolder/id").read_text()
    settings = hot.settings.read_text(encoding="utf-8")
    shutil.rmtree(hot.root)
    hot.settings.unlink()
    done = hot.call("init", hot.root)
    assert done.returncode == 0
    assert f"{hot.root} is a hot folder now." in done.stdout
    assert made(hot) == before
    assert hot.settings.read_text(encoding="utf-8") == settings
    assert (hot.root / ".hotfolder/id").read_text() != identity


def test_what_is_there_already_stays_as_it_is(hot: HotFolder) -> None:
    hot.settings.write_text("# mine")
    hot.drop("cat.png")
    before = {path: path.read_bytes() for path in hot.root.rglob("*") if path.is_file()}
    done = hot.call("init", hot.root)
    assert done.returncode == 0
    assert f"{hot.root} is a hot folder already." in done.stdout
    assert hot.settings.read_text() == "# mine"
    assert {path: path.read_bytes() for path in hot.root.rglob("*") if path.is_file()} == before
