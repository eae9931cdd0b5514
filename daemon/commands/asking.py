"""What the daemon of a hot folder says of itself and of wishes, or why it says nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from config.problems import Problem, UserError
from daemon import control, outcome
from daemon.control import Answer, NobodyThere, Refused
from daemon.outcome import Outcome
from daemon.places import Places

Document = Mapping[str, object]

NO_DAEMON = "no daemon is running; this is what the folder holds now"

_SECONDS = 3.0  # a daemon answers within two, or says that it is too busy


def ask(places: Places, root: Path) -> tuple[Document, str]:
    """Ask for status.document; where nobody gives it, it is empty and the text says why."""
    match control.ask(places, root, {"verb": "status"}, _SECONDS):
        case Answer(body):
            return body, ""
        case Refused(reason, advice):
            what = f"the daemon gave no answer ({reason}: {advice})"
            return {}, f"{what}; this is what the folder holds now"
        case NobodyThere():
            return {}, NO_DAEMON


def outcome_of(wish: Mapping[str, str], root: Path, places: Places) -> Outcome | None:
    """Ask for what somebody wishes, as control.ask takes it; None where no daemon serves there.

    Raises UserError where one does and gives no answer.
    """
    match control.ask(places, root, wish, _SECONDS):
        case Answer(body):
            return outcome.read(body)
        case Refused(reason, advice):
            what = f"its daemon gave no answer ({reason})"
            raise UserError([Problem(str(root), what, advice)])
        case NobodyThere():
            return None


def folders_in(said: Document) -> Iterator[Document]:
    """What a daemon says of its hot folders; nothing before its first look."""
    folders = said.get("folders")
    if isinstance(folders, list):
        yield from (folder for folder in folders if isinstance(folder, dict))
