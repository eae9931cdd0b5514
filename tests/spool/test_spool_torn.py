"""A file that is written to while it is copied from a share is not taken as it is then."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness import wait_for
from rig.share import Share, unavailable
from sample import TICKET, candidate, seen

from daemon.fs.hot_folder import make_hot_folder
from daemon.spool.spool import ChangedMeanwhile, Spool

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Share]:
    """A share with a hot folder on it."""
    one = Share(tmp_path / "far")
    make_hot_folder(one.mount, "the-id")
    yield one
    one.close()


def test_a_rewrite_of_equal_length_during_the_copy_is_noticed(
    share: Share, tmp_path: Path
) -> None:
    spool = Spool(share.mount)
    (spool.inbox / "cat.png").write_bytes(b"one")
    job = spool.claim(candidate(seen("cat.png", spool.inbox)), frozenset(), TICKET)
    share.rule("HANG", "read", "*/cat.png")
    with ThreadPoolExecutor(1) as reader:
        copied = reader.submit(spool.copy_to_scratch, job, tmp_path / "scratch")
        wait_for(share.held)
        (share.backing / ".hotfolder/work" / job.job_id / "cat.png").write_bytes(b"two")
        share.heal()
        assert isinstance(copied.exception(), ChangedMeanwhile)
