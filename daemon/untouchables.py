"""Images that may not be taken from an inbox: held, with the reason, and tried again in time."""

from __future__ import annotations

from collections.abc import Mapping

from daemon.job import Plan, Seen, without

_FORGIVE_SECONDS = 300.0


class Untouchables:
    """Those of one hot folder."""

    def __init__(self, now: float) -> None:
        """`now` is in monotonic seconds."""
        self._reasons: Mapping[Seen, str] = {}
        self._forgive_at = now + _FORGIVE_SECONDS

    def add(self, image: Seen, reason: str) -> None:
        """Hold an image from now on."""
        self._reasons = {**self._reasons, image: reason}

    def held_in(self, plan: Plan, now: float) -> Plan:
        """The plan with these images held."""
        # A file whose permissions are mended is another Seen; a folder's are tried again in time.
        if now > self._forgive_at:
            self._forgive_at, self._reasons = now + _FORGIVE_SECONDS, {}
        return without(plan, self._reasons) if self._reasons else plan
