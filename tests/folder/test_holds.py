"""Images that cannot be taken are held until something is mended, or it is time to try."""

from dataclasses import replace
from math import inf

import pytest
from sample import candidate, seen

from daemon.folder.holds import Holds, Traits
from daemon.job import EMPTY_PLAN, Candidate, FileState, Plan, State

CAT, DOG = candidate(seen("cat.png")), candidate(seen("dog.png"))


class Inbox:
    """What the files of the candidates are like, and those that are held."""

    def __init__(self) -> None:
        self.traits: dict[Candidate, Traits] = {CAT: ("0600",), DOG: ("0644",)}
        self.held = Holds(lambda one: self.traits[one])

    def plan(self, now: float) -> Plan:
        states = tuple(FileState(it.image.path, State.READY, "ready") for it in (CAT, DOG))
        plan = replace(EMPTY_PLAN, states=states, ready=(CAT, DOG))
        return self.held.held_in(plan, now)

    def state(self, now: float) -> State:
        """How the cat stands."""
        return self.plan(now).states[0].state


def test_it_is_held_alone_and_with_its_reason() -> None:
    inbox = Inbox()
    inbox.held.add(CAT, "it may not be moved", 100.0, is_lasting=True)
    plan = inbox.plan(101.0)
    assert plan.ready == (DOG,)
    assert plan.states[0] == FileState("cat.png", State.HELD, "it may not be moved")
    assert plan.states[1].state is State.READY


def test_it_is_ready_when_anything_about_its_files_has_changed() -> None:
    inbox = Inbox()
    inbox.held.add(CAT, "it may not be moved", 100.0, is_lasting=True)
    inbox.traits[CAT] = ("0644",)
    assert inbox.state(101.0) is State.READY


def test_it_is_tried_again_less_and_less_often() -> None:
    inbox, now, pause_control = Inbox(), 100.0, []
    for _ in range(10):
        inbox.held.add(CAT, "it may not be moved", now, is_lasting=True)
        assert inbox.state(now) is State.HELD
        pause_control.append(inbox.held.next_at(now) - now)
        now += pause_control[-1]
        assert inbox.state(now) is State.READY
    assert pause_control == [
        300.0,
        600.0,
        1200.0,
        2400.0,
        4800.0,
        9600.0,
        19200.0,
        21600.0,
        21600.0,
        21600.0,
    ]


def test_another_reason_begins_anew() -> None:
    inbox = Inbox()
    for reason in ("it may not be moved", "it may not be taken", "it cannot be copied"):
        inbox.held.add(CAT, reason, 100.0, is_lasting=True)
    assert inbox.held.next_at(100.0) == 400.0


@pytest.mark.parametrize("tries", range(1, 5))
def test_what_may_pass_is_tried_again_in_a_moment_first(tries: int) -> None:
    inbox = Inbox()
    for _ in range(tries):
        inbox.held.add(CAT, "Input/output error", 100.0, is_lasting=False)
    rest = {1: 1.0, 2: 2.0, 3: 4.0, 4: 300.0}[tries]
    assert inbox.state(100.0) is (State.SETTLING if tries <= 3 else State.HELD)
    assert inbox.held.next_at(100.0) == 100.0 + rest


def test_what_is_not_there_any_more_is_forgotten() -> None:
    inbox = Inbox()
    inbox.held.add(CAT, "it may not be moved", 100.0, is_lasting=True)
    inbox.held.held_in(EMPTY_PLAN, 101.0)
    assert inbox.held.next_at(101.0) == inf
