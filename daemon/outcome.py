"""What came of a wish, as the daemon tells the command that brought it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

Reply = Callable[[Mapping[str, object]], None]


class How(StrEnum):
    """How a wish stands."""

    DONE = "done"
    BEGUN = "begun"  # it will be done, whoever asks may go
    REFUSED = "refused"
    UNKNOWN = "unknown"  # no such job or file


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, and one or more plain sentences about it."""

    how: How
    text: str

    def as_json(self) -> dict[str, object]:
        """The outcome for the control socket."""
        return {"how": self.how.value, "text": self.text}


def read(body: Mapping[str, object]) -> Outcome:
    """Read what `as_json` gave; another version's words count as refused."""
    known = {how.value: how for how in How}
    how = known.get(str(body.get("how")), How.REFUSED)
    return Outcome(how, str(body.get("text") or "the daemon is of another version: restart it"))
