"""Has failed jobs tried again: their originals go back to the inbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from daemon import orders
from daemon.clock import Clock
from daemon.control import Request
from daemon.inbox.names import printable
from daemon.log import wishing
from daemon.log.story import Event
from daemon.outcome import How, Outcome, Reply
from daemon.watched import WatchedFolder

_PATIENCE_SECONDS = 0.9  # the control socket waits for two, and a tick may take one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    root: str
    folder: str  # of failed/, relative to the root
    answer_by: float  # monotonic seconds
    reply: Reply


def told(answer: orders.TakenBack) -> Outcome:
    """What came of it, for who asked."""
    folder, paths = printable(answer.folder), ", ".join(map(printable, answer.paths))
    if answer.problems:
        return Outcome(How.REFUSED, "; ".join(map(str, answer.problems)))
    if paths:
        return Outcome(How.DONE, f"{folder}: {paths} went back to the inbox.")
    return Outcome(How.DONE, f"{folder}: no originals were left there; its papers were removed.")


class Returning:
    """Hands the wishes of `hotfolder retry` to the keepers, and their answers back."""

    def __init__(
        self,
        *,
        folders: Mapping[str, WatchedFolder],
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        self._folders, self._clock, self._tell = folders, clock, tell
        self._asked: tuple[_Asked, ...] = ()

    def requested(self, request: Request) -> None:
        """Take a wish; it is answered soon, done or not."""
        root, folder = str(request.root), request.arguments.get("folder", "")
        answer_by = self._clock.monotonic() + _PATIENCE_SECONDS
        asked = _Asked(root=root, folder=folder, answer_by=answer_by, reply=request.reply)
        self._asked += (asked,)
        self._folders[root].keeper.submit(orders.TakeBack(folder))

    def advance(self) -> None:
        """Answer those who have waited for long enough."""
        now = self._clock.monotonic()
        for asked in self._asked:
            folder, name = self._folders[asked.root], printable(asked.folder)
            if folder.is_offline:
                text = f"{name} goes back when the share is back ({folder.stands.reason})."
                asked.reply(Outcome(How.BEGUN, text).as_json())
            elif now >= asked.answer_by:
                asked.reply(Outcome(How.BEGUN, f"{name} is going back.").as_json())

    def taken_back(self, root: str, answer: orders.TakenBack) -> None:
        """Answer whoever asked, and tell it."""
        mine = [it for it in self._asked if (it.root, it.folder) == (root, answer.folder)]
        self._asked = tuple(it for it in self._asked if it not in mine)
        for asked in mine:
            asked.reply(told(answer).as_json())
        if answer.paths:
            self._tell(
                wishing.JobRevived(
                    root=self._folders[root].root,
                    folder=printable(answer.folder),
                    paths=tuple(map(printable, answer.paths)),
                )
            )
