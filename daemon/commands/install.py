"""`hotfolder install` and `hotfolder uninstall`: shows each step, and does what is left of it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from config.problems import Problem, UserError
from config.settings import ModelSettings
from config.settings_file import SYSTEM_FILE, load
from daemon.commands import ExitCode
from daemon.commands.check_machine import NoGpu, find_gpu
from daemon.commands.output import Output
from daemon.fs.local import nearest_existing
from daemon.fs.mounts import find_mount
from daemon.install import plan
from daemon.install.plan import InstallRequest, Machine, request_problems
from daemon.install.steps import Step, carry_out, is_done
from pipeline import checkpoint
from pipeline.qwen import host_memory, host_plan, model_sizes
from pipeline.qwen.precision import Precision

_BOOTED = Path("/run/systemd/system")  # sd_booted(3)
_START = ("systemctl", "start", "hotfolder")


def install(arguments: argparse.Namespace) -> ExitCode:
    """Install the service, or, with --dry-run, say how."""
    output = Output(sys.stdout, os.environ)
    request = _request(arguments)
    program = Path(sys.prefix) / "bin" / "hotfolder"
    if found := [*request_problems(request, program)]:
        raise UserError(found)
    machine = _machine(request, program)
    _work(plan.install(request, machine), output, is_dry=arguments.dry_run)
    if arguments.dry_run:
        output.line("Nothing was changed: this was a dry run.")
        return ExitCode.FINE
    return _check_and_start(request, machine, output)


def uninstall(arguments: argparse.Namespace) -> ExitCode:
    """Take the service away, or, with --dry-run, say how."""
    output = Output(sys.stdout, os.environ)
    _work(plan.uninstall(is_booted=_BOOTED.is_dir()), output, is_dry=arguments.dry_run)
    kept = f"hot folders, {SYSTEM_FILE.parent}, /var/lib/hotfolder, /var/cache/hotfolder"
    output.line(f"These stay as they are: {kept}, and the user.")
    return ExitCode.FINE


def _request(arguments: argparse.Namespace) -> InstallRequest:
    return InstallRequest(
        root=arguments.root.absolute(),
        model=arguments.model.absolute() if arguments.model else None,
        user=arguments.user,
        group=arguments.group or arguments.user,
        is_to_start=arguments.start,
    )


def _machine(request: InstallRequest, program: Path) -> Machine:
    point = _mount_point(request.root)
    return Machine(
        program=program,
        memory_bytes=host_memory.total_bytes(),
        model_bytes=_model_bytes(request.model),
        mount_point=point,
        mount_unit=_mount_unit(point) if point is not None else "",
        is_booted=_BOOTED.is_dir(),
    )


def _mount_point(root: Path) -> str | None:
    mount = find_mount(nearest_existing(root))
    return mount.point if mount is not None and mount.is_share else None


def _mount_unit(point: str) -> str:
    words = ("systemd-escape", "--path", "--suffix=mount", point)
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def _model_bytes(named: Path | None) -> int | None:
    """What the model may ever take on this machine; raises UserError where it is not whole.

    By all of its memory, not by what is free now: more may be at a later start.
    """
    settings = _model_settings()
    path = named or settings.path
    if path is None:
        return None
    found = checkpoint.read(path)
    limits = host_plan.limits_of(
        found,
        settings,
        Precision.BF16,
        available_bytes=host_memory.total_bytes(),
        budget_bytes=None if isinstance(find_gpu(os.environ), NoGpu) else 0,
    )
    return host_plan.most_bytes(model_sizes.read(found, Precision.BF16.item_bytes), limits)


def _model_settings() -> ModelSettings:
    """Those that the service will have; faulty ones are told where they are looked at."""
    try:
        return load(SYSTEM_FILE).model if SYSTEM_FILE.exists() else ModelSettings()
    except UserError:
        return ModelSettings()


def _work(steps: Iterable[Step], output: Output, *, is_dry: bool) -> None:
    if not is_dry and os.geteuid() != 0:
        advice = "run it with sudo, or see what it would do with --dry-run"
        raise UserError([Problem("hotfolder", "only root can change the services", advice)])
    os.umask(0o022)  # whatever the administrator's: the service's user reads what is made here
    has_changed = False
    for step in steps:
        if is_done(step, has_changed=has_changed):
            output.line(f"as it is  {step}")
            continue
        if not is_dry:
            carry_out(step)
        output.line(f"{'would' if is_dry else 'done':<8}  {step}")
        has_changed = True


def _check_and_start(request: InstallRequest, machine: Machine, output: Output) -> ExitCode:
    code = ExitCode.CONFIGURATION if _is_told_otherwise(request, output) else ExitCode.FINE
    code = _check(request, machine.program) or code
    if code is not ExitCode.FINE:
        output.line(
            "The service is installed. Mend the problems above, then: systemctl start hotfolder"
        )
        return code
    if not request.is_to_start:
        output.line("Next: systemctl start hotfolder")
    elif machine.is_booted:
        output.line("Starting: this lasts until the model is loaded.")
        if subprocess.run(_START, check=False).returncode != 0:
            output.line("It did not start: journalctl -xu hotfolder says why.")
            return ExitCode.JOBS_FAILED
        output.line("Hotfolder runs: systemctl status hotfolder")
    return ExitCode.FINE


def _is_told_otherwise(request: InstallRequest, output: Output) -> bool:
    """Whether settings that were there before, and stay, say something else; says what."""
    try:
        settings = load(SYSTEM_FILE)
    except UserError:
        return False  # the check names every problem
    told = {folder.root for folder in settings.folders}
    if request.root not in told:
        output.line(
            f"problem   {SYSTEM_FILE} does not name {request.root}: add `- root: {request.root}`"
        )
        output.line("          under its folders.")
    if request.model not in (None, settings.model.path):
        output.line(f"problem   {SYSTEM_FILE} names another model: write path: {request.model}")
    return request.root not in told or request.model not in (None, settings.model.path)


def _check(request: InstallRequest, program: Path) -> ExitCode:
    """Look at everything with the eyes of the service's user."""
    done = subprocess.run(
        [program, "--config", SYSTEM_FILE, "check"],
        user=request.user,
        group=request.group,
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
