import math
import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from harness import wait_for
from sample import candidate, folder_worker, job, plan, resolved_job, seen, settings

from daemon.events import events
from daemon.events.events import Event
from daemon.folder.messages import Claimed, ClaimLost, FromFolder, Scanned, StatusChanged, Stop
from daemon.folder.view import FolderView
from daemon.fs.blocking import StallTimeouts, switches_of
from daemon.job import Candidate, FileState, FolderState, Ignored, Plan, State
from pipeline.recipe import Defaults


@pytest.fixture
def folder(tmp_path: Path) -> FolderView:
    return FolderView(folder_worker(tmp_path / "hot", tmp_path / "scratch", lambda _: None))


def holding(*files: FileState, ignored: tuple[Ignored, ...] = ()) -> Plan:
    return replace(plan(), states=files, ignored=ignored)


def told(events: object) -> list[str]:
    assert hasattr(events, "__iter__")
    return [type(event).__name__ for event in events]


def look(folder: FolderView, plan: Plan) -> list[Event]:
    return list(folder.look(plan))


def test_a_waiting_file_is_told_once_however_its_seconds_count_down(folder: FolderView) -> None:
    first = FileState("a.png", State.HELD, "given up in 12 s")
    later = FileState("a.png", State.HELD, "given up in 11 s")
    (event,) = look(folder, holding(first))
    assert isinstance(event, events.FileWaiting)
    assert event.reason == "given up in 12 s"
    assert look(folder, holding(later)) == []


def test_another_reason_is_news(folder: FolderView) -> None:
    look(folder, holding(FileState("a.png", State.HELD, "a reference is missing")))
    news = look(folder, holding(FileState("a.png", State.WAITING_SIDECAR, "waits for a.yaml")))
    assert told(news) == ["FileWaiting"]


def test_a_file_that_went_and_came_back_is_told_again(folder: FolderView) -> None:
    waiting = FileState("a.png", State.WAITING_SIDECAR, "waits")
    for each, told in ((holding(waiting), 1), (holding(), 0), (holding(waiting), 1)):
        assert len(look(folder, each)) == told


def test_of_thousands_of_files_a_few_are_told_and_the_rest_counted(folder: FolderView) -> None:
    files = [Ignored(f"{number}.heic", "a HEIC picture") for number in range(2000)]
    *few, rest = look(folder, holding(ignored=tuple(files)))
    assert told(few) == ["FileIgnored"] * 20
    assert isinstance(rest, events.FolderNoted)
    assert rest.text.startswith("1980 more files")


def test_our_own_notes_are_no_news(folder: FolderView) -> None:
    ours = seen("report.json")
    of = replace(holding(ignored=(Ignored("report.json", "our own"),)), own_reports=(ours,))
    assert look(folder, of) == []


def test_a_file_that_is_read_by_another_name_is_told_of(folder: FolderView) -> None:
    stray = FileState("s/a.yaml.txt", State.READY, "with a.png", read_as="a.yaml")
    (event,) = look(folder, holding(stray))
    assert isinstance(event, events.FileMisnamed)
    assert str(event).startswith("s/a.yaml.txt is read as a.yaml, which was meant")


def test_what_is_ready_or_settling_is_no_news(folder: FolderView) -> None:
    files = [FileState("a.png", state, "") for state in (State.READY, State.SETTLING, State.SEEN)]
    assert look(folder, holding(*files)) == []


def claiming(folder: FolderView) -> Candidate:
    """Have the first of two candidates be claimed; returns the other."""
    first, other = candidate(seen("a.png")), candidate(seen("b.png"))
    folder.stand(StatusChanged(FolderState.ONLINE, ""))
    states = tuple(FileState(f"{stem}.png", State.READY, "") for stem in "ab")
    look(folder, replace(plan(first, other), states=states))
    assert folder.head is first
    folder.claim_next()
    return other


def test_a_claim_under_way_has_its_candidate_until_a_look_after_its_answer(
    folder: FolderView,
) -> None:
    other = claiming(folder)
    assert folder.head is other
    folder.claim_answered(Claimed(resolved_job(job("a.png")), {}))
    assert folder.head is other
    assert folder.plan is not None
    assert [file.path for file in folder.plan.states] == ["b.png"]


def test_what_a_claim_did_not_take_is_still_there_and_looked_at_again(folder: FolderView) -> None:
    other = claiming(folder)
    folder.claim_answered(ClaimLost())
    assert folder.head is other
    assert folder.plan is not None
    assert [file.state for file in folder.plan.states] == [State.SETTLING, State.READY]
    assert folder.moves


def test_no_more_is_claimed_than_is_ready(folder: FolderView) -> None:
    claiming(folder)
    folder.claim_next()
    assert folder.head is None


def test_a_folder_moves_until_it_was_looked_at(folder: FolderView) -> None:
    assert folder.moves
    look(folder, plan())
    assert not folder.moves


@pytest.mark.parametrize(
    ("path", "state", "moves"),
    [
        ("a.png", State.SETTLING, True),
        ("a.png", State.WAITING_SIDECAR, False),
        ("a.png", State.HELD, False),
        ("_preset.yaml", State.SEEN, False),
    ],
)
def test_it_moves_while_a_file_settles(
    folder: FolderView, path: str, state: State, moves: bool
) -> None:
    look(folder, holding(FileState(path, state, "")))
    assert folder.moves is moves


@pytest.mark.parametrize(
    ("state", "event", "offline"),
    [
        (FolderState.ONLINE, events.FolderOnline, False),
        (FolderState.LOW_SPACE, events.FolderLowSpace, False),
        (FolderState.OFFLINE, events.FolderOffline, True),
    ],
)
def test_how_it_stands_is_told(
    folder: FolderView, state: FolderState, event: type, offline: bool
) -> None:
    assert isinstance(folder.stand(StatusChanged(state, "so")), event)
    assert folder.is_offline is offline


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_one_whose_thread_has_ended_is_offline_and_told_once(tmp_path: Path) -> None:
    def end(_: FromFolder) -> None:
        raise SystemExit  # what nothing catches

    folder = FolderView(folder_worker(tmp_path / "hot", tmp_path / "scratch", end))
    folder.stand(StatusChanged(FolderState.ONLINE, ""))
    assert folder.observe(0.0, 0.0) is None
    folder.folder_worker.start()
    folder.folder_worker.join(10)
    assert isinstance(folder.observe(1.0, 60.0), events.FolderOffline)
    assert folder.observe(2.0, 61.0) is None
    assert folder.is_offline
    assert folder.stuck_seconds == math.inf


def still(folder: FolderView, seconds: int) -> list[Event]:
    """Feel its folder worker's pulse for so long while it stands in one call."""
    events = (folder.observe(float(second), 60.0 * second) for second in range(seconds + 1))
    return [event for event in events if event is not None]


def pause_control(thread_id: int) -> bool:
    """Whether a thread of ours stays in one and the same wait for a moment."""
    begun = _wait_of(thread_id)
    threading.Event().wait(0.05)
    return begun is not None and _wait_of(thread_id) == begun


def _wait_of(thread_id: int) -> int | None:
    """The number of the wait in which a thread is; None where it is in none."""
    stat = Path(f"/proc/self/task/{thread_id}/stat").read_text().rpartition(")")[2]
    return switches_of(thread_id) if stat.split()[0] == "S" else None


class TestSilence:
    """A folder worker that stands in a system call makes its folder offline, until it moves."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Iterator[FolderView]:
        """A hot folder that is online, and whose worker stands in one wait while at work."""
        answers: queue.SimpleQueue[FromFolder] = queue.SimpleQueue()
        worker = folder_worker(tmp_path / "hot", tmp_path / "scratch", answers.put)
        folder = FolderView(worker, StallTimeouts(silent_seconds=3.0, offline_seconds=60.0))
        worker.start()
        while not isinstance(answers.get(timeout=10).reply, Scanned):
            pass
        folder.stand(StatusChanged(FolderState.ONLINE, ""))
        assert folder.folder_worker.native_id is not None
        wait_for(partial(pause_control, folder.folder_worker.native_id))  # until its next look
        folder.folder_worker.is_at_work = True
        yield folder
        folder.folder_worker.submit(Stop())
        folder.folder_worker.join(10)

    def test_it_is_told_once_and_since_when(self, folder: FolderView) -> None:
        (event,) = still(folder, 6)
        assert isinstance(event, events.FolderOffline)
        assert event.reason.startswith("the share has not answered since ")
        assert folder.is_offline

    def test_after_two_seconds_others_go_first(self, folder: FolderView) -> None:
        assert still(folder, 2) == []
        was_away = folder.is_away
        folder.observe(2.5, 0.0)
        assert (was_away, folder.is_away, folder.is_offline) == (False, True, False)

    def test_it_is_online_again_as_soon_as_it_moves(self, folder: FolderView) -> None:
        still(folder, 6)
        folder.folder_worker.is_at_work = False
        event = folder.observe(7.0, 0.0)
        assert isinstance(event, events.FolderOnline)
        assert folder.observe(8.0, 0.0) is None

    def test_what_its_keeper_says_itself_counts_more(self, folder: FolderView) -> None:
        still(folder, 6)
        folder.stand(StatusChanged(FolderState.LOW_SPACE, "full"))
        folder.folder_worker.is_at_work = False
        assert folder.observe(7.0, 0.0) is None
        assert folder.stands == StatusChanged(FolderState.LOW_SPACE, "full")

    def test_one_that_was_offline_before_says_nothing_when_it_moves(
        self, folder: FolderView
    ) -> None:
        folder.stand(StatusChanged(FolderState.OFFLINE, "gone"))
        still(folder, 6)
        folder.folder_worker.is_at_work = False
        assert folder.observe(7.0, 0.0) is None
        assert folder.stands == StatusChanged(FolderState.OFFLINE, "gone")


def test_a_keeper_that_has_ended_is_stuck_for_ever_and_one_not_begun_is_not(
    folder: FolderView,
) -> None:
    assert folder.stuck_seconds == 0.0
    folder.folder_worker.start()
    folder.folder_worker.submit(Stop())  # as an error of ours would end it
    folder.folder_worker.join(timeout=10)
    assert folder.stuck_seconds == float("inf")


def test_by_new_settings_no_job_is_claimed_before_another_look(folder: FolderView) -> None:
    def standing() -> tuple[bool, bool]:
        return folder.gives_jobs, folder.moves

    folder.stand(StatusChanged(FolderState.ONLINE, ""))
    look(folder, holding())
    assert standing() == (True, False)
    folder.reconfigure(settings(folder.folder_worker.folder), Defaults())
    assert standing() == (False, True)
    look(folder, holding())
    assert standing() == (True, False)
