"""A warm process that runs the real command again and again, each time in a fork of itself."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from faults import Fault, Ledger, Way

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_MODULES = (
    "daemon.commands.run pipeline.pixel_worker pipeline.editor_worker pipeline.picture.tasks"
)
_DYING_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Run:
    """How one run of the command ended."""

    code: int  # as the shell says it, and 137 for one that was killed
    seconds: float
    output: str
    steps: tuple[str, ...]  # that it took below the hot folder; those that change it begin with !
    orphans: int  # processes that outlived it for too long


class Warm:
    """The warm process, seen from a test."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "warm"],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)},
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        words: Sequence[object],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        root: Path,
        fault: Fault | None = None,
        roles: Mapping[str, str] | None = None,
        seconds: float = 150.0,
    ) -> Run:
        """Run `hotfolder` in a fork; `roles` names other modules for its child processes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {
            "words": list(map(str, words)),
            "cwd": str(cwd),
            "environment": dict(environment),
            "root": str(root),
            "fault": asdict(fault) if fault else None,
            "roles": dict(roles or {}),
            "seconds": seconds,
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Run(**{**answer, "steps": tuple(answer["steps"])})

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


class _Forked:
    """A child process like that of subprocess.Popen, which begins in a fork instead of anew."""

    roles: Mapping[str, str] = {}

    def __init__(self, command: Sequence[str], *, pass_fds: Sequence[int], **_: object) -> None:
        # python -P -m MODULE DESCRIPTOR DAEMON
        module, arguments, (descriptor,) = command[3], command[4:], pass_fds
        heard, said = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _be_child(self.roles.get(module, module), arguments, descriptor, said)
        os.close(said)
        self.stdout: IO[bytes] = os.fdopen(heard, "rb", 0)
        self._code: int | None = None

    def kill(self) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self._code is None:
            pid, status = os.waitpid(self.pid, 0 if timeout is None else os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("child", timeout or 0.0)
            else:
                signal.sigtimedwait((), 0.01)
        return self._code


def _be_child(module: str, arguments: Sequence[str], descriptor: int, output: int) -> NoReturn:
    os.setpgid(0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, 1024)
    sys.stdout = os.fdopen(1, "w", 1, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, closefd=False)
    sys.argv = [module, *arguments]
    code = 1
    try:
        importlib.import_module(module).main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        os._exit(code)


def _serve() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for module in _MODULES.split():
        importlib.import_module(module)
    for line in sys.stdin:
        print(json.dumps(_do(json.loads(line))), flush=True)


def _do(order: dict[str, Any]) -> dict[str, Any]:
    cwd, began = Path(order["cwd"]), time.monotonic()
    pid = os.fork()
    if pid == 0:
        _be_daemon(order, cwd)
    code = _end_of(pid, order["seconds"])
    return {
        "code": code,
        "seconds": time.monotonic() - began,
        "orphans": _orphans(),
        "output": (cwd / "output").read_text(errors="replace"),
        "steps": (cwd / "steps").read_text(errors="replace").splitlines(),
    }


def _be_daemon(order: dict[str, Any], cwd: Path) -> NoReturn:
    code = 70
    try:
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(order["environment"])
        output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for target in (1, 2):
            os.dup2(output, target)
        steps = os.open("steps", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        _install(order, steps)
        code = importlib.import_module("daemon.cli").main(order["words"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _install(order: dict[str, Any], steps: int) -> None:
    faulthandler.enable()
    _Forked.roles = order["roles"]
    subprocess.Popen = _Forked  # type: ignore[assignment, misc]
    fault = order["fault"]
    write = os.write
    manifest = Ledger(
        order["root"],
        Fault(**{**fault, "way": Way(fault["way"])}) if fault else None,
        lambda step: write(steps, step.encode(errors="replace")),
    )
    manifest.install()


def _end_of(pid: int, seconds: float) -> int:
    """The exit code of a process that has so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        signal.sigtimedwait((), 0.005)
    os.kill(pid, signal.SIGABRT)  # says where each thread stands
    os.waitpid(pid, 0)
    return 124


def _orphans() -> int:
    """How many processes of a daemon that has ended do not end by themselves."""
    deadline = time.monotonic() + _DYING_SECONDS
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                signal.sigtimedwait((), 0.005)
    mine = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for pid in map(int, mine):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(mine)


if __name__ == "__main__":
    _serve()
