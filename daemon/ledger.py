"""What we have filed in done/ and failed/, a list for each day: nothing else is ever deleted."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

from daemon import typed_json
from daemon.ground import Ground
from daemon.inbox.names import is_path_below
from daemon.trouble import is_of_a_log

# No room, or something else in its place: what is not noted is kept.
_FORGIVEN = frozenset((errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.ENOTDIR))
_NAME = re.compile(r"(done|failed)-([0-9]{4}-[0-9]{2}-[0-9]{2})\.jsonl")


class Corner(StrEnum):
    """Where originals are filed."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, order=True)
class Page:
    """The list of one day."""

    corner: Corner
    day: date


@dataclass(frozen=True, slots=True)
class Filed:
    """One file as it was when we filed it; one that was changed since is somebody's."""

    path: str  # relative to the root: "done/2026-11-22/portraits/hero.png"
    size: int
    mtime_ns: int


class Ledger:
    """The lists of one hot folder, on its share, for whichever daemon leads it."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._folder = ground, ground.root / ".hotfolder" / "filed"

    def note(self, paths: Iterable[Path]) -> None:
        """Note files that were filed just now below done/DAY/ or failed/DAY/."""
        pages: dict[str, list[str]] = {}
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                status = self._ground.status(path)
                name = str(path.relative_to(self._ground.root))
                line = json.dumps(astuple(Filed(name, status.st_size, status.st_mtime_ns)))
                corner, day, *_ = name.split("/")
                pages.setdefault(f"{corner}-{day}.jsonl", []).append(f"{line}\n")
        try:
            self._ground.make_folder(self._folder)
            for page, lines in pages.items():
                if _page_of(page) is not None:  # else beside its day: something was in the way
                    self._ground.append(self._folder / page, "".join(lines).encode())
        except OSError as error:
            if error.errno not in _FORGIVEN and not is_of_a_log(error, self._ground.root):
                raise

    def pages(self) -> list[Page]:
        """The days that have a list, the oldest first."""
        try:
            names = [name for name, _ in self._ground.entries(self._folder)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(page for page in map(_page_of, names) if page is not None)

    def read(self, page: Page) -> Iterator[Filed]:
        """What was filed on a day and is still there as it was."""
        try:
            lines = self._ground.read(self._file(page)).splitlines()
        except FileNotFoundError:
            return
        for line in dict.fromkeys(lines):
            filed = _parse(line)
            if filed is not None and _is_of(filed, page) and self._is_there(filed):
                yield filed

    def drop(self, page: Page) -> None:
        """Forget a day."""
        self._ground.remove(self._file(page))

    def _file(self, page: Page) -> Path:
        return self._folder / f"{page.corner}-{page.day}.jsonl"

    def _is_there(self, filed: Filed) -> bool:
        try:
            status = self._ground.status(self._ground.root / filed.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        is_same = (status.st_size, status.st_mtime_ns) == (filed.size, filed.mtime_ns)
        return is_same and stat.S_ISREG(status.st_mode)


def _page_of(name: str) -> Page | None:
    if found := _NAME.fullmatch(name):
        with contextlib.suppress(ValueError):
            return Page(Corner(found[1]), date.fromisoformat(found[2]))
    return None


def _parse(line: bytes) -> Filed | None:
    """A line of ours; None for one that was cut off, or that somebody else wrote."""
    try:
        return Filed(*typed_json.load(tuple[str, int, int], line))
    except ValueError:
        return None


def _is_of(filed: Filed, page: Page) -> bool:
    return is_path_below(filed.path) and filed.path.startswith(f"{page.corner}/{page.day}/")
