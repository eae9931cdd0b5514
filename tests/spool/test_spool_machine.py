"""Whatever people, clocks and deaths do to a real hot folder: nothing is lost, nothing is half."""

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from dying import ends_within
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from morning import homes_in, outbox_of
from nights import Hot
from paper import PART, WHOLE
from sample import finished
from sample import settings as settings_of

from config.settings import FolderSettings
from daemon.folder import messages
from daemon.folder.executor import FolderExecutor
from daemon.folder.resolve import Resolver
from daemon.inbox.inbox import Inbox, choose_watch_mode, settle_rules
from daemon.job import EMPTY_PLAN, Candidate, Job, Plan, ResolvedJob, State, kept, without_image
from daemon.spool.receipts import FailureReason, FinishedJob
from daemon.spool.spool import Spool
from pipeline.recipe import Defaults, RecipeRules

NFC, NFD = "\u00e9", "e\u0301"
PICTURES = (f"{NFC}.png", f"{NFD}.png", "logo.png", f"s/{NFC}.png")
SIDECARS = (f"{NFC}.yaml", f"{NFD}.yml", f"s/{NFC}.txt")
INSTRUCTIONS = ("prompt: blue", "prompt: blue\nimages: [logo.png]", "promt: blue")
WHY = FailureReason(State.FAILED, "It is broken.", "Mend it.")
SETTLE_SECONDS = 2.0

deaths = st.one_of(st.none(), st.integers(0, 90))


class Clock:
    """Time as the test has it."""

    def __init__(self) -> None:
        self.now, self.jumped = 1000.0, 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000.0 + self.now + self.jumped


class Daemon:
    """What of a daemon works on one hot folder, without its threads."""

    def __init__(self, hot: Hot, clock: Clock) -> None:
        self._clock = clock
        folder = FolderSettings(
            root=hot.root, settle_seconds=SETTLE_SECONDS, sidecar_grace_seconds=0.0
        )
        recipe_rules = RecipeRules.of(settings_of(folder), Defaults(steps=4))
        self.survey = Inbox(
            hot.inbox,
            settle_rules(folder, choose_watch_mode(folder, None), final=False),
            recipe_rules=recipe_rules,
            trust_inodes=True,
            unix_clock=clock.time,
        )
        self._answers: list[messages.FolderReply] = []
        self._executor = FolderExecutor(
            spool=Spool(hot.root),
            scratch=hot.root.parent / "scratch",
            clock=clock,
            resolver=Resolver(recipe_rules),
            presets_for=self.survey.presets_for,
            reply=self._answers.append,
        )
        self.plan: Plan = EMPTY_PLAN
        self.at_work: dict[str, ResolvedJob] = {}
        self.resting: dict[str, Job] = {}
        self.on_the_shelf: dict[str, FinishedJob] = {}

    def look(self) -> None:
        """Look at the inbox."""
        self.plan = self.survey.scan(self._clock.now)

    def recover(self) -> None:
        """Take over what another daemon left."""
        self._executor.recover()
        self._hear()

    def claim(self, candidate: Candidate) -> None:
        """Claim a candidate of the plan."""
        self.do(messages.Claim(candidate, kept(self.plan, candidate)))
        ready = tuple(it for it in self.plan.ready if it != candidate)
        self.plan = replace(self.plan, ready=ready)

    def do(self, order: messages.ExecutorCommand) -> None:
        """Do an order, and take note of the answers."""
        self._executor.do(order)
        self._hear()

    def _hear(self) -> None:
        answers, self._answers[:] = tuple(self._answers), []
        for answer in answers:
            match answer:
                case messages.Claimed(resolved_job):
                    self.at_work[resolved_job.job.job_id] = resolved_job
                    self.plan = without_image(self.plan, resolved_job.job.path)
                case messages.Rejected(job, _, instruction):
                    self.do(messages.FileFailed(job, WHY, instruction))
                case messages.Recovered(jobs, finished):
                    self.resting |= {job.job_id: job for job in jobs}
                    self.on_the_shelf |= {it.job.job_id: it for it in finished}
                case _:
                    pass  # it is over


class HotFolderMachine(RuleBasedStateMachine):
    """People drop, change and take away files; a daemon works, dies, and is there again."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp())
        self.hot, self.clock = Hot(self.base), Clock()
        self.daemon = Daemon(self.hot, self.clock)
        self.rival = Daemon(self.hot, self.clock)
        self.theirs: dict[str, str] = {}  # the hash of each file that is somebody's, and its name
        self.drops = 0

    def teardown(self) -> None:
        """Everything is worked off, and then all is where it belongs."""
        self.daemon = Daemon(self.hot, self.clock)
        self.daemon.recover()
        for job in self.daemon.resting.values():
            self.daemon.do(messages.Release(job))
        for it in self.daemon.on_the_shelf.values():
            self.daemon.do(messages.Publish(it, ()))
        assert not list((self.hot.root / ".hotfolder" / "work").iterdir())
        self.nothing_is_lost()
        self.no_result_is_half_or_there_twice()
        shutil.rmtree(self.base)

    # What people do

    @rule(
        name=st.sampled_from(PICTURES),
        text=st.sampled_from(INSTRUCTIONS),
        is_claimed=st.booleans(),
        dies_after=deaths,
    )
    def drop_a_job(self, name: str, text: str, is_claimed: bool, dies_after: int | None) -> None:
        self.write("logo.png", self.unique(WHOLE))
        self.write(name, self.unique(WHOLE))
        self.write(f"{name.removesuffix('.png')}.yaml", self.unique(f"{text}\n# ".encode()))
        self.wait(SETTLE_SECONDS)
        if is_claimed and self.daemon.plan.ready:
            self.claim(dies_after)

    @rule(name=st.sampled_from(PICTURES), content=st.sampled_from([WHOLE, PART]))
    def drop_a_picture(self, name: str, content: bytes) -> None:
        self.write(name, self.unique(content))

    @rule(name=st.sampled_from(SIDECARS), text=st.sampled_from(INSTRUCTIONS))
    def drop_a_sidecar(self, name: str, text: str) -> None:
        self.write(name, self.unique(f"{text}\n# ".encode()))

    @precondition(lambda self: self.inbox())
    @rule(data=st.data(), deed=st.sampled_from(["append", "rename", "delete", "replace"]))
    def meddle(self, data: st.DataObject, deed: str) -> None:
        path = data.draw(st.sampled_from(self.inbox()))
        name, before, content = (
            str(path.relative_to(self.hot.inbox)),
            path.stat(),
            path.read_bytes(),
        )
        match deed:
            case "append":
                self.write(name, self.unique(content + b"#"))
            case "rename":
                self.move(path, data.draw(st.sampled_from((*PICTURES, *SIDECARS))))
            case "delete":
                self.disown(path)
                path.unlink()
            case _:  # by one of the same size, with its time kept
                self.write(name, self.unique(content[:-4])[: len(content)])
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def write(self, name: str, content: bytes) -> None:
        path = self.hot.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.disown(path)
        path.write_bytes(content)
        self.theirs[hashlib.sha256(content).hexdigest()] = name

    def move(self, path: Path, name: str) -> None:
        target = self.hot.inbox / name
        target.parent.mkdir(exist_ok=True)
        if path != target:
            self.disown(target)
            path.rename(target)

    def disown(self, path: Path) -> None:
        if path.exists():
            self.theirs.pop(hashlib.sha256(path.read_bytes()).hexdigest(), None)

    def unique(self, content: bytes) -> bytes:
        self.drops += 1
        number = b"%04d" % self.drops
        return content[:-4] + number if len(content) == len(WHOLE) else content + number

    def inbox(self) -> list[Path]:
        return sorted(path for path in self.hot.inbox.rglob("*") if path.is_file())

    # What time and the share do

    @rule(seconds=st.sampled_from([0.5, 2.0, 1000.0]))
    def wait(self, seconds: float) -> None:
        for lease_lost in (0.0, seconds):
            self.clock.now += lease_lost
            self.daemon.look()
            self.rival.look()

    @rule(seconds=st.sampled_from([-1e6, -60.0, 1e6]))
    def the_clock_jumps_while_the_share_is_away(self, seconds: float) -> None:
        self.clock.jumped += seconds
        self.hot.root.rename(self.base / "away")
        with pytest.raises(FileNotFoundError):
            self.daemon.look()
        (self.base / "away").rename(self.hot.root)

    # What the daemon does

    def act(self, dies_after: int | None, act: Callable[[], object]) -> None:
        """Act, or die in the middle of it or after it, and let another daemon go on."""
        if dies_after is None:
            act()
            return
        ends_within(dies_after, self.hot.root, act)
        self.daemon = Daemon(self.hot, self.clock)
        self.daemon.recover()

    @precondition(lambda self: self.daemon.plan.ready)
    @rule(dies_after=deaths)
    def claim(self, dies_after: int | None) -> None:
        self.act(dies_after, partial(self.daemon.claim, self.daemon.plan.ready[0]))

    @precondition(lambda self: self.rival.plan.ready)
    @rule()
    def a_rival_claims_and_is_gone(self) -> None:
        self.rival.claim(self.rival.plan.ready[0])
        self.rival = Daemon(self.hot, self.clock)
        self.daemon.recover()

    @precondition(lambda self: self.daemon.at_work)
    @rule(dies_after=deaths)
    def publish(self, dies_after: int | None) -> None:
        _, resolved_job = self.daemon.at_work.popitem()
        of = finished(resolved_job, self.unique(b"result "))
        self.act(dies_after, partial(self.daemon.do, messages.Publish(of, ())))

    @precondition(lambda self: self.daemon.at_work)
    @rule(data=st.data(), dies_after=deaths)
    def end_without_a_result(self, data: st.DataObject, dies_after: int | None) -> None:
        _, resolved_job = self.daemon.at_work.popitem()
        completion: list[messages.JobCommand] = [
            messages.FileFailed(resolved_job.job, WHY, "{}"),
            messages.Release(resolved_job.job),
            messages.FileDone(resolved_job.job, State.DUPLICATE, ()),
            messages.Reclaim(resolved_job.job, strike=True, alone=True),
        ]
        self.act(dies_after, partial(self.daemon.do, data.draw(st.sampled_from(completion))))

    @precondition(lambda self: self.daemon.resting or self.daemon.on_the_shelf)
    @rule(dies_after=deaths)
    def go_on(self, dies_after: int | None) -> None:
        order: messages.JobCommand
        if self.daemon.resting:
            _, job = self.daemon.resting.popitem()
            order = messages.Reclaim(job, strike=False, alone=False)
        else:
            _, it = self.daemon.on_the_shelf.popitem()
            order = messages.Publish(it, ())
        self.act(dies_after, partial(self.daemon.do, order))

    # What must hold

    @invariant()
    def nothing_is_lost(self) -> None:
        found: Counter[str] = Counter()
        for (sha256, _), count in homes_in(self.hot).items():
            found[sha256] += count
        for sha256, name in self.theirs.items():
            assert found[sha256], f"{name} is lost"
            # What several jobs need is copied for each.
            is_shared = name == "logo.png" or not name.endswith(".png")
            assert found[sha256] == 1 or is_shared, f"{name} is there twice"

    @invariant()
    def no_result_is_half_or_there_twice(self) -> None:
        outbox = outbox_of(self.hot)
        receipts = {name: content for name, content in outbox.items() if name.endswith(".json")}
        assert outbox.keys() == {*receipts, *(name.removesuffix(".json") for name in receipts)}
        jobs = []
        for name, content in receipts.items():
            receipt, result = json.loads(content), outbox[name.removesuffix(".json")]
            assert receipt["output"]["sha256"] == hashlib.sha256(result).hexdigest()
            jobs.append(receipt["job_id"])
        assert len(set(jobs)) == len(jobs)

    @invariant()
    def what_failed_says_why(self) -> None:
        for folder in self.hot.root.glob("failed/*/*"):
            assert {"WHY.txt", "report.json"} < {path.name for path in folder.iterdir()}


TestHotFolder = HotFolderMachine.TestCase
TestHotFolder.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.torture
def test_for_long() -> None:
    long = settings(max_examples=3000, stateful_step_count=60, deadline=None)
    run_state_machine_as_test(HotFolderMachine, settings=long)
