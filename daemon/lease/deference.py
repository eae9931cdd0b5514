"""What a daemon that stands by answers to an order: the work is another one's now."""

from __future__ import annotations

from typing import assert_never

from config.problems import Problem
from daemon.orders import (
    Answer,
    Claim,
    FileDone,
    FileFailed,
    Forget,
    GiveBack,
    Look,
    Lost,
    NotWithdrawn,
    Order,
    Passed,
    Publish,
    Quit,
    Reconfigure,
    Resume,
    TakeAway,
    TakeBack,
    TakenAway,
    TakenBack,
    Wish,
    Withdraw,
    Write,
)

_ADVICE = "ask the daemon that leads"


def answer_to(order: Order, leader: str) -> Answer | None:
    """The answer; None where none is waited for. `leader` says who leads, in words."""
    match order:
        case Claim(candidate):
            return Lost(candidate)
        case Resume(job=job) | FileFailed(job=job) | FileDone(job=job) | GiveBack(job):
            return Passed(job)
        case Publish(finished):
            return Passed(finished.task.job)
        case Withdraw() | TakeAway() | TakeBack():
            return _answer_to_wish(order, leader)
        case Look() | Forget() | Write() | Reconfigure() | Quit():
            return None
        case _:
            assert_never(order)


def _answer_to_wish(wish: Wish, leader: str) -> Answer:
    match wish:
        case Withdraw(withdrawal):
            return NotWithdrawn(withdrawal.image, f"{leader}: {_ADVICE}")
        case TakeAway(file):
            return TakenAway(file, "", f"{leader}: {_ADVICE}")
        case TakeBack(folder):
            return TakenBack(folder, (), (Problem(folder, leader, _ADVICE),))
        case _:
            assert_never(wish)
