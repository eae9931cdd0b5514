"""Leases on real folders, held by real threads and processes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from harness import wait_for
from hypothesis import given
from hypothesis import strategies as st

from daemon.fs.hot_folder import make_hot_folder
from daemon.lease import owner
from daemon.lease.election import Clocks, Election, Leader, LeaseTimings
from daemon.lease.leader import CLOCKS, LeaderLease, NotLeader, leader_lease
from daemon.lease.owner import LeaseRecord, Liveness, Owner
from daemon.lease.store import LeaseStore
from daemon.supervision import Fault

SHORT = LeaseTimings(refresh=0.05, act=0.5, look=0.02, take_over=1.5)
ME = owner.this_process("me")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A hot folder."""
    make_hot_folder(tmp_path / "hot", "the-id")
    return tmp_path / "hot"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What ends with the test."""
    with ExitStack() as it:
        yield it


def a_lead(root: Path, timings: LeaseTimings = SHORT) -> LeaderLease:
    return leader_lease(root, lambda: "the-id", timings, lambda: None, print)


def leads(lead: LeaderLease) -> bool:
    try:
        lead.fence()
    except NotLeader:
        return False
    return True


class TestOwner:
    """Whether a process of a lease still runs."""

    def test_this_process_runs(self) -> None:
        assert owner.liveness_of(ME, owner.this_process("other")) is Liveness.RUNS

    @pytest.mark.parametrize("is_reaped", [False, True])
    def test_a_killed_process_has_ended(self, is_reaped: bool) -> None:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            theirs = replace(ME, pid=child.pid, start_ticks=owner._start_ticks(child.pid))
            assert owner.liveness_of(theirs, ME) is Liveness.RUNS
            child.kill()
            if is_reaped:
                child.wait()
            wait_for(lambda: owner.liveness_of(theirs, ME) is Liveness.ENDED)

    def test_a_stopped_process_runs(self) -> None:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            theirs = replace(ME, pid=child.pid, start_ticks=owner._start_ticks(child.pid))
            child.send_signal(signal.SIGSTOP)
            assert owner.liveness_of(theirs, ME) is Liveness.RUNS
            child.kill()

    def test_another_process_of_the_same_number_is_another(self) -> None:
        earlier = replace(ME, start_ticks=ME.start_ticks - 1)
        assert owner.liveness_of(earlier, ME) is Liveness.ENDED

    @pytest.mark.parametrize(
        "other",
        [
            replace(ME, machine_id="another"),
            replace(ME, boot_id="another"),
            replace(ME, pid_namespace="another"),
        ],
        ids=["machine", "boot", "container"],
    )
    def test_of_what_is_elsewhere_nothing_is_known(self, other: Owner) -> None:
        assert owner.liveness_of(replace(other, pid=2**22 + 1), ME) is Liveness.UNKNOWN

    def test_a_machine_that_does_not_say_which_it_is_claims_nothing(self) -> None:
        nameless = replace(ME, boot_id="", pid=2**22 + 1)
        assert owner.liveness_of(nameless, nameless) is Liveness.UNKNOWN


class TestPaper:
    """What an owner.json says."""

    @given(counter=st.integers(0, 10**9), released=st.booleans())
    def test_it_is_read_as_it_was_written_and_never_grows(
        self, counter: int, released: bool
    ) -> None:
        paper = LeaseRecord(owner=ME, counter=counter, is_released=released)
        assert owner.read(paper.text()) == paper
        assert len(paper.text()) == len(LeaseRecord(owner=ME, counter=0, is_released=False).text())

    @pytest.mark.parametrize("length", [20, 500, 5000])
    def test_it_says_where_its_process_is_asked_and_stays_as_long(self, length: int) -> None:
        me = owner.this_process("me", "/" + "ü" * length)
        paper = LeaseRecord(owner=me, counter=1, is_released=False)
        assert len(paper.text()) == len(LeaseRecord(owner=ME, counter=1, is_released=False).text())
        read = owner.read(paper.text())
        assert read is not None
        assert read.owner.socket in (me.socket, "")
        assert (read.owner.socket == me.socket) is (length == 20)

    def test_one_of_an_earlier_version_is_read(self) -> None:
        said = json.loads(LeaseRecord(owner=ME, counter=1, is_released=False).text())
        del said["socket"]
        read = owner.read(json.dumps(said))
        assert read is not None
        assert (read.owner.pid, read.owner.socket) == (ME.pid, None)

    @given(text=st.text())
    def test_any_other_text_is_none(self, text: str) -> None:
        assert owner.read(text) is None


class TestTerms:
    """The store on a real folder."""

    def test_of_many_only_one_begins_a_term(self, root: Path) -> None:
        begun: list[bool] = []
        ready = threading.Barrier(8)

        def begin() -> None:
            terms = LeaseStore(root, lambda: "the-id")
            ready.wait(10)
            begun.append(terms.begin(1))

        threads = [threading.Thread(target=begin) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert sorted(begun) == [False] * 7 + [True]

    def test_a_term_that_is_gone_is_not_written_again(self, root: Path) -> None:
        terms = LeaseStore(root, lambda: "the-id")
        assert not terms.write(1, "{}")
        assert terms.newest() == 0

    def test_earlier_terms_leave_nothing_and_other_files_stay(self, root: Path) -> None:
        terms = LeaseStore(root, lambda: "the-id")
        (root / ".hotfolder/lease/note.txt").write_text("mine")
        for term in (1, 2, 3):
            assert terms.begin(term)
            assert terms.write(term, str(term))
        terms.clear_before(3)
        names = {path.name for path in (root / ".hotfolder/lease").iterdir()}
        assert names == {"note.txt", "00000003"}
        assert terms.read(3) == "3"

    def test_an_earlier_term_that_cannot_be_cleared_hinders_no_other(self, root: Path) -> None:
        terms = LeaseStore(root, lambda: "the-id")
        for term in (1, 2, 3):
            assert terms.begin(term)
        (root / ".hotfolder/lease/00000001/owner.json").mkdir()
        terms.clear_before(3)
        names = {path.name for path in (root / ".hotfolder/lease").iterdir()}
        assert names == {"00000001", "00000003"}

    @pytest.mark.parametrize("name", ["9" * 255, "9" * 18, "0" * 254 + "5", "\u0661", "-1"])
    def test_a_folder_that_was_never_counted_up_to_is_no_term(self, root: Path, name: str) -> None:
        terms = LeaseStore(root, lambda: "the-id")
        (root / ".hotfolder/lease" / name).mkdir()
        assert terms.newest() == 0
        assert terms.begin(1)
        assert terms.newest() == 1

    @pytest.mark.parametrize("identity", ["", "another-id"])
    def test_where_another_hot_folder_is_mounted_nothing_is_touched(
        self, root: Path, identity: str
    ) -> None:
        terms = LeaseStore(root, lambda: identity)
        for act in (terms.newest, lambda: terms.begin(1), lambda: terms.write(1, "")):
            with pytest.raises(OSError, match="No such device"):
                act()
        assert not list((root / ".hotfolder/lease").iterdir())

    def test_a_bare_mount_point_is_not_touched(self, root: Path) -> None:
        (root / ".hotfolder").rename(root / "elsewhere")
        with pytest.raises(OSError, match="No such device"):
            LeaseStore(root, lambda: "the-id").begin(1)
        assert not (root / ".hotfolder").exists()

    def test_a_lease_folder_that_is_a_link_is_refused(self, root: Path, tmp_path: Path) -> None:
        (root / ".hotfolder/lease").rmdir()
        (tmp_path / "trap").mkdir()
        (root / ".hotfolder/lease").symlink_to(tmp_path / "trap")
        with pytest.raises(NotADirectoryError):
            LeaseStore(root, lambda: "the-id").begin(1)
        assert not list((tmp_path / "trap").iterdir())


class TestLead:
    """One of several leads, and the others follow it one by one."""

    def test_the_second_stands_by_and_says_who_leads(self, root: Path, stack: ExitStack) -> None:
        first, second = a_lead(root), a_lead(root)
        stack.enter_context(first.held())
        first.fence()
        stack.enter_context(second.held())  # which finds the paper of the first, whole
        with pytest.raises(NotLeader) as standing:
            second.fence()
        assert f"process {os.getpid()} on" in standing.value.reason
        assert standing.value.is_certain

    def test_who_stands_by_changes_nothing_in_the_folder(
        self, root: Path, stack: ExitStack
    ) -> None:
        slow = replace(SHORT, refresh=60.0, act=180.0, take_over=3600.0)
        stack.enter_context((first := a_lead(root, slow)).held())
        first.fence()
        paper = root / ".hotfolder/lease/00000001/owner.json"
        wait_for(lambda: '"counter": 1' in paper.read_text())  # the next is a minute away
        before = {str(path): path.lstat().st_ctime_ns for path in root.rglob("*")}
        stack.enter_context((second := a_lead(root, slow)).held())
        for _ in range(5):
            wait_for(lambda: not second._has_just_looked())
            assert not leads(second)
        assert {str(path): path.lstat().st_ctime_ns for path in root.rglob("*")} == before

    def test_the_end_of_a_lead_makes_room_at_once(self, root: Path, stack: ExitStack) -> None:
        patient = replace(SHORT, take_over=3600.0)
        told = threading.Event()
        first = a_lead(root, patient)
        second = leader_lease(root, lambda: "the-id", patient, told.set, print)
        with first.held():
            first.fence()
            stack.enter_context(second.held())
            assert not leads(second)
        assert told.wait(20)
        wait_for(lambda: leads(second))

    def test_many_lead_one_after_the_other(self, root: Path, stack: ExitStack) -> None:
        all_of_them = [a_lead(root) for _ in range(5)]
        ends = [ExitStack() for _ in all_of_them]
        for lead, end in zip(all_of_them, ends, strict=True):
            end.enter_context(lead.held())
            stack.callback(end.close)
        waiting = dict(zip(all_of_them, ends, strict=True))
        while waiting:
            wait_for(lambda: any(map(leads, waiting)))
            leading = [lead for lead in waiting if leads(lead)]
            assert len(leading) == 1
            waiting.pop(leading[0]).close()

    def test_a_share_that_went_away_ends_the_lead_in_time_and_it_comes_back(
        self, root: Path, stack: ExitStack
    ) -> None:
        stack.enter_context((lead := a_lead(root)).held())
        lead.fence()
        (root / ".hotfolder").rename(root / "elsewhere")
        wait_for(lambda: _raises_os_error(lead))
        (root / "elsewhere").rename(root / ".hotfolder")
        wait_for(lambda: not _raises_os_error(lead))
        assert leads(lead)

    def test_a_machine_that_slept_asks_before_it_acts(self, root: Path, stack: ExitStack) -> None:
        asleep_seconds = 0.0
        clocks = Clocks(elapsed=lambda: time.monotonic() + asleep_seconds, awake=time.monotonic)
        campaign = Election(
            store=LeaseStore(root, lambda: "the-id"),
            me=ME,
            liveness_of=lambda _: Liveness.UNKNOWN,
            timings=replace(SHORT, refresh=3600.0, act=1800.0),
            clocks=clocks,
        )
        stack.enter_context((sleeper := LeaderLease(campaign, lambda: None, print)).held())
        sleeper.fence()
        terms = LeaseStore(root, lambda: "the-id")
        assert terms.begin(2)
        sleeper.fence()  # nobody can know better
        asleep_seconds = 2000.0
        assert not leads(sleeper)

    def test_a_fault_of_its_thread_is_told_and_it_leads_on(
        self, root: Path, stack: ExitStack
    ) -> None:
        told: list[Fault] = []
        campaign = Election(
            store=Stumbling(root),
            me=ME,
            liveness_of=lambda _: Liveness.UNKNOWN,
            timings=SHORT,
            clocks=CLOCKS,
        )
        lead = LeaderLease(campaign, lambda: None, told.append)
        stack.enter_context(lead.held())
        wait_for(lambda: told)
        assert "LookupError: it stumbled" in told[0].words
        wait_for(lambda: isinstance(lead._standing, Leader))  # by its thread: nobody asks it
        assert len(told) == 1

    def test_a_trap_in_place_of_a_paper_is_watched_like_a_paper(self, root: Path) -> None:
        (lease := root / ".hotfolder/lease/00000001").mkdir()
        os.mkfifo(lease / "owner.json")
        lead = a_lead(root)
        with lead.held():
            assert not leads(lead)

    def test_a_folder_in_place_of_a_paper_is_followed_in_time(
        self, root: Path, stack: ExitStack
    ) -> None:
        (root / ".hotfolder/lease/00000003/owner.json").mkdir(parents=True)
        lead = a_lead(root)
        stack.enter_context(lead.held())
        wait_for(lambda: leads(lead))
        assert [path.name for path in (root / ".hotfolder/lease/00000004").iterdir()]

    def test_terms_that_cannot_be_cleared_decide_nothing(
        self, root: Path, stack: ExitStack
    ) -> None:
        lead = LeaderLease(
            Election(
                store=Uncleared(root, lambda: "the-id"),
                me=ME,
                liveness_of=lambda _: Liveness.UNKNOWN,
                timings=SHORT,
                clocks=CLOCKS,
            ),
            lambda: None,
            lambda _: None,
        )
        stack.enter_context(lead.held())
        wait_for(lambda: leads(lead))


class Uncleared(LeaseStore):
    """A store on a share with no room, which lets nothing be cleared."""

    def clear_before(self, term: int) -> None:
        """Fail."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Stumbling(LeaseStore):
    """A store that raises twice what nobody expects."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, lambda: "the-id")
        self._left = 2

    def newest(self) -> int:
        """The newest term."""
        if self._left:
            self._left -= 1
            message = "it stumbled"
            raise LookupError(message)
        return super().newest()


def _raises_os_error(lead: LeaderLease) -> bool:
    try:
        lead.fence()
    except OSError:
        return True
    return False
