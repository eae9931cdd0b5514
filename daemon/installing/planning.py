"""What is done to install or uninstall the service, in order: decided here, done elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from config.settings import SYSTEM_FILE
from daemon.installing import papers
from daemon.installing.acts import Act, Call, MakeFolder, MakeHotFolder, Remove, Write
from daemon.installing.order import Machine, Order
from daemon.spool import SHOWN

UNITS = Path("/etc/systemd/system")
SERVICE = UNITS / "hotfolder.service"
_NAMES = ("hotfolder.service", "hotfolder@.service", "hotfolder-alert@.service")
_DROP_INS = UNITS / "hotfolder.service.d"
_FOR_MANY = UNITS / "hotfolder@.service.d" / "10-install.conf"
_INSTALLED, _NAS = _DROP_INS / "10-install.conf", _DROP_INS / "20-nas.conf"
_USERS = Path("/etc/sysusers.d/hotfolder.conf")
_CATALOG = Path("/usr/local/lib/systemd/catalog/hotfolder.catalog")
_PAGE = Path("/usr/local/share/doc/hotfolder/operations.md")
_LOCAL = Path("/etc/tmpfiles.d/hotfolder.conf")
_SHARED = 0o2770  # what is made in it belongs to its group
_UPDATE_CATALOG = Call(("journalctl", "--update-catalog"))
_RELOAD = Call(("systemctl", "daemon-reload"))


def install(order: Order, machine: Machine) -> Iterator[Act]:
    """All acts of an installation, without the start."""
    yield Write(_USERS, papers.users(order))
    user, group = order.user, order.group
    sysusers = ("systemd-sysusers", str(_USERS))
    yield Call(sysusers, unless=("getent", "passwd", user))
    yield Write(SYSTEM_FILE, papers.settings(order), keep=True)
    yield Write(_LOCAL, papers.local_folders(order))
    yield Call(("systemd-tmpfiles", "--create", str(_LOCAL)))
    yield MakeHotFolder(order.root)
    inner = (".hotfolder", ".hotfolder/work", ".hotfolder/lease")
    for name in ("", *SHOWN, *inner):
        yield MakeFolder(order.root / name, user, group, _SHARED)
    yield from (Write(UNITS / name, papers.unit(name, machine.program)) for name in _NAMES)
    yield Write(_INSTALLED, papers.drop_in(order, machine))
    yield Write(_FOR_MANY, papers.account(order))
    if machine.mount_point is not None:
        yield Write(_NAS, papers.nas(machine))
    yield Write(_PAGE, papers.operations())
    yield Write(_CATALOG, papers.shipped("hotfolder.catalog"))
    yield _UPDATE_CATALOG
    if machine.is_booted:
        yield _RELOAD
    yield Call(
        ("systemctl", "enable", "hotfolder"), unless=("systemctl", "is-enabled", "hotfolder")
    )


def uninstall(*, is_booted: bool) -> Iterator[Act]:
    """All acts that take the service away; data, settings and user stay."""
    is_off = ("sh", "-c", "! systemctl is-enabled hotfolder")
    if is_booted:
        is_down = ("sh", "-c", "! systemctl is-active hotfolder")
        yield Call(("systemctl", "stop", "hotfolder"), unless=is_down)
    yield Call(("systemctl", "disable", "hotfolder"), unless=is_off)
    yield from (Remove(UNITS / name) for name in _NAMES)
    files = (_INSTALLED, _FOR_MANY, _NAS, _USERS, _LOCAL, _CATALOG, _PAGE)
    yield from (Remove(path) for path in files)
    yield _UPDATE_CATALOG
    if is_booted:
        yield _RELOAD
