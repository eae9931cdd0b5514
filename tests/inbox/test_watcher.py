import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import Watch
from daemon.inbox.watcher import DIED, Watcher

SECONDS = 30.0
EVENTS, POLL = Watch.EVENTS, Watch.POLL


class Post:
    """An inbox with a lookout, and what it said."""

    def __init__(self, base: Path) -> None:
        self.base, self.inbox = base, base / "inbox"
        self.inbox.mkdir()
        self.woken, self.lost = threading.Event(), threading.Event()
        self.reasons: list[str] = []
        self.watcher = Watcher(self.inbox, self.woken.set, self._lose)

    def _lose(self, reason: str) -> None:
        self.reasons.append(reason)
        self.lost.set()

    def sees(self) -> bool:
        """Whether a new file is noticed."""
        return self._notices(SECONDS)

    def misses(self) -> bool:
        """Whether no new file is noticed."""
        return not self._notices(1.0)

    def _notices(self, seconds: float) -> bool:
        while self.woken.wait(0.2):
            self.woken.clear()
        (self.inbox / "new.png").touch()
        noticed = self.woken.wait(seconds)
        (self.inbox / "new.png").unlink()
        return noticed


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    one = Post(tmp_path)
    yield one
    one.watcher.stop()


def test_events_are_watched_and_polled_inboxes_are_not(post: Post) -> None:
    post.watcher.keep(EVENTS, 0.0)
    assert post.sees()
    post.watcher.keep(POLL, 1.0)
    assert post.misses()
    post.watcher.keep(EVENTS, 2.0)
    assert post.sees()
    assert post.reasons == []


def test_another_inbox_in_its_place_is_watched_from_the_next_look(post: Post) -> None:
    post.watcher.keep(EVENTS, 0.0)
    post.inbox.rename(post.base / "old")
    assert post.lost.wait(SECONDS)
    post.inbox.mkdir()
    assert post.misses()
    post.watcher.keep(EVENTS, 1.0)
    assert post.sees()
    assert post.reasons == ["it was moved away"]


def test_a_watcher_that_has_died_is_told_once_and_replaced(post: Post) -> None:
    post.watcher.keep(EVENTS, 0.0)
    assert post.watcher._watcher is not None
    reader = post.watcher._watcher._reader
    assert reader is not None
    reader.stop()  # its thread ends, and nobody asked the watcher to
    reader.join(SECONDS)
    assert post.misses()
    for now in (29.0, 31.0, 32.0):  # no more often than a look is due anyway
        post.watcher.keep(EVENTS, now)
    assert post.sees()
    assert post.reasons in ([DIED], ["it was removed or unmounted", DIED])


def test_a_reason_that_stays_is_told_once(post: Post) -> None:
    post.watcher.keep(EVENTS, 0.0)
    place = post.inbox.stat()
    for number in range(3):
        watcher = post.watcher._watcher
        assert watcher is not None
        watcher.on_queue_overflow()
        post.watcher.keep(EVENTS, 31.0 * (number + 1))
        assert post.watcher._watcher is not watcher
    assert post.inbox.stat().st_ino == place.st_ino
    assert len(post.reasons) == 1
    assert post.sees()


def test_a_missing_inbox_is_raised_and_watched_when_it_is_back(post: Post) -> None:
    post.watcher.keep(EVENTS, 0.0)
    shutil.rmtree(post.inbox)
    with pytest.raises(FileNotFoundError):
        post.watcher.keep(EVENTS, 1.0)
    post.watcher.stop()
    post.inbox.mkdir()
    post.watcher.keep(EVENTS, 2.0)
    assert post.sees()
