"""What the parts of the deciding thread are handed: time, words, history, settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from config.settings import Settings
from daemon.clock import Clock
from daemon.events.events import Event, FolderEvent
from daemon.events.sinks import Log
from daemon.folder import messages
from daemon.folder.view import FolderView
from daemon.history import History
from pipeline.recipe import Defaults

# Gives the settings of now and the defaults of their model, from those in force.
Reread: TypeAlias = Callable[[Settings, Defaults], tuple[Settings, Defaults]]


class SettingsInForce:
    """The settings of now, in one place for all who go by them."""

    def __init__(self, settings: Settings, defaults: Defaults, reread: Reread) -> None:
        self.now, self.defaults = settings, defaults
        self._reread = reread

    def reload(self) -> None:
        """Go on by what is written now; raises UserError, and then those of now stay in force."""
        self.now, self.defaults = self._reread(self.now, self.defaults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What nearly every part goes by."""

    clock: Clock
    tell: Callable[[Event], None]
    history: History
    settings: SettingsInForce
    once: bool  # somebody waits for the end: nothing waits for better times


class Logs:
    """The daemon's own log, and people's logs on the shares."""

    def __init__(self, own: Log, folders: Mapping[str, FolderView], clock: Clock) -> None:
        self.own = own
        self._folders, self._clock = folders, clock

    def tell(self, event: Event) -> None:
        """Tell an event to the terminal or journal, and to people's logs on the share."""
        self.own.tell(event)
        alone = isinstance(event, FolderEvent) or len(self._folders) == 1
        root = str(event.root) if isinstance(event, FolderEvent) else None
        for name, folder in self._folders.items():
            if root is None or name == root:
                self.write(event if alone else event.as_told_in(folder.root), name)

    def write(self, event: Event, root: str) -> None:
        """Tell an event to people's log of one hot folder alone."""
        self._folders[root].folder_worker.submit(messages.AppendLog(event, self._clock.time()))
