"""Where in a hot folder the file is that somebody asks about."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """A file of a hot folder."""

    root: Path
    path: str  # relative to the root: "inbox/portraits/hero.png"

    @property
    def corner(self) -> str:
        """The folder of the hot folder that it is in: "inbox", "outbox", ".hotfolder"."""
        return self.path.partition("/")[0]

    @property
    def below(self) -> str:
        """Its path below that folder; relative to the inbox for a file of the inbox."""
        return self.path.partition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Nothing of that name is there now."""

    name: str  # what its path relative to the inbox would be


def hot_folder_above(path: Path) -> Path | None:
    """The hot folder that holds a path, whether the path itself exists or not."""
    return next((it for it in path.parents if (it / ".hotfolder" / "id").exists()), None)


def absolute(file: Path, cwd: Path) -> Path:
    """The path without `..`, its links left alone."""
    return Path(os.path.normpath(cwd / file))


def find(file: Path, cwd: Path, roots: Iterable[Path]) -> There | Missing:
    """Find a file by its absolute path, or by its path relative to `cwd`, an inbox or a root."""
    roots = tuple(roots)
    path = absolute(file, cwd)
    for root in roots:
        for candidate in _candidates(file, path, root):
            if os.path.lexists(candidate):
                return There(root=root, path=str(candidate.relative_to(root)))
    return Missing(name=name_in_inbox(file, cwd, roots))


def _candidates(file: Path, path: Path, root: Path) -> Iterator[Path]:
    if path != root and path.is_relative_to(root):
        yield path
    if not file.is_absolute() and ".." not in file.parts:
        yield root / "inbox" / file
        yield root / file


def name_in_inbox(file: Path, cwd: Path, roots: Iterable[Path]) -> str:
    """What its path relative to an inbox would be, by its words alone: no share is touched."""
    path = absolute(file, cwd)
    inside = (path.relative_to(it) for it in roots if path != it and path.is_relative_to(it))
    below = next(inside, path.relative_to("/") if file.is_absolute() else file)
    parts = below.parts[1:] if below.parts[:1] == ("inbox",) else below.parts
    return "/".join(parts)
