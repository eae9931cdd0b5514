import pytest

from daemon.jobs.failures import (
    MAX_ATTEMPTS,
    Again,
    after_death,
    after_failure,
)
from pipeline.editor import Failure


@pytest.mark.parametrize(
    ("failure", "strikes", "decision"),
    [
        (Failure.PERMANENT, 0, None),
        (Failure.TRANSIENT, 0, Again(30.0, strike=True, alone=False)),
        (Failure.TRANSIENT, 1, Again(120.0, strike=True, alone=False)),
        (Failure.TRANSIENT, 2, Again(600.0, strike=True, alone=False)),
        (Failure.TRANSIENT, 3, None),
        (Failure.ENVIRONMENT, 0, Again(60.0, strike=False, alone=False, counts=False)),
        (Failure.ENVIRONMENT, 3, Again(60.0, strike=False, alone=False, counts=False)),
    ],
)
def test_a_failure_is_followed_by_what_its_kind_and_the_strikes_say(
    failure: Failure, strikes: int, decision: Again | None
) -> None:
    assert after_failure(failure, strikes=strikes, attempts=1, at_once=False) == decision


def test_with_once_a_retry_follows_at_once() -> None:
    decision = after_failure(Failure.TRANSIENT, strikes=1, attempts=1, at_once=True)
    assert isinstance(decision, Again)
    assert decision.wait_seconds == 0.0


def test_no_job_fails_for_the_fault_of_its_machine_however_long_that_lasts() -> None:
    for at_once in (False, True):
        decision = after_failure(Failure.ENVIRONMENT, strikes=0, attempts=1000, at_once=at_once)
        assert isinstance(decision, Again)


def test_too_many_attempts_end_a_job_whatever_its_strikes() -> None:
    decision = after_failure(Failure.TRANSIENT, strikes=0, attempts=MAX_ATTEMPTS, at_once=False)
    assert decision is None


def test_a_death_in_company_blames_nobody_and_asks_for_a_run_alone() -> None:
    for strikes in (0, 1):
        decision = after_death(strikes=strikes, attempts=1, together=True, at_once=False)
        assert decision == Again(0.0, strike=False, alone=True)


def test_the_first_death_alone_is_a_strike_and_the_second_the_end() -> None:
    first = after_death(strikes=0, attempts=1, together=False, at_once=False)
    assert first == Again(30.0, strike=True, alone=True)
    assert after_death(strikes=1, attempts=2, together=False, at_once=False) is None


def test_deaths_in_company_end_too() -> None:
    decision = after_death(strikes=0, attempts=MAX_ATTEMPTS, together=True, at_once=False)
    assert decision is None
