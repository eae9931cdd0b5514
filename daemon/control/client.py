"""How a command asks the daemon of a hot folder: how it stands, or that it does something."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config import codec
from config.problems import Problem, UserError
from daemon.control.documents import CommandResult, DaemonStatus, ResultCode
from daemon.control.protocol import LineError, name_of, receive, resolve_root, send, short_address
from daemon.fs.local_dirs import LocalDirs

_NO_DAEMON = "no daemon is running; this is what the folder holds now"
_SECONDS = 3.0  # a daemon answers within two, or says that it is too busy
_STATUS = {"verb": "status"}


def ask_status(
    local_dirs: LocalDirs, root: Path, question: Mapping[str, str] = _STATUS
) -> tuple[DaemonStatus | None, str]:
    """Ask how a hot folder stands; where nobody tells, the text says why."""
    match ask(local_dirs, root, question, _SECONDS):
        case Answer(body):
            try:
                status: DaemonStatus = codec.at(DaemonStatus, body)
            except ValueError:
                return None, _unanswered("it is of another version", "restart it")
            return status, ""
        case Refused(reason, advice):
            return None, _unanswered(reason, advice)
        case NobodyThere():
            return None, _NO_DAEMON


def _unanswered(reason: str, advice: str) -> str:
    what = f"the daemon gave no answer ({reason}: {advice})"
    return f"{what}; this is what the folder holds now"


def send_command(
    request: Mapping[str, str], root: Path, local_dirs: LocalDirs
) -> CommandResult | None:
    """Send a request, as `ask` takes it; None where no daemon serves there.

    Raises UserError where one does and gives no answer.
    """
    match ask(local_dirs, root, request, _SECONDS):
        case Answer(body):
            try:
                return codec.part(CommandResult, body)
            except ValueError:
                text = "the daemon is of another version: restart it"
                return CommandResult(ResultCode.REFUSED, text)
        case Refused(reason, advice):
            what = f"its daemon gave no answer ({reason})"
            raise UserError([Problem(str(root), what, advice)])
        case NobodyThere():
            return None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the daemon replied."""

    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Refused:
    """A daemon is there and gave no answer."""

    reason: str
    advice: str = "ask again in a moment"


@dataclass(frozen=True, slots=True)
class NobodyThere:
    """No daemon serves this hot folder."""


def ask(
    local_dirs: LocalDirs, root: Path, request: Mapping[str, str], timeout_seconds: float
) -> Answer | Refused | NobodyThere:
    """Ask the daemon of a hot folder; `request` has a "verb", and any texts beside it.

    The folder itself is read only where nobody listens under the path as it is written.
    """
    answer = _ask(local_dirs.control / f"{name_of(root)}.sock", request, timeout_seconds)
    if isinstance(answer, NobodyThere) and (resolved := resolve_root(root)) != root:
        return _ask(local_dirs.control / f"{name_of(resolved)}.sock", request, timeout_seconds)
    return answer


def _ask(
    file: Path, request: Mapping[str, str], timeout_seconds: float
) -> Answer | Refused | NobodyThere:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_seconds)
            with short_address(file.parent, file.name) as address:
                connection.connect(address)
            send(connection, request, timeout_seconds)
            body = receive(connection, timeout_seconds)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return NobodyThere()
    except PermissionError:
        return Refused(f"{file} is not yours to use", "ask as the daemon's user or group")
    except (LineError, OSError) as error:
        return Refused(f"the daemon does not answer: {error}")
    return Refused(str(body["error"])) if "error" in body else Answer(body)
