"""One pixel worker, started and heard as the daemon does it."""

from __future__ import annotations

import queue
from pathlib import Path

from sample import context

from daemon.jobs.circuit_breaker import CircuitBreaker
from daemon.jobs.job_run import JobTable
from daemon.workers.child import Ended, Said
from daemon.workers.pixel_pool import Answered, PixelPool, Work
from pipeline.ipc import FromPixels, PixelsReady, ToPixels


class OneWorker:
    """A pixel worker that is asked one thing after the other."""

    def __init__(self) -> None:
        self._mailbox: queue.SimpleQueue[Said | Ended] = queue.SimpleQueue()
        self._pool = PixelPool(1, self._mailbox.put)
        self._breaker = CircuitBreaker(context(), JobTable({}))
        self._pool.go_on(0.0, self._breaker)
        ready = self._said()
        self.pid = ready.child.pid
        assert isinstance(self._pool.heard(ready, 0.0), PixelsReady)

    def ask(self, request: ToPixels) -> FromPixels:
        """What it answers; AssertionError where it dies of that."""
        self._pool.submit(Work("job", 0, request))
        self._pool.go_on(0.0, self._breaker)
        answered = self._pool.heard(self._said(), 0.0)
        assert isinstance(answered, Answered)
        return answered.reply

    def memory_mib(self, field: str) -> float:
        """What the kernel says of its memory: VmSize, VmPeak or VmHWM."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        return int(facts[field].split()[0]) / 1024

    def close(self) -> None:
        """End it."""
        self._pool.close()

    def _said(self) -> Said:
        said = self._mailbox.get(timeout=120)
        assert isinstance(said, Said), said
        return said
