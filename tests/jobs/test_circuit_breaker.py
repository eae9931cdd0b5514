"""Three deaths in a row over different jobs are the machine's; then one job at a time tries."""

from dataclasses import replace

from daemon.jobs.circuit_breaker import (
    WAIT_SECONDS,
    BreakerState,
    Closed,
    HalfOpen,
    Open,
    after_death,
    after_machine_fault,
    after_start,
    after_success,
    at_once,
    by,
)

HOW = "killed by SIGSEGV"


def after_deaths(*job_ids: str, standing: BreakerState | None = None) -> BreakerState:
    standing = standing or Closed()
    for job_id in job_ids:
        standing = after_death(standing, job_id, HOW, 100.0)
    return standing


def opened_state() -> Open:
    standing = after_deaths("a", "b", "c")
    assert isinstance(standing, Open)
    return standing


def test_three_different_jobs_halt_and_the_same_one_does_not() -> None:
    assert isinstance(after_deaths("a", "a", "b", "b"), Closed)
    assert opened_state().suspects == {"a", "b", "c"}
    assert HOW in opened_state().cause
    assert opened_state().until == 100.0 + WAIT_SECONDS[0]


def test_a_job_that_is_done_between_them_begins_the_count_anew() -> None:
    standing = after_success(after_deaths("a", "b"))
    assert isinstance(after_deaths("c", standing=standing), Closed)


def test_when_its_time_has_come_one_job_tries_and_not_before() -> None:
    assert by(opened_state(), 159.9) == opened_state()
    assert by(opened_state(), 160.0) == HalfOpen(opened_state())
    assert by(Closed(), 1e9) == Closed()


def test_each_try_that_fails_is_followed_by_a_longer_rest() -> None:
    standing: BreakerState = opened_state()
    waits = []
    for _ in range(len(WAIT_SECONDS) + 1):
        standing = after_death(HalfOpen(opened_state=standing_halted(standing)), "d", HOW, 1000.0)
        waits.append(standing_halted(standing).until - 1000.0)
    assert tuple(waits) == (*WAIT_SECONDS[1:], WAIT_SECONDS[-1], WAIT_SECONDS[-1])


def standing_halted(standing: BreakerState) -> Open:
    assert isinstance(standing, Open)
    return standing


def test_a_try_that_is_done_ends_it() -> None:
    assert after_success(HalfOpen(opened_state())) == Closed()


def test_somebody_who_asks_has_it_tried_at_once_and_rests_begin_anew() -> None:
    standing = at_once(replace(opened_state(), tries=4))
    assert isinstance(standing, HalfOpen)
    assert standing.opened_state.tries == 0
    assert at_once(Closed()) == Closed()


def test_what_hinders_one_job_hinders_all_until_one_is_done() -> None:
    standing = after_machine_fault(Closed(suspects=frozenset("a")), "The disk is full", 10.0)
    assert standing_halted(standing).cause == "The disk is full"
    assert standing.suspects == {"a"}
    assert after_machine_fault(standing, "The disk is full", 20.0) == standing
    assert after_success(standing) == standing  # of the same pass: it mends nothing
    again = after_machine_fault(HalfOpen(standing_halted(standing)), "The disk is full", 70.0)
    assert standing_halted(again).until == 70.0 + WAIT_SECONDS[1]


def test_an_editor_that_cannot_be_opened_halts_until_it_can() -> None:
    standing = standing_halted(
        after_machine_fault(Closed(), "the folder is missing", 10.0, is_over_when_open=True)
    )
    assert "the folder is missing" in standing.cause
    assert after_start(HalfOpen(standing)) == Closed()
    assert after_start(HalfOpen(opened_state())) == HalfOpen(
        opened_state()
    )  # it opened before every death
