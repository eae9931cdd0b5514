"""An inbox under watch: how is asked of its file system at each scan, for that may change."""

from __future__ import annotations

from collections.abc import Callable

from config.instruction_keys import Keys
from config.settings import FolderSettings, Settings
from daemon.inbox.inbox import (
    Inbox,
    WatchMode,
    choose_watch_mode,
    settle_rules,
    watch_mode_of,
)
from daemon.inbox.watcher import Watcher
from daemon.job import Plan
from pipeline.recipe import RecipeRules


class WatchedInbox:
    """Looks at one inbox; everything here belongs to the thread that touches the share."""

    def __init__(
        self,
        folder: FolderSettings,
        inbox: Inbox,
        wake: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        """`wake` and `lost` are those of a Watcher."""
        self.watch_mode = choose_watch_mode(folder, None)  # until the file system has been asked
        self._folder, self._inbox = folder, inbox
        self._watcher = Watcher(folder.root / "inbox", wake, lost)

    @property
    def recipe_rules(self) -> RecipeRules:
        """What its recipes are made by now."""
        return self._inbox.recipe_rules

    @property
    def once(self) -> bool:
        """Whether what has settled is final."""
        return self._inbox.rules.final

    def scan(self, now: float) -> Plan:
        """Look, and plan, at `now` in monotonic seconds; raises OSError where it cannot be read.

        A share may be mounted after the start, or something else in its place.
        """
        watch_mode = watch_mode_of(self._folder)
        if watch_mode != self.watch_mode:
            self._follow(watch_mode, self.recipe_rules)
        self._watcher.keep(watch_mode.watch, now)
        return self._inbox.scan(now)

    def presets_for(self, folder: str) -> tuple[Keys, ...]:
        """The folder presets that hold in a subfolder, outermost first; raises UserError."""
        return self._inbox.presets_for(folder)

    def reconfigure(self, folder: FolderSettings, settings: Settings) -> None:
        """Go on by other settings."""
        self._folder = folder
        default_steps = self.recipe_rules.default_steps
        self._follow(watch_mode_of(folder), RecipeRules.of(settings, default_steps, folder.keys))

    def leave(self) -> None:
        """Let the watcher go until the next look; touches no share."""
        self._watcher.stop()

    def _follow(self, watch_mode: WatchMode, recipe_rules: RecipeRules) -> None:
        self.watch_mode = watch_mode
        rules = settle_rules(self._folder, watch_mode, final=self.once)
        self._inbox.reconfigure(rules, recipe_rules, trust_inodes=not watch_mode.is_share)
