"""The jobs under way, with a real hot folder, real pixel workers and a real editor process."""

import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PIL import Image
from sample import FACTS, context, folder_worker

from config.settings import ModelSettings
from daemon.control.documents import Request, ResultCode
from daemon.events.events import Event
from daemon.folder import messages
from daemon.folder.view import FolderView
from daemon.history import History
from daemon.job import FolderState, Job, Plan, ResolvedJob
from daemon.jobs.job_run import Publishing
from daemon.jobs.requests import Requests
from daemon.jobs.runner import JobRunner
from daemon.workers.backend import Busy, Idle
from daemon.workers.child import ChildProcess, Ended, Said
from daemon.workers.editor import EditorProcess
from daemon.workers.pixel_pool import PIXEL_MODULE, PixelPool
from pipeline.editor import Done, EditResult
from pipeline.ipc import FromEditor, PixelsReady, Refused
from pipeline.pixel_requests import Prepared

T = TypeVar("T")


class Bench:
    """A workshop with one hot folder and one pixel worker."""

    def __init__(self, base: Path, pixel_module: str = PIXEL_MODULE) -> None:
        self.mail: queue.SimpleQueue[messages.FromFolder | Said | Ended] = queue.SimpleQueue()
        self.told: list[Event] = []
        self.root = base / "hot"
        self.folder_worker = folder_worker(self.root, base / "scratch", self.mail.put)
        self.pixels = PixelPool(1, self.mail.put, pixel_module)
        self.editor = EditorProcess("echo", ModelSettings(), self.mail.put)
        self.history = History(base, lambda _: None)
        self.folders = {str(self.root): FolderView(self.folder_worker)}
        self.folders[str(self.root)].stand(messages.StatusChanged(FolderState.ONLINE, ""))
        self.context = context(tell=self.told.append, history=self.history)
        self.runner = JobRunner(self.context, self.folders, self.editor, self.pixels)
        self.runner.editing.facts = FACTS
        self.folder_worker.start()

    def heard(self, wanted: Callable[[object], T | None]) -> T:
        """The first of what is said by folder worker and processes that is wanted."""
        while True:
            mail = self.mail.get(timeout=60)
            if found := wanted(mail.reply if isinstance(mail, messages.FromFolder) else mail):
                return found

    def drop(self) -> Plan:
        """Drop a picture, and have it found."""
        Image.effect_noise((96, 64), 60).convert("RGB").save(self.root / "inbox" / "cat.png")
        (self.root / "inbox" / "cat.yaml").write_text("prompt: make it blue\nvariants: 2\n")
        self.folder_worker.submit(messages.Scan())
        return self.heard(
            lambda it: it.plan if isinstance(it, messages.Scanned) and it.plan.ready else None
        )

    def claim(self, strikes: int = 0) -> ResolvedJob:
        """Have a dropped picture claimed, whose job has that many strikes."""
        self.drop()
        self.folders[str(self.root)].claim_next()
        claimed = self.heard(lambda it: it if isinstance(it, messages.Claimed) else None)
        job = replace(claimed.resolved_job.job, strikes=strikes)
        resolved_job = replace(claimed.resolved_job, job=job)
        answer = messages.Claimed(resolved_job, claimed.loras)
        self.runner.folder_replied(str(self.root), answer)
        return resolved_job

    def hold_worker(self) -> Said:
        """Start the pixel worker, which stands still from then on with what it is given."""
        self.runner.advance(time.monotonic(), others_wait=False)
        ready = self.heard(
            lambda it: it if isinstance(it, Said) and it.child in self.pixels else None
        )
        assert isinstance(ready.message, PixelsReady)
        os.kill(ready.child.pid, signal.SIGSTOP)
        self.runner.child_said(ready)
        return ready

    def edit_first(self, resolved_job: ResolvedJob) -> ChildProcess:
        """Have the first variant edited and its result at the worker, which is returned."""
        prepared = self.heard(lambda it: it if isinstance(it, Said) else None)
        self.runner.child_said(prepared)
        editor = ChildProcess("tests.wretched", FromEditor, self.mail.put)
        self.editor.child, self.editor.condition = editor, Idle(FACTS)
        self.runner.advance(time.monotonic(), others_wait=False)
        result = EditResult(
            path=resolved_job.scratch / "edited-0.png",
            encode_seconds=0.0,
            denoise_seconds=0.0,
            decode_seconds=0.0,
            peak_vram_gib=0.0,
        )
        result.path.touch()
        done = Done(f"{resolved_job.job.job_id}.0", result)
        self.runner.child_said(Said(editor, done))
        os.kill(prepared.child.pid, signal.SIGSTOP)
        self.runner.advance(time.monotonic(), others_wait=False)
        assert self.pixels.is_at(resolved_job.job.job_id)
        return prepared.child

    def filed(self) -> list[str]:
        """What the hot folder has of originals, when all orders are done."""
        self.folder_worker.submit(messages.Stop())
        self.folder_worker.join(timeout=60)
        folders = [self.root / name for name in ("done", "failed")]
        found = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        return sorted(f"{it.relative_to(self.root).parts[0]}/{it.name}" for it in found)

    def close(self) -> None:
        """End all that was started."""
        self.folder_worker.submit(messages.Stop())
        self.editor.close()
        self.pixels.close()
        self.history.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    yield one
    one.close()


def test_a_cancelled_job_is_filed_once_though_its_pixel_worker_dies(bench: Bench) -> None:
    resolved_job = bench.claim(strikes=1)
    worker = bench.hold_worker().child
    assert bench.pixels.is_at(resolved_job.job.job_id)
    requests = Requests(bench.context, bench.runner)
    arguments = {"word": resolved_job.job.job_id, "path": ""}
    requests.take(
        Request(verb="cancel", root=bench.root, arguments=arguments, reply=lambda _: None)
    )
    requests.advance()
    assert bench.pixels.is_at(resolved_job.job.job_id)  # its scratch is still in use
    worker.kill()
    bench.runner.child_ended(bench.heard(lambda it: it if isinstance(it, Ended) else None))
    assert bench.filed() == ["done/cat.png", "done/cat.yaml"]


ANOTHERS = "another daemon works on the hot folder now and has it; cancel it again there"


@pytest.mark.parametrize(
    ("let_go", "why"),
    [
        (lambda job: messages.Held(job, "it is locked"), "it is locked; then cancel it again"),
        (messages.LeaseLost, ANOTHERS),
    ],
)
def test_who_cancelled_a_job_that_is_not_filed_is_told_and_may_cancel_it_again(
    bench: Bench, let_go: Callable[[Job], messages.LetGo], why: str
) -> None:
    job, root = bench.claim().job, str(bench.root)
    requests = Requests(bench.context, bench.runner)
    told: list[Any] = []
    arguments = {"word": job.job_id, "path": ""}
    cancel = Request(verb="cancel", root=bench.root, arguments=arguments, reply=told.append)
    requests.take(cancel)
    requests.advance()
    bench.runner.folder_replied(root, let_go(job))
    requests.folder_replied(root, let_go(job))
    assert told[-1].text == f"cat.png was not cancelled: {why}."
    bench.runner.folder_replied(
        root, messages.Recovered((job,))
    )  # it is tried again, or ours again
    requests.take(cancel)
    requests.advance()
    again = bench.runner.jobs.get(job.job_id)
    assert again is not None
    assert again.phase == Publishing()


def test_who_cancels_a_picture_that_is_just_being_claimed_has_its_job_ended(bench: Bench) -> None:
    folder, root = bench.folders[str(bench.root)], str(bench.root)
    list(folder.look(bench.drop()))
    assert folder.head is not None
    folder.claim_next()
    requests = Requests(bench.context, bench.runner)
    told: list[Any] = []
    arguments = {"word": "cat.png", "path": "cat.png"}
    requests.take(Request(verb="cancel", root=bench.root, arguments=arguments, reply=told.append))
    requests.advance()  # it still waits, as far as anybody knows here
    claimed = bench.heard(lambda it: it if isinstance(it, messages.Claimed) else None)
    bench.runner.folder_replied(root, claimed)
    refused = bench.heard(lambda it: it if isinstance(it, messages.CancelRefused) else None)
    requests.folder_replied(root, refused)
    assert told == []
    requests.advance()
    filed = bench.heard(lambda it: it if isinstance(it, messages.Filed) else None)
    requests.folder_replied(root, filed)
    assert told[-1].how == ResultCode.DONE
    assert bench.filed() == ["done/cat.png", "done/cat.yaml"]


def test_what_a_pixel_worker_answers_to_an_earlier_run_is_for_nobody(bench: Bench) -> None:
    resolved_job = bench.claim()
    worker = bench.hold_worker().child
    bench.pixels.forget(resolved_job.job.job_id)
    os.kill(worker.pid, signal.SIGCONT)
    said = bench.heard(lambda it: it if isinstance(it, Said) else None)
    assert isinstance(said.message, Prepared)
    assert bench.pixels.heard(said, time.monotonic()) is None
    assert not bench.pixels.is_at(resolved_job.job.job_id)


@pytest.mark.parametrize("dies", [False, True])
def test_where_a_result_cannot_be_saved_no_further_one_is_edited(
    bench: Bench, *, dies: bool
) -> None:
    resolved_job = bench.claim()
    worker = bench.hold_worker().child
    os.kill(worker.pid, signal.SIGCONT)
    assert bench.edit_first(resolved_job) is worker
    if dies:
        bench.runner.child_ended(Ended(worker, "killed by SIGSEGV", ""))
    else:
        bench.runner.child_said(Said(worker, Refused("It is black.", "Try again.")))
    assert isinstance(bench.editor.condition, Busy)
    assert bench.editor.condition.open <= bench.editor.condition.dropped
    os.kill(worker.pid, signal.SIGCONT)
    worker.kill()


def test_it_is_said_how_often_the_pixel_workers_have_failed_to_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "no_such_module")
    for _ in range(5):
        bench.runner.breaker.try_now()
        bench.runner.advance(time.monotonic() + 1000.0, others_wait=False)
        bench.runner.child_ended(bench.heard(lambda it: it if isinstance(it, Ended) else None))
    assert "it ended 5 times in a row" in bench.runner.breaker.reason()
    bench.close()
