"""An inbox under watch: how is asked of its file system at each look, for that may change."""

from __future__ import annotations

from collections.abc import Callable

from config.keys import Written
from config.settings import FolderSettings, Settings
from daemon.inbox.lookout import Lookout
from daemon.inbox.manner import Manner, manner_of, rules_of
from daemon.inbox.survey import Survey
from daemon.job import Plan


class Watching:
    """Looks at one inbox; everything here belongs to the thread that touches the share."""

    def __init__(
        self,
        *,
        folder: FolderSettings,
        manner: Manner,
        survey: Survey,
        settings: Settings,
        wake: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        """`manner` holds until the first look; `wake` and `lost` are those of a Lookout."""
        self.manner = manner
        self._folder, self._survey, self._settings = folder, survey, settings
        self._lookout = Lookout(folder.root / "inbox", wake, lost)

    @property
    def once(self) -> bool:
        """Whether what has settled is final."""
        return self._survey.rules.final

    def look(self, now: float) -> Plan:
        """Look, and plan, at `now` in monotonic seconds; raises OSError where it cannot be read.

        A share may be mounted after the start, or something else in its place.
        """
        manner = manner_of(self._folder)
        if manner != self.manner:
            self._follow(manner)
        self._lookout.keep(manner.watch, now)
        return self._survey.take(now)

    def presets_for(self, folder: str) -> tuple[Written, ...]:
        """The folder presets that hold in a subfolder, outermost first; raises UserError."""
        return self._survey.presets_for(folder)

    def reconfigure(self, folder: FolderSettings, settings: Settings) -> None:
        """Go on by other settings."""
        self._folder, self._settings = folder, settings
        self._follow(manner_of(folder))

    def leave(self) -> None:
        """Let the watcher go until the next look; touches no share."""
        self._lookout.stop()

    def _follow(self, manner: Manner) -> None:
        self.manner = manner
        rules = rules_of(self._folder, manner, final=self.once)
        self._survey.reconfigure(rules, self._settings, trust_inodes=not manner.is_share)
