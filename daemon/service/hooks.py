"""Programs of the administrator that are told of what has ended: at most once each, in turn.

The daemon only puts calls into a spool of the state folder, and never waits. They are run beside
it: by the unit hotfolder-hook@, outside the confinement of the service, or, without systemd, by a
thread. Which program that is, the settings say and never the spool: whoever could write there
chooses no program.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config import codec
from config.problems import Problem
from config.settings import HookSettings
from config.settings_file import custody_problems
from daemon.clock import Clock
from daemon.events.events import HookFailed, HookRun
from daemon.job import State
from daemon.jobs.completion import Outcome

RUN_SECONDS = 60.0
MOST_WAITING = 1000
BY_UNIT = "unit"  # what HOTFOLDER_HOOKS says where systemd runs them
_LAST_WORDS_BYTES = 4096
_IDLE_SECONDS = 5.0
_FOLDER = "hooks"
_SUFFIX = ".json"
# What the program gets beside the facts: nothing of the daemon's own, no LD_PRELOAD.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")


@dataclass(frozen=True, slots=True, kw_only=True)
class HookCall:
    """One call of a program, by what has happened."""

    event: str  # "on_done", "on_failed", "on_idle"
    path: str = ""  # of the receipt or the report, absolute; the last argument
    facts: Mapping[str, str]  # of the environment: HOTFOLDER_…


def calls_of(outcome: Outcome) -> Iterator[HookCall]:
    """The calls that the end of a job is for: one a receipt, or one for its report."""
    is_failure = outcome.state in (State.FAILED, State.QUARANTINED)
    for result, record in zip(outcome.results or ("",), outcome.records, strict=True):
        facts = {
            "HOTFOLDER_EVENT": "on_failed" if is_failure else "on_done",
            "HOTFOLDER_ROOT": outcome.root,
            "HOTFOLDER_JOB": outcome.job_id,
            "HOTFOLDER_FILE": outcome.path,
            "HOTFOLDER_STATE": str(outcome.state),
            "HOTFOLDER_RESULT": f"{outcome.root}/{result}" if result else "",
        }
        yield HookCall(
            event=facts["HOTFOLDER_EVENT"], path=f"{outcome.root}/{record}", facts=facts
        )


def words_of(hooks: HookSettings, event: str) -> tuple[str, ...]:
    """The program of an event with its arguments; empty where there is none."""
    return _words_by_event(hooks).get(event, ())


def _words_by_event(hooks: HookSettings) -> Mapping[str, tuple[str, ...]]:
    return {"on_done": hooks.on_done, "on_failed": hooks.on_failed, "on_idle": hooks.on_idle}


def hook_problems(hooks: HookSettings, roots: Sequence[Path]) -> Iterator[Problem]:
    """Why programs must not be run: they are missing, or others could put theirs there."""
    for event, words in _words_by_event(hooks).items():
        if words:
            yield from _program_problems(f"hooks.{event}", Path(words[0]), roots)


def _program_problems(where: str, program: Path, roots: Sequence[Path]) -> Iterator[Problem]:
    try:
        status, real = program.stat(), program.resolve()
        custody = [*custody_problems(program, status, user=os.geteuid(), named=True)]
    except OSError as error:
        advice = "write the path of a program; the service sees none in /home, /root and /tmp"
        yield Problem(where, f"{program} cannot be looked at ({error.strerror})", advice)
        return
    yield from (Problem(where, f"{program} {it.what}", it.advice) for it in custody)
    if not (program.is_file() and os.access(program, os.X_OK)):
        yield Problem(where, f"{program} is no program", f"run: chmod +x {program}")
    if status.st_uid not in (0, os.geteuid()):
        what = f"{program} belongs to user {status.st_uid}, neither to the daemon's nor to root"
        yield Problem(where, what, f"run: chown root {program}")
    for root in roots:
        if real.is_relative_to(root) or program.is_relative_to(root):
            what = f"{program} lies in the hot folder {root}, where people drop files"
            yield Problem(where, what, "move it out, /etc/hotfolder is a good place")


class HookSpool:
    """The calls that wait, oldest first, as files of the state folder."""

    def __init__(self, state: Path) -> None:
        self._state, self.folder = state, state / _FOLDER
        self._numbers = itertools.count()

    def put(self, call: HookCall, unix_time: float) -> bool:
        """Have a call wait; False where too many wait already. Raises OSError."""
        self.folder.mkdir(mode=0o750, exist_ok=True)
        if len(self._names()) >= MOST_WAITING:
            return False
        # Not fsynced: a power cut may take a call, as a daemon that is killed before it may.
        half = self._state / f".hook-{secrets.token_hex(8)}"
        half.write_text(codec.dump(call), encoding="utf-8")
        number = f"{int(unix_time * 1000):015d}-{next(self._numbers):06d}"
        half.rename(self.folder / f"{number}{_SUFFIX}")
        return True

    def take(self) -> HookCall | None:
        """The oldest call, which waits no more; None where none does. Raises OSError.

        Gone before it is run: one that is killed half-way is never run twice.
        """
        for name in self._names():
            path = self.folder / name
            with contextlib.suppress(ValueError, FileNotFoundError):
                text = path.read_text(encoding="utf-8")
                path.unlink()
                return codec.load(HookCall, text)
            path.unlink(missing_ok=True)  # it is none of ours, and would wait for ever
        return None

    def has_some(self) -> bool:
        """Whether any wait."""
        return bool(self._names())

    def _names(self) -> list[str]:
        try:
            return sorted(it.name for it in self.folder.iterdir() if it.suffix == _SUFFIX)
        except FileNotFoundError:
            return []


def run_all(
    spool: HookSpool,
    hooks: Callable[[], HookSettings],
    tell: Callable[[HookRun | HookFailed], None],
    is_to_end: Callable[[], bool] = lambda: False,
) -> None:
    """Run what waits, one after the other, until nothing does."""
    while not is_to_end() and (call := spool.take()) is not None:
        if words := words_of(hooks(), call.event):
            tell(run_one(words, call, is_to_end))


def run_one(
    words: Sequence[str], call: HookCall, is_to_end: Callable[[], bool] = lambda: False
) -> HookRun | HookFailed:
    """Run one program to its end, and say how it went; it is killed after RUN_SECONDS."""
    command = [*words, *([call.path] if call.path else [])]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    about = call.facts.get("HOTFOLDER_FILE", "")
    try:
        process = subprocess.Popen(
            command,
            env={**environment, **call.facts},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return HookFailed(hook=call.event, program=words[0], path=about, reason=why, words="")
    said, is_late = _listen(process, is_to_end)
    code = process.returncode
    if code == 0:
        return HookRun(hook=call.event, program=words[0], path=about, words=said)
    reason = f"it took longer than {RUN_SECONDS:g} s" if is_late else _how(code)
    return HookFailed(hook=call.event, program=words[0], path=about, reason=reason, words=said)


def _how(code: int) -> str:
    return f"exit status {code}" if code > 0 else f"killed by {signal.Signals(-code).name}"


def _listen(process: subprocess.Popen[bytes], is_to_end: Callable[[], bool]) -> tuple[str, bool]:
    """What a program prints last until it ends, and whether it took too long."""
    assert process.stdout is not None
    deadline, tail, is_open = time.monotonic() + RUN_SECONDS, b"", True
    while process.poll() is None and time.monotonic() < deadline and not is_to_end():
        if not is_open:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        elif select.select([process.stdout], [], [], 0.1)[0]:
            chunk = os.read(process.stdout.fileno(), 1 << 16)
            tail, is_open = (tail + chunk)[-_LAST_WORDS_BYTES:], bool(chunk)
    is_late = process.poll() is None and not is_to_end()
    # What it has left behind ends with it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    os.set_blocking(process.stdout.fileno(), False)
    with contextlib.suppress(BlockingIOError):
        tail = (tail + os.read(process.stdout.fileno(), 1 << 16))[-_LAST_WORDS_BYTES:]
    process.stdout.close()
    return tail.decode("utf-8", "replace").strip(), is_late


class Hooks:
    """The daemon's side: what has ended becomes calls, and without systemd a thread runs them."""

    def __init__(
        self,
        spool: HookSpool,
        hooks: Callable[[], HookSettings],
        tell: Callable[[HookRun | HookFailed], None],
        clock: Clock,
        *,
        by_unit: bool,
    ) -> None:
        self._spool, self._hooks, self._tell, self._clock = spool, hooks, tell, clock
        self._by_unit = by_unit
        self._wake, self._is_ending = threading.Event(), False
        self._seconds_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_told = False  # that too many wait, or that the spool cannot be written
        self._has_worked, self._idle_since = False, 0.0

    def start(self) -> None:
        """Have what an earlier daemon has left be run."""
        if self._spool.has_some():
            self._wake_up()

    def ended(self, outcome: Outcome) -> None:
        """Take note of the end of a job."""
        self._has_worked = True
        for call in calls_of(outcome):
            self._put(call)

    def observe(self, now: float, *, is_idle: bool) -> None:
        """See whether all work is done, and has been for a moment."""
        if not is_idle or not self._has_worked:
            self._idle_since = now
        elif now >= self._idle_since + _IDLE_SECONDS:
            self.idle()

    def idle(self) -> None:
        """Take note that all work is done, where there was any."""
        if self._has_worked:
            self._has_worked = False
            self._put(HookCall(event="on_idle", facts={"HOTFOLDER_EVENT": "on_idle"}))

    def close(self, seconds: float) -> None:
        """Give what waits a while to be run; the rest waits for the next start."""
        if self._thread is not None:
            self._is_ending = True
            self._wake.set()
            self._thread.join(seconds)
            self._seconds_over.set()
            self._thread.join(1.0)

    def _put(self, call: HookCall) -> None:
        if not words_of(self._hooks(), call.event):
            return
        try:
            is_put, why = self._spool.put(call, self._clock.time()), f"{MOST_WAITING} wait already"
        except OSError as error:
            is_put, why = False, error.strerror or str(error)
        if is_put:
            self._is_told = False
            self._wake_up()
        elif not self._is_told:
            self._is_told = True
            about = call.facts.get("HOTFOLDER_FILE", "")
            reason = f"it was not called: {why}"
            self._tell(
                HookFailed(hook=call.event, program="", path=about, reason=reason, words="")
            )

    def _wake_up(self) -> None:
        if self._by_unit:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="hooks", daemon=True)
            self._thread.start()
        self._wake.set()

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            with contextlib.suppress(OSError):
                run_all(self._spool, self._hooks, self._tell, self._seconds_over.is_set)
            if self._is_ending:
                return
