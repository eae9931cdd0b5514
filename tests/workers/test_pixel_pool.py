"""The pixel workers as the daemon keeps them, with a time that goes where it is put."""

import queue
import time
from collections.abc import Iterator

import pytest

from daemon.jobs.circuit_breaker import CircuitBreaker
from daemon.jobs.job_run import JobTable
from daemon.workers.child import Ended, Part, Said
from daemon.workers.pixel_pool import PixelPool

Mailbox = queue.SimpleQueue[Said | Ended]


@pytest.fixture
def mailbox() -> Mailbox:
    return queue.SimpleQueue()


@pytest.fixture
def breaker() -> CircuitBreaker:
    return CircuitBreaker(jobs=JobTable(), clock=time, tell=lambda _: None, at_once=False)


@pytest.fixture
def pool(mailbox: Mailbox) -> Iterator[PixelPool]:
    """One worker that never starts."""
    one = PixelPool(1, mailbox.put, "no_such_module")
    yield one
    one.close()


def lose(pool: PixelPool, mailbox: Mailbox, now: float) -> bool:
    """Wait for the end of the worker; whether it is the last that is tried."""
    ended = mailbox.get(timeout=30)
    assert isinstance(ended, Ended)
    assert ended.child in pool
    return pool.ended(ended, now).cannot_start


def is_started(pool: PixelPool, mailbox: Mailbox) -> bool:
    try:
        mailbox.get(timeout=0.5)
    except queue.Empty:
        return False
    return True


def test_each_further_end_is_followed_by_a_longer_rest(
    pool: PixelPool, mailbox: Mailbox, breaker: CircuitBreaker
) -> None:
    pool.go_on(100.0, breaker)
    assert not lose(pool, mailbox, 100.0)
    pool.go_on(100.0, breaker)
    assert not lose(pool, mailbox, 100.0)
    pool.go_on(104.9, breaker)
    assert not is_started(pool, mailbox)
    pool.go_on(105.0, breaker)
    assert lose(pool, mailbox, 105.0)
    pool.go_on(134.9, breaker)
    assert not is_started(pool, mailbox)


def test_who_tries_it_out_waits_for_no_rest(
    pool: PixelPool, mailbox: Mailbox, breaker: CircuitBreaker
) -> None:
    for now in (0.0, 0.0, 5.0):
        pool.go_on(now, breaker)
        lose(pool, mailbox, now)
    breaker.failed_to_start("it ended", Part.WORKERS)
    pool.go_on(1000.0, breaker)
    assert not is_started(pool, mailbox)
    breaker.try_now()
    pool.go_on(6.0, breaker)
    assert is_started(pool, mailbox)
