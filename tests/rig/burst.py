"""A burst of small pairs from several writers, worked by daemons that are killed on the way."""

import hashlib
import subprocess
import sys
from functools import partial
from pathlib import Path

from harness import Daemon, HotFolder, wait_for
from rig.writer import content_of

_WRITER = Path(__file__).with_name("writer.py")
_WRITERS = 4


class Burst:
    """`pairs` are dropped while `kills` daemons die of SIGKILL, spread over all the work."""

    def __init__(self, hot: HotFolder, pairs: int, kills: int) -> None:
        self.hot, self.pairs, self.kills = hot, pairs, kills
        hot.write_settings("defaults: {settle_seconds: 0.3}")

    def run(self) -> None:
        """Drop, kill, and wait until a last daemon has nothing left to do."""
        writers = self._writers()
        for kill in range(self.kills):
            self._one_night(done=self.pairs * (kill + 1) // (self.kills + 2))
        last = self._begin()
        try:
            for writer in writers:
                assert writer.wait(timeout=600) == 0
            self._wait_for(last, self.pairs)
            wait_for(lambda: not self.hot.files("inbox"))
            wait_for(lambda: not self.hot.files(".hotfolder/work"))
            assert last.stop() == 0
        finally:
            end(last)

    def _writers(self) -> list[subprocess.Popen[bytes]]:
        share = -(-self.pairs // _WRITERS)
        starts = range(0, self.pairs, share)
        return [
            subprocess.Popen(
                [
                    sys.executable,
                    _WRITER,
                    self.hot.inbox,
                    str(it),
                    str(min(it + share, self.pairs)),
                ]
            )
            for it in starts
        ]

    def _one_night(self, done: int) -> None:
        daemon = self._begin()
        try:
            self._wait_for(daemon, done)
        finally:
            end(daemon)

    def _begin(self) -> Daemon:
        return Daemon(self.hot, "--editor", "echo")

    def _wait_for(self, daemon: Daemon, done: int) -> None:
        """Wait for so many receipts, for as long as more come."""
        while (before := self._receipts()) < done:
            wait_for(partial(self._is_further, daemon, before))

    def _is_further(self, daemon: Daemon, before: int) -> bool:
        daemon.said("")  # reads on: a full pipe would stop it
        assert daemon.process.poll() is None, daemon.lines[-20:]
        return self._receipts() > before

    def _receipts(self) -> int:
        return sum(path.suffix == ".json" for path in self.hot.outbox.iterdir())

    def assert_each_done_once(self) -> None:
        """Every pair has one result and one receipt, and its originals lie in done/, once."""
        names = [f"{number}.png" for number in range(self.pairs)]
        results = {file for name in names for file in (name, f"{name}.json")}
        assert self.hot.files("outbox") == results
        for folder in ("inbox", ".hotfolder/work", "failed", "review"):
            assert self.hot.files(folder) == set(), folder
        originals = {
            path.name: path.read_bytes()
            for path in self.hot.root.glob("done/*/*")
            if path.is_file()
        }
        assert len(self.hot.files("done")) == len(originals) == 2 * self.pairs
        for number, name in enumerate(names):
            picture, instruction = content_of(number)
            assert (originals[name], originals[f"{number}.yaml"]) == (picture, instruction)
            receipt = self.hot.receipt(name)
            assert receipt["input"]["sha256"] == hashlib.sha256(picture).hexdigest()
            assert receipt["recipe"]["prompt"] == f"Make it {number}"
            result = (self.hot.outbox / name).read_bytes()
            assert receipt["output"]["sha256"] == hashlib.sha256(result).hexdigest()


def end(daemon: Daemon) -> None:
    """Kill a daemon, if it still lives, as a power cut would."""
    daemon.process.kill()
    daemon.process.wait()
    assert daemon.process.stderr is not None
    daemon.process.stderr.close()
