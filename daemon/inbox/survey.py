"""One inbox, watched: each look at it gives a plan of what it holds."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from config.keys import Written
from config.settings import Settings
from daemon.inbox.known import Unread
from daemon.inbox.names import Kind, kind_of
from daemon.inbox.opening import Opener, open_seen
from daemon.inbox.pairing import chain, plan
from daemon.inbox.reading import Readings
from daemon.inbox.scan import scan
from daemon.inbox.settling import Moment, Rules, Watched, look, settles_at
from daemon.job import Listing, Plan, Seen

_NOTHING = Listing((), ())


class Survey:
    """Holds the watch list and the readings of one inbox between two looks."""

    def __init__(
        self,
        inbox: Path,
        rules: Rules,
        *,
        settings: Settings,
        default_steps: int,
        trust_inodes: bool,
        unix_clock: Callable[[], float] = time.time,  # for people only: "since 14:02"
        opener: Opener = os.open,
    ) -> None:
        self.rules = rules
        self._inbox, self._trust_inodes = inbox, trust_inodes
        self._default_steps, self._unix_clock = default_steps, unix_clock
        self._opener = opener
        self._readings = Readings(self._open, settings, default_steps)
        self._listing = _NOTHING
        self._watched: Watched = {}
        self._plan: Plan | None = None  # of the last look, while it holds
        self._holds_until = -math.inf  # monotonic seconds

    def take(self, now: float) -> Plan:
        """Look, read what has settled, and plan; the same plan again where nothing has changed.

        `now` is in monotonic seconds. Raises OSError where the inbox or its share cannot be read;
        the watch goes on at the next look.
        """
        listing = scan(self._inbox, trust_inodes=self._trust_inodes)
        if self._plan is not None and listing == self._listing and now < self._holds_until:
            return self._plan
        self._plan = None
        self._listing = listing
        self._watched = look(listing.files, self._watched, now)
        self._readings.keep(self._watched)
        all_read = self._readings.read(self._settled(now), now)
        if self._readings.is_in_doubt:
            scan(self._inbox, trust_inodes=self._trust_inodes)  # raises where it is the share's
        new = plan(listing, self._moment(now))
        if all_read:
            self._plan = new
            self._holds_until = math.inf if new.look_again_at is None else new.look_again_at
        return new

    def presets_for(self, folder: str) -> tuple[Written, ...]:
        """The folder presets that hold in a subfolder of the inbox, outermost first.

        By the last look, settled or not. Raises UserError where one of them cannot be used.
        """
        presets = [file for file in self._listing.files if kind_of(file.name) is Kind.PRESET]
        return tuple(
            self._readings.read_preset(preset)
            for path in chain(folder)
            for preset in presets
            if preset.folder == path
        )

    def reconfigure(self, rules: Rules, settings: Settings, *, trust_inodes: bool) -> None:
        """Go on by other rules and settings; how long files have been unchanged is kept.

        Where inodes are trusted from now on, or no longer, every file is another one.
        """
        self.rules, self._trust_inodes = rules, trust_inodes
        self._readings = Readings(self._open, settings, self._default_steps)
        self._plan = None

    def _open(self, seen: Seen) -> BinaryIO | Unread:
        # Where inodes are to be trusted, so is what the kernel says of writers: on a local disk.
        return open_seen(self._inbox, seen, self._opener, is_local=self._trust_inodes)

    def _settled(self, now: float) -> list[Seen]:
        watched, rules = self._watched, self.rules
        return [file for file in watched if now >= settles_at(file, watched, rules)]

    def _moment(self, now: float) -> Moment:
        return Moment(
            watched=self._watched,
            known=self._readings,
            rules=self.rules,
            now=now,
            unix_at_zero=self._unix_clock() - now,
        )
