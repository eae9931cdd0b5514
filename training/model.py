"""Train text encoder and transformer: `python -m training.model OUT`, after the VAE, resumable."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from training import beginning, exam, parts, planar
from training.beginning import Learners
from training.course import Course, Plan, half, hardware, record
from training.drawing import quicken
from training.flow import rotate_in_reals, spare_lengths
from training.lessons import (
    FORMATS,
    Lesson,
    LessonMaker,
    Reader,
    drawn,
    format_of,
    picture_numbers,
)
from training.loader import batches
from training.ranks import Rank, join, share, wait
from training.student import Student, trained_latents
from training.world import OF_TWO_PICTURES, SHARES

_EXAM_EVERY_STEPS = 1000
_EXAM_OF_EACH_KIND = 16
_TELL_EVERY_STEPS = 100


def main() -> None:
    """Train, and leave the weights and what was done in the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="where training.vae left the VAE")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--batch", type=int, default=256, help="edits a step, on each GPU")
    parser.add_argument("--rate", type=float, default=1e-3, help="of learning, at its peak")
    parser.add_argument("--weights", type=Path, help="a model folder to begin with")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=10)
    given = parser.parse_args()
    plan = Plan(seed=given.seed, minutes=given.minutes, batch=given.batch, peak_rate=given.rate)
    Training(plan, given.out, join(), weights=given.weights).run(workers=given.workers)


class Training:
    """One process's part in the training; all processes of a training do the same steps."""

    def __init__(self, plan: Plan, out: Path, rank: Rank, *, weights: Path | None = None) -> None:
        """Begin with the weights of a model folder, else at random.

        What was once begun goes on with what it kept in `out`.
        """
        torch.manual_seed(plan.seed)
        self._plan, self._out, self._rank = plan, out, rank
        self._reader = Reader(parts.tokenizer())
        self._trained = self._begin(weights)
        learned = [one for part in self._trained.by_name.values() for one in part.parameters()]
        self._learned = learned
        self._optimizer = torch.optim.AdamW(
            learned,
            plan.peak_rate,
            betas=(0.9, 0.98),
            weight_decay=1e-2,
            fused=rank.device.type == "cuda",
        )
        self._course = Course(plan, self._trained.by_name, self._optimizer)
        self._course.load(out / "model.pt")
        torch.manual_seed(plan.seed + 1000 * rank.number + self._course.step)
        latents = trained_latents(out, rank.device)
        trained = self._trained
        self._student = Student(self._reader, trained.text_encoder, trained.transformer, latents)
        self._loss_sum = torch.zeros((), device=rank.device)

    @property
    def steps(self) -> int:
        """How many are done."""
        return self._course.step

    def _begin(self, weights: Path | None) -> Learners:
        if weights is None or (self._out / "model.pt").exists():
            learners = beginning.untrained(self._reader.words)
        else:
            learners = beginning.begun(weights)
            if self._rank.leads:
                beginning.adopt(weights, self._out)
            wait(self._rank)
        for module in learners.by_name.values():
            module.to(self._rank.device)
        rotate_in_reals(learners.transformer)
        spare_lengths()
        return learners

    def run(self, *, workers: int) -> None:
        """Train until the plan is done."""
        if self._rank.device.type == "cuda":
            _compile(self._trained.transformer)
        lessons = batches(
            LessonMaker(self._plan.seed, self._plan.batch, self._reader),
            seed=f"model {self._plan.seed} {self._rank.number}",
            start=self._course.step,
            workers=workers,
        )
        while (done := self._course.agreed_share(self._rank)) < 1:
            self._course.set_rate(done)
            self._learn(lessons)
            if self._rank.leads:
                self._tell(done)
                self._course.save_if_due(self._out / "model.pt")
        if self._rank.leads:
            self._finish()

    def _learn(self, lessons: Iterator[Lesson]) -> None:
        form = format_of(self._plan.seed, self._course.step)
        lesson = next(lessons)
        with torch.no_grad():
            pictures = drawn(lesson, form, self._rank.device)
        with torch.autocast(self._rank.device.type, torch.bfloat16):
            loss = self._student.loss(form, pictures, lesson)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        share(self._learned, self._rank)
        torch.nn.utils.clip_grad_norm_(self._learned, 1.0)
        self._optimizer.step()
        self._course.count()
        self._loss_sum += loss.detach()

    def _tell(self, done: float) -> None:
        step = self._course.step
        if step % _TELL_EVERY_STEPS == 0:
            mean = self._loss_sum.item() / _TELL_EVERY_STEPS
            print(f"model {step} {done:.3f} loss {mean:.4f}", flush=True)
            self._loss_sum.zero_()
        if step % _EXAM_EVERY_STEPS == 0:
            self._examine()

    def _examine(self) -> dict[str, object]:
        """How the average of the weights does on edits that are never trained."""
        marks = []
        for form in (FORMATS[0], FORMATS[-1]):
            kinds = SHARES if form.pictures == 1 else OF_TWO_PICTURES
            edits = exam.questions(_EXAM_OF_EACH_KIND, "exam", form.aspect, kinds)
            ids, counts = self._reader.read([edit.words for edit in edits])
            lesson = {**picture_numbers(edits), "ids": ids, "counts": counts}
            pictures = drawn(lesson, form, self._rank.device)
            with (
                self._course.averaged(),
                torch.compiler.set_stance("force_eager"),
                torch.autocast(self._rank.device.type, torch.bfloat16),
            ):
                results = self._student.edited(form, pictures, lesson)
            compared = zip(edits, pictures.before, pictures.after, results, strict=True)
            marks += [exam.mark(*one) for one in compared]
        scores = exam.summary(marks)
        print(f"exam {self._course.step} {exam.line(scores)}", flush=True)
        return scores

    def _finish(self) -> None:
        self._course.save(self._out / "model.pt")
        scores = self._examine()
        self._course.take_average()
        for name, module in self._trained.by_name.items():
            save_file(half(module.state_dict()), self._out / f"{name}.safetensors")
        account = {**self._course.account(), "hardware": hardware(self._rank.count)}
        record(self._out / "training.json", {"model": {**account, "exam": scores}})


def _compile(transformer: Any) -> None:
    quicken()
    for block in transformer.transformer_blocks:
        block.compile(dynamic=True)
    # With open sizes the compiler lays convolutions out badly: pytorch issue 102670.
    planar.encode = torch.compile(planar.encode, dynamic=False)


if __name__ == "__main__":
    main()
