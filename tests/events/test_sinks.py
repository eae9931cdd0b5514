import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.events.events import Detail, Noted
from daemon.events.job_events import JobNote
from daemon.events.sinks import open_log

ROOT = Path("/srv/hot")
NOTE = JobNote(root=ROOT, job_id="j1", path="a b\n\udcff.png", text="Its colours were odd.")


def _now() -> datetime:
    return datetime(2026, 11, 22, 19, 6, 1, 250_000, UTC)


def test_a_line_has_time_level_and_fields() -> None:
    stream = io.StringIO()
    open_log(stream, {}, _now, verbose=False).tell(NOTE)
    assert stream.getvalue() == (
        "time=2026-11-22T19:06:01.250+00:00 level=info action=job_note root=/srv/hot job=j1"
        ' file="a b\\\\n\\\\xff.png" text="Its colours were odd."\n'
    )


def test_a_journal_out_of_reach_gets_a_priority_and_no_time(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        log = open_log(stream, environment, _now, verbose=False, journal=tmp_path / "none")
        log.tell(Noted(text="Beware."))
        log.tell(NOTE)
    lines = (tmp_path / "journal").read_text(encoding="utf-8").split("\n")
    assert lines[0] == "<4>action=noted text=Beware."
    assert lines[1].startswith("<6>action=job_note ")


def test_a_stream_that_only_inherited_the_journals_name_is_none(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w", encoding="utf-8") as stream:
        open_log(stream, {"JOURNAL_STREAM": "8:1"}, _now, verbose=False).tell(NOTE)
    assert (tmp_path / "file").read_text(encoding="utf-8").startswith("time=")


@pytest.mark.parametrize(("verbose", "shown"), [(False, False), (True, True)])
def test_details_show_only_when_asked_for(verbose: bool, shown: bool) -> None:
    stream = io.StringIO()
    open_log(stream, {}, _now, verbose=verbose).tell(Detail(text="scan took 3 ms"))
    assert ("scan took" in stream.getvalue()) == shown


def test_a_stream_that_knows_only_ascii_takes_every_name() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    open_log(stream, {}, _now, verbose=False).tell(Noted(text="人像"))
    assert b"\\u4eba\\u50cf" in raw.getvalue()


def test_a_reader_that_left_stops_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "w", encoding="utf-8")
    log = open_log(stream, {}, _now, verbose=False)
    log.tell(NOTE)
    log.tell(NOTE)
    log.close()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_closed_stream_stops_nothing() -> None:
    stream = io.StringIO()
    log = open_log(stream, {}, _now, verbose=False)
    stream.close()
    log.tell(NOTE)
    log.close()


def test_without_a_terminal_rich_is_not_loaded() -> None:
    program = (
        "import io, sys; from datetime import datetime; from daemon.events.sinks import open_log;"
        "from daemon.commands.output import Output;"
        "from daemon.events.events import Noted;"
        "open_log(io.StringIO(), {}, datetime.now, verbose=True).tell(Noted(text='x'));"
        "Output(io.StringIO(), {}).table([('a', 'ok')]); sys.exit('rich' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


PROGRAM = """
import os, sys
from datetime import datetime
from pathlib import Path
from daemon.events.sinks import open_log
from daemon.events.events import *
from daemon.events.job_events import *
log = open_log(sys.stderr, os.environ, datetime.now, verbose=False)
hero = dict(root=Path("/srv/hot"), job_id="j1", path="[bold]{人像}\\n\\udcff.png")
log.tell(JobRunning(**hero, seed=1, steps=30))
log.tell(JobRunning(**(hero | {"job_id": "j2"}), seed=1, steps=30))
log.tell(StepDone(**hero, step=10, steps=30))
log.tell(StepDone(**(hero | {"job_id": "unknown"}), step=11, steps=30))
log.tell(Noted(text="[red]Beware."))
log.tell(JobDone(**hero, results=("outbox/x.png",), seconds=3.2, weights="random"))
log.tell(JobRetry(**(hero | {"job_id": "j2"}), attempt=2, wait_seconds=0.0, cause="a fault"))
log.close()
"""


def _on_a_terminal(columns: int, **environment: str) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={"PATH": os.environ["PATH"], "TERM": "xterm", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode("utf-8")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux has EIO for the end of a terminal
        return b""


def test_a_terminal_shows_sentences_and_steps() -> None:
    shown = _on_a_terminal(100, LANG="C.UTF-8")
    assert "10/30 [bold]{人像}\\n\\xff.png" in shown
    assert "[red]Beware." in shown
    assert "was edited in 3.2 s: outbox/x.png (random weights" in shown
    assert "step 10 of 30" not in shown
    assert re.search(r"\d\d:\d\d:\d\d \S*\[red\]Beware\.", shown)  # each line has its time
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is back


@pytest.mark.parametrize("columns", [30, 12, 3])
def test_a_narrow_terminal_still_shows_everything_said(columns: int) -> None:
    shown = _on_a_terminal(columns, LANG="C.UTF-8")
    assert "[red]Beware." in shown


def test_a_dumb_terminal_gets_lines() -> None:
    shown = _on_a_terminal(100, TERM="dumb")
    assert "action=step_done" in shown
    assert "\x1b" not in shown


def test_a_terminal_of_ascii_takes_every_name() -> None:
    assert "\\u4eba" in _on_a_terminal(100, PYTHONIOENCODING="ascii")
