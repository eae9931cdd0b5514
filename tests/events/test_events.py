import importlib
import logging
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import daemon.events
from config.problems import Problem
from daemon.events.events import (
    DaemonEvent,
    EditorReady,
    Event,
    FileWaiting,
    FolderEvent,
    JobEvent,
    SettingsRefused,
    fields,
    sentence,
)
from daemon.events.job_events import (
    JobDone,
    JobFailed,
    JobNote,
    JobRetry,
    JobRunning,
    StepDone,
)

ROOT = Path("/srv/hot")
HERO: dict[str, Any] = {"root": ROOT, "job_id": "20261122-1a2b", "path": "portraits/hero.png"}
EXAMPLES: dict[str, Any] = {
    "Path": Path("/srv/a\nb"),
    "str": "odd\n\udcff 'name'",
    "int": 3,
    "float": 1.5,
    "tuple[Path, ...]": (ROOT,),
    "tuple[str, ...]": ("outbox/a\n.png",),
    "tuple[Problem, ...]": (
        Problem("x.yaml, line 3", "'strenght' is no key", "write 'strength'"),
    ),
}


def _example(kind: type[Event]) -> Event:
    facts = chain.from_iterable(vars(it).get("__annotations__", {}).items() for it in kind.mro())
    return kind(**{name: EXAMPLES[it] for name, it in facts if name != "kind"})


def _kinds(base: type[Event] = DaemonEvent) -> Iterator[type[Event]]:
    """Every class of event that is told, of any module of the log."""
    for kind in base.__subclasses__():
        if kind not in (FolderEvent, JobEvent):
            yield kind
        yield from _kinds(kind)


for module in pkgutil.iter_modules(daemon.events.__path__, "daemon.events."):
    importlib.import_module(module.name)


def _done(weights: str) -> JobDone:
    return JobDone(**HERO, results=("outbox/portraits/hero.png",), seconds=41.2, weights=weights)


@pytest.mark.parametrize("kind", list(_kinds()))
def test_every_event_has_one_whole_sentence_and_one_line_fields(kind: type[Event]) -> None:
    event = _example(kind)
    told = sentence(event)
    assert told.isprintable()
    assert told[0] == told[0].upper() or told.startswith("odd")
    assert all(value.isprintable() for _, value in fields(event))
    assert event.kind.level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


def test_an_edit_is_told_with_its_result_and_time() -> None:
    told = sentence(_done("trained"))
    assert told == "portraits/hero.png was edited in 41 s: outbox/portraits/hero.png."


def test_an_edit_of_low_confidence_is_told_with_its_doubts() -> None:
    doubted = replace(_done("trained"), doubts=("nothing says how it lies", "edges moved"))
    assert sentence(doubted) == (
        "portraits/hero.png was edited in 41 s: outbox/portraits/hero.png."
        " Have a look at it, its confidence is low: nothing says how it lies; edges moved."
    )


def test_random_weights_are_called_a_test_pattern() -> None:
    ready = EditorReady(
        class_name="QwenImageEditPipeline", dtype="bf16", weights="random", seconds=2
    )
    assert "(random weights: a test pattern, not an edit)" in sentence(_done("random"))
    assert "(random weights: a test pattern, not an edit)" in sentence(ready)


def test_an_editor_without_a_model_claims_no_edit() -> None:
    assert "no model: pictures stay as they are" in sentence(_done("none"))


def test_fields_name_the_action_the_job_and_the_file() -> None:
    assert fields(StepDone(**HERO, step=2, steps=10)) == (
        ("action", "step_done"),
        ("root", "/srv/hot"),
        ("job", "20261122-1a2b"),
        ("file", "portraits/hero.png"),
        ("step", "2"),
        ("steps", "10"),
    )


def test_a_failure_says_cause_remedy_and_place() -> None:
    event = JobFailed(**HERO, cause="it is empty.", advice="save it again", originals="failed/x")
    assert sentence(event) == (
        "portraits/hero.png was not edited: it is empty. What to do: save it again."
        " The originals are in failed/x."
    )
    assert event.kind.level == logging.ERROR


def test_steps_are_not_for_the_day_and_results_are() -> None:
    assert not StepDone(**HERO, step=1, steps=2).kind.for_the_day
    assert _done("trained").kind.for_the_day
    assert JobNote(**HERO, text="Its profile was damaged.").kind.for_the_day


def test_all_problems_of_refused_settings_are_told() -> None:
    problems = (Problem("a", "is wrong", "mend it"), Problem("b", "is missing", "add it"))
    told = sentence(SettingsRefused(problems=problems))
    assert "a: is wrong; mend it. b: is missing; add it." in told


@pytest.mark.parametrize(("wait", "said"), [(0.0, "at once"), (30.0, "in 30 s")])
def test_a_retry_says_when(wait: float, said: str) -> None:
    event = JobRetry(**HERO, attempt=2, wait_seconds=wait, cause="the editor was lost")
    assert sentence(event).endswith(f"It is tried again {said}.")


def test_one_variant_is_not_counted_aloud() -> None:
    assert "variant" not in sentence(JobRunning(**HERO, seed=1, steps=1))
    two = JobRunning(**HERO, seed=1, steps=4, variant=2, variants=3)
    assert sentence(two).endswith("(4 steps, seed 1, variant 2 of 3).")


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("waits for a.yaml since 20:44", "a.png waits for a.yaml since 20:44."),
        ("a.yaml is empty", "a.png waits: a.yaml is empty."),
    ],
)
def test_a_file_that_waits_is_a_whole_sentence(reason: str, said: str) -> None:
    assert sentence(FileWaiting(root=ROOT, path="a.png", reason=reason)) == said
