"""The files of an installation: the shipped ones, made to fit what is asked for."""

from __future__ import annotations

import json
from pathlib import Path

from config.settings import default_text
from daemon.installing.order import Machine, Order

PROGRAM = "/opt/hotfolder/bin/hotfolder"  # in the shipped units
_BESIDE = Path(__file__).parent / "systemd"  # where a wheel has them
_IN_TREE = Path(__file__).parents[2] / "systemd"
_GIB = 2**30
# Two pixel workers of 8 GiB, the daemon, the libraries of the model.
_AROUND_BYTES = 20 * _GIB
_NO_PATH = "  path: null\n"


def shipped(name: str) -> str:
    """A file of systemd/, as it is shipped."""
    folder = _BESIDE if _BESIDE.is_dir() else _IN_TREE
    return (folder / name).read_text(encoding="utf-8")


def operations() -> str:
    """The page that units and journal refer to."""
    beside = Path(__file__).parent / "operations.md"
    in_tree = Path(__file__).parents[2] / "docs" / "operations.md"
    return (beside if beside.exists() else in_tree).read_text(encoding="utf-8")


def unit(name: str, program: Path) -> str:
    """A unit that calls this program."""
    return shipped(name).replace(PROGRAM, str(program))


def account(order: Order) -> str:
    """What makes every shipped unit that of this user."""
    lines = [
        "# Written by `hotfolder install`, and written again by it. Your own changes stay with",
        "# `systemctl edit`.",
        "[Service]",
        f"User={order.user}",
        f"Group={order.group}",
    ]
    return "\n".join([*lines, ""])


def drop_in(order: Order, machine: Machine) -> str:
    """What makes the shipped unit that of this machine."""
    lines = [
        "# Minus: a share that is away keeps no daemon from waiting for it.",
        f"ReadWritePaths=-{order.root}",
    ]
    if machine.model_bytes is not None:
        most = -(-(machine.model_bytes + _AROUND_BYTES) // _GIB)
        needed = f"{machine.model_bytes / _GIB:.1f} GiB"
        lines += [
            f"# The model needs {needed}; the rest is for pictures. A process that grows without",
            "# end is ended before the machine suffers.",
            f"MemoryMax={most}G",
        ]
    return "\n".join([account(order), *lines, ""])


def nas(machine: Machine) -> str:
    """The drop-in for a share: the service comes and goes with its mount."""
    assert machine.mount_point is not None
    text = shipped("nas.conf").replace("srv-hot.mount", machine.mount_unit)
    return text.replace("=/srv/hot\n", f"={machine.mount_point}\n")


def users(order: Order) -> str:
    """User and group, for systemd-sysusers."""
    lines = (
        f"g {order.group} -",
        f'u {order.user} -:{order.group} "Hotfolder" /var/lib/hotfolder',
    )
    comments = (line for line in shipped("hotfolder.sysusers").splitlines() if line[0] == "#")
    return "\n".join([*comments, *lines, ""])


def local_folders(order: Order) -> str:
    """The folders beside the hot folder, for systemd-tmpfiles."""
    owned = f"0750 {order.user} {order.group} "
    return shipped("hotfolder.tmpfiles").replace("0750 hotfolder hotfolder ", owned)


def settings(order: Order) -> str:
    """The first settings."""
    text = default_text(order.root)
    if order.model is None:
        return text
    return text.replace(_NO_PATH, f"  path: {json.dumps(str(order.model))}\n", 1)
