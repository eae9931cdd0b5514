"""What is done to install or uninstall the service, in order: decided here, done elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from config.settings_file import SYSTEM_FILE
from daemon.fs.hot_folder import SHOWN
from daemon.install import files
from daemon.install.files import InstallRequest, Machine
from daemon.install.steps import Call, MakeFolder, MakeHotFolder, Remove, Step, Write

UNITS = Path("/etc/systemd/system")
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


def install(request: InstallRequest, machine: Machine) -> Iterator[Step]:
    """All acts of an installation, without the start."""
    yield Write(_USERS, files.users(request))
    user, group = request.user, request.group
    sysusers = ("systemd-sysusers", str(_USERS))
    yield Call(sysusers, unless=("getent", "passwd", user))
    yield Write(SYSTEM_FILE, files.settings(request), keep=True)
    yield Write(_LOCAL, files.local_folders(request))
    yield Call(("systemd-tmpfiles", "--create", str(_LOCAL)))
    yield MakeHotFolder(request.root)
    inner = (".hotfolder", ".hotfolder/work", ".hotfolder/lease")
    for name in ("", *SHOWN, *inner):
        yield MakeFolder(request.root / name, user, group, _SHARED)
    yield from (Write(UNITS / name, files.unit(name, machine.program)) for name in _NAMES)
    yield Write(_INSTALLED, files.drop_in(request, machine))
    yield Write(_FOR_MANY, files.account(request))
    if machine.mount_point is not None:
        yield Write(_NAS, files.nas(machine))
    yield Write(_PAGE, files.operations())
    yield Write(_CATALOG, files.shipped("hotfolder.catalog"))
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
        is_down = ("sh", "-c", "! systemctl is-active hotfolder")
        yield Call(("systemctl", "stop", "hotfolder"), unless=is_down)
    yield Call(("systemctl", "disable", "hotfolder"), unless=is_off)
    yield from (Remove(UNITS / name) for name in _NAMES)
    files = (_INSTALLED, _FOR_MANY, _NAS, _USERS, _LOCAL, _CATALOG, _PAGE)
    yield from (Remove(path) for path in files)
    yield _UPDATE_CATALOG
    if is_booted:
        yield _RELOAD
