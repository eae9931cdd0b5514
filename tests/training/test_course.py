"""A training that is stopped goes on where it was."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Qwen2Tokenizer

from training.course import Course, Plan
from training.lessons import LessonMaker, Reader, format_of
from training.loader import batches
from training.ranks import Rank

PLAN = Plan(seed=1, minutes=60.0, batch=2, peak_rate=0.1)
ALONE = Rank(0, 1, torch.device("cpu"))


class Learning:
    """A line through points, learned."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.line = torch.nn.Linear(1, 1)
        self.optimizer = torch.optim.AdamW(self.line.parameters(), 0.1)
        self.course = Course(PLAN, {"line": self.line}, self.optimizer)

    def learn(self, steps: int) -> None:
        for _ in range(steps):
            self.course.set_rate(0.5)
            given = torch.tensor([[float(self.course.step)]])
            loss = (self.line(given) - 2 * given - 1).square().sum()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.course.count()


def test_what_was_stopped_ends_as_what_was_not(tmp_path: Path) -> None:
    through = Learning()
    through.learn(7)
    first, second = Learning(), Learning()
    first.learn(3)
    first.course.save(tmp_path / "kept.pt")
    second.course.load(tmp_path / "kept.pt")
    second.learn(4)
    for learning in (through, second):
        learning.course.take_average()
    assert second.course.step == 7
    assert torch.equal(second.line.weight, through.line.weight)


def test_time_spent_before_a_stop_counts(tmp_path: Path) -> None:
    learning = Learning()
    learning.learn(2)
    before = learning.course.seconds
    learning.course.save(tmp_path / "kept.pt")
    again = Learning()
    again.course.load(tmp_path / "kept.pt")
    assert again.course.seconds >= before > 0
    assert 0 < again.course.agreed_share(ALONE) < 1


def test_a_lesson_is_the_same_wherever_a_training_begins(words: Qwen2Tokenizer) -> None:
    make = LessonMaker(1, 4, Reader(words))
    from_the_start = batches(make, seed="s", start=0, workers=0)
    for _ in range(2):
        next(from_the_start)
    third, begun_there = next(from_the_start), next(batches(make, seed="s", start=2, workers=0))
    for name in ("before", "after", "ids"):
        assert (third[name] == begun_there[name]).all()
    assert format_of(1, 2) == format_of(1, 2)
