"""The daemon may die, and the file system may fail, at any step of any job: nothing is lost."""

import errno
import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

import pytest
from campaign import Campaign, Case, begin, go
from faults import Fault, Way
from morning import outbox_of
from nights import NIGHTS, Hot, Night
from warm import Warm

from daemon.history import Counts, History
from daemon.job import story_of

ERRORS = (errno.EIO, errno.ENOSPC, errno.ESTALE, errno.EACCES)
_DOUBTFUL = ("link", "mkdir", "remove", "rename", "replace", "rmdir", "unlink")
_OFTEN_READ = 2  # times that the same file is read in the same way, and each may fail
_BY_NAME = {night.name: night for night in NIGHTS}

LOGGING = "open logs/LOG-DAY.txt #4"
SIDECAR_FAILS = "link .hotfolder/work/JOB1/cat.yaml failed/DAY/cat/cat.yaml #1"

# What went wrong once.
KNOWN = (
    Case(
        _BY_NAME["a duplicate"],
        (Fault("link .hotfolder/work/JOB1/cat.yaml done/DAY/cat_2.yaml #1", Way.KILL),),
    ),
    Case(
        _BY_NAME["a broken sidecar"],
        (Fault(SIDECAR_FAILS, Way.KILL),),
    ),
    Case(
        _BY_NAME["a poison"],
        (Fault(SIDECAR_FAILS, Way.KILL),),
    ),
    Case(_BY_NAME["a shared reference"], (Fault(LOGGING, Way.FAIL, errno.ENOSPC),)),
    Case(_BY_NAME["a pair"], (Fault("unlink .hotfolder/work/JOB1/job.json #1", Way.KILL),)),
    Case(
        _BY_NAME["a pair"],
        (Fault("unlink outbox/.hotfolder-HEX.tmp #1", Way.FAIL, errno.EIO),),
    ),
    Case(
        _BY_NAME["two variants"],
        (Fault("write outbox/.hotfolder-HEX.tmp #2", Way.FAIL, errno.ENOSPC),),
    ),
    Case(
        _BY_NAME["a stop"],
        (Fault("read .hotfolder/work/JOB1/cat.png #2", Way.FAIL, errno.EIO),),
    ),
)

every_night = pytest.mark.parametrize("night", NIGHTS, ids=str)


def deaths(steps: Sequence[str]) -> Iterator[Fault]:
    """Every way to die at a step that changes something: between two of those nothing differs."""
    for step in changes(steps):
        yield Fault(step, Way.KILL)
        yield Fault(step, Way.CUT)
        if step.startswith("write"):
            yield Fault(step, Way.TEAR)


def power_cut_after_filing(steps: Sequence[str]) -> Fault:
    """The power fails when the last job has just left work/: what it left behind is safe."""
    made = changes(steps)
    last = max(at for at, step in enumerate(made) if step.startswith("rmdir .hotfolder/work/"))
    return Fault(next(it for it in made[last + 1 :] if not it.startswith("fsync")), Way.CUT)


def failures(steps: Sequence[str]) -> Iterator[Fault]:
    """Every error at every step that changes something, and one of them at every other."""
    yield from errors_of_changes(steps)
    for step in steps:
        name = step[1:]
        if step.startswith("!") or name.startswith("close"):
            continue  # what was only read is closed without an error
        if int(name.rpartition("#")[2]) <= _OFTEN_READ:
            yield Fault(name, Way.FAIL, ERRORS[len(name) % len(ERRORS)])


def errors_of_changes(steps: Sequence[str]) -> Iterator[Fault]:
    """Each error, one that lasts for a while, and one of what was done all the same."""
    for step in changes(steps):
        for number in ERRORS:
            yield Fault(step, Way.FAIL, number)
        yield Fault(step, Way.FAIL, errno.EIO, lasts=5)
        if step.startswith(_DOUBTFUL):
            yield Fault(step, Way.LIE, errno.EIO)
        if step.startswith("write"):
            yield Fault(f"close{step.removeprefix('write')}", Way.FAIL, errno.EDQUOT)


def led(steps: Sequence[str]) -> Sequence[str]:
    """The steps without those in which a daemon begins to lead.

    One that dies or fails there leaves a term that is nobody's, and is waited for for a minute.
    """
    begun = next(at for at, it in enumerate(steps) if it.startswith("!mkdir .hotfolder/lease/0"))
    ended = next(
        at for at, it in enumerate(steps) if it.endswith("owner.json #1") and "!ren" in it
    )
    return (*steps[:begun], *steps[ended + 1 :])


def changes(steps: Sequence[str]) -> list[str]:
    return [step[1:] for step in steps if step.startswith("!")]


def some(faults: Iterable[Fault], count: int, salt: str) -> list[Fault]:
    """A few faults, always the same, of as many kinds as there are."""
    mixed = sorted(faults, key=lambda it: hashlib.sha256(f"{salt} {it}".encode()).digest())
    of_a_kind: Counter[tuple[Way, int, str]] = Counter()
    ranked = []
    for fault in mixed:
        kind = (fault.way, fault.errno, fault.step.partition(" ")[0])
        of_a_kind[kind] += 1
        ranked.append((of_a_kind[kind], fault))
    ranked.sort(key=itemgetter(0))
    return [fault for _, fault in ranked[:count]]


def night_of(campaign: Campaign, night: Night) -> Sequence[str]:
    """The steps of a night in which something may go wrong."""
    return led(campaign.steps(night))


def twice(campaign: Campaign, night: Night, first: Fault, count: int) -> list[Case]:
    """The same death, and another one in the recovery from it."""
    steps = led(campaign.steps(night, first))
    return [Case(night, (first, second)) for second in some(deaths(steps), count, str(first))]


def survive(campaign: Campaign, cases: Sequence[Case]) -> None:
    """Nothing is wrong after any of the cases, and they are what they say."""
    outcome = campaign.survive(cases)
    assert not outcome.wrong, "\n".join(outcome.wrong)
    assert outcome.met >= 0.7 * sum(len(case.faults) for case in cases)


def each(night: Night, faults: Iterable[Fault]) -> list[Case]:
    return [Case(night, (fault,)) for fault in faults]


@pytest.mark.parametrize("case", KNOWN, ids=str)
def test_what_went_wrong_once(campaign: Campaign, case: Case) -> None:
    survive(campaign, [case])


def test_the_daemon_may_die_anywhere(campaign: Campaign) -> None:
    cases = []
    for night in NIGHTS:
        steps = night_of(campaign, night)
        faults = [*some(deaths(steps), 2, night.name), power_cut_after_filing(steps)]
        cases += each(night, faults)
    survive(campaign, cases)


def test_any_step_may_fail(campaign: Campaign) -> None:
    cases = []
    for night in NIGHTS:
        cases += each(night, some(failures(night_of(campaign, night)), 2, night.name))
    survive(campaign, cases)


def test_it_may_die_again_in_the_recovery(campaign: Campaign) -> None:
    cases = []
    for night in NIGHTS[::3]:
        (first,) = some(deaths(night_of(campaign, night)), 1, f"first of {night}")
        cases += twice(campaign, night, first, 1)
    survive(campaign, cases)


@pytest.mark.torture
def test_it_may_die_while_it_begins_to_lead(campaign: Campaign) -> None:
    night = NIGHTS[0]
    steps = campaign.steps(night)
    faults = {*deaths(steps), *errors_of_changes(steps)}
    usual = {*deaths(led(steps)), *errors_of_changes(led(steps))}
    survive(campaign, each(night, faults - usual))


@pytest.mark.torture
@every_night
def test_the_daemon_may_die_at_every_step(campaign: Campaign, night: Night) -> None:
    survive(campaign, each(night, deaths(night_of(campaign, night))))


@pytest.mark.torture
@every_night
def test_every_step_may_fail(campaign: Campaign, night: Night) -> None:
    survive(campaign, each(night, failures(night_of(campaign, night))))


@pytest.mark.torture
@every_night
def test_it_may_die_again_anywhere_in_the_recovery(campaign: Campaign, night: Night) -> None:
    firsts = some(deaths(night_of(campaign, night)), 25, night.name)
    survive(campaign, [case for first in firsts for case in twice(campaign, night, first, 8)])


PUBLISHED = Fault("link .hotfolder/work/JOB1/cat.png done/DAY/cat.png #1", Way.KILL)


@pytest.mark.parametrize("scratch", ["kept", "emptied"])
def test_what_was_published_before_a_death_is_in_history_and_log_once(
    tmp_path: Path, scratch: str
) -> None:
    hot, warm, night = Hot(tmp_path), Warm(), _BY_NAME["a pair"]
    begin(warm, hot, night)
    assert go(warm, hot, night, PUBLISHED).code == 137
    assert outbox_of(hot).keys() == {"cat.png", "cat.png.json"}
    if scratch == "emptied":
        shutil.rmtree(tmp_path / "cache")
    assert go(warm, hot, night, None).code == 0
    warm.close()
    job_id = hot.receipt("cat.png")["job_id"]
    assert remembered(hot) == (job_id, ("outbox/cat.png",))
    for log in (*hot.root.glob("logs/LOG-*.txt"), hot.root / story_of(job_id)):
        assert log.read_text().count("outbox/cat.png") == 1
    assert {Path(name).name for name in hot.files("done")} == {"cat.png", "cat.yaml"}


def test_what_was_published_before_a_death_is_known_for_a_duplicate(tmp_path: Path) -> None:
    hot, warm, night = Hot(tmp_path), Warm(), _BY_NAME["a pair"]
    hot.set("on_duplicate: skip")
    begin(warm, hot, night)
    assert go(warm, hot, night, PUBLISHED).code == 137
    for store in ("cache", "state"):  # nothing is left but the hot folder
        shutil.rmtree(tmp_path / store)
    assert go(warm, hot, night, None).code == 0
    night.drop(hot)
    run = go(warm, hot, night, None)
    warm.close()
    assert "duplicate" in run.output
    assert outbox_of(hot).keys() == {"cat.png", "cat.png.json"}


def remembered(hot: Hot) -> tuple[str, tuple[str, ...]]:
    """The job and the results that the history knows; there is no other in it."""
    history = History(hot.root.parent / "state/hotfolder", print, look=True)
    try:
        assert history.counts_since("the-id", 0.0) == Counts(done=1)
        entry = history.last("the-id", "cat.png")
    finally:
        history.close()
    assert entry is not None
    return entry.job_id, entry.results
