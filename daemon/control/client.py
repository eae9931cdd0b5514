"""How a command asks the daemon of a hot folder: how it stands, or that it does something.

The daemon is found under the path of the hot folder, in the folders where daemons of this machine
listen; where none does, by the lease in the hot folder itself, which says who leads, and where.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from config import codec
from config.problems import Problem, UserError
from daemon.control import listeners
from daemon.control.documents import CommandResult, DaemonStatus, ResultCode
from daemon.control.listeners import LeaderSocket, NearSocket, NotTheDaemon
from daemon.control.protocol import LineError, receive, resolve_root, send
from daemon.fs.access import audience, not_permitted
from daemon.fs.blocking import Stalled, call_with_deadline
from daemon.fs.local_dirs import LocalDirs
from daemon.job import FolderState
from daemon.lease import owner
from daemon.lease.owner import LeaseRecord, Liveness, Owner
from daemon.lease.store import newest_record

THE_DAEMON = "the daemon"
_HELD = "this is what the folder holds now"
NO_DAEMON = f"no daemon is running; {_HELD}"
_SECONDS = 3.0  # a daemon answers within two, or says that it is too busy
_LEASE_SECONDS = 2.0  # a share answers within, where somebody waits
_STATUS = {"verb": "status"}
_FROM_ANYWHERE = {"cancel": "; from here, drop an empty file of its name with .cancel beside it"}


def ask_status(
    local_dirs: LocalDirs, root: Path, question: Mapping[str, str] = _STATUS
) -> tuple[DaemonStatus | None, str]:
    """Ask how a hot folder stands; where nobody tells, the text says why."""
    match ask(local_dirs, root, question):
        case Answer(body):
            try:
                status: DaemonStatus = codec.at(DaemonStatus, body)
            except ValueError:
                return None, _unanswered("it is of another version", "restart it")
            return status, ""
        case Refused(reason, advice, who):
            return None, _unanswered(reason, advice, who)
        case Elsewhere() as other:
            return None, f"{other.where}, and cannot be asked from here; {_HELD}"
        case NobodyThere():
            return None, NO_DAEMON


def _unanswered(reason: str, advice: str, who: str = THE_DAEMON) -> str:
    return f"{who} gave no answer ({reason}: {advice}); {_HELD}"


def send_command(
    request: Mapping[str, str], root: Path, local_dirs: LocalDirs
) -> CommandResult | None:
    """Send a request, as `ask` takes it; None where no daemon serves there.

    Raises UserError where one does and gives no answer, here or on another machine.
    """
    match ask(local_dirs, root, request):
        case Answer(body):
            return result_of(body)
        case Refused(reason, advice, who):
            who = "its daemon" if who == THE_DAEMON else who
            raise UserError([Problem(str(root), f"{who} gave no answer ({reason})", advice)])
        case Elsewhere() as other:
            what = f"{other.where}, and cannot be asked from here; nothing was done"
            advice = f"{other.advice}{_FROM_ANYWHERE.get(request['verb'], '')}"
            raise UserError([Problem(str(root), what, advice)])
        case NobodyThere():
            return None


def result_of(body: Mapping[str, object]) -> CommandResult:
    """What came of a request, by a daemon's answer to it."""
    try:
        return codec.part(CommandResult, body)
    except ValueError:
        return CommandResult(ResultCode.REFUSED, "the daemon is of another version: restart it")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the daemon replied."""

    body: Mapping[str, object]

    @property
    def is_of_standby(self) -> bool:
        """Whether it is of a daemon that leaves the hot folder to another one."""
        match self.body:
            case {"how": ResultCode.STANDBY} | {"folders": [{"state": FolderState.STANDBY}]}:
                return True
            case _:
                return False


@dataclass(frozen=True, slots=True)
class Refused:
    """A daemon is there and gave no answer."""

    reason: str
    advice: str = "ask again in a moment"
    who: str = THE_DAEMON


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """By its lease, a daemon leads the hot folder; it cannot be asked from here."""

    leader: Owner
    is_here: bool  # under this kernel: in a container, perhaps

    @property
    def where(self) -> str:
        """Who it is, as a sentence begins."""
        if self.leader.socket is None:
            return f"{self.leader}, of an earlier version, works on it, or did so last"
        if self.is_here:
            return f"{self.leader} works on it, in a container of this machine"
        return f"{self.leader} works on it, or did so last"

    @property
    def advice(self) -> str:
        """What somebody can do who wants something of it."""
        if self.is_here and self.leader.socket is None:
            return "restart that daemon, then call again"
        if self.is_here:
            return "run this command in that container"
        host = self.leader.host or "that machine"
        return f"run this command on {host}; if that is gone for good, start a daemon here"


@dataclass(frozen=True, slots=True)
class NobodyThere:
    """No daemon serves this hot folder."""


Outcome = Answer | Refused | Elsewhere | NobodyThere


def ask(
    local_dirs: LocalDirs,
    root: Path,
    request: Mapping[str, str],
    timeout_seconds: float = _SECONDS,
) -> Outcome:
    """Ask the daemon of a hot folder; `request` has a "verb", and any texts beside it.

    The folder itself is read only where nobody listens under the path as it is written.
    """
    near = _ask_near(local_dirs, root, request, timeout_seconds)
    match near:
        case Answer() if near.is_of_standby and request["verb"] != "status":
            far = _ask_leader(root, request, timeout_seconds)
            return near if isinstance(far, NobodyThere) else far
        case NobodyThere():
            return _ask_leader(root, request, timeout_seconds)
        case _:
            return near


@dataclass(frozen=True, slots=True)
class _OutOfSight:
    """Where a daemon may listen, we may not look."""

    reason: str
    advice: str


def _ask_near(
    local_dirs: LocalDirs, root: Path, request: Mapping[str, str], timeout_seconds: float
) -> Outcome:
    """Ask who listens under the path of the hot folder, as it is written or without its links."""
    outcome = _ask_each(local_dirs, root, request, timeout_seconds)
    if isinstance(outcome, NobodyThere) and (resolved := resolve_root(root)) != root:
        return _ask_each(local_dirs, resolved, request, timeout_seconds)
    return outcome


def _ask_each(
    local_dirs: LocalDirs, root: Path, request: Mapping[str, str], timeout_seconds: float
) -> Outcome:
    for listener in listeners.near(local_dirs, root):
        match _ask(listener, request, timeout_seconds):
            case NobodyThere() | _OutOfSight():  # then only the lease can say
                pass
            case outcome:
                return outcome
    return NobodyThere()


def _ask_leader(root: Path, request: Mapping[str, str], timeout_seconds: float) -> Outcome:
    """Ask who leads by the lease."""
    match _find_leader(root):
        case LeaderSocket() as listener:
            return _ask_here(listener, request, timeout_seconds)
        case outcome:
            return outcome


def _find_leader(root: Path) -> LeaderSocket | Outcome:
    try:
        record, keeper = call_with_deadline(partial(_read_lease, root), _LEASE_SECONDS)
    except Stalled:
        reason = "the share does not answer, and no daemon listens here under its path"
        return Refused(reason, "ask again when the share is back, or on the daemon's machine")
    except PermissionError as error:
        problem = not_permitted(root, Path(error.filename or root))
        return Refused(problem.what, problem.advice, who="a daemon that may work on it")
    except OSError:
        return NobodyThere()  # no hot folder, or its share is not mounted
    if record is None or record.is_released:
        return NobodyThere()
    return _socket_of(record.owner, keeper)


def _socket_of(leader: Owner, keeper: int) -> LeaderSocket | Elsewhere | NobodyThere:
    me = owner.this_process("")
    is_here = owner.is_of_this_machine(leader, me)
    if owner.liveness_of(leader, me) is Liveness.ENDED:
        return NobodyThere()
    return (
        LeaderSocket(leader, me, keeper)
        if is_here and leader.socket
        else Elsewhere(leader, is_here)
    )


def _read_lease(root: Path) -> tuple[LeaseRecord | None, int]:
    """Who led last, and the number of the user whom the hot folder belongs to."""
    return newest_record(root), (root / ".hotfolder").lstat().st_uid


def _ask_here(
    listener: LeaderSocket, request: Mapping[str, str], timeout_seconds: float
) -> Outcome:
    leader = listener.leader
    match _ask(listener, request, timeout_seconds):
        case NobodyThere() if owner.liveness_of(leader, listener.me) is Liveness.RUNS:
            return Refused("it is just starting, or ending", who=str(leader))
        case NobodyThere():
            return Elsewhere(leader, is_here=True)
        case Refused(reason, advice) | _OutOfSight(reason, advice):
            return Refused(reason, advice, who=str(leader))
        case outcome:
            return outcome


def _ask(
    listener: NearSocket | LeaderSocket, request: Mapping[str, str], timeout_seconds: float
) -> Outcome | _OutOfSight:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_seconds)
            listener.connect(connection)
            send(connection, request, timeout_seconds)
            body = receive(connection, timeout_seconds)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return NobodyThere()
    except PermissionError:
        users, advice = audience(listener.file)
        return _OutOfSight(f"it answers only {users}", advice)
    except NotTheDaemon as error:
        return Refused(str(error), "restart the daemon, or remove what has forged its lease")
    except (LineError, OSError) as error:
        return Refused(f"the daemon does not answer: {error}")
    return Refused(str(body["error"])) if "error" in body else Answer(body)
