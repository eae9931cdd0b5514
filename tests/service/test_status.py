import json
from dataclasses import replace

import pytest
from sample import FACTS, active, resumable

from config import codec
from daemon.commands.output import as_json
from daemon.control.documents import DaemonStatus, Turn
from daemon.folder.documents import FolderSnapshot
from daemon.folder.messages import StatusChanged
from daemon.history import Counts
from daemon.job import FileState, FolderState, Ignored, Plan, State
from daemon.jobs.job_run import (
    Backoff,
    Composing,
    Editing,
    Phase,
    Preparing,
    Publishing,
    Reclaiming,
    Waiting,
)
from daemon.service.status import (
    daemon_status,
    editor_status,
    job_status,
    shares,
    status_line,
)
from daemon.workers.backend import Dead, Idle

WORDS = {
    *("seen", "settling", "waiting-sidecar", "reference", "held", "ready", "claimed", "running"),
    *("publishing", "done", "review", "failed", "quarantined", "duplicate", "cancelled"),
}
FOLDER_WORDS = {"online", "offline", "paused", "low-space", "standby"}
JOB_KEYS = {"job_id", "file", "state", "attempts", "variant", "step", "steps", "seconds"}
RESTING = Backoff(30.0, strike=True, alone=False, cause="out of memory")
PHASES: list[Phase] = [
    Preparing(),
    Waiting(),
    Editing(index=1, step=3, steps=4, since=10.0),
    Composing(),
    Publishing(),
    RESTING,
]
PLAN = Plan(
    states=tuple(FileState(f"{state}.png\udcff", state, "why") for state in State),
    ignored=(Ignored("a\nb.heic", "a HEIC picture"),),
    ready=(),
    needed_by={},
    scan_again_at=None,
)


def test_the_states_are_the_words_of_the_contract() -> None:
    assert {str(state) for state in State} == WORDS
    assert {str(state) for state in FolderState} == FOLDER_WORDS


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: type(phase).__name__)
def test_every_job_stands_in_a_state_of_the_contract(phase: Phase) -> None:
    status = job_status(active(1, phase), now=12.0, seconds_left=None)
    assert status.state in {"claimed", "running", "publishing"}


@pytest.mark.parametrize("phase", [RESTING, Reclaiming(), Publishing()], ids=repr)
def test_a_job_without_a_task_is_claimed(phase: Backoff | Reclaiming | Publishing) -> None:
    job = replace(resumable(1, until=30.0), phase=phase)
    assert job_status(job, now=12.0, seconds_left=None).state == "claimed"


def test_a_running_job_tells_its_step_and_what_is_left() -> None:
    status = job_status(active(1, PHASES[2]), now=12.0, seconds_left=3.0)
    assert (status.variant, status.step, status.steps) == (2, 3, 4)
    assert (status.seconds, status.eta_seconds) == (2.0, 3.0)
    assert status.text == "step 3 of 4, variant 2, about 3 s more"


def test_a_resting_job_tells_why_and_how_long() -> None:
    status = job_status(active(1, RESTING), now=12.0, seconds_left=None)
    assert (status.reason, status.retry_in_seconds) == ("out of memory", 18.0)


def test_a_folder_counts_files_and_jobs_by_their_states_and_is_json() -> None:
    job = job_status(active(1, PHASES[2]), now=12.0, seconds_left=None)
    stands = StatusChanged(FolderState.LOW_SPACE, "full")
    snapshot = FolderSnapshot(
        root="/hot\udcff", stands=stands, plan=PLAN, jobs=(job,), today=Counts(done=2)
    )
    told = daemon_status([snapshot.answer("status", {})], editor_status(Dead(0.0), FACTS))
    assert codec.load(DaemonStatus, codec.dump(told)) == told
    document = json.loads(json.dumps(as_json(told), ensure_ascii=False).encode())
    (only,) = document["folders"]
    assert only["jobs"][0].keys() == JOB_KEYS
    assert only["state"] == "low-space"
    assert set(only["counts"]) == WORDS
    assert (only["counts"]["running"], only["counts"]["ready"]) == (2, 1)
    assert only["ignored"] == [{"file": "a\\nb.heic", "reason": "a HEIC picture"}]


def test_waiting_pictures_and_claimed_jobs_have_their_turns() -> None:
    waits = active(1, Waiting())
    snapshot = FolderSnapshot(
        root="/hot",
        stands=StatusChanged(FolderState.ONLINE, ""),
        plan=Plan(
            states=(FileState("a.png", State.READY, "ready"), FileState("b.png", State.HELD, "")),
            ignored=(),
            ready=(),
            needed_by={},
            scan_again_at=None,
        ),
        jobs=(job_status(waits, now=12.0, seconds_left=None),),
    )
    turns = {waits.job.job_id: Turn(0, 3, 60.0), "a.png": Turn(2, 3, 242.0)}
    told = snapshot.with_turns(turns).answer("status", {})
    assert told.jobs[0].text == "1st of 3, in about 60 s"
    assert [it.text for it in told.files] == ["ready, 3rd of 3, in about 4 min", ""]
    document = as_json(told.files[0])
    assert (document["ahead"], document["queued"], document["eta_seconds"]) == (2, 3, 242.0)
    assert "ahead" not in as_json(told.files[1])


def test_the_line_for_systemd_names_what_is_edited_and_what_waits() -> None:
    jobs = [active(1, PHASES[2]), active(2, Waiting())]
    line = status_line(jobs, ready=3, waiting=1)
    assert line == "editing 1.png step 3/4 · queue 3 · waiting-sidecar 1"


def test_the_line_for_systemd_says_first_why_no_job_is_begun() -> None:
    line = status_line([], ready=3, waiting=0, halt="the disk is full")
    assert line == "paused: the disk is full · queue 3"


def test_the_line_for_systemd_tells_of_time_failures_and_shares() -> None:
    line = status_line(
        [], ready=12, waiting=2, queue_seconds=2280.0, failed_today=1, shares="share ok"
    )
    assert line == "queue 12 (~38 min) · waiting-sidecar 2 · failed today 1 · share ok"


def test_a_share_that_is_ill_is_named() -> None:
    stands = {"/a": FolderState.ONLINE, "/b": FolderState.OFFLINE, "/c": FolderState.STANDBY}
    assert shares(stands) == "/b offline"
    assert shares({"/a": FolderState.ONLINE}) == "share ok"


def test_an_editor_that_was_ended_while_all_is_paused_is_not_dead() -> None:
    assert editor_status(Dead(0.0), None, is_unneeded=True)["state"] == "unloaded"
    assert editor_status(Dead(0.0), None)["state"] == "dead"
    assert (
        editor_status(Idle(FACTS), FACTS, is_unneeded=True)["state"] == "idle"
    )  # it ends in a moment
