"""An inbox on paper: names, contents and a clock, planned as the real one is."""

import io
import struct
from collections.abc import Iterable
from copy import copy
from dataclasses import replace

from config.instruction_keys import Keys
from config.settings import FolderSettings, Limits, ModelSettings, Settings
from daemon.inbox.grouping import misnamed
from daemon.inbox.plan import plan_inbox
from daemon.inbox.reader import ContentReader, Unread
from daemon.inbox.settle import InboxSnapshot, SettleRules, Watched, note_changes
from daemon.job import Candidate, FileState, Listing, Plan, Seen, State
from pipeline.recipe import Defaults, RecipeRules

# A bitmap of one pixel; the daemon goes by contents, so it may have any image's name.
WHOLE = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0)
WHOLE += b"\x01\x02\x03\x04"
PART = WHOLE[:30]
TEXT = b"This is a letter and no picture at all.\n"
PROMPT = b"prompt: a beach at dawn\n"

RULES = SettleRules(
    settle_seconds=2.0,
    settle_max_seconds=900.0,
    sidecar_wait_seconds=3600.0,
    sidecar_grace_seconds=120.0,
    final=False,
)
FINAL = replace(RULES, final=True)


class PaperInbox:
    """Changes by `write` and `remove`, moves in time by `wait`, and is looked at by `look`."""

    def __init__(
        self,
        contents: dict[str, bytes],
        rules: SettleRules = RULES,
        presets: dict[str, Keys] | None = None,
    ) -> None:
        folder = FolderSettings(root="/hot")  # type: ignore[arg-type]  # never opened
        settings = Settings(
            model=ModelSettings(),
            folders=(folder,),
            defaults=folder,
            presets=presets or {},
            limits=Limits(),
        )
        self.rules, self.now, self.unix_at_zero = rules, 1000.0, 1_700_000_000.0
        self.files: dict[str, Seen] = {}
        self._contents: dict[Seen, bytes] = {}
        self._writes = 0
        self._settings = settings
        self.begin_to_watch()
        self.write(contents)

    def begin_to_watch(self) -> None:
        """Know nothing of what was seen before, as a daemon that has just started."""
        self._watched: Watched = {}
        self._content_reader = ContentReader(
            self._open, RecipeRules.of(self._settings, Defaults())
        )

    def seen_by_another(self) -> "PaperInbox":
        """The same inbox, watched by another daemon whose clock counts from elsewhere."""
        other = copy(self)
        other.now, other.unix_at_zero = self.now + 5000.0, self.unix_at_zero - 5000.0
        other.begin_to_watch()
        return other

    def write(self, contents: dict[str, bytes]) -> None:
        """Write files, new or over old ones."""
        for path, content in contents.items():
            self._writes += 1
            seen = Seen(path, len(content), 0, self._writes, 7)
            self.files[path] = seen
            self._contents[seen] = content

    def rename(self, path: str, other: str) -> None:
        """Give a file another name, in place of what has that name."""
        self._writes += 1
        seen = self.files.pop(path)
        renamed = seen._replace(path=other, ctime_ns=self._writes)
        self.files[other], self._contents[renamed] = renamed, self._contents[seen]

    def remove(self, path: str) -> None:
        """Take a file away."""
        del self.files[path]

    def wait(self, seconds: float) -> "PaperInbox":
        """Let time pass."""
        self.now += seconds
        return self

    def look(self) -> Plan:
        """Look at the inbox now."""
        files = tuple(sorted(self.files.values()))
        self._watched = note_changes(files, self._watched, self.now)
        moment = InboxSnapshot(
            watched=self._watched,
            contents=self._content_reader,
            rules=self.rules,
            now=self.now,
            unix_at_zero=self.unix_at_zero,
        )
        self._content_reader.keep(self._watched, misnamed(files))
        self._content_reader.read((it for it in files if moment.is_settled(it)), self.now)
        return plan_inbox(Listing(files, ()), moment)

    def settled(self) -> Plan:
        """Look, wait for the settle time, and look again."""
        self.look()
        return self.wait(self.rules.settle_seconds).look()

    def _open(self, seen: Seen) -> io.BytesIO | Unread:
        is_there = self.files.get(seen.path) == seen
        return io.BytesIO(self._contents[seen]) if is_there else Unread()


def states(plan: Plan) -> dict[str, State]:
    """The state of every file."""
    return {file.path: file.state for file in plan.states}


def about(plan: Plan, path: str) -> FileState:
    """All that a plan says of one file."""
    (state,) = (file for file in plan.states if file.path == path)
    return state


def names(candidates: Iterable[Candidate]) -> list[str]:
    """The paths of the images, in their order."""
    return [candidate.image.path for candidate in candidates]
