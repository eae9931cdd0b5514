"""Whether a hot folder can be worked: its marker, rights, file systems, space and clock.

Files are made only in its `.hotfolder/`, where nobody looks, and are removed again.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from shutil import disk_usage

from config.comparison import told_apart
from config.settings import FolderSettings, Watch
from daemon.clock import local_time
from daemon.commands import select
from daemon.commands.output import Finding, ok, problem, problems, warning
from daemon.events.text import duration
from daemon.fs.errors import words_of
from daemon.fs.hot_folder import SHOWN
from daemon.fs.mounts import find_mount
from daemon.fs.safe_tree import SafeTree
from daemon.inbox.inbox import WatchMode, watch_mode_of
from daemon.spool.retention import RetentionSchedule

_SUBJECT = "folder"
_SKEW_SECONDS = 2.0
_GIB = 2**30


def look_at_folder(folder: FolderSettings, unix_time: Callable[[], float]) -> Iterator[Finding]:
    """Look a hot folder over; `unix_time` tells the time of this machine."""
    root = folder.root
    missing = list(select.unmarked(root))
    if missing:
        yield from problems(_SUBJECT, missing)
        return
    yield ok(_SUBJECT, f"{root} is a hot folder")
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        yield problem(_SUBJECT, f"{root} is mounted read-only", "mount it writable")
    else:
        yield from _rights(root)
        yield from _probe(root, unix_time)
    yield from _one_file_system(root)
    yield free_space(_SUBJECT, root, folder.min_free_gib)
    yield _watched(folder, watch_mode_of(folder))
    today = local_time(unix_time()).date()
    yield from look_at_retention(folder, today)


def free_space(subject: str, path: Path, floor_gib: float) -> Finding:
    """Whether a folder that exists has the room that the settings ask for."""
    free_gib = disk_usage(path).free / _GIB
    text = f"{path} has {told_apart(free_gib, floor_gib, 1)} GiB free"
    if free_gib >= floor_gib:
        return ok(subject, f"{text} (jobs need {floor_gib:g} GiB)")
    return warning(
        subject, f"{text}, jobs need {floor_gib:g} GiB", "make room; until then they wait"
    )


def _rights(root: Path) -> Iterator[Finding]:
    for name in SHOWN:
        path = root / name
        if path.is_symlink():
            advice = "Hotfolder follows none: put a real folder there"
            yield problem(_SUBJECT, f"{path} is a link", advice)
        elif not path.is_dir():
            yield problem(_SUBJECT, f"{path} is missing", f"run `hotfolder init {root}` again")
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            what = f"{path} cannot be read and written by user {os.getuid()}"
            yield problem(_SUBJECT, what, "give the daemon's user or group that right")


def _probe(root: Path, unix_time: Callable[[], float]) -> Iterator[Finding]:
    try:
        with _probe_paths(root / ".hotfolder") as (first, second):
            skew_seconds = _skew_seconds_of_new(first, unix_time)
            first.rename(second)
            has_links = _links(second, first)
    except OSError as error:
        what = f"{root}/.hotfolder: a file cannot be made, renamed and removed ({error.strerror})"
        yield problem(_SUBJECT, what, words_of(error, root)[1])
        return
    yield ok(_SUBJECT, "files can be made, renamed and removed")
    links = "results appear by hard link" if has_links else "no hard links: by renaming"
    yield ok(_SUBJECT, f"nothing is overwritten ({links})")
    yield _clock(skew_seconds)


@contextmanager
def _probe_paths(folder: Path) -> Iterator[tuple[Path, Path]]:
    stem = f"probe-{secrets.token_hex(8)}"
    paths = (folder / f"{stem}.tmp", folder / f"{stem}-2.tmp")
    try:
        yield paths
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _skew_seconds_of_new(file: Path, unix_time: Callable[[], float]) -> float:
    """Make a file; by how much the folder's clock is ahead of ours."""
    before = unix_time()
    with file.open("xb") as stream:
        stream.write(b"hotfolder check\n")
        os.fsync(stream.fileno())
    after = unix_time()
    written = file.stat().st_mtime
    return written - min(max(written, before), after)


def _links(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False  # the answer that was asked for: this file system has none
    return True


def _clock(skew_seconds: float) -> Finding:
    if abs(skew_seconds) <= _SKEW_SECONDS:
        return ok(_SUBJECT, "its clock agrees with this machine's")
    side = "ahead of" if skew_seconds > 0 else "behind"
    text = f"its clock is {duration(abs(skew_seconds))} {side} this machine's"
    return warning(_SUBJECT, text, "set both by NTP; until then dates in logs and files disagree")


def _one_file_system(root: Path) -> Iterator[Finding]:
    names = ("inbox", "outbox", "review", "done", "failed")
    home = _file_system(root / ".hotfolder")
    away = [n for n in names if (root / n).is_dir() and _file_system(root / n) != home]
    for name in away:
        text = f"{root / name} is on another file system than {root}/.hotfolder"
        yield problem(_SUBJECT, text, "files are moved by renaming: put both on one")
    if not away:
        yield ok(_SUBJECT, "all its folders are on one file system")


def _file_system(path: Path) -> tuple[int, str]:
    # Renaming from one mount to another fails even where both show one file system.
    mount = find_mount(path)
    return (path.stat().st_dev, "" if mount is None else mount.point)


def _watched(folder: FolderSettings, watch_mode: WatchMode) -> Finding:
    text = (
        f"new files are noticed by {watch_mode.watch} ({watch_mode.why}), claimed after"
        f" {watch_mode.settle_seconds:g} s without change,"
        f" looked for every {watch_mode.poll_seconds:g} s"
    )
    if watch_mode.watch is Watch.EVENTS and watch_mode.is_share:
        advice = "write watch: auto, because a share reports no changes made elsewhere"
        return warning(_SUBJECT, text, advice)
    return ok(_SUBJECT, text)


def look_at_retention(folder: FolderSettings, today: date) -> Iterator[Finding]:
    """Say how long what is kept, and what goes next; nothing where all is kept for ever."""
    keep = {
        "done": folder.keep_done_days,
        "failed": folder.keep_failed_days,
        "logs": folder.keep_logs_days,
    }
    words = [f"{name} for {days:g} days" for name, days in keep.items() if days is not None]
    if not words:
        return
    retention = RetentionSchedule(SafeTree(folder.root))
    doubt = retention.doubt(today)
    due = [] if doubt else list(retention.look(folder, today))
    files = ", ".join(f"{swept.files} of {swept.what}" for swept in due) or "none"
    kept = f"{folder.root} keeps {', '.join(words)}"
    yield ok("folder", f"{kept}; files that a daemon deletes next: {files}")
    if doubt and any(retention.look(folder, today)):
        what = f"{folder.root}: nothing is deleted for now: {doubt}"
        yield warning(_SUBJECT, what, "set the clock if it is wrong, else wait")
    for stays in retention.doubtful(folder):
        what = f"{folder.root}: {stays.files} files of {stays.what} stay for ever"
        advice = "the clock was wrong when they were filed: delete them yourself"
        yield warning(_SUBJECT, what, advice)
