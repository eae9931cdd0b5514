"""hotfolder.yaml: where it is, who may change it, and its text read with every problem named."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from config import values
from config.fields import Fields, read_fields
from config.instruction_keys import read_named_presets
from config.problems import Complaints, Problem, UserError
from config.settings import FolderSettings, HookSettings, Limits, Lora, ModelSettings, Settings
from config.text import LIMIT_BYTES

FILE_NAME = "hotfolder.yaml"
SYSTEM_FILE = Path("/etc/hotfolder") / FILE_NAME
SHIPPED_FILE = Path(__file__).with_name(FILE_NAME)

_NO_FOLDERS = "folders: []\n"  # the line of the shipped file that default_text fills in
_MOST_LINKS = 40  # as the kernel follows: path_resolution(7)


def find(explicit: Path | None, cwd: Path) -> Path | None:
    """Give the settings file to load: `explicit`, else in `cwd`, else the system's, else None."""
    if explicit is not None:
        return explicit
    return next((path for path in (cwd / FILE_NAME, SYSTEM_FILE) if path.exists()), None)


def load(path: Path, *, named: bool = True) -> Settings:
    """Read a settings file; raises UserError with all that is wrong with it.

    Where nobody has named it, it must be the user's own or root's.
    """
    return read_settings(_content(path, named=named), str(path))


def default_text(root: Path) -> str:
    """Give the shipped settings, comments and all, with `root` as the one hot folder.

    Raises UserError for a path that is not UTF-8, which no text can hold.
    """
    try:
        str(root).encode()
    except UnicodeEncodeError as error:
        what, advice = "its name is not UTF-8", "rename it, or write the settings by hand"
        raise UserError([Problem(ascii(str(root)), what, advice)]) from error
    shipped = SHIPPED_FILE.read_text(encoding="utf-8")
    before, line, after = shipped.partition(_NO_FOLDERS)
    assert line
    return f"{before}folders:\n  - root: {_in_quotes(str(root))}\n{after}"


def _in_quotes(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable()).replace("\x7f", "\\x7f")


def _content(path: Path, *, named: bool) -> bytes:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(LIMIT_BYTES + 1)
        problems = tuple(custody_problems(path, status, user=os.geteuid(), named=named))
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        advice = "mend that, or name another with --config"
        raise UserError([Problem(str(path), what, advice)]) from error
    if problems:
        raise UserError(problems)
    return content


def read_settings(content: bytes, name: str) -> Settings:
    """Read a settings file; `name` is for messages. Raises UserError with all that is wrong."""
    complaints = Complaints(name)
    settings = _settings(read_fields(content, complaints, may_be_empty=True))
    complaints.raise_any()
    return settings


def _settings(fields: Fields) -> Settings:
    model = fields.table("model")
    loras = model.table("loras").mapping.lines
    defaults = fields.table("defaults").read_table(FolderSettings(root=Path()))
    settings = Settings(
        model=model.read_table(ModelSettings(loras=_loras(model))),
        folders=_folders(fields, defaults),
        defaults=defaults,
        presets=read_named_presets(fields, loras),
        limits=fields.table("limits").read_table(Limits()),
        hooks=fields.table("hooks").read_table(HookSettings()),
    )
    fields.finish()
    return settings


def _loras(model: Fields) -> dict[str, Lora]:
    read = ((name, entry.require_table(Lora)) for name, entry in model.named_tables("loras"))
    return {name: lora for name, lora in read if lora is not None}


def _folders(fields: Fields, defaults: FolderSettings) -> tuple[FolderSettings, ...]:
    folders: list[FolderSettings] = []
    for entry in fields.listed_tables("folders"):
        root = entry.require("root", values.absolute_path)
        if root is not None:
            _complain_of_overlap(entry, root, folders)
        folders.append(entry.read_table(replace(defaults, root=root or Path())))
    return tuple(folders)


def _complain_of_overlap(entry: Fields, root: Path, others: Sequence[FolderSettings]) -> None:
    for other in others:
        if root == other.root:
            entry.complain("root", f"{root} is listed already", "remove one of the two")
        elif root.is_relative_to(other.root) or other.root.is_relative_to(root):
            what = f"{root} and {other.root} lie inside each other"
            entry.complain("root", what, "put hot folders side by side")


def custody_problems(
    path: Path, status: os.stat_result, *, user: int, named: bool
) -> Iterator[Problem]:
    """Why a file of this status must not be trusted by `user`; `named`: somebody chose it.

    Every folder on the way to it counts, and every link. Raises OSError where one cannot be
    looked at.
    """
    if status.st_mode & stat.S_IWOTH:
        yield Problem(str(path), "can be changed by everybody", f"run: chmod o-w {path}")
    trusted = {0, user, status.st_uid}  # whose file it is, is judged below
    for entry in _way_to(path):
        yield from _replaceable(path, entry, trusted)
    if not named and status.st_uid not in (0, user):
        what = f"belongs to user {status.st_uid}, neither to you nor to root, and was found here"
        yield Problem(str(path), what, f"if you trust it, name it: --config {path}")


def is_of_a_group(path: Path) -> bool:
    """Whether more users than its owner can change it; raises OSError."""
    return bool(path.stat().st_mode & stat.S_IWGRP)


def _replaceable(path: Path, entry: Path, trusted: Collection[int]) -> Iterator[Problem]:
    """Whether others can put something else in the place of an entry on the way to the file."""
    folder = entry.parent
    mode = folder.stat().st_mode
    if not mode & stat.S_IWOTH:
        return
    if not mode & stat.S_ISVTX:
        its_own = "lies in a folder where everybody can put another in its place"
        other = f"is reached through {entry}, which everybody can replace"
        what = its_own if folder == path.absolute().parent else other
        yield Problem(str(path), what, f"run: chmod o-w {folder}")
    # In a folder like /tmp nobody but its owner can put another file in the place of one.
    elif (owner := entry.lstat().st_uid) not in trusted:
        what = f"is reached through {entry}, which user {owner} can replace, neither you nor root"
        yield Problem(str(path), what, "move it where others may not write, like /etc/hotfolder")


def _way_to(path: Path) -> Iterator[Path]:
    """Each entry that leads to a file, the file too; only the entry itself may be a link."""
    here, links = Path("/"), 0
    names = deque(path.absolute().parts[1:])
    while names:
        name = names.popleft()
        if name == "..":
            here = here.parent
            continue
        yield here / name
        if not (here / name).is_symlink():
            here /= name
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = (here / name).readlink()
        if target.is_absolute():
            here = Path("/")
        names.extendleft(reversed(target.parts[target.is_absolute() :]))
