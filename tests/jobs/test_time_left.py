"""When jobs are done, by real sequences of what an editor says."""

import pytest
from sample import RECIPE

from daemon.control.documents import Turn
from daemon.history import Typical
from daemon.jobs.time_left import EditPass, EditWork, Pace, turns
from pipeline.editor import Stage, StageName, Step
from pipeline.recipe import Recipe

LIKE_IT = Typical(step=1.0, encode=2.0, decode=0.5, around=4.0, finish=1.5)


def edit_pass(*steps: int, weight: float = 1.0, typical: Typical | None = None) -> EditPass:
    """A pass that begins at 0 s: results "0", "1", … of so many steps."""
    return EditPass(
        began_at=0.0,
        works={
            str(number): EditWork(steps=count, weight=weight, typical=typical)
            for number, count in enumerate(steps)
        },
    )


def stepped(of: EditPass, ends: list[float], *names: str, of_steps: int = 50) -> EditPass:
    """The pass after all of these have stepped at each of these times, the first step at 3 s."""
    of = of.heard(Stage(names[0], StageName.DENOISE), 3.0)
    for number, end in enumerate(ends, start=1):
        for name in names:
            of = of.heard(Step(name, number, of_steps), end)
    return of


def left(of: EditPass, now: float) -> float | None:
    return of.seconds_left(now, of.works.keys())


def test_without_history_nothing_is_claimed_before_a_step_is_measured() -> None:
    assert left(edit_pass(50), 2.0) is None
    assert left(stepped(edit_pass(50), [], "0"), 4.0) is None


def test_before_the_first_step_the_history_says_it() -> None:
    of = edit_pass(50, typical=LIKE_IT)
    assert left(of, 0.0) == pytest.approx(2.0 + 50 + 0.5)
    assert left(of, 1.5) == pytest.approx(0.5 + 50 + 0.5)
    assert left(of, 9.0) == pytest.approx(50 + 0.5)  # it is read for longer than usual
    assert left(stepped(of, [], "0"), 3.5) == pytest.approx(49.5 + 0.5)


def test_two_steps_of_fifty_are_no_third_of_a_second_where_each_takes_one() -> None:
    # As it was told once by jobs of another kind: "step 2 of 50, about 0.3 s more" took 14 s.
    of = stepped(edit_pass(50), [3.9, 4.2], "0")
    assert left(of, 4.2) == pytest.approx(48 * 0.3)


def test_a_first_step_that_warms_up_does_not_count() -> None:
    of = stepped(edit_pass(50), [13.0, 14.0, 15.0], "0")
    assert left(of, 15.0) == pytest.approx(47.0)
    assert left(of, 15.5) == pytest.approx(46.5)


def test_where_it_is_all_that_is_known_it_counts_at_most_as_the_history() -> None:
    assert left(stepped(edit_pass(50), [13.0], "0"), 13.0) == pytest.approx(49 * 10)
    known = stepped(edit_pass(50, typical=LIKE_IT), [13.0], "0")
    assert left(known, 13.0) == pytest.approx(49 + 0.5)


def test_a_measured_step_goes_before_the_history_and_what_comes_after_is_added() -> None:
    of = stepped(edit_pass(10, typical=LIKE_IT), [4.0, 7.0], "0", of_steps=10)
    assert left(of, 7.0) == pytest.approx(8 * 3.0 + 0.5)


def test_a_step_that_takes_longer_than_those_before_makes_all_longer() -> None:
    of = stepped(edit_pass(10), [4.0, 5.0, 6.0], "0", of_steps=10)
    soon, later = left(of, 8.0), left(of, 30.0)
    assert soon is not None
    assert later is not None
    assert 6.0 < soon < later
    # Two rounds took 2 s and the one under way 24: (2 + 24) / 3 each, and six more after it.
    assert later == pytest.approx(26 / 3 * 6)


def test_the_steps_of_late_count() -> None:
    slow_then_fast = [4.0 + 2 * n for n in range(4)] + [10.0 + 0.5 * n for n in range(1, 9)]
    of = stepped(edit_pass(20), slow_then_fast, "0", of_steps=20)
    assert left(of, 14.0) == pytest.approx(8 * 0.5)


def test_jobs_in_one_pass_end_together() -> None:
    of = stepped(edit_pass(10, 10, 10, typical=LIKE_IT), [4.0, 7.0, 10.0], *"012", of_steps=10)
    assert left(of, 10.0) == pytest.approx(7 * 3.0 + 3 * 0.5)


def test_a_shorter_one_leaves_the_others_more_of_the_editor() -> None:
    of = edit_pass(2, 10).heard(Stage("0", StageName.DENOISE), 3.0)
    for number, end in ((1, 5.0), (2, 7.0)):
        of = of.heard(Step("0", number, 2), end).heard(Step("1", number, 10), end)
    assert left(of, 7.0) == pytest.approx(8 * 1.0)
    assert left(of.heard(Step("1", 3, 10), 8.0), 8.0) == pytest.approx(7 * 1.0)


def test_those_that_come_after_others_in_one_pass_count() -> None:
    # Two with another LoRA are denoised when the first is done.
    of = stepped(edit_pass(4, 4, 4), [4.0, 5.0], "0", of_steps=4)
    assert left(of, 5.0) == pytest.approx(2 + 4 + 4)


def test_one_that_was_dropped_counts_no_more() -> None:
    of = stepped(edit_pass(10, 10), [4.0, 6.0], "0", "1", of_steps=10)
    assert of.seconds_left(6.0, {"1"}) == pytest.approx(8 * 1.0)
    assert of.seconds_left(6.0, set()) == 0.0


def test_a_heavier_step_weighs_more() -> None:
    light = edit_pass(10)
    heavy = EditWork(steps=10, weight=4.0, typical=None)
    of = EditPass(began_at=0.0, works={**light.works, "1": heavy})
    of = stepped(of, [4.0, 5.0], "0", of_steps=10)
    assert left(of, 5.0) == pytest.approx(8 * 1.0 + 10 * 4.0)


def test_what_is_only_decoded_takes_what_decoding_takes() -> None:
    of = stepped(edit_pass(2, 2, typical=LIKE_IT), [4.0, 5.0], "0", "1", of_steps=2)
    assert left(of, 5.0) == pytest.approx(1.0)
    assert of.seconds_left(5.5, {"1"}) == pytest.approx(0.5)


def test_an_editor_that_takes_fewer_steps_than_asked_for_is_believed() -> None:
    of = edit_pass(40).heard(Stage("0", StageName.DENOISE), 0.1).heard(Step("0", 1, 1), 0.2)
    assert left(of, 0.2) == 0.0


def test_jobs_of_a_queue_come_one_after_the_other() -> None:
    assert turns([10.0, 20.0, 5.0], under_way=7.0, together=1, pace=1.0) == [
        Turn(0, 3, 17.0),
        Turn(1, 3, 37.0),
        Turn(2, 3, 42.0),
    ]


def test_jobs_that_will_be_edited_together_are_done_together() -> None:
    found = turns([10.0, 10.0, 10.0], under_way=0.0, together=2, pace=1.0)
    assert [it.eta_seconds for it in found] == [20.0, 20.0, 30.0]


def test_a_batch_that_grows_is_done_later() -> None:
    before = turns([10.0], under_way=5.0, together=4, pace=1.0)
    after = turns([10.0] * 3, under_way=5.0, together=4, pace=1.0)
    assert (before[0].eta_seconds, after[0].eta_seconds) == (15.0, 35.0)


def test_behind_a_job_of_unknown_length_nothing_is_claimed() -> None:
    found = turns([10.0, None, 10.0], under_way=0.0, together=1, pace=1.0)
    assert [it.eta_seconds for it in found] == [10.0, None, None]
    assert turns([10.0], under_way=None, together=1, pace=1.0) == [Turn(0, 1, None)]
    assert turns([], under_way=1.0, together=4, pace=1.0) == []


def test_a_turn_reads_as_people_say_it() -> None:
    assert str(Turn(2, 12, 242.0)) == "3rd of 12, in about 4 min"
    assert str(Turn(0, 1, None)) == "1st of 1"


def seconds_of(recipe: Recipe) -> float:
    return recipe.steps / 2


def test_the_pace_of_a_queue_is_measured() -> None:
    pace = Pace()
    pace.begin(100.0)
    for number in range(1, 4):
        pace.ended(100.0 + number, RECIPE)
    assert pace.factor(seconds_of) == 1.0  # too few
    for number in range(4, 181):
        pace.ended(100.0 + number, RECIPE)
    assert pace.factor(seconds_of) == pytest.approx(0.5)


def test_jobs_that_are_thought_to_take_longer_now_do_not_change_when_all_is_done() -> None:
    pace = Pace()
    pace.begin(0.0)
    for number in range(1, 11):
        pace.ended(3.0 * number, RECIPE)
    assert 2.0 * pace.factor(lambda _: 2.0) == pytest.approx(3.0)
    assert 8.0 * pace.factor(lambda _: 8.0) == pytest.approx(3.0)


def test_a_rest_between_two_queues_is_no_work() -> None:
    pace = Pace()
    for start in (0.0, 1000.0):
        pace.begin(start)
        for number in range(1, 9):
            pace.ended(start + 3.0 * number, RECIPE)
    assert pace.factor(seconds_of) == pytest.approx(1.5)


def test_the_pace_of_late_counts_and_that_of_the_last_queue_until_there_is_one() -> None:
    pace = Pace()
    pace.begin(0.0)
    for number in range(1, 101):
        pace.ended(10.0 * number, RECIPE)
    for number in range(1, 101):
        pace.ended(1000.0 + number, RECIPE)
    assert pace.factor(seconds_of) == pytest.approx(0.5)
    pace.begin(2000.0)
    assert pace.factor(seconds_of) == pytest.approx(0.5)
