"""What is looked at before anything starts: folders lie apart, no network can be reached."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import config
import daemon
import pipeline
from config.problems import Problem, UserError
from config.settings import ModelSettings
from daemon.events.events import Event, NotConfined, OfflineVerified
from daemon.fs.blocking import ANSWER_SECONDS, Stalled, call_with_deadline
from daemon.fs.hot_folder import SHOWN, folder_id
from daemon.fs.local_dirs import LocalDirs

# An address for documentation: nobody has it. To connect a datagram socket sends nothing.
_NOWHERE = ("192.0.2.1", 9)
_INTERFACES = Path("/proc/self/net/dev")
_LOOPBACK = "lo"
_INNER = (*SHOWN, ".hotfolder")


def separation_problems(
    roots: Iterable[Path], settings: Path | None, model: ModelSettings, local_dirs: LocalDirs
) -> Iterator[Problem]:
    """Everything that lies where it must not; a share that hangs hinders nobody."""
    resolved = {root: _resolve(root) for root in roots}
    layout = Layout(
        roots=tuple(resolved.values()),
        identities={
            at: identity for root, at in resolved.items() if (identity := _identify(root))
        },
        settings=None if settings is None else _resolve(settings),
        apart=tuple((name, _resolve(path)) for name, path in _apart_from(model, local_dirs)),
    )
    return layout_problems(layout)


def _apart_from(model: ModelSettings, local_dirs: LocalDirs) -> Iterator[tuple[str, Path]]:
    """What must not lie in a hot folder, nor a hot folder in it."""
    if model.path is not None:
        yield "the model", model.path
    for name, lora in model.loras.items():
        yield f"the LoRA {name}", lora.path
    yield "the state folder", local_dirs.state
    yield "the scratch folder", local_dirs.scratch
    yield "the folder of control sockets", local_dirs.control
    for path in _code():
        yield "Hotfolder's own program", path


def _code() -> Iterator[Path]:
    """Where programs are imported from; not the working directory, which may hold hot folders."""
    for package in (config, pipeline, daemon):
        assert package.__file__ is not None
        yield Path(package.__file__).parent
    yield Path(sys.prefix)
    yield Path(os.__file__).parent


def _resolve(path: Path) -> Path:
    try:
        return call_with_deadline(path.resolve, ANSWER_SECONDS)
    except (Stalled, OSError):
        return path.absolute()


def _identify(root: Path) -> str:
    try:
        return call_with_deadline(lambda: folder_id(root), ANSWER_SECONDS)
    except (Stalled, OSError, UserError):
        return ""  # offline, or no hot folder: others say so


def check_network() -> Event:
    """Try to find a way to a network, and say what came of it."""
    return network_event(_refusal(), sorted(_interfaces()))


def network_event(refusal: int | None, interfaces: Iterable[str]) -> Event:
    """What an attempt, and the interfaces that there are, mean.

    `refusal` is the error of the attempt, None where a way was found.
    """
    if refusal in (errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES):
        return OfflineVerified(reason="no sockets but local ones may be made")
    outward = [name for name in interfaces if name != _LOOPBACK]
    if refusal is None:
        return NotConfined(reason="there is a route to other machines")
    if outward:
        return NotConfined(reason=f"there is a network interface, {', '.join(outward)}")
    return OfflineVerified(reason=f"there is no way out ({os.strerror(refusal)})")


def _refusal() -> int | None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as attempt:
            attempt.connect(_NOWHERE)
    except OSError as error:
        return error.errno
    return None


def _interfaces() -> Iterator[str]:
    with contextlib.suppress(OSError):
        for line in _INTERFACES.read_text().splitlines()[2:]:  # below two of headings
            yield line.partition(":")[0].strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a daemon stands on; all paths absolute, and resolved where that could be done."""

    roots: tuple[Path, ...]  # of hot folders
    identities: Mapping[Path, str]  # of those that answer
    settings: Path | None
    apart: tuple[tuple[str, Path], ...]  # what each is, and where


def layout_problems(of: Layout) -> Iterator[Problem]:
    """Everything that lies where it must not."""
    yield from _entangled(of.roots)
    yield from _twins(of)
    for root in of.roots:
        for name, path in of.apart:
            if _overlap(root, path):
                what = f"{name} ({path}) and this hot folder lie inside each other"
                yield Problem(str(root), what, "choose another place for one of the two")
        if of.settings is not None and any(_is_in(of.settings, root / it) for it in _INNER):
            what = f"the settings ({of.settings}) lie where everybody drops files"
            yield Problem(str(root), what, "move them out, /etc/hotfolder is a good place")


def _entangled(roots: tuple[Path, ...]) -> Iterator[Problem]:
    for number, root in enumerate(roots):
        for other in roots[:number]:
            if root == other:
                yield Problem(str(root), "is named twice", "remove one of the two")
            elif _overlap(root, other):
                what = f"{other} and this hot folder lie inside each other"
                yield Problem(str(root), what, "put hot folders side by side")


def _twins(of: Layout) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for root, identity in of.identities.items():
        other = first.setdefault(identity, root)
        if other != root:
            what = f"has the id of {other}: it is the same one by another path, or a copy"
            advice = "remove one of the two, or in a copy .hotfolder/id, then run hotfolder init"
            yield Problem(str(root), what, advice)


def _overlap(first: Path, second: Path) -> bool:
    return _is_in(first, second) or _is_in(second, first)


def _is_in(path: Path, folder: Path) -> bool:
    return path == folder or path.is_relative_to(folder)
