"""An editor process that does what the prompts say: it edits, dawdles, or ends badly.

A prompt `DEED @MOMENT *TIMES` is done that many times (without a number: always), and the other
times the picture comes back unchanged, like any picture with another prompt.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageOps

from config.problems import Problem
from pipeline import ipc
from pipeline.echo import EchoEditor
from pipeline.editor import (
    Done,
    EditError,
    EditRequest,
    EditResult,
    Event,
    Failed,
    Failure,
    Stage,
    Step,
)
from pipeline.ipc import Connection

UNREADABLE = Problem("/models/it", "it cannot be read (Input/output error)", "check its disk")
MOMENTS = ("given", "stage", "step", "written", "told", "over")
_PROMPT = re.compile(r"(\w+) @(\w+)(?: \*(\d+))?")


@dataclass(frozen=True, slots=True)
class Part:
    """What a prompt asks for."""

    deed: str
    moment: str
    times: int | None

    @classmethod
    def of(cls, prompt: str) -> Part | None:
        """The part that a prompt gives, if it gives one."""
        words = _PROMPT.fullmatch(prompt)
        return words and cls(words[1], words[2], int(words[3]) if words[3] else None)


class Player:
    """Plays the parts of one editor process."""

    def __init__(self, line: Connection) -> None:
        self._line, self._echo = line, EchoEditor()

    def serve(self) -> None:
        """Do what comes until the daemon hangs up."""
        self._line.receive()
        self._play_opening()
        facts = dataclasses.replace(self._echo.describe(), class_name="ScriptedEditor")
        self._line.send(ipc.Ready(facts, 0.0))
        while True:
            message = self._line.receive()
            if isinstance(message, ipc.EditBatch):
                self._edit(message.requests)

    def _play_opening(self) -> None:
        script = Path(os.environ["HOME"]) / "opening"
        if script.exists() and (part := Part.of(script.read_text())):
            self._play(part, None)

    def _edit(self, requests: tuple[EditRequest, ...]) -> None:
        self._reach("given", requests)
        for request in requests:
            self._echo.edit([request], partial(self._tell, request))
        self._line.send(ipc.BatchDone())
        self._reach("over", requests)

    def _tell(self, to: EditRequest, event: Event) -> frozenset[str]:
        if isinstance(event, Done):
            self._reach("written", (to,))
        self._line.send(event)
        match event:
            case Stage():
                self._reach("stage", (to,))
            case Step():
                self._reach("step", (to,))
            case _:
                self._reach("told", (to,))
        return frozenset()

    def _reach(self, moment: str, requests: tuple[EditRequest, ...]) -> None:
        for request in requests:
            part = Part.of(request.prompt)
            if part and part.moment == moment:
                self._play(part, request)

    def _play(self, part: Part, request: EditRequest | None) -> None:
        if part.times is not None:
            # In a file, because the process may not live to remember.
            done = Path(os.environ["HOME"]) / f"done {part.deed} {part.moment}"
            with done.open("ab") as count:
                count.write(b".")
            if done.stat().st_size > part.times:
                return
        _DEEDS[part.deed](self._line, request)


def _dawdle(_: Connection, __: EditRequest | None) -> None:
    signal.sigtimedwait((), 0.3)


def _paint(_: Connection, request: EditRequest | None) -> None:
    """Change every pixel of a result that is there."""
    assert request is not None
    with Image.open(request.result) as picture:
        ImageOps.invert(picture).save(request.result, format="PNG")


def _crash(_: Connection, __: EditRequest | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)


def _die(_: Connection, __: EditRequest | None) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _leave(_: Connection, __: EditRequest | None) -> None:
    print("out of patience", flush=True)
    raise SystemExit(3)


def _hang(_: Connection, __: EditRequest | None) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})  # it wakes, and does not kill
    signal.sigwait({signal.SIGUSR2})


def _gorge(_: Connection, __: EditRequest | None) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    held = []
    while True:
        held.append(b"x" * (1 << 27))


def _babble(line: Connection, _: EditRequest | None) -> None:
    line.send("no message")


def _lie(line: Connection, _: EditRequest | None) -> None:
    line.send({"is a": "Drop", "request_ids": []})


def _stray(line: Connection, _: EditRequest | None) -> None:
    line.send({"what": "is this"})


def _misname(line: Connection, request: EditRequest | None) -> None:
    assert request is not None
    for name in ("nobody", "nobody/0", f"{request.request_id}9", ""):
        line.send(Step(name, 1, 1))
        line.send(Done(name, _result_at(request.result)))


def _promise(line: Connection, request: EditRequest | None) -> None:
    """Say that a result is there which is not."""
    assert request is not None
    line.send(Done(request.request_id, _result_at(request.result.with_name("no result.png"))))


def _skip(line: Connection, _: EditRequest | None) -> None:
    """Say that the batch has ended before it has."""
    line.send(ipc.BatchDone())


def _give_up(line: Connection, _: EditRequest | None) -> None:
    """Say that the model cannot be read further."""
    line.send(ipc.Unusable((UNREADABLE,)))
    raise SystemExit(0)


def _flood(_: Connection, __: EditRequest | None) -> None:
    for _number in range(100):
        print("x" * 20_000)


def _chatter(line: Connection, _: EditRequest | None) -> None:
    for number in range(3000):
        line.send(ipc.Remark(10, f"remark {number}"))


def _stop(_: Connection, __: EditRequest | None) -> None:
    """Have the daemon stopped, and wait for it."""
    os.kill(os.getppid(), signal.SIGTERM)
    signal.sigtimedwait((), 5.0)


def _fail(failure: Failure) -> Callable[[Connection, EditRequest | None], None]:
    def deed(line: Connection, request: EditRequest | None) -> None:
        assert request is not None
        line.send(Failed(request.request_id, EditError("It would not.", "Ask again.", failure)))

    return deed


def _result_at(path: Path) -> EditResult:
    return EditResult(
        path=path,
        encode_seconds=0.0,
        denoise_seconds=0.0,
        decode_seconds=0.0,
        peak_vram_gib=0.0,
    )


_DEEDS: dict[str, Callable[[Connection, EditRequest | None], None]] = {
    "dawdle": _dawdle,
    "paint": _paint,
    "crash": _crash,
    "die": _die,
    "leave": _leave,
    "hang": _hang,
    "gorge": _gorge,
    "babble": _babble,
    "lie": _lie,
    "stray": _stray,
    "misname": _misname,
    "promise": _promise,
    "skip": _skip,
    "flood": _flood,
    "chatter": _chatter,
    "stop": _stop,
    "give_up": _give_up,
    **{f"fail_{failure}": _fail(failure) for failure in Failure},
}


def main() -> None:
    """Entry of `python -m scripted DESCRIPTOR DAEMON`."""
    # How a daemon that has hung up shows itself.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        Player(ipc.connect(sys.argv[1:], ipc.ToEditor)).serve()


if __name__ == "__main__":
    main()
