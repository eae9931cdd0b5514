"""What an administrator asks for, what this machine has for it, and what stands against it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.problems import Problem

_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")  # as systemd-sysusers takes it
_UNQUOTED = re.compile(r"[\w./+:@,-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be installed."""

    root: Path  # absolute
    model: Path | None  # absolute; None: the settings name it
    user: str
    group: str
    is_to_start: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What was found here."""

    program: Path  # this command, as the unit will call it
    model_bytes: int | None  # main memory that the model needs; None: it is not known
    mount_point: str | None  # of the share that the hot folder lies on
    mount_unit: str  # its unit
    is_booted: bool  # with systemd


def problems(order: Order, program: Path) -> Iterator[Problem]:
    """Everything that would keep the service from working, known before anything is done."""
    places = {"--root": order.root, "program": program}
    places |= {"--model": order.model} if order.model else {}
    for name, path in places.items():
        for hidden in (it for it in _HIDDEN if path.is_relative_to(it)):
            what = f"{path} lies in {hidden}, which the service cannot see"
            yield Problem(name, what, "put it elsewhere: /srv, /models and /opt are good places")
        if not _UNQUOTED.fullmatch(str(path)):
            what = f"{path} has characters that a unit would have to quote"
            yield Problem(name, what, "choose a path of letters, digits and ._-")
    for option, value in (("--user", order.user), ("--group", order.group)):
        if not _NAME.fullmatch(value):
            advice = "use small letters, digits, - and _, at most 31"
            yield Problem(option, f"{value!r} is no name that systemd takes", advice)
    if order.user == "root":
        yield Problem("--user", "the service is not to run as root", "leave --user out")
