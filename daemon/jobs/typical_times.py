"""What jobs like one took of late, asked of the history now and then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from daemon.clock import Clock
from daemon.history import History, JobKind, Typical
from pipeline.editor import ModelFacts
from pipeline.recipe import Recipe

_KNOWN_SECONDS = 5.0  # for which an answer of the history is good enough
_MEGAPIXEL = 1_000_000
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def model_key(facts: ModelFacts) -> str:
    """What tells one model from another, as far as the time goes that it takes."""
    return f"{facts.fingerprint} {facts.device} {facts.dtype}"


def step_weight(recipe: Recipe, facts: ModelFacts) -> float:
    """What a step weighs beside those of others: by the area, and by how often the model is asked.

    With guidance it is asked twice.
    """
    pixels = recipe.asked_pixels or facts.working_pixels or _MEGAPIXEL
    return pixels / _MEGAPIXEL * (2.0 if recipe.cfg > 1 else 1.0)


class TypicalTimes:
    """Knows what jobs of each kind took, as of a moment ago."""

    def __init__(self, history: History, clock: Clock) -> None:
        self._history, self._clock = history, clock
        self._kinds: dict[JobKind, tuple[float, Typical | None]] = {}
        self._usual: dict[str, tuple[float, float | None]] = {}

    def of(self, recipe: Recipe, facts: ModelFacts) -> Typical | None:
        """What jobs with such a recipe took; None where there were none."""
        kind = JobKind(model_key(facts), recipe.megapixels or 0.0, recipe.cfg > 1)
        return self._known(self._kinds, kind, self._history.typical)

    def seconds_of(self, recipe: Recipe | None, facts: ModelFacts) -> float | None:
        """What a job takes by those like it, else by the last ones; one without recipe nothing."""
        if recipe is None:
            return 0.0  # it will fail at once
        typical = self.of(recipe, facts)
        if typical is None:
            return self._known(self._usual, model_key(facts), self._history.usual_seconds)
        return recipe.variants * (typical.around + recipe.steps * typical.step)

    def _known(
        self, known: dict[_Key, tuple[float, _Value]], key: _Key, ask: Callable[[_Key], _Value]
    ) -> _Value:
        now = self._clock.monotonic()
        if key not in known or now >= known[key][0] + _KNOWN_SECONDS:
            known[key] = (now, ask(key))
        return known[key][1]
