"""Of several daemons on one hot folder, at most one acts, whatever happens in whatever order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from rivals import Rival, World

from daemon.lease.election import LEASE_TIMINGS, Follower, Leader
from daemon.lease.owner import Liveness

DRIFTS = st.sampled_from([0.8, 0.95, 1.0, 1.05, 1.2])
PAUSES_SECONDS = st.sampled_from([0.1, 2.0, 2.0, 2.0, 9.0, 14.0, 24.0, 29.0, 31.0, 61.0])


@pytest.fixture
def world() -> Iterator[World]:
    """A share that nobody has led yet."""
    it = World()
    yield it
    it.close()


def leads(rival: Rival) -> bool:
    return isinstance(rival.standing, Leader)


def liveness(follower: Rival) -> Liveness:
    """What it knows of the leader."""
    assert isinstance(follower.standing, Follower)
    return follower.standing.liveness


def watch(world: World, seconds: float, *rivals: Rival) -> None:
    """Let time pass while some go on."""
    for _ in range(round(seconds / LEASE_TIMINGS.look)):
        world.now += LEASE_TIMINGS.look
        for rival in rivals:
            rival.round()


class TestRoundByRound:
    """Daemons that get round after round."""

    def test_the_first_leads_and_the_second_stands_by(self, world: World) -> None:
        first, second = world.join(), world.join()
        first.round()
        second.round()
        assert leads(first)
        assert isinstance(second.standing, Follower)
        assert second.standing.leader == first.me

    def test_a_leader_that_goes_on_leads_for_ever(self, world: World) -> None:
        first, second = world.join(), world.join()
        first.round()
        watch(world, 500, second, first)
        assert world.acting() == [1]

    def test_a_silent_leader_stops_long_before_another_one_begins(self, world: World) -> None:
        first, second = world.join(drift=0.9), world.join(drift=1.1)
        first.round()
        watch(world, 40, second)
        assert world.acting() == []
        watch(world, 30, second)
        assert world.acting() == [2]
        first.round()
        assert isinstance(first.standing, Follower)

    def test_a_leader_whose_process_is_known_to_have_ended_is_followed_at_once(
        self, world: World
    ) -> None:
        first, second = world.join(), world.join()
        first.round()
        second.round()
        first.end()
        second.round()
        assert world.acting() == [2]

    def test_a_leader_that_died_elsewhere_is_followed_in_time(self, world: World) -> None:
        world.is_one_machine = False
        first, second = world.join(), world.join()
        first.round()
        second.round()
        first.end()
        watch(world, 58, second)
        assert world.acting() == []
        watch(world, 4, second)
        assert world.acting() == [2]

    def test_a_lease_that_was_released_is_taken_at_once(self, world: World) -> None:
        first, second = world.join(), world.join()
        first.round()
        second.round()
        first.is_leaving = True
        first.round()
        second.round()
        assert world.acting() == [2]

    def test_who_has_looked_away_begins_to_watch_anew(self, world: World) -> None:
        first, second = world.join(), world.join()
        first.round()
        second.round()
        world.now += 500  # the share was away from both
        second.round()
        assert world.acting() == []
        first.round()
        assert world.acting() == [1]

    def test_a_leader_elsewhere_is_known_to_live_when_its_paper_changes(
        self, world: World
    ) -> None:
        world.is_one_machine = False
        first, second = world.join(), world.join()
        first.round()
        second.round()
        assert liveness(second) is Liveness.UNKNOWN
        first.round()
        second.round()
        assert liveness(second) is Liveness.RUNS

    @pytest.mark.parametrize("text", [None, "", "{", "[]", "\ufffd", '{"pid": "7"}'])
    def test_a_paper_that_says_nothing_is_watched_like_others(
        self, world: World, text: str | None
    ) -> None:
        world.paper.terms[7] = text
        rival = world.join()
        watch(world, 58, rival)
        assert world.acting() == []
        watch(world, 6, rival)
        assert world.acting() == [1]
        assert set(world.paper.terms) == {8}

    def test_who_finds_no_room_for_its_record_leads_as_soon_as_there_is_some(
        self, world: World
    ) -> None:
        world.paper.is_full = True
        first = world.join()
        first.round()
        assert not leads(first)
        assert not world.paper.terms
        world.paper.is_full = False
        first.round()
        assert leads(first)

    def test_a_lease_that_somebody_deleted_is_the_leaders_again(self, world: World) -> None:
        first, second = world.join(), world.join()
        first.round()
        second.round()
        world.paper.terms.clear()
        watch(world, 20, second)
        first.round()
        watch(world, 100, second, first)
        assert world.acting() == [1]


LEADER_STEPS, FOLLOWER_STEPS = 4, 10


def all_orders() -> Iterator[tuple[int, ...]]:
    """Every order in which the steps of the two can come."""
    both = range(LEADER_STEPS + FOLLOWER_STEPS)
    for places in itertools.combinations(both, LEADER_STEPS):
        yield tuple(0 if step in places else 1 for step in both)


def test_a_leader_may_come_back_at_any_step_of_a_take_over() -> None:
    outcomes = set()
    for order in all_orders():
        again = World()
        again.is_one_machine = False
        first, second = again.join(), again.join()
        first.round()
        for _ in range(5):
            second.round()
            again.now += 14
        for number in order:
            again.rivals[number].step()
            assert len(again.acting()) <= 1, order
        second.round()
        first.round()
        assert len(again.acting()) <= 1, order
        outcomes.add(tuple(again.acting()))
        again.close()
    assert {(1,), (2,)} <= outcomes


@pytest.mark.parametrize("steps", range(7))
def test_a_leader_may_be_stopped_anywhere_in_its_sign_of_life(world: World, steps: int) -> None:
    world.is_one_machine = False
    first, second = world.join(), world.join()
    first.round()
    for _ in range(steps):
        first.step()
    watch(world, 80, second)
    assert world.acting() == [2]
    for _ in range(7):
        first.step()
        assert world.acting() == [2]


@pytest.mark.parametrize("steps", range(12))
def test_who_is_stopped_in_its_take_over_is_too_late(world: World, steps: int) -> None:
    late, first, second = world.join(), world.join(), world.join()
    for _ in range(steps):  # it has seen that nobody leads, and perhaps begun a term
        late.step()
    watch(world, 80, first)
    first.is_leaving = True
    first.round()
    second.round()
    assert world.acting() == [3]
    for _ in range(12):
        late.step()
        assert world.acting() == [3]


class Rivalry(RuleBasedStateMachine):
    """Daemons with clocks of their own; each call comes when it comes, and time passes between."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.join()

    @precondition(lambda self: len(self.world.rivals) < 5)
    @rule(drift=DRIFTS)
    def join(self, drift: float) -> None:
        self.world.join(drift)

    @rule(data=st.data(), steps=st.integers(1, 12))
    def step(self, data: st.DataObject, steps: int) -> None:
        rival = data.draw(st.sampled_from(self.world.rivals))
        for _ in range(steps):
            rival.step()
            self.one_acts()

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.world.rivals)).round()

    @rule(seconds=PAUSES_SECONDS)
    def pass_time(self, seconds: float) -> None:
        self.world.now += seconds

    @rule(data=st.data(), seconds=st.sampled_from([30.0, 62.0, 80.0]))
    def watch(self, data: st.DataObject, seconds: float) -> None:
        rivals = data.draw(st.sets(st.sampled_from(self.world.rivals), min_size=1, max_size=2))
        for _ in range(round(seconds / 10)):
            self.world.now += 10
            for rival in rivals:
                rival.round()
                self.one_acts()

    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.world.rivals)).end()

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.world.rivals)).is_leaving = True

    @rule(known=st.booleans())
    def see_processes(self, known: bool) -> None:
        self.world.is_one_machine = known

    @rule(is_full=st.booleans())
    def fill(self, is_full: bool) -> None:
        self.world.paper.is_full = is_full

    @invariant()
    def one_acts(self) -> None:
        assert len(self.world.acting()) <= 1

    def teardown(self) -> None:
        self.world.close()


TestRivalry = Rivalry.TestCase
TestRivalry.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
