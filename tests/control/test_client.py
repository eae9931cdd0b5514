"""The daemon of a hot folder is found through the hot folder, and nobody else is asked."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from leads import lead_from_afar

from daemon.control.client import Answer, Elsewhere, NobodyThere, Outcome, Refused, ask
from daemon.control.documents import CommandResult, Document, Request, ResultCode
from daemon.control.protocol import socket_file
from daemon.control.server import Server
from daemon.fs.hot_folder import make_hot_folder
from daemon.fs.local_dirs import LocalDirs
from daemon.lease import owner
from daemon.lease.election import LEASE_TIMINGS
from daemon.lease.leader import leader_lease
from daemon.lease.owner import LeaseRecord

SECONDS = 30.0
ME = owner.this_process("x", "/nowhere")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A hot folder."""
    make_hot_folder(tmp_path / "hot", "the-id")
    return tmp_path / "hot"


def dirs(folder: Path) -> LocalDirs:
    folder.mkdir(exist_ok=True)
    return LocalDirs(state=folder, scratch=folder, control=folder)


def asked(root: Path, verb: str = "pause") -> Outcome:
    """What somebody is told who has local folders of their own, and no daemon in them."""
    return ask(dirs(root.parent / "of-who-asks"), root, {"verb": verb}, SECONDS)


@pytest.fixture
def serve(root: Path) -> Iterator[Callable[..., Path]]:
    """Begin to serve the hot folder with local folders of that name; gives its socket."""
    with ExitStack() as stack:

        def begin(name: str, answer: Document | None = None) -> Path:
            def deliver(request: Request) -> None:
                request.reply(answer or {"verb": request.verb, "by": name})

            own = dirs(root.parent / name)
            stack.enter_context(closing(Server(own, root, deliver, print)))
            return socket_file(own.control, root)

        yield begin


@pytest.fixture
def lead(root: Path) -> Iterator[Callable[[Path], None]]:
    """Lead the hot folder from now on, asked at that socket."""
    with ExitStack() as stack:

        def begin(file: Path) -> None:
            lease = leader_lease(
                root, lambda: "the-id", LEASE_TIMINGS, lambda: None, print, socket=str(file)
            )
            stack.enter_context(lease.held())
            lease.fence()

        yield begin


def write_lease(root: Path, said: owner.Owner | dict[str, object]) -> None:
    """Write what whoever may write to the share may have written."""
    folder = root / ".hotfolder/lease/00000009"
    folder.mkdir()
    if isinstance(said, owner.Owner):
        text = LeaseRecord(owner=said, counter=1, is_released=False).text()
    else:
        text = json.dumps(said)
    (folder / "owner.json").write_text(text)


def test_a_daemon_with_other_local_folders_is_found(
    root: Path, serve: Callable[..., Path], lead: Callable[[Path], None]
) -> None:
    lead(serve("daemon"))
    assert asked(root) == Answer({"verb": "pause", "by": "daemon"})


def test_one_that_has_ended_or_released_its_lease_is_nobody(root: Path) -> None:
    write_lease(root, replace(ME, pid=2**22 - 1))
    assert asked(root) == NobodyThere()


def test_the_lease_of_nobody_and_no_hot_folder_at_all(root: Path, tmp_path: Path) -> None:
    assert asked(root) == NobodyThere()
    assert asked(tmp_path / "missing") == NobodyThere()


def test_one_on_another_machine_is_named(root: Path) -> None:
    lead_from_afar(root)
    outcome = asked(root)
    assert isinstance(outcome, Elsewhere)
    assert "process 4711 on nas1" in outcome.where
    assert "run this command on nas1" in outcome.advice


def test_one_of_an_earlier_version_is_named(root: Path) -> None:
    said = json.loads(LeaseRecord(owner=ME, counter=1, is_released=False).text())
    del said["socket"]
    write_lease(root, said)
    outcome = asked(root)
    assert isinstance(outcome, Elsewhere)
    assert outcome.is_here
    assert outcome.leader.socket is None


def test_one_in_a_container_is_asked_where_its_socket_is_shared(
    root: Path, serve: Callable[..., Path]
) -> None:
    other = replace(ME, pid_namespace="pid:[1]", machine_id="", pid=7)
    write_lease(root, replace(other, socket=str(serve("container"))))
    assert isinstance(asked(root), Answer)


def test_one_that_just_starts_or_ends_is_said_to(root: Path) -> None:
    write_lease(root, replace(ME, socket=str(root / f"control-{'0' * 16}.sock")))
    outcome = asked(root)
    assert isinstance(outcome, Refused)
    assert "starting" in outcome.reason


def test_a_standby_is_left_for_the_daemon_that_leads(
    root: Path, serve: Callable[..., Path], lead: Callable[[Path], None]
) -> None:
    standing_by = CommandResult(ResultCode.STANDBY, "another one leads")
    serve("of-who-asks", standing_by)
    outcome = asked(root)
    assert isinstance(outcome, Answer)
    assert outcome.body["how"] == "standby"
    lead(serve("daemon"))
    assert asked(root) == Answer({"verb": "pause", "by": "daemon"})


def test_beside_a_standby_the_one_on_another_machine_is_named(
    root: Path, serve: Callable[..., Path]
) -> None:
    serve("of-who-asks", CommandResult(ResultCode.STANDBY, "another one leads"))
    lead_from_afar(root)
    assert isinstance(asked(root), Elsewhere)
    assert isinstance(asked(root, "status"), Answer)


class TestForgedLease:
    """Whoever may write to a share cannot have commands sent to a socket of their choice."""

    def test_a_process_that_the_lease_does_not_name_hears_nothing(self, root: Path) -> None:
        file = root.parent / f"control-{'0' * 16}.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(file))
            listener.listen()
            # Another process of this machine, which really runs.
            with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as it:
                theirs = replace(ME, pid=it.pid, start_ticks=owner._start_ticks(it.pid))
                write_lease(root, replace(theirs, socket=str(file)))
                outcome = asked(root)
                it.kill()
            assert isinstance(outcome, Refused)
            assert f"process {os.getpid()} listens" in outcome.reason
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(1) == b""

    @pytest.mark.parametrize("name", ["docker.sock", "control-1.sock", "../x/control.sock"])
    def test_a_socket_that_has_no_name_of_ours_is_not_connected_to(
        self, root: Path, name: str
    ) -> None:
        write_lease(root, replace(ME, socket=str(root.parent / name)))
        outcome = asked(root)
        assert isinstance(outcome, Refused)
        assert "names no socket of a daemon" in outcome.reason

    @pytest.mark.parametrize("socket", ["control-0123456789abcdef.sock", "/a\0/control.sock"])
    def test_nor_is_what_is_no_path_at_all(self, root: Path, socket: str) -> None:
        write_lease(root, replace(ME, socket=socket))
        assert isinstance(asked(root), Refused)

    def test_a_link_in_its_place_is_not_followed(
        self, root: Path, serve: Callable[..., Path]
    ) -> None:
        link = root.parent / f"control-{'0' * 16}.sock"
        link.symlink_to(serve("daemon"))
        write_lease(root, replace(ME, socket=str(link)))
        outcome = asked(root)
        assert isinstance(outcome, Refused)
        assert "no socket" in outcome.reason

    @pytest.mark.skipif(os.geteuid() != 0, reason="it takes two users")
    def test_a_user_whom_the_hot_folder_does_not_belong_to_hears_nothing(self, root: Path) -> None:
        file = Path(f"/tmp/control-{os.getpid():016x}.sock")
        code = f"""
import os, socket
listener = socket.socket(socket.AF_UNIX)
os.setuid(65534)
listener.bind({str(file)!r})
listener.listen()
print(flush=True)
print(listener.accept()[0].recv(9), flush=True)
"""
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            other.stdout.readline()
            theirs = replace(ME, pid=other.pid, start_ticks=owner._start_ticks(other.pid))
            write_lease(root, replace(theirs, socket=str(file)))
            outcome = asked(root)
            assert other.stdout.readline() == "b''\n"
        file.unlink()
        assert isinstance(outcome, Refused)
        assert "it is of user 65534" in outcome.reason
