"""Files that the daemon's user may not take stay where they are."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sample import TICKET, candidate, seen

from daemon.fs.hot_folder import make_hot_folder
from daemon.spool.spool import NotPermitted, Spool

NOBODY = 65534
REFUSED = 7

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def root() -> Iterator[Path]:
    """A hot folder of nobody's, outside of folders that are root's alone."""
    base = Path(tempfile.mkdtemp())
    base.chmod(0o755)
    make_hot_folder(base / "hot", "test")
    for path in (base / "hot", *(base / "hot").rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    yield base / "hot"
    shutil.rmtree(base)


def as_nobody(action: Callable[[], object]) -> int:
    """Do something in a child process without root's rights; returns its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            action()
            code = 0
        except NotPermitted:
            code = REFUSED
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_file_in_a_folder_of_somebody_else_stays_where_it_is(root: Path) -> None:
    theirs = root / "inbox" / "theirs"
    theirs.mkdir(mode=0o755)
    (theirs / "cat.png").write_bytes(b"picture")
    one = candidate(seen("theirs/cat.png", root / "inbox"))
    assert as_nobody(lambda: Spool(root).claim(one, frozenset(), TICKET)) == REFUSED
    assert (theirs / "cat.png").read_bytes() == b"picture"
    assert list((root / ".hotfolder" / "work").iterdir()) == []


def test_our_own_file_is_taken(root: Path) -> None:
    mine = root / "inbox" / "cat.png"
    mine.write_bytes(b"picture")
    os.chown(mine, NOBODY, NOBODY)
    one = candidate(seen("cat.png", root / "inbox"))
    assert as_nobody(lambda: Spool(root).claim(one, frozenset(), TICKET)) == 0
    assert not mine.exists()
