"""Whatever an editor process does, the daemon lives, and no job is lost or edited for ever."""

from dataclasses import replace
from itertools import cycle

import pytest
from campaign import Campaign, Case
from nights import Hot, Night
from scripted import MOMENTS

from daemon.jobs.failures import WAIT_SECONDS

# What it costs a job that an editor does something once in the middle of its edit.
ATTEMPTS = {
    **dict.fromkeys(("dawdle", "flood", "chatter"), 1),
    **dict.fromkeys(("crash", "die", "leave", "gorge"), 2),
    **dict.fromkeys(("babble", "lie", "promise", "misname", "stray", "skip"), 2),
    "fail_transient": 2,
    "fail_environment": 1,
}


def night_with(deed: str, moment: str) -> Night:
    """A night in which the editor does something once, at that moment of an edit."""
    is_in_the_edit = moment != "over" and (deed, moment) != ("skip", "told")
    # What is done cannot fail any more, whatever for: that makes no sense, like the lies.
    costs = 2 if (deed, moment) == ("fail_environment", "told") else ATTEMPTS[deed]
    return Night(
        name=f"{deed} @{moment}",
        drop=lambda hot: drop(hot, f"{deed} @{moment} *1"),
        results=("cat.png", "dog.png"),
        is_scripted=True,
        attempts=(costs if is_in_the_edit else 1,),
    )


def drop(hot: Hot, prompt: str) -> None:
    """The job that the editor does something at, and one that comes after it."""
    hot.pair("cat.png", prompt, priority=9)
    hot.pair("dog.png")


def wrong(campaign: Campaign, *of: Night) -> tuple[str, ...]:
    return campaign.survive(Case(night, ()) for night in of).wrong


def test_whatever_it_does_once_costs_an_attempt_at_most(campaign: Campaign) -> None:
    turns = zip(ATTEMPTS, cycle(MOMENTS), strict=False)
    assert not wrong(campaign, *(night_with(deed, moment) for deed, moment in turns))


@pytest.mark.torture
@pytest.mark.parametrize("moment", MOMENTS)
def test_whatever_it_does_whenever(campaign: Campaign, moment: str) -> None:
    assert not wrong(campaign, *(night_with(deed, moment) for deed in ATTEMPTS))


def test_one_that_hangs_is_replaced(campaign: Campaign) -> None:
    night = replace(night_with("dawdle", "step"), drop=lambda hot: drop(hot, "hang @step *1"))
    assert not wrong(campaign, replace(night, name="hang", attempts=(2,)))


HOPELESS = ("crash @step", "babble @given", "promise @written", "fail_permanent @stage")


@pytest.mark.parametrize("deed", HOPELESS)
def test_what_never_gets_better_is_filed(campaign: Campaign, deed: str) -> None:
    night = Night(
        name=deed,
        drop=lambda hot: hot.pair("cat.png", deed),
        results=(),
        home="failed",
        is_scripted=True,
    )
    assert not wrong(campaign, night)


def test_a_failure_that_may_pass_is_not_tried_for_ever(campaign: Campaign) -> None:
    times = len(WAIT_SECONDS)
    last = Night(
        name="fails as often as is forgiven",
        drop=lambda hot: hot.pair("cat.png", f"fail_transient @step *{times}"),
        results=("cat.png",),
        is_scripted=True,
        attempts=(times + 1,),
    )
    too_often = Night(
        name="fails once more",
        drop=lambda hot: hot.pair("cat.png", f"fail_transient @step *{times + 1}"),
        results=(),
        home="failed",
        is_scripted=True,
    )
    assert not wrong(campaign, last, too_often)
