"""The pixel workers as the daemon keeps them, with a time that goes where it is put."""

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample import RECIPE, context

from daemon.jobs.circuit_breaker import CircuitBreaker
from daemon.jobs.job_run import JobTable
from daemon.workers.child import Ended, Part, Said
from daemon.workers.pixel_pool import HANG_SECONDS, PixelPool, Work
from pipeline.ipc import PixelsReady
from pipeline.pixel_requests import Prepare

Mailbox = queue.SimpleQueue[Said | Ended]


@pytest.fixture
def mailbox() -> Mailbox:
    return queue.SimpleQueue()


@pytest.fixture
def breaker() -> CircuitBreaker:
    return CircuitBreaker(context(), JobTable({}))


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


def work(job_id: str) -> Work:
    """A request that a worker answers, if with a refusal."""
    gone = Path("/nowhere")
    request = Prepare(
        image=gone / "picture",
        name="picture.png",
        references=(),
        mask=None,
        recipe=RECIPE,
        working_pixels=None,
        multiple=1,
        max_megapixels=1.0,
        into=gone,
    )
    return Work(job_id, 0, request)


@pytest.fixture
def busy(mailbox: Mailbox, breaker: CircuitBreaker) -> Iterator[tuple[PixelPool, Said]]:
    """One worker that has answered its request; nobody has heard the answer yet."""
    one = PixelPool(1, mailbox.put)
    one.go_on(0.0, breaker)
    ready = mailbox.get(timeout=60)
    assert isinstance(ready, Said)
    assert isinstance(one.heard(ready, 0.0), PixelsReady)
    one.submit(work("first"))
    one.go_on(0.0, breaker)
    answer = mailbox.get(timeout=60)
    assert isinstance(answer, Said)
    yield one, answer
    one.close()


def test_one_killed_for_its_silence_gets_no_more_work_though_its_answer_lay_there(
    busy: tuple[PixelPool, Said], mailbox: Mailbox, breaker: CircuitBreaker
) -> None:
    pool, answer = busy
    pool.submit(work("second"))
    pool.kill_hung(HANG_SECONDS + 1.0)
    assert pool.heard(answer, HANG_SECONDS + 1.0) is None
    pool.go_on(HANG_SECONDS + 1.0, breaker)
    assert not pool.is_at("second")
    ended = mailbox.get(timeout=30)
    assert isinstance(ended, Ended)
    lost = pool.ended(ended, HANG_SECONDS + 2.0)
    assert lost.work == work("first")


def test_one_killed_for_nonsense_gets_no_more_work(
    busy: tuple[PixelPool, Said], mailbox: Mailbox, breaker: CircuitBreaker
) -> None:
    pool, answer = busy
    pool.submit(work("second"))
    assert pool.heard(Said(answer.child, "nonsense"), 1.0) is None
    assert pool.heard(answer, 1.0) is None
    pool.go_on(1.0, breaker)
    assert not pool.is_at("second")
    ended = mailbox.get(timeout=30)
    assert isinstance(ended, Ended)
    assert pool.ended(ended, 2.0).work == work("first")
