"""One inbox: each scan gives a plan of what it holds, settled by what its file system asks for."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from config.instruction_keys import Keys
from config.settings import FolderSettings, Watch
from daemon.fs.mounts import Mount, find_mount
from daemon.fs.names import Kind, kind_of
from daemon.inbox.grouping import misnamed
from daemon.inbox.plan import plan_inbox, preset_chain
from daemon.inbox.reader import ContentReader, Opener, Unread, open_seen
from daemon.inbox.scan import scan
from daemon.inbox.settle import (
    InboxSnapshot,
    SettleRules,
    Watched,
    note_changes,
)
from daemon.job import Listing, Plan, Seen
from pipeline.recipe import RecipeRules

_LOCAL_SETTLE_SECONDS = 2.0
# Longer than an NFS client believes its attribute cache (acregmin 3 s): there a growing file's
# size seems to rest.
_SHARE_SETTLE_SECONDS = 10.0
_POLL_BESIDE_EVENTS_SECONDS = 30.0
_POLL_ALONE_SECONDS = 5.0
_NOTHING = Listing((), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchMode:
    """How one hot folder is watched."""

    watch: Watch  # EVENTS or POLL
    why: str  # "ext4 is a local disk"
    is_share: bool
    settle_seconds: float
    poll_seconds: float


def watch_mode_of(folder: FolderSettings) -> WatchMode:
    """Ask the file system of a hot folder; touches it."""
    return choose_watch_mode(folder, find_mount(folder.root))


def choose_watch_mode(folder: FolderSettings, mount: Mount | None) -> WatchMode:
    """The settings' watch mode; the file system's where they say auto; an unknown one polls."""
    is_share = mount is None or mount.is_share
    kind = "an unknown file system" if mount is None else mount.type
    why = f"{kind} is {'a share' if is_share else 'a local disk'}"
    match folder.watch:
        case Watch.AUTO:
            watch = Watch.POLL if is_share else Watch.EVENTS
        case chosen:
            watch, why = chosen, "the settings say so"
    poll = _POLL_ALONE_SECONDS if watch is Watch.POLL else _POLL_BESIDE_EVENTS_SECONDS
    settle = _SHARE_SETTLE_SECONDS if is_share else _LOCAL_SETTLE_SECONDS
    return WatchMode(
        watch=watch,
        why=why,
        is_share=is_share,
        settle_seconds=settle if folder.settle_seconds is None else folder.settle_seconds,
        poll_seconds=poll if folder.poll_seconds is None else folder.poll_seconds,
    )


def settle_rules(folder: FolderSettings, watch_mode: WatchMode, *, final: bool) -> SettleRules:
    """The rules by which the inbox is planned; `final`: what has settled will not change."""
    return SettleRules(
        settle_seconds=watch_mode.settle_seconds,
        settle_max_seconds=folder.settle_max_seconds,
        sidecar_wait_seconds=folder.sidecar_wait_hours * 3600,
        sidecar_grace_seconds=folder.sidecar_grace_seconds,
        final=final,
    )


class Inbox:
    """Holds the watch list and the readings of one inbox between two looks."""

    def __init__(
        self,
        inbox: Path,
        rules: SettleRules,
        *,
        recipe_rules: RecipeRules,
        trust_inodes: bool,
        unix_clock: Callable[[], float] = time.time,  # for people only: "since 14:02"
        opener: Opener = os.open,
    ) -> None:
        self.rules, self.recipe_rules = rules, recipe_rules
        self._inbox, self._trust_inodes = inbox, trust_inodes
        self._unix_clock, self._opener = unix_clock, opener
        self._content_reader = ContentReader(self._open, recipe_rules)
        self._listing = _NOTHING
        self._watched: Watched = {}
        self._plan: Plan | None = None  # of the last look, while it holds
        self._holds_until = -math.inf  # monotonic seconds

    @classmethod
    def of(
        cls,
        folder: FolderSettings,
        watch_mode: WatchMode,
        recipe_rules: RecipeRules,
        *,
        final: bool,
    ) -> Inbox:
        """The inbox of a hot folder, by its settings; `final` as in `settle_rules`."""
        return cls(
            folder.root / "inbox",
            settle_rules(folder, watch_mode, final=final),
            recipe_rules=recipe_rules,
            trust_inodes=not watch_mode.is_share,
        )

    def scan(self, now: float) -> Plan:
        """Look, read what has settled, and plan; the same plan again where nothing has changed.

        `now` is in monotonic seconds. Raises OSError where the inbox or its share cannot be read;
        the watch goes on at the next look.
        """
        listing = scan(self._inbox, trust_inodes=self._trust_inodes)
        if self._plan is not None and listing == self._listing and now < self._holds_until:
            return self._plan
        self._plan = None
        self._listing = listing
        self._watched = note_changes(listing.files, self._watched, now)
        self._content_reader.keep(self._watched, misnamed(listing.files))
        moment = self._moment(now)
        settled = (file for file in listing.files if moment.is_settled(file))
        all_read = self._content_reader.read(settled, now)
        if self._content_reader.is_in_doubt:
            scan(self._inbox, trust_inodes=self._trust_inodes)  # raises where it is the share's
        new = plan_inbox(listing, moment)
        if all_read:
            self._plan = new
            self._holds_until = math.inf if new.scan_again_at is None else new.scan_again_at
        return new

    def presets_for(self, folder: str) -> tuple[Keys, ...]:
        """The folder presets that hold in a subfolder of the inbox, outermost first.

        By the last look, settled or not. Raises UserError where one of them cannot be used.
        """
        presets = [file for file in self._listing.files if kind_of(file.name) is Kind.PRESET]
        return tuple(
            self._content_reader.read_preset(preset)
            for path in preset_chain(folder)
            for preset in presets
            if preset.folder == path
        )

    def reconfigure(
        self, rules: SettleRules, recipe_rules: RecipeRules, *, trust_inodes: bool
    ) -> None:
        """Go on by other rules; how long files have been unchanged is kept.

        Where inodes are trusted from now on, or no longer, every file is another one.
        """
        self.rules, self.recipe_rules, self._trust_inodes = rules, recipe_rules, trust_inodes
        self._content_reader = ContentReader(self._open, recipe_rules)
        self._plan = None

    def _open(self, seen: Seen) -> BinaryIO | Unread:
        # Where inodes are to be trusted, so is what the kernel says of writers: on a local disk.
        return open_seen(self._inbox, seen, self._opener, is_local=self._trust_inodes)

    def _moment(self, now: float) -> InboxSnapshot:
        return InboxSnapshot(
            watched=self._watched,
            contents=self._content_reader,
            rules=self.rules,
            now=now,
            unix_at_zero=self._unix_clock() - now,
        )
