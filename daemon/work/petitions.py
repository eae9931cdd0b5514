"""What people ask of the daemon beside editing: that a job be cancelled or tried again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_never

from daemon import orders
from daemon.clock import Clock
from daemon.control import Request
from daemon.keeper import Keeper
from daemon.log.story import Event
from daemon.watched import WatchedFolder
from daemon.work.cancelling import Cancelling
from daemon.work.dismissal import Dismissal
from daemon.work.editor_line import EditorLine
from daemon.work.jobs import Jobs
from daemon.work.pixel_pool import PixelPool
from daemon.work.returning import Returning


class Petitions:
    """Takes each to who sees to it, and the keepers' answers back there."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        editor: EditorLine,
        pixels: PixelPool,
        keepers: Mapping[str, Keeper],
        folders: Mapping[str, WatchedFolder],
        clock: Clock,
        tell: Callable[[Event], None],
    ) -> None:
        dismissal = Dismissal(jobs=jobs, editor=editor, pixels=pixels, keepers=keepers)
        self._cancelling = Cancelling(
            jobs=jobs, dismissal=dismissal, folders=folders, clock=clock, tell=tell
        )
        self._returning = Returning(folders=folders, clock=clock, tell=tell)

    def take(self, request: Request) -> bool:
        """Take a request; False where it is none of these."""
        match request.verb:
            case "cancel":
                self._cancelling.requested(request)
            case "retry":
                self._returning.requested(request)
            case _:
                return False
        return True

    def advance(self) -> None:
        """Do whatever can be done now."""
        self._cancelling.advance()
        self._returning.advance()

    def is_busy_in(self, root: str) -> bool:
        """Whether something is still to be done in a hot folder."""
        return self._cancelling.is_busy_in(root)

    def filed(self, root: str, answer: orders.Filed) -> None:
        """Take note that a job was filed."""
        self._cancelling.filed(root, answer)

    def answered(
        self, root: str, answer: orders.NotWithdrawn | orders.TakenAway | orders.TakenBack
    ) -> None:
        """Take a keeper's answer."""
        match answer:
            case orders.NotWithdrawn():
                self._cancelling.not_withdrawn(root, answer)
            case orders.TakenAway():
                self._cancelling.taken_away(root, answer)
            case orders.TakenBack():
                self._returning.taken_back(root, answer)
            case _:
                assert_never(answer)
