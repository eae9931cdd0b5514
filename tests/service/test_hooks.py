"""Programs of the administrator: real ones, told once of what has ended, in nobody's way."""

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import wait_for

from config.settings import HookSettings
from daemon.events.events import HookFailed, HookRun
from daemon.job import State
from daemon.jobs.completion import Outcome
from daemon.service import hooks
from daemon.service.hooks import (
    HookCall,
    Hooks,
    HookSpool,
    calls_of,
    hook_problems,
    run_all,
    run_one,
)

DONE = Outcome(
    root="/srv/hot",
    job_id="20261128-120000-aaaaaaaa",
    path="album/a.png\udcff",
    state=State.DONE,
    results=("outbox/album/a_s1.png", "outbox/album/a_s2.png"),
    records=("outbox/album/a_s1.png.json", "outbox/album/a_s2.png.json"),
)
FAILED = Outcome(
    root="/srv/hot",
    job_id="20261128-120000-aaaaaaaa",
    path="a.png",
    state=State.QUARANTINED,
    records=("failed/2026-11-28/a/report.json",),
)
CALL = HookCall(
    event="on_done", path="/srv/hot/outbox/a.png.json", facts={"HOTFOLDER_FILE": "a.png\udcff"}
)


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """Makes a program of these lines of a shell."""

    def make(lines: str) -> str:
        path = tmp_path / "tell"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_each_result_is_a_call_with_its_receipt_and_facts() -> None:
    first, second = calls_of(DONE)
    assert (first.event, first.path) == ("on_done", "/srv/hot/outbox/album/a_s1.png.json")
    assert second.path == "/srv/hot/outbox/album/a_s2.png.json"
    assert first.facts == {
        "HOTFOLDER_EVENT": "on_done",
        "HOTFOLDER_ROOT": "/srv/hot",
        "HOTFOLDER_JOB": "20261128-120000-aaaaaaaa",
        "HOTFOLDER_FILE": "album/a.png\udcff",
        "HOTFOLDER_STATE": "done",
        "HOTFOLDER_RESULT": "/srv/hot/outbox/album/a_s1.png",
    }


def test_a_failure_is_a_call_with_its_report() -> None:
    (call,) = calls_of(FAILED)
    assert (call.event, call.path) == ("on_failed", "/srv/hot/failed/2026-11-28/a/report.json")
    assert (call.facts["HOTFOLDER_STATE"], call.facts["HOTFOLDER_RESULT"]) == ("quarantined", "")


class TestOneProgram:
    """What one program gets, and how its end is told."""

    def test_it_gets_its_words_the_path_and_the_facts_and_no_shell_reads_them(
        self, tmp_path: Path, program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LD_LIBRARY_PATH", "/of/the/daemon")
        monkeypatch.setenv("NOTIFY_SOCKET", "/of/the/daemon")
        name = program(f'printf "%s|" "$@" > {tmp_path}/words; env > {tmp_path}/env; echo told')
        told = run_one([name, "a b", "$(touch x)", "; rm"], CALL)
        assert told == HookRun(hook="on_done", program=name, path="a.png\udcff", words="told")
        assert (tmp_path / "words").read_text() == f"a b|$(touch x)|; rm|{CALL.path}|"
        environment = (tmp_path / "env").read_bytes()
        assert b"HOTFOLDER_FILE=a.png\xff\n" in environment
        assert b"of/the/daemon" not in environment

    def test_an_event_without_a_path_has_no_further_argument(
        self, tmp_path: Path, program: Callable[[str], str]
    ) -> None:
        name = program(f'echo "$#" > {tmp_path}/count')
        assert isinstance(run_one([name], HookCall(event="on_idle", facts={})), HookRun)
        assert (tmp_path / "count").read_text() == "0\n"

    def test_one_that_fails_is_told_with_its_last_words(
        self, program: Callable[[str], str]
    ) -> None:
        name = program("head -c 100000 /dev/zero | tr '\\0' x; echo; echo last >&2; exit 3")
        told = run_one([name], CALL)
        assert isinstance(told, HookFailed)
        assert told.reason == "exit status 3"
        assert told.words.endswith("x\nlast")
        assert len(told.words) <= 4096
        assert str(told).startswith(f"The hook on_done failed for a.png\udcff ({name}): exit")

    def test_one_that_is_killed_or_missing_is_told(self, program: Callable[[str], str]) -> None:
        told = run_one([program("kill -9 $$")], CALL)
        assert isinstance(told, HookFailed)
        assert told.reason == "killed by SIGKILL"
        missing = run_one(["/nonexistent/tell"], CALL)
        assert isinstance(missing, HookFailed)
        assert missing.reason == "No such file or directory"

    @pytest.mark.parametrize("lines", ["sleep 100", "exec >/dev/null 2>&1; sleep 100"])
    def test_one_that_takes_too_long_is_killed_with_all_that_it_started(
        self,
        tmp_path: Path,
        program: Callable[[str], str],
        monkeypatch: pytest.MonkeyPatch,
        lines: str,
    ) -> None:
        monkeypatch.setattr(hooks, "RUN_SECONDS", 0.5)
        told = run_one([program(f"sleep 99 & echo $! > {tmp_path}/child; {lines}")], CALL)
        assert isinstance(told, HookFailed)
        assert told.reason == "it took longer than 0.5 s"
        child = int((tmp_path / "child").read_text())
        wait_for(lambda: not is_alive(child))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended and that nobody has asked after is no process any more.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


class TestSpool:
    """What waits, waits in order, and is gone before it is run."""

    def test_calls_come_back_as_they_were_in_their_order(self, tmp_path: Path) -> None:
        spool = HookSpool(tmp_path)
        for number in range(12):
            assert spool.put(HookCall(event=f"on_{number}", facts={"a": "\udcff\n"}), 1000.0)
        assert HookSpool(tmp_path).take() == HookCall(event="on_0", facts={"a": "\udcff\n"})
        rest = [call.event for call in iter(spool.take, None)]
        assert rest == [f"on_{number}" for number in range(1, 12)]
        assert [*spool.folder.iterdir()] == []

    def test_it_is_bounded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hooks, "MOST_WAITING", 2)
        spool = HookSpool(tmp_path)
        assert [spool.put(CALL, 1.0) for _ in range(3)] == [True, True, False]

    def test_what_is_no_call_is_dropped_and_hinders_none(self, tmp_path: Path) -> None:
        spool = HookSpool(tmp_path)
        spool.put(CALL, 1.0)
        (spool.folder / "000.json").write_text("{")
        assert spool.take() == CALL
        assert spool.take() is None

    def test_a_runner_that_is_killed_runs_nothing_twice(
        self, tmp_path: Path, program: Callable[[str], str]
    ) -> None:
        spool, log = HookSpool(tmp_path), tmp_path / "log"
        name = program(f'echo "$1" >> {log}; kill -9 $PPID')
        for number in range(2):
            spool.put(HookCall(event="on_done", path=f"/{number}", facts={}), 1.0)
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                run_all(spool, lambda: HookSettings(on_done=(name,)), lambda _: None)
                os._exit(0)
            os.waitpid(pid, 0)
        assert log.read_text() == "/0\n/1\n"


class TestBesideADaemon:
    """Without systemd a thread runs what has ended; the daemon never waits."""

    def daemon(
        self, tmp_path: Path, told: list[HookRun | HookFailed], *words: str, by_unit: bool = False
    ) -> Hooks:
        chosen = HookSettings(on_done=words, on_idle=words)
        return Hooks(HookSpool(tmp_path), lambda: chosen, told.append, time, by_unit=by_unit)

    def test_what_ends_is_told_and_a_slow_one_holds_up_nobody(
        self, tmp_path: Path, program: Callable[[str], str]
    ) -> None:
        told: list[HookRun | HookFailed] = []
        one = self.daemon(tmp_path, told, program("sleep 0.1"))
        began = time.monotonic()
        for _ in range(5):
            one.ended(DONE)
        assert time.monotonic() - began < 0.3
        one.close(30.0)
        assert [type(it) for it in told] == [HookRun] * 10

    def test_at_a_stop_the_rest_waits_for_the_next_start(
        self, tmp_path: Path, program: Callable[[str], str]
    ) -> None:
        told: list[HookRun | HookFailed] = []
        one = self.daemon(tmp_path, told, program(f"touch {tmp_path}/begun; sleep 100"))
        one.ended(DONE)
        wait_for((tmp_path / "begun").exists)
        began = time.monotonic()
        one.close(0.2)
        assert time.monotonic() - began < 5
        assert len([*(tmp_path / "hooks").iterdir()]) == 1

    def test_what_is_left_is_run_after_the_next_start(
        self, tmp_path: Path, program: Callable[[str], str]
    ) -> None:
        HookSpool(tmp_path).put(CALL, 1.0)
        told: list[HookRun | HookFailed] = []
        one = self.daemon(tmp_path, told, program(":"))
        one.start()
        wait_for(lambda: told)
        one.close(5.0)

    def test_where_a_unit_runs_them_the_daemon_starts_nothing(
        self, tmp_path: Path, program: Callable[[str], str]
    ) -> None:
        one = self.daemon(tmp_path, [], program(f"touch {tmp_path}/begun"), by_unit=True)
        one.start()
        one.ended(DONE)
        one.close(1.0)
        assert not (tmp_path / "begun").exists()
        assert len([*(tmp_path / "hooks").iterdir()]) == 2

    def test_without_a_program_nothing_is_kept(self, tmp_path: Path) -> None:
        one = self.daemon(tmp_path, [])
        one.ended(DONE)
        one.idle()
        assert not (tmp_path / "hooks").exists()

    def test_a_spool_that_is_full_is_told_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hooks, "MOST_WAITING", 2)
        told: list[HookRun | HookFailed] = []
        one = self.daemon(tmp_path, told, "/bin/true", by_unit=True)
        for _ in range(3):
            one.ended(DONE)
        assert [str(it) for it in told] == [
            "The hook on_done failed for album/a.png\udcff: it was not called: 2 wait already."
        ]

    def test_a_spool_that_cannot_be_written_stops_no_job(self, tmp_path: Path) -> None:
        (tmp_path / "hooks").write_text("in the way")
        told: list[HookRun | HookFailed] = []
        one = self.daemon(tmp_path, told, "/bin/true", by_unit=True)
        one.ended(DONE)
        assert len(told) == 1

    def test_idle_is_told_once_when_all_work_has_been_done_for_a_moment(
        self, tmp_path: Path
    ) -> None:
        one = self.daemon(tmp_path, [], "/bin/true", by_unit=True)

        def waiting() -> int:
            folder = tmp_path / "hooks"
            return len([*folder.iterdir()]) if folder.exists() else 0

        one.observe(0.0, is_idle=True)
        one.observe(9.0, is_idle=True)
        assert waiting() == 0  # there was no work
        one.ended(DONE)
        for now, is_idle, count in (
            (10.0, False, 2),
            (11.0, True, 2),
            (15.5, True, 3),
            (99.0, True, 3),
        ):
            one.observe(now, is_idle=is_idle)
            assert waiting() == count, now


class TestWhatIsRefused:
    """A program that others could change is none of the administrator's."""

    def problems(self, *words: str, root: Path = Path("/srv/hot")) -> str:
        return "; ".join(map(str, hook_problems(HookSettings(on_done=words), [root])))

    def test_a_sound_one_is_fine(self, program: Callable[[str], str]) -> None:
        assert self.problems(program(":"), "x") == ""
        assert self.problems() == ""

    def test_one_that_is_missing_or_no_program(self, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("x")
        assert "cannot be looked at (No such file" in self.problems("/nonexistent/tell")
        assert "is no program; run: chmod +x" in self.problems(str(tmp_path / "text"))
        assert "is no program" in self.problems(str(tmp_path))

    def test_one_that_everybody_may_change(self, program: Callable[[str], str]) -> None:
        name = program(":")
        Path(name).chmod(0o757)
        assert f"hooks.on_done: {name} can be changed by everybody" in self.problems(name)

    def test_one_in_a_folder_that_everybody_may_change(
        self, tmp_path: Path, program: Callable[[str], str]
    ) -> None:
        name = program(":")
        tmp_path.chmod(tmp_path.stat().st_mode | stat.S_IWOTH)
        assert "everybody can put another in its place" in self.problems(name)

    def test_one_in_a_hot_folder(self, tmp_path: Path, program: Callable[[str], str]) -> None:
        assert "lies in the hot folder" in self.problems(program(":"), root=tmp_path)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_one_of_another_user(self, program: Callable[[str], str]) -> None:
        name = program(":")
        os.chown(name, 12345, -1)
        assert "belongs to user 12345" in self.problems(name)
