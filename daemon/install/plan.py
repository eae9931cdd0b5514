"""What is done to install or uninstall the service, in order: decided here, done elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.problems import Problem
from config.settings_file import SYSTEM_FILE, default_text
from daemon.fs.hot_folder import SHOWN
from daemon.install.steps import Call, MakeFolder, MakeHotFolder, Remove, Step, Write

_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")  # as systemd-sysusers takes it
_UNQUOTED = re.compile(r"[\w./+:@,-]+")
_PROGRAM = "/opt/hotfolder/bin/hotfolder"  # in the shipped units
_BESIDE = Path(__file__).parent / "systemd"  # where a wheel has them
_IN_TREE = Path(__file__).parents[2] / "systemd"
_GIB = 2**30
_MIB = 2**20
# Two pixel workers of 8 GiB, the daemon, the libraries of the model.
_AROUND_BYTES = 20 * _GIB
_NO_PATH = "  path: null\n"
_UNITS = Path("/etc/systemd/system")
_NAMES = (
    *("hotfolder.service", "hotfolder@.service", "hotfolder-alert@.service"),
    *("hotfolder-hook@.path", "hotfolder-hook@.service"),
)
_DROP_INS = _UNITS / "hotfolder.service.d"
_FOR_MANY = _UNITS / "hotfolder@.service.d" / "10-install.conf"
_OF_HOOKS = _UNITS / "hotfolder-hook@.service.d" / "10-install.conf"
_INSTALLED, _NAS = _DROP_INS / "10-install.conf", _DROP_INS / "20-nas.conf"
_USERS = Path("/etc/sysusers.d/hotfolder.conf")
_CATALOG = Path("/usr/local/lib/systemd/catalog/hotfolder.catalog")
_PAGE = Path("/usr/local/share/doc/hotfolder/operations.md")
_LOCAL = Path("/etc/tmpfiles.d/hotfolder.conf")
_SHARED = 0o2770  # what is made in it belongs to its group
_UPDATE_CATALOG = Call(("journalctl", "--update-catalog"))
_ALL = ("hotfolder.service", "hotfolder@*.service", "hotfolder-hook@*")
# One that is starting, ending or about to be started again is neither up nor down: `is-active`
# would say that it is not active.
_DOWN = "^ActiveState=(inactive|failed)$"
_STATES = f"systemctl show --property=ActiveState {' '.join(map(repr, _ALL))}"
_ARE_DOWN = ("sh", "-c", f"! {_STATES} | grep . | grep -qvE '{_DOWN}'")
_NO_OTHERS = ("sh", "-c", f"! ls {_UNITS}/*.wants/hotfolder@?*.service")
_RELOAD = Call(("systemctl", "daemon-reload"))


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallRequest:
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
    memory_bytes: int  # all of its main memory
    model_bytes: int | None  # of it, that the model takes at most; None: it is not known
    mount_point: str | None  # of the share that the hot folder lies on
    mount_unit: str  # its unit
    is_booted: bool  # with systemd


def request_problems(request: InstallRequest, program: Path) -> Iterator[Problem]:
    """Everything that would keep the service from working, known before anything is done."""
    local_dirs = {"--root": request.root, "program": program}
    local_dirs |= {"--model": request.model} if request.model else {}
    for name, path in local_dirs.items():
        for hidden in (it for it in _HIDDEN if path.is_relative_to(it)):
            what = f"{path} lies in {hidden}, which the service cannot see"
            yield Problem(name, what, "put it elsewhere: /srv, /models and /opt are good places")
        if not _UNQUOTED.fullmatch(str(path)):
            what = f"{path} has characters that a unit would have to quote"
            yield Problem(name, what, "choose a path of letters, digits and ._-")
    for option, value in (("--user", request.user), ("--group", request.group)):
        if not _NAME.fullmatch(value):
            advice = "use small letters, digits, - and _, at most 31"
            yield Problem(option, f"{value!r} is no name that systemd takes", advice)
    if request.user == "root":
        yield Problem("--user", "the service is not to run as root", "leave --user out")


def install(request: InstallRequest, machine: Machine) -> Iterator[Step]:
    """All acts of an installation, without the start."""
    yield Write(_USERS, users(request))
    user, group = request.user, request.group
    sysusers = ("systemd-sysusers", str(_USERS))
    yield Call(sysusers, unless=("getent", "passwd", user))
    yield Write(SYSTEM_FILE, _settings(request), keep=True)
    yield Write(_LOCAL, _local_folders(request))
    yield Call(("systemd-tmpfiles", "--create", str(_LOCAL)))
    yield MakeHotFolder(request.root)
    inner = (".hotfolder", *(f".hotfolder/{name}" for name in ("work", "lease", "filed")))
    for name in ("", *SHOWN, *inner):
        yield MakeFolder(request.root / name, user, group, _SHARED)
    yield from (Write(_UNITS / name, _unit(name, machine.program)) for name in _NAMES)
    yield Write(_INSTALLED, _drop_in(request, machine))
    yield Write(_FOR_MANY, _account(request))
    yield Write(_OF_HOOKS, _account(request))
    if machine.mount_point is not None:
        yield Write(_NAS, _nas(machine))
    yield Write(_PAGE, _operations())
    yield Write(_CATALOG, shipped("hotfolder.catalog"))
    yield _UPDATE_CATALOG
    if machine.is_booted:
        yield _RELOAD
    yield Call(
        ("systemctl", "enable", "hotfolder"), unless=("systemctl", "is-enabled", "hotfolder")
    )


def uninstall(*, is_booted: bool) -> Iterator[Step]:
    """All acts that take the service away; data, settings and user stay."""
    is_off = ("sh", "-c", "! systemctl is-enabled hotfolder")
    if is_booted:
        yield Call(("systemctl", "stop", *_ALL), unless=_ARE_DOWN)
    yield Call(("systemctl", "disable", "hotfolder"), unless=is_off)
    yield Call(("systemctl", "disable", "hotfolder@.service"), unless=_NO_OTHERS)
    yield from (Remove(_UNITS / name) for name in _NAMES)
    files = (_INSTALLED, _FOR_MANY, _OF_HOOKS, _NAS, _USERS, _LOCAL, _CATALOG, _PAGE)
    yield from (Remove(path) for path in files)
    yield _UPDATE_CATALOG
    if is_booted:
        yield _RELOAD


def shipped(name: str) -> str:
    """A file of systemd/, as it is shipped."""
    folder = _BESIDE if _BESIDE.is_dir() else _IN_TREE
    return (folder / name).read_text(encoding="utf-8")


def _operations() -> str:
    """The page that units and journal refer to."""
    beside = Path(__file__).parent / "operations.md"
    in_tree = Path(__file__).parents[2] / "docs" / "operations.md"
    return (beside if beside.exists() else in_tree).read_text(encoding="utf-8")


def _unit(name: str, program: Path) -> str:
    """A unit that calls this program."""
    return shipped(name).replace(_PROGRAM, str(program))


def _account(request: InstallRequest) -> str:
    """What makes every shipped unit that of this user."""
    lines = [
        "# Written by `hotfolder install`, and written again by it. Your own changes stay with",
        "# `systemctl edit`.",
        "[Service]",
        f"User={request.user}",
        f"Group={request.group}",
    ]
    return "\n".join([*lines, ""])


def _drop_in(request: InstallRequest, machine: Machine) -> str:
    """What makes the shipped unit that of this machine."""
    lines = [
        "# Minus: a share that is away keeps no daemon from waiting for it.",
        f"ReadWritePaths=-{request.root}",
    ]
    if machine.model_bytes is not None:
        lines += [
            f"# The model takes {machine.model_bytes / _GIB:.1f} GiB at most; the rest is for",
            "# pictures. A process that grows without end is ended before the machine suffers.",
            "# After a change of model, settings or memory run `hotfolder install` again.",
            f"MemoryMax={_memory_limit(machine.model_bytes, machine.memory_bytes)}",
        ]
    return "\n".join([_account(request), *lines, ""])


def _memory_limit(model_bytes: int, memory_bytes: int) -> str:
    """What model and pictures may take; where they may take all that there is, all of it."""
    needed_gib = -(-(model_bytes + _AROUND_BYTES) // _GIB)
    if needed_gib * _GIB < memory_bytes:
        return f"{needed_gib}G"
    return f"{memory_bytes // _MIB}M"


def _nas(machine: Machine) -> str:
    """The drop-in for a share: the service comes and goes with its mount."""
    assert machine.mount_point is not None
    text = shipped("nas.conf").replace("srv-hot.mount", machine.mount_unit)
    return text.replace("=/srv/hot\n", f"={machine.mount_point}\n")


def users(request: InstallRequest) -> str:
    """User and group, for systemd-sysusers."""
    lines = (
        f"g {request.group} -",
        f'u {request.user} -:{request.group} "Hotfolder" /var/lib/hotfolder',
    )
    comments = (line for line in shipped("hotfolder.sysusers").splitlines() if line[0] == "#")
    return "\n".join([*comments, *lines, ""])


def _local_folders(request: InstallRequest) -> str:
    """The folders beside the hot folder, for systemd-tmpfiles."""
    owned = f"0750 {request.user} {request.group} "
    return shipped("hotfolder.tmpfiles").replace("0750 hotfolder hotfolder ", owned)


def _settings(request: InstallRequest) -> str:
    """The first settings."""
    text = default_text(request.root)
    if request.model is None:
        return text
    return text.replace(_NO_PATH, f"  path: {json.dumps(str(request.model))}\n", 1)
