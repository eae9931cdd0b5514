"""`hotfolder install` and `hotfolder uninstall`: shows each step, and does what is left of it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from config.problems import Problem, UserError
from config.settings import SYSTEM_FILE, load
from daemon.cli import ExitCode
from daemon.commands.page import Page
from daemon.inbox import mounts
from daemon.installing import planning
from daemon.installing.acts import Act, do, is_done
from daemon.installing.order import Machine, Order, problems
from pipeline import checkpoint
from pipeline.qwen import memory

_ITEM_BYTES = 2  # of a number in bf16
_BOOTED = Path("/run/systemd/system")  # sd_booted(3)
_START = ("systemctl", "start", "hotfolder")


def install(arguments: argparse.Namespace) -> ExitCode:
    """Install the service, or, with --dry-run, say how."""
    page = Page(sys.stdout, os.environ)
    order = _order(arguments)
    program = Path(sys.prefix) / "bin" / "hotfolder"
    if found := [*problems(order, program)]:
        raise UserError(found)
    machine = _machine(order, program)
    _work(planning.install(order, machine), page, is_dry=arguments.dry_run)
    if arguments.dry_run:
        page.line("Nothing was changed: this was a dry run.")
        return ExitCode.FINE
    return _check_and_start(order, machine, page)


def uninstall(arguments: argparse.Namespace) -> ExitCode:
    """Take the service away, or, with --dry-run, say how."""
    page = Page(sys.stdout, os.environ)
    _work(planning.uninstall(is_booted=_BOOTED.is_dir()), page, is_dry=arguments.dry_run)
    kept = f"hot folders, {SYSTEM_FILE.parent}, /var/lib/hotfolder, /var/cache/hotfolder"
    page.line(f"These stay as they are: {kept}, and the user.")
    return ExitCode.FINE


def _order(arguments: argparse.Namespace) -> Order:
    return Order(
        root=arguments.root.absolute(),
        model=arguments.model.absolute() if arguments.model else None,
        user=arguments.user,
        group=arguments.group or arguments.user,
        is_to_start=arguments.start,
    )


def _machine(order: Order, program: Path) -> Machine:
    point = _mount_point(order.root)
    return Machine(
        program=program,
        model_bytes=_model_bytes(order.model),
        mount_point=point,
        mount_unit=_mount_unit(point) if point is not None else "",
        is_booted=_BOOTED.is_dir(),
    )


def _mount_point(root: Path) -> str | None:
    there = next(path for path in (root, *root.parents) if path.exists())
    mount = mounts.look(there)
    return mount.point if mount is not None and mount.is_share else None


def _mount_unit(point: str) -> str:
    words = ("systemd-escape", "--path", "--suffix=mount", point)
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def _model_bytes(model: Path | None) -> int | None:
    """What the model needs; raises UserError where it is not whole."""
    if model is None:
        return None
    return memory.needed_bytes(checkpoint.read(model), _ITEM_BYTES)


def _work(acts: Iterable[Act], page: Page, *, is_dry: bool) -> None:
    if not is_dry and os.geteuid() != 0:
        advice = "run it with sudo, or see what it would do with --dry-run"
        raise UserError([Problem("hotfolder", "only root can change the services", advice)])
    os.umask(0o022)  # whatever the administrator's: the service's user reads what is made here
    has_changed = False
    for act in acts:
        if is_done(act, has_changed=has_changed):
            page.line(f"as it is  {act}")
            continue
        if not is_dry:
            do(act)
        page.line(f"{'would' if is_dry else 'done':<8}  {act}")
        has_changed = True


def _check_and_start(order: Order, machine: Machine, page: Page) -> ExitCode:
    code = ExitCode.CONFIGURATION if _is_told_otherwise(order, page) else ExitCode.FINE
    code = _check(order, machine.program) or code
    if code is not ExitCode.FINE:
        page.line(
            "The service is installed. Mend the problems above, then: systemctl start hotfolder"
        )
        return code
    if not order.is_to_start:
        page.line("Next: systemctl start hotfolder")
    elif machine.is_booted:
        page.line("Starting: this lasts until the model is loaded.")
        if subprocess.run(_START, check=False).returncode != 0:
            page.line("It did not start: journalctl -xu hotfolder says why.")
            return ExitCode.JOBS_FAILED
        page.line("Hotfolder runs: systemctl status hotfolder")
    return ExitCode.FINE


def _is_told_otherwise(order: Order, page: Page) -> bool:
    """Whether settings that were there before, and stay, say something else; says what."""
    try:
        settings = load(SYSTEM_FILE)
    except UserError:
        return False  # the check names every problem
    told = {folder.root for folder in settings.folders}
    if order.root not in told:
        page.line(
            f"problem   {SYSTEM_FILE} does not name {order.root}: add `- root: {order.root}`"
        )
        page.line("          under its folders.")
    if order.model not in (None, settings.model.path):
        page.line(f"problem   {SYSTEM_FILE} names another model: write path: {order.model}")
    return order.root not in told or order.model not in (None, settings.model.path)


def _check(order: Order, program: Path) -> ExitCode:
    """Look at everything with the eyes of the service's user."""
    done = subprocess.run(
        [program, "--config", SYSTEM_FILE, "check"],
        user=order.user,
        group=order.group,
        extra_groups=[],
        cwd="/",
        env={
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "STATE_DIRECTORY": "/var/lib/hotfolder",
            "CACHE_DIRECTORY": "/var/cache/hotfolder",
            "HOME": "/var/cache/hotfolder",
        },
        check=False,
    )
    return ExitCode.FINE if done.returncode == 0 else ExitCode.CONFIGURATION
