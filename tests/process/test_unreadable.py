"""Files that the daemon may move but not read: held once, and edited when somebody mends them."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Daemon, HotFolder, wait_for
from PIL import Image

# Root with these rights reads everything; without them it is a user like any other.
_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")

pytestmark = pytest.mark.skipif(
    shutil.which("setpriv") is None
    or subprocess.run([*_RIGHTS, "true"], capture_output=True, check=False).returncode != 0,
    reason="only root can put rights down",
)


class Ordinary(Daemon):
    """`hotfolder run` of a user who may not read everything."""

    prefix = _RIGHTS


@pytest.fixture
def hot(tmp_path: Path) -> HotFolder:
    one = HotFolder(tmp_path)
    one.write_settings("defaults: {settle_seconds: 0.2, poll_seconds: 0.2}")
    return one


@pytest.fixture
def daemon(hot: HotFolder) -> Iterator[Ordinary]:
    one = Ordinary(hot, "--editor", "echo")
    wait_for(lambda: one.said("action=editor_ready"))
    yield one
    one.process.kill()
    one.process.wait()
    one.said("")
    print(*one.lines, sep="")  # seen where a test has failed
    assert one.process.stderr is not None
    one.process.stderr.close()


def drop(hot: HotFolder, closed: str) -> Path:
    """A picture, its instruction and its mask, one of which nobody may read; gives that one."""
    parts = hot.root.parent / "parts"  # nothing is there before it is closed
    parts.mkdir()
    Image.effect_noise((96, 64), 60).convert("RGB").save(parts / "cat.png")
    Image.new("L", (96, 64), 255).save(parts / "m.png")
    (parts / "cat.yaml").write_text("prompt: Make it blue\nmask: m.png\n")
    (parts / closed).chmod(0)
    for part in parts.iterdir():
        part.rename(hot.inbox / part.name)
    return hot.inbox / closed


@pytest.mark.parametrize("closed", ["cat.png", "cat.yaml", "m.png"])
def test_it_is_held_once_and_edited_when_its_rights_are_mended(
    hot: HotFolder, daemon: Ordinary, closed: str
) -> None:
    file = drop(hot, closed)
    wait_for(lambda: daemon.said("action=file_waiting", "file=cat.png", "cannot be read by"))
    for name in ("dog.png", "emu.png"):  # the others go on, for as long as it takes
        hot.drop(name)
        wait_for((hot.outbox / f"{name}.json").exists)
    for words in (("status",), ("plan",), ("why", hot.inbox / "cat.png")):
        said = hot.call(*words).stdout
        assert "cannot be read by" in said
        assert "held" in said
    daemon.said("")
    waiting = [line for line in daemon.lines if "action=file_waiting" in line]
    assert len({line.partition("file=")[2].split()[0] for line in waiting}) == len(waiting)
    assert not [
        line for line in daemon.lines if "action=job_claimed" in line and "cat.png" in line
    ]
    file.chmod(0o644)
    wait_for((hot.outbox / "cat.png.json").exists)
    assert hot.files("inbox") == hot.files("failed") == set()


def test_once_ends_and_leaves_it_where_it_is(hot: HotFolder) -> None:
    drop(hot, "cat.png")
    hot.drop("dog.png")
    once = Ordinary(hot, "--once", "--editor", "echo")
    once.process.wait(timeout=60)
    once.said("")
    assert once.process.stderr is not None
    once.process.stderr.close()
    told = "".join(once.lines)
    assert once.process.returncode == 0
    assert hot.files("inbox") == {"cat.png", "cat.yaml", "m.png"}
    assert (hot.outbox / "dog.png.json").exists()
    assert told.count("action=file_waiting") <= 3  # each of the three once
