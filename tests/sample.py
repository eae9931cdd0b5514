"""Samples of a job on its way: the values that its modules hand to each other."""

import hashlib
import os
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from config.settings import FolderSettings, Limits, ModelSettings, Settings
from config.values import Format, Keep, MinConfidence, Off, OriginalSize, Region
from daemon.clock import Clock
from daemon.context import Context, SettingsInForce
from daemon.events.events import Event
from daemon.folder.messages import FolderReply, FromFolder, Stop
from daemon.folder.view import FolderView
from daemon.folder.worker import FolderWorker
from daemon.fs.hot_folder import make_hot_folder
from daemon.fs.local_dirs import LocalDirs
from daemon.history import History
from daemon.inbox.inbox import Inbox, choose_watch_mode, settle_rules
from daemon.job import Candidate, Job, JobFile, Plan, ResolvedJob, Role, Seen
from daemon.jobs.job_run import Backoff, JobRun, JobTable, ParkedJob, Phase
from daemon.lease.election import LEASE_TIMINGS, LeaseTimings
from daemon.spool.receipts import FinishedJob, Variant
from daemon.spool.records import ClaimTicket
from daemon.workers.editor import EditorProcess
from daemon.workers.pixel_pool import PixelPool
from pipeline.editor import EditResult, ModelFacts
from pipeline.picture.fidelity import Fidelity, Likeness, Strategy
from pipeline.pixel_requests import Composed, Placement, Prepared
from pipeline.recipe import Defaults, Recipe, RecipeRules

T = TypeVar("T")

RECIPE = Recipe(
    prompt="make it blue",
    negative_prompt=" ",
    preset=None,
    steps=4,
    cfg=4.0,
    seed=42,
    lora=None,
    images=(),
    mask=None,
    region=None,
    variants=1,
    priority=5,
    megapixels=None,
    size=OriginalSize(),
    keep=Keep.AUTO,
    format=Format.SAME,
    quality=None,
    min_keep_psnr=Off.OFF,
    max_shift_px=Off.OFF,
    max_changed=Off.OFF,
    min_confidence=MinConfidence.OFF,
)
FACTS = ModelFacts(
    path="/models/tiny",
    class_name="QwenImageEditPlusPipeline",
    fingerprint="f1",
    dtype="bf16",
    attention="native",
    is_compiled=True,
    weights="random",
    working_pixels=None,
    multiple=32,
    versions=(("torch", "2.13"),),
)
FIDELITY = Fidelity(
    strategy=Strategy.LOCAL,
    reason="8.0% of the picture changed",
    alignment="99 points agree, to 0.02 pixels of the model's",
    changed_share=0.08,
    before=Likeness(psnr_db=31.25, ssim=0.9),
    after=Likeness(psnr_db=60.0, ssim=0.9999),
    shift_px=(1.5, -2.25),
    zoom=1.004,
    rotation_degrees=0.1,
    tone_gain=(1.01, 1.0, 0.99),
    sharpness=0.9,
)
TICKET = ClaimTicket(
    job_id="20261122-120000-aaaaaaaa", drawn_seed=7, arrived_at=1.0, claimed_at=2.0
)


def job(name: str = "cat.png", sidecar: str = "cat.yaml", folder: str = "") -> Job:
    """A job whose image and sidecar were moved."""
    originals = tuple(
        JobFile(role=role, name=it, moved=True, sha256="aa", size=1)
        for role, it in ((Role.IMAGE, name), (Role.SIDECAR, sidecar))
    )
    return Job(
        job_id=TICKET.job_id,
        folder=folder,
        files=originals,
        drawn_seed=7,
        arrived_at=1.0,
        claimed_at=2.0,
        attempts=1,
        strikes=0,
        alone=False,
    )


def resolved_job(
    of: Job, recipe: Recipe = RECIPE, scratch: Path = Path("/scratch")
) -> ResolvedJob:
    """The task of a job."""
    return ResolvedJob(
        job=of,
        recipe=recipe,
        instruction='{"prompt": "make it blue"}',
        content_key="kk",
        scratch=scratch,
        companions={},
        notes=(),
    )


PLACEMENT = Placement(
    region=Region(0, 0, 64, 48),
    canvas_width=64,
    canvas_height=64,
    content_width=64,
    content_height=48,
    left=0,
    top=8,
)


def finished(of: ResolvedJob, *contents: bytes, missed: tuple[str, ...] = ()) -> FinishedJob:
    """The job with a result of each content, on its scratch."""
    return FinishedJob(
        resolved_job=of,
        prepared=Prepared(canvases=(), width=64, height=48, placement=PLACEMENT, notes=()),
        prepare_seconds=0.5,
        variants=tuple(_variant(of, *pair, missed) for pair in enumerate(contents)),
        model=FACTS,
        model_loaded_at=1_700_000_000.0,
    )


def _variant(of: ResolvedJob, index: int, content: bytes, missed: tuple[str, ...]) -> Variant:
    seed, path = of.recipe.seed + index, of.scratch / f"result-{index}.png"
    path.write_bytes(content)
    return Variant(
        index=index,
        seed=seed,
        edit=EditResult(
            path=path,
            encode_seconds=0.25,
            denoise_seconds=2.0,
            decode_seconds=0.25,
            peak_vram_gib=1.23456,
        ),
        composed=Composed(
            path=path,
            format_changed=False,
            width=64,
            height=48,
            sha256=hashlib.sha256(content).hexdigest(),
            preview=None,
            notes=(),
            fidelity=FIDELITY,
        ),
        compose_seconds=1.0,
        missed=missed,
    )


def active(number: int, phase: Phase, *, priority: int = 5, alone: bool = False) -> JobRun:
    """A job under way; higher numbers are younger."""
    one = replace(job(f"{number}.png"), job_id=f"job-{number:03}", alone=alone)
    return JobRun(
        root="/hot",
        resolved_job=resolved_job(one, replace(RECIPE, priority=priority)),
        phase=phase,
    )


def resumable(number: int, until: float) -> ParkedJob:
    """A job that rests."""
    one = replace(job(f"{number}.png"), job_id=f"job-{number:03}")
    resting = Backoff(until, strike=False, alone=False, cause="it was tired")
    return ParkedJob(root="/hot", job=one, phase=resting)


def seen(path: str, inbox: Path | None = None) -> Seen:
    """A file as a look sees it: on paper, or of a real inbox."""
    if inbox is None:
        return Seen(path, 1, 0, 0, 0)
    status = os.lstat(inbox / path)
    return Seen(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def candidate(
    image: Seen, *others: Seen, sidecar: Seen | None = None, priority: int = 5, since: float = 0.0
) -> Candidate:
    """A candidate; `others` are its companions."""
    return Candidate(
        image=image,
        sidecar=sidecar,
        companions=others,
        priority=priority,
        since=since,
        problems=(),
    )


def plan(*ready: Candidate, needed_by: dict[str, frozenset[str]] | None = None) -> Plan:
    """A plan with these candidates."""
    return Plan(states=(), ignored=(), ready=ready, needed_by=needed_by or {}, scan_again_at=None)


def settings(folder: FolderSettings) -> Settings:
    """The settings of one hot folder."""
    return Settings(
        model=ModelSettings(), folders=(folder,), defaults=folder, presets={}, limits=Limits()
    )


def context(
    *,
    clock: Clock = time,
    tell: Callable[[Event], None] = lambda _: None,
    history: History | None = None,
) -> Context:
    """What the parts of a daemon go by that nobody waits for, with any settings."""
    unused = FolderSettings(root=Path("/nowhere"))
    return Context(
        clock=clock,
        tell=tell,
        history=history or History(Path("/nowhere"), lambda _: None, look=True),
        settings=SettingsInForce(settings(unused), Defaults(), lambda *now: now),
        once=False,
    )


def job_table(folders: Mapping[str, FolderView] = MappingProxyType({})) -> JobTable:
    """No jobs yet, with an editor and pixel workers that are not started."""
    editor = EditorProcess("echo", ModelSettings(), lambda _: None)
    return JobTable(folders, editor, PixelPool(0, lambda _: None))


def folder_worker(
    root: Path,
    scratch: Path,
    deliver: Callable[[FromFolder], None],
    *,
    final: bool = False,
    timings: LeaseTimings = LEASE_TIMINGS,
) -> FolderWorker:
    """A folder worker of a new hot folder where files settle at once and any space is enough."""
    make_hot_folder(root, "the-id")
    folder = FolderSettings(root=root, settle_seconds=0.0, poll_seconds=30.0, min_free_gib=0.0)
    watch_mode = choose_watch_mode(folder, None)
    survey = Inbox(
        root / "inbox",
        settle_rules(folder, watch_mode, final=final),
        recipe_rules=RecipeRules.of(settings(folder), Defaults(steps=4)),
        trust_inodes=True,
    )
    return FolderWorker(
        folder=folder,
        inbox=survey,
        local_dirs=LocalDirs(state=scratch, scratch=scratch, control=scratch),
        clock=time,
        deliver=deliver,
        timings=timings,
    )


class HotFolderWorker:
    """A hot folder, its folder worker, which is yet to start, and what that answers."""

    def __init__(self, root: Path, scratch: Path, timings: LeaseTimings = LEASE_TIMINGS) -> None:
        self.root, self.inbox, self.scratch = root, root / "inbox", scratch
        self.answers: queue.SimpleQueue[FolderReply] = queue.SimpleQueue()
        self.seen: list[FolderReply] = []
        self.folder_worker = folder_worker(
            root, scratch, lambda mail: self.answers.put(mail.reply), timings=timings
        )
        self.submit = self.folder_worker.submit

    def next(self, kind: type[T], where: Callable[[T], object] = lambda _: True) -> T:
        """The next answer of a kind; those before it are in `seen`."""
        deadline = time.monotonic() + 20.0
        while True:
            answer = self.answers.get(timeout=max(0.0, deadline - time.monotonic()))
            self.seen.append(answer)
            if isinstance(answer, kind) and where(answer):
                return answer

    def end(self) -> None:
        """End it."""
        self.submit(Stop())
        self.folder_worker.join(10)
        assert not self.folder_worker.is_alive()
