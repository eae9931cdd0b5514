"""That a job has failed, on paper before its first file moves, so that a death changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daemon import typed_json
from daemon.ground import Ground
from daemon.inbox.names import is_base_name
from daemon.job import State
from daemon.receipt import Why

PAPER = "failing.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """A job that is being filed as failed, and runs no more."""

    day: str  # of failed/, whatever day it becomes meanwhile
    why: Why
    instruction: str  # JSON

    def write(self, ground: Ground, work: Path) -> None:
        """Put it on paper in the folder of its job."""
        ground.write_whole(work / PAPER, typed_json.dump(self).encode())


def read(ground: Ground, work: Path) -> Failing | None:
    """What an earlier call put on paper; None where it is no paper of ours."""
    try:
        failing = typed_json.load(Failing, ground.read(work / PAPER))
        typed_json.parse(failing.instruction)  # whoever may write to the share may have written it
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return None
    is_end = failing.why.state in (State.FAILED, State.QUARANTINED)
    return failing if is_end and is_base_name(failing.day) else None
