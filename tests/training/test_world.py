"""The world that the small model learns, and what it never learns."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from training import world
from training.drawing import coverage, draw, numbers
from training.exam import Mark, mark, questions, summary
from training.sayings import SAYINGS, Kind, Language
from training.scene import COLOURS, MOST_THINGS, studio
from training.world import OF_TWO_PICTURES, SHARES, held_out_edit, training_edit


def pictures(edit: world.Edit, side: int = 96) -> torch.Tensor:
    """Before and after."""
    rows = torch.from_numpy(numbers([edit.before, edit.after], MOST_THINGS))
    before, after = draw(rows, side, side)
    return torch.stack([before, world.graded(edit.kind, after)])


def test_what_is_held_out_is_never_trained() -> None:
    chance = random.Random(0)
    trained = [training_edit(chance, 1.0, two_pictures=bool(n % 4 == 0)) for n in range(2000)]
    kept_out = [held_out_edit(kind, Language.ENGLISH, chance, 1.0) for kind in Kind] * 3
    added = {
        (thing.colour, thing.shape, thing.x, thing.y)
        for thing in [edit.after.things[-1] for edit in trained if edit.kind is Kind.ADD]
    }
    for edit in kept_out:
        if edit.kind is Kind.ADD:
            thing = edit.after.things[-1]
            assert (thing.colour, thing.shape, thing.x, thing.y) not in added
    assert {edit.kind for edit in trained} == {*SHARES, *OF_TWO_PICTURES}


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", Kind)
def test_a_held_out_sentence_is_no_trained_one(kind: Kind, language: Language) -> None:
    sayings = SAYINGS[language][kind]
    assert not set(sayings.trained) & set(sayings.held_out)
    assert sayings.held_out


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.NOTHING])
def test_an_edit_shows_and_doing_nothing_is_no_edit(kind: Kind) -> None:
    edit = held_out_edit(kind, Language.ENGLISH, random.Random(3), 1.0)
    before, after = pictures(edit)
    assert mark(edit, before, after, after).follows
    assert mark(edit, before, after, after).clean
    assert not mark(edit, before, after, before).follows


def test_an_edit_that_spoils_the_rest_is_followed_but_not_clean() -> None:
    edit = held_out_edit(Kind.REMOVE, Language.ENGLISH, random.Random(3), 1.0)
    before, after = pictures(edit)
    spoilt = after.clone()
    spoilt[:, :, :20] = 1 - spoilt[:, :, :20]
    found = mark(edit, before, after, spoilt)
    assert (found.follows, found.clean) == (True, False)


def test_an_edit_that_is_half_done_is_followed_but_not_clean() -> None:
    edit = held_out_edit(Kind.REMOVE, Language.ENGLISH, random.Random(3), 1.0)
    before, after = pictures(edit)
    found = mark(edit, before, after, 0.45 * before + 0.55 * after)
    assert (found.follows, found.clean) == (True, False)


def test_a_summary_counts_apart_what_chooses_among_several_things() -> None:
    def of(kind: Kind, things: int, *, clean: bool) -> Mark:
        return Mark(kind, Language.ENGLISH, things, follows=True, clean=clean, kept_db=40.0)

    scores = summary(
        [
            of(Kind.REMOVE, 2, clean=True),
            of(Kind.REPLACE, 3, clean=False),
            of(Kind.REPLACE, 1, clean=True),
            of(Kind.ADD, 3, clean=True),
        ]
    )
    assert scores["clean"] == 0.75
    assert scores["clean_of_one_among_several_things"] == {"edits": 2, "share": 0.5}


def test_a_thing_has_the_colour_that_is_asked_for() -> None:
    chance = random.Random(5)
    for _ in range(20):
        edit = held_out_edit(Kind.RECOLOUR, Language.ENGLISH, chance, 1.0)
        pairs = zip(edit.before.things, edit.after.things, strict=True)
        [index] = [n for n, (old, new) in enumerate(pairs) if old != new]
        thing = edit.after.things[index]
        assert thing.paint == COLOURS[thing.colour]
        rows = torch.from_numpy(numbers([edit.after], MOST_THINGS))
        inside = coverage(rows, 96, 96)[0, index] > 0.99
        mean = draw(rows, 96, 96)[0][:, inside].mean(1)
        distances = {
            name: float((mean - torch.tensor(paint)).norm()) for name, paint in COLOURS.items()
        }
        assert distances[thing.colour] < 0.25


def test_a_scene_is_the_same_picture_at_any_size() -> None:
    rows = torch.from_numpy(numbers([studio(random.Random(1), 1.0)], MOST_THINGS))
    small, large = draw(rows, 64, 64), draw(rows, 256, 256)
    averaged = torch.nn.functional.avg_pool2d(large, 4)
    assert (averaged - small).abs().mean() < 0.01


def test_the_same_seed_asks_the_same_questions() -> None:
    def words() -> list[str]:
        return [edit.words for edit in questions(2, "seed", 1.0, Kind)]

    assert words() == words()
    assert np.unique(words()).size > len(Kind)
