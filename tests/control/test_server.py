import json
import os
import queue
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from config.problems import UserError
from daemon.control.client import Answer, NobodyThere, Refused, ask, send_command
from daemon.control.documents import Document, Request
from daemon.control.protocol import name_of
from daemon.control.server import Server
from daemon.events.events import ThreadFailed
from daemon.fs.local_dirs import LocalDirs

ROOT = Path("/srv/hot")
SECONDS = 30.0


@pytest.fixture
def places(tmp_path: Path) -> LocalDirs:
    control = tmp_path / ("a state folder whose path is long " * 5)
    control.mkdir()
    return LocalDirs(state=control, scratch=tmp_path, control=control)


class Daemon:
    """A mailbox with one thread that answers, as the daemon has it."""

    def __init__(self, answer: Callable[[Request], Document | Callable[[], Document]]) -> None:
        self.mailbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._answer = answer
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while (request := self.mailbox.get()) is not None:
            request.reply(self._answer(request))

    def stop(self) -> None:
        self.mailbox.put(None)
        self._thread.join()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    daemon = Daemon(lambda request: {"verb": request.verb, **request.arguments})
    yield daemon
    daemon.stop()


@pytest.fixture
def server(places: LocalDirs, daemon: Daemon) -> Iterator[Server]:
    with closing(Server(places, ROOT, daemon.mailbox.put, print)) as server:
        yield server


def _connect(places: LocalDirs) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(SECONDS)
    folder = os.open(places.control, os.O_PATH)
    client.connect(f"/proc/self/fd/{folder}/{name_of(ROOT)}.sock")
    os.close(folder)
    return client


def _send(places: LocalDirs, line: bytes) -> dict[str, str]:
    with _connect(places) as client:
        client.sendall(line)
        with client.makefile("rb") as reader:
            reply: dict[str, str] = json.loads(reader.readline())
    return reply


@pytest.mark.usefixtures("server")
def test_a_question_is_answered_with_odd_names_and_all(places: LocalDirs) -> None:
    question = {"verb": "why", "file": "人像\n\udcff.png"}
    assert ask(places, ROOT, question, SECONDS) == Answer(question)


def test_a_large_answer_arrives_whole(places: LocalDirs) -> None:
    daemon = Daemon(lambda _: {"files": ["x" * 100] * 20_000})
    with closing(Server(places, ROOT, daemon.mailbox.put, print)):
        answer = ask(places, ROOT, {"verb": "status"}, SECONDS)
    daemon.stop()
    assert isinstance(answer, Answer)
    assert answer.body == {"files": ["x" * 100] * 20_000}


def test_an_answer_may_be_made_by_the_thread_that_sends_it(places: LocalDirs) -> None:
    daemon = Daemon(lambda _: lambda: {"by": threading.current_thread().name})
    with closing(Server(places, ROOT, daemon.mailbox.put, print)):
        answer = ask(places, ROOT, {"verb": "plan"}, SECONDS)
    daemon.stop()
    assert isinstance(answer, Answer)
    assert "_talk" in str(answer.body["by"])


@pytest.mark.usefixtures("server")
def test_another_folder_has_another_daemon(places: LocalDirs) -> None:
    assert ask(places, Path("/srv/other"), {"verb": "status"}, SECONDS) == NobodyThere()


@pytest.mark.usefixtures("server")
def test_a_path_with_links_or_dots_finds_the_same_daemon(
    places: LocalDirs, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to("/srv")
    for root in (tmp_path / "link/hot", Path("/srv/x/../hot")):
        assert ask(places, root, {"verb": "status"}, SECONDS) == Answer({"verb": "status"})


def test_without_a_daemon_nobody_is_there(places: LocalDirs, tmp_path: Path) -> None:
    assert ask(places, ROOT, {"verb": "status"}, SECONDS) == NobodyThere()
    missing = LocalDirs(state=tmp_path, scratch=tmp_path, control=tmp_path / "missing")
    assert ask(missing, ROOT, {"verb": "status"}, SECONDS) == NobodyThere()


def test_the_socket_is_for_user_and_group(places: LocalDirs, server: Server) -> None:
    file = places.control / f"{name_of(ROOT)}.sock"
    assert stat.S_IMODE(file.stat().st_mode) == 0o660
    server.close()
    assert not file.exists()


def test_a_second_daemon_is_refused_and_told_what_to_do(
    places: LocalDirs, server: Server, daemon: Daemon
) -> None:
    with pytest.raises(UserError, match="another Hotfolder daemon works"):
        Server(places, ROOT, daemon.mailbox.put, print)
    assert isinstance(ask(places, ROOT, {"verb": "status"}, SECONDS), Answer)
    server.close()
    Server(places, ROOT, daemon.mailbox.put, print).close()


PROGRAM = """
import os, sys
from pathlib import Path
from daemon.control.server import Server
from daemon.fs.local_dirs import LocalDirs
folder = Path(sys.argv[1])
Server(LocalDirs(state=folder, scratch=folder, control=folder), Path(sys.argv[2]), print, print)
os._exit(9)
"""


def test_the_socket_of_a_daemon_that_died_is_replaced(places: LocalDirs, daemon: Daemon) -> None:
    command = [sys.executable, "-c", PROGRAM, str(places.control), str(ROOT)]
    assert subprocess.run(command, check=False, timeout=30).returncode == 9
    assert (places.control / f"{name_of(ROOT)}.sock").is_socket()
    assert ask(places, ROOT, {"verb": "status"}, SECONDS) == NobodyThere()
    with closing(Server(places, ROOT, daemon.mailbox.put, print)):
        assert isinstance(ask(places, ROOT, {"verb": "status"}, SECONDS), Answer)


def test_a_folder_that_cannot_hold_a_socket_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError, match="right to write there"):
        Server(LocalDirs(state=file, scratch=file, control=file), ROOT, print, print)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"no json\n",
        b"[1]\n",
        b'{"file": "x"}\n',
        b'{"verb": 7}\n',
        b'{"verb": "why", "file": ["x"]}\n',
        b"\xff\xfe\n",
        b"[" * 60_000 + b"\n",
    ],
)
def test_a_malformed_request_gets_an_error_and_harms_nobody(
    places: LocalDirs, line: bytes
) -> None:
    assert "error" in _send(places, line)
    assert isinstance(ask(places, ROOT, {"verb": "status"}, SECONDS), Answer)


@pytest.mark.usefixtures("server")
def test_an_oversized_request_is_refused(places: LocalDirs) -> None:
    answer = ask(places, ROOT, {"verb": "why", "file": "x" * 100_000}, SECONDS)
    assert isinstance(answer, Refused)


@pytest.mark.usefixtures("server")
def test_clients_that_say_nothing_or_leave_do_not_block_others(places: LocalDirs) -> None:
    silent = [_connect(places) for _ in range(8)]
    with _connect(places) as gone:
        gone.sendall(b'{"verb": "status"}\n')
    assert isinstance(ask(places, ROOT, {"verb": "status"}, SECONDS), Answer)
    # The silent ones are let go after their time.
    assert all(client.recv(1) == b"" for client in silent)
    for client in silent:
        client.close()


@pytest.mark.usefixtures("server")
def test_a_crowd_is_sent_away_and_its_place_is_free_again(places: LocalDirs) -> None:
    crowd = [_connect(places) for _ in range(40)]
    crowd[-1].settimeout(SECONDS)
    assert crowd[-1].recv(1) == b""
    for client in crowd:
        client.close()
    answers = (ask(places, ROOT, {"verb": "status"}, SECONDS) for _ in range(1000))
    assert any(isinstance(answer, Answer) for answer in answers)


def test_a_daemon_that_is_busy_is_said_to_be(places: LocalDirs) -> None:
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    with closing(Server(places, ROOT, requests.put, print)):
        answer = ask(places, ROOT, {"verb": "status"}, SECONDS)
    assert answer == Refused("the daemon is too busy to answer now")
    requests.get(timeout=SECONDS).reply({"late": "and without harm"})


def test_a_fault_over_one_question_is_told_and_others_are_answered(
    places: LocalDirs, daemon: Daemon
) -> None:
    told: queue.SimpleQueue[ThreadFailed] = queue.SimpleQueue()

    def deliver(request: Request) -> None:
        if request.verb == "odd":
            raise LookupError(request.verb)
        daemon.mailbox.put(request)

    with closing(Server(places, ROOT, deliver, told.put)):
        assert isinstance(ask(places, ROOT, {"verb": "odd"}, SECONDS), Refused)
        event = told.get(timeout=SECONDS)
        assert event.thread == f"control socket of {ROOT}"
        assert "LookupError: odd" in event.text
        assert isinstance(ask(places, ROOT, {"verb": "status"}, SECONDS), Answer)


@pytest.mark.usefixtures("server")
def test_who_is_refused_reads_where_why_and_what_to_do(places: LocalDirs) -> None:
    with pytest.raises(UserError) as told:
        send_command({"verb": "retry", "file": "x" * 100_000}, ROOT, places)
    (problem,) = told.value.problems
    assert problem.where == str(ROOT)
    assert problem.what.startswith("its daemon gave no answer (")
    assert problem.advice == "ask again in a moment"


def test_a_daemon_that_hangs_does_not_hang_who_asks(places: LocalDirs) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        folder = os.open(places.control, os.O_PATH)
        deaf.bind(f"/proc/self/fd/{folder}/{name_of(ROOT)}.sock")
        os.close(folder)
        deaf.listen()
        answer = ask(places, ROOT, {"verb": "status"}, 0.2)
    assert isinstance(answer, Refused)
    assert "does not answer" in answer.reason
