"""Who holds a lease: one process, told apart from every other on any machine, since any boot."""

from __future__ import annotations

import contextlib
import os
import platform
from dataclasses import asdict, dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Annotated

from config import codec
from config.codec import Count, Range

SCHEMA = 1
_START_TICKS, _STATE = 19, 0  # of /proc/<pid>/stat, counted after the name of the program
_ENDED = {"Z", "X"}
_LARGEST_PID = 1 << 22  # of any Linux
_LONGEST_TEXT = 255  # of a record; its host is shown to people
_RECORD_CHARACTERS = 1000


class Liveness(Enum):
    """What this machine knows of a process."""

    RUNS = auto()
    ENDED = auto()
    UNKNOWN = auto()  # it is of another machine, of another boot, or not ours to see


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that leads, or wants to. Empty texts: the system does not say."""

    host: str
    machine_id: str
    boot_id: str
    pid_namespace: str  # containers of one machine count their processes from 1 each
    pid: Annotated[int, Range(1, _LARGEST_PID)]
    start_ticks: Count  # when it began, since the boot: a pid is used again, the pair is not
    nonce: str  # of one hot folder in one process
    # The absolute path of the socket where it is asked, on its machine; "" where that is too long
    # for a record. None: it is of an earlier version, and writes none.
    socket: str | None = None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host or 'another machine'}"

    @property
    def _where(self) -> tuple[str, str, str]:
        return self.machine_id, self.boot_id, self.pid_namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """What an owner.json says."""

    owner: Owner
    counter: int  # grows with every sign of life
    is_released: bool  # its owner has stopped, and said so last

    def text(self) -> str:
        """The record as it is written, in the same length every time.

        A share that still believes in an old length would show a cut record otherwise.
        """
        facts = {"schema": SCHEMA, **asdict(self.owner)}
        facts |= {"counter": self.counter, "released": self.is_released}
        if len(codec.dump(facts)) > _RECORD_CHARACTERS:
            facts["socket"] = ""
        return codec.dump(facts).ljust(_RECORD_CHARACTERS) + "\n"


def read(text: str) -> LeaseRecord | None:
    """The record of a text; None where it is no record of ours."""
    try:
        facts = codec.parse(text)
        owner = codec.part(Owner, facts)
        counter = codec.at(Count, facts, "counter")
        is_released = codec.at(bool, facts, "released")
    except ValueError:
        return None
    is_short = all(len(it) <= _LONGEST_TEXT for it in (owner.host, *owner._where, owner.nonce))
    return LeaseRecord(owner=owner, counter=counter, is_released=is_released) if is_short else None


def this_process(nonce: str, socket: str = "") -> Owner:
    """The owner that this process is; `socket` is where it is asked."""
    return Owner(
        host=platform.node(),
        machine_id=_first_line(Path("/etc/machine-id")),
        boot_id=_first_line(Path("/proc/sys/kernel/random/boot_id")),
        pid_namespace=_pid_namespace(),
        pid=os.getpid(),
        start_ticks=_start_ticks(os.getpid()),
        nonce=nonce,
        socket=socket,
    )


def is_of_this_machine(owner: Owner, me: Owner) -> bool:
    """Whether a process runs, or ran, under this kernel: in another container, perhaps."""
    return bool(owner.boot_id) and owner.boot_id == me.boot_id


def may_be(owner: Owner, pid: int, me: Owner) -> bool:
    """Whether the process of that number here is the owner, as far as `me` can tell."""
    if owner._where != me._where:
        return True
    return pid == owner.pid and liveness_of(owner, me) is not Liveness.ENDED


def liveness_of(owner: Owner, me: Owner) -> Liveness:
    """Whether a process still runs, as far as `me` can tell for certain."""
    # A boot id is unique; without one, two machines made from one image look the same.
    if owner._where != me._where or not owner.boot_id or not owner.pid_namespace:
        return Liveness.UNKNOWN
    try:
        os.kill(owner.pid, 0)  # finds processes that a hardened /proc hides
    except ProcessLookupError:
        return Liveness.ENDED
    except PermissionError:
        pass
    facts = _facts(owner.pid)
    if not facts:
        return Liveness.UNKNOWN
    if int(facts[_START_TICKS]) != owner.start_ticks or _has_ended(owner.pid, facts):
        return Liveness.ENDED
    return Liveness.RUNS


def _has_ended(pid: int, facts: list[str]) -> bool:
    # A killed process may have a thread left that hangs in a call to the share.
    with contextlib.suppress(FileNotFoundError):
        return facts[_STATE] in _ENDED and len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    return True


def _facts(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the name, which may hold anything; none if hidden."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(") ")[2].split()
    return []


def _start_ticks(pid: int) -> int:
    facts = _facts(pid)
    return int(facts[_START_TICKS]) if facts else 0


def _pid_namespace() -> str:
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def _first_line(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="ascii", errors="replace").strip()
    return ""
