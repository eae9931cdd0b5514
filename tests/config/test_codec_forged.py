"""A record may hold anything: one that is not sound is not believed, and ends nothing."""

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from paper import WHOLE
from sample import TICKET, HotFolderWorker, candidate, finished, job, resolved_job, seen

from config import codec
from daemon.commands.traces import claimed_jobs, failed_job, find_traces, of_result, reviews_since
from daemon.folder import messages
from daemon.fs.hot_folder import make_hot_folder
from daemon.inbox.reader import is_report
from daemon.job import Job, State
from daemon.lease import owner
from daemon.lease.election import LeaseTimings
from daemon.lease.owner import LeaseRecord
from daemon.spool.publisher import Publisher
from daemon.spool.receipts import FailureReason, report
from daemon.spool.records import FailureRecord, read_failure
from daemon.spool.requeue import requeue
from daemon.spool.retention import Area, FiledManifest, ManifestDay
from daemon.spool.scratch import ScratchDirs, load_finished, save_finished
from daemon.spool.spool import Spool
from pipeline.recipe import Recipe

DAY = "2026-11-22"
SHORT = LeaseTimings(refresh=0.05, act=0.5, look=0.02, take_over=1.5)
WHY = FailureReason(State.FAILED, "It is broken.", "Mend it.")
DEEP = "[" * 200_000
WHOLES = {  # that no record of ours ever is
    "nested": DEEP,
    "nested-and-closed": "[" * 500 + "]" * 500,
    "nested-objects": '{"a":' * 3000,
    "endless": "1e999",
    "long": "9" * 5000,
    "text": '"text"',
    "nothing": "null",
    "empty": "",
    "list": "[1, 2, 3]",
    "no-text": "\udcff\udcfe",
    "utf-16": "\udcff\udcfe{\0}\0",
}
PARTS = {  # that no field of ours ever is
    "nested": DEEP,
    "nested-and-closed": "[" * 500 + "]" * 500,
    "endless": "1e999",
    "endless-below": "-1e999",
    "no-number": "NaN",
    "huge": "9" * 400,
    "large": "1e300",
    "negative": "-10",
    "list": "[[]]",
    "object": '{"a": {}}',
    "half-a-character": '"\\ud800"',
    "null-byte": '"a\\u0000b"',
}
READ_OF_A_RECEIPT = ("job_id", "recipe", "seed", "output", "sha256", "preview")
SHOWN_OF_A_RECEIPT = ("job_id", "input", "name", "recipe", "prompt", "seed", "steps", "total")
OF_THE_RIGHT_TYPE = ("large", "negative", "null-byte")  # in some field or other
READ_OF_A_REPORT = ("came_from", "folder", "files", "role", "name")
FIELD = "the forged field"


def spots(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a document that holds something: its container and its key or index."""
    pairs = enumerate(document) if isinstance(document, list) else document.items()
    for key, value in list(pairs):
        yield document, key
        if isinstance(value, list | dict):
            yield from spots(value)


def forgeries(sound: str, *keys: str) -> Iterator[tuple[str, str]]:
    """A record with each of its fields forged in each way, and what was done to it.

    `keys` are those that are read; none: all of them.
    """
    document = json.loads(sound)
    for container, key in spots(document):
        if keys and key not in keys:
            continue
        value, container[key] = container[key], FIELD
        text = json.dumps(document)
        container[key] = value
        for name, part in PARTS.items():
            yield f"{key} {name}", text.replace(f'"{FIELD}"', part)
    yield from WHOLES.items()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    make_hot_folder(tmp_path / "hot", "the-id")
    return Spool(tmp_path / "hot")


@pytest.fixture
def begun(spool: Spool) -> Job:
    """A job that has begun."""
    return left_behind(spool)


def left_behind(spool: Spool) -> Job:
    (spool.inbox / "cat.png").write_bytes(WHOLE)
    (spool.inbox / "cat.yaml").write_text("prompt: blue\n")
    image, sidecar = (seen(name, spool.inbox) for name in ("cat.png", "cat.yaml"))
    one = spool.claim(candidate(image, sidecar=sidecar), frozenset(), TICKET)
    return spool.begin_attempt(one)


def a_receipt(spool: Spool, tmp_path: Path, content: bytes = b"blue") -> Path:
    """The receipt of an earlier result of the same name."""
    (tmp_path / "earlier").mkdir(exist_ok=True)
    of_earlier = replace(job(), job_id="20261121-120000-bbbbbbbb")
    of = finished(resolved_job(of_earlier, scratch=tmp_path / "earlier"), content)
    work = spool.work(of_earlier.job_id)
    Publisher(spool.tree, work).publish(of, iter([1.0, 2.0]), ())
    (work / "published.json").unlink()
    return spool.root / "outbox" / "cat.png.json"


class TestFields:
    """Each field of each record, forged in each way."""

    def test_of_a_job(self, spool: Spool, begun: Job) -> None:
        paper = spool.work(begun.job_id) / "job.json"
        for forged, text in forgeries(paper.read_text()):
            write(paper, text)
            (left,) = spool.recover()
            believed = left.job if left.is_known else begun
            # A name, a day or a hash may be another text; it is of the right kind.
            assert min(believed.strikes, believed.attempts, believed.drawn_seed) >= 0, forged
            assert abs(believed.claimed_at) < 1e12, forged
            asdict(believed)

    @pytest.mark.parametrize("field", ["attempts", "strikes", "drawn_seed"])
    @pytest.mark.parametrize("number", [-10, 1.5, True, 10**30, "1"])
    def test_a_job_with_a_number_that_counts_nothing_is_not_ours(
        self, spool: Spool, begun: Job, field: str, number: object
    ) -> None:
        paper = spool.work(begun.job_id) / "job.json"
        write(paper, json.dumps({**asdict(begun), field: number}))
        (left,) = spool.recover()
        assert not left.is_known

    def test_of_a_job_that_is_being_filed_as_failed(self, spool: Spool, begun: Job) -> None:
        work = spool.work(begun.job_id)
        FailureRecord(day=DAY, why=WHY, instruction='{"prompt": "blue"}').write(spool.tree, work)
        for forged, text in forgeries((work / "failing.json").read_text()):
            write(work / "failing.json", text)
            found = read_failure(spool.tree, work)
            if found is not None:
                assert report(begun, found.why, found.instruction), forged

    @pytest.mark.parametrize("instruction", [DEEP, "[" * 500 + "]" * 500, "nothing"])
    def test_an_instruction_that_nobody_can_read_is_not_ours(
        self, spool: Spool, begun: Job, instruction: str
    ) -> None:
        work = spool.work(begun.job_id)
        FailureRecord(day=DAY, why=WHY, instruction=instruction).write(spool.tree, work)
        assert read_failure(spool.tree, work) is None

    def test_an_instruction_may_say_whatever_its_user_wrote(
        self, spool: Spool, begun: Job
    ) -> None:
        of_a_subfolder = replace(begun, folder="s")
        said = f'{{"steps": 1e999, "cfg": {"9" * 300}}}'
        where = spool.file_failed(of_a_subfolder, DAY, WHY, said)
        revived = requeue(spool, spool.root / where, TICKET)
        assert set(revived) == {"s/cat.png", "s/cat.yaml"}

    def test_of_the_notes_of_a_publication(self, spool: Spool, begun: Job, tmp_path: Path) -> None:
        replaced = a_receipt(spool, tmp_path).read_text()
        sha256 = json.loads(replaced)["output"]["sha256"]
        note = {"name": "outbox/cat.png", "sha256": "aa", "preview": "", "replaced": replaced}
        sound = json.dumps({"variants": 1, "results": {"0": {**note, "is_out": False}}})
        notes = spool.work(begun.job_id) / "published.json"
        publication = spool.publication(begun.job_id)
        result = spool.root / "outbox" / "cat.png"
        for forged, text in forgeries(sound):
            write(notes, text)
            assert publication.is_complete(begun) is False, forged
            publication.clear_half_done(begun)
            assert spool.tree.sha256_of(result) == sha256, forged

    def test_of_a_receipt_that_a_note_gives_back(
        self, spool: Spool, begun: Job, tmp_path: Path
    ) -> None:
        receipt = a_receipt(spool, tmp_path)
        notes = spool.work(begun.job_id) / "published.json"
        note = {"name": "outbox/cat.png", "sha256": "aa", "preview": "bb"}
        for _, text in forgeries(receipt.read_text(), *READ_OF_A_RECEIPT):
            receipt.unlink(missing_ok=True)
            document = {"variants": 1, "results": {"0": {**note, "replaced": text}}}
            write(notes, json.dumps(document))
            spool.publication(begun.job_id).clear_half_done(begun)
            write(receipt.with_suffix("").with_suffix(".png.preview.jpg"), "theirs")

    def test_of_a_receipt_that_is_to_be_replaced(
        self, spool: Spool, begun: Job, tmp_path: Path
    ) -> None:
        receipt = a_receipt(spool, tmp_path)
        (tmp_path / "scratch").mkdir()
        of = finished(resolved_job(begun, scratch=tmp_path / "scratch"), b"new")
        for forged, text in forgeries(receipt.read_text(), *READ_OF_A_RECEIPT):
            write(receipt, text)
            publication = Publisher(spool.tree, spool.work(begun.job_id))
            (result,) = publication.publish(of, iter([1.0, 2.0]), ("outbox/cat.png",))
            assert (spool.root / result).read_bytes() == b"new", forged
            (spool.work(begun.job_id) / "published.json").unlink()
            for path in receipt.parent.iterdir():
                path.unlink()
            a_receipt(spool, tmp_path)

    def test_of_what_was_filed(self, spool: Spool) -> None:
        original = spool.root / "done" / DAY / "cat.png"
        write(original, "a cat")
        manifest = FiledManifest(spool.tree)
        manifest.note([original])
        page = spool.root / ".hotfolder" / "filed" / f"done-{DAY}.jsonl"
        day = ManifestDay(Area.DONE, manifest.days()[0].day)
        for forged, text in forgeries(page.read_text()):
            write(page, text)
            assert list(manifest.read(day)) == [], forged

    def test_of_a_lease(self) -> None:
        me = owner.this_process("me")
        sound = LeaseRecord(owner=me, counter=3, is_released=False).text()
        for forged, text in forgeries(sound):
            paper = owner.read(text)
            if paper is not None:
                assert paper.counter >= 0, forged
                owner.liveness_of(paper.owner, me)
                str(paper.owner).encode("utf-8", "surrogateescape")

    @pytest.mark.parametrize("pid", [0, -1, 10**30, 1 << 40, True, "1", 1.5])
    def test_a_lease_of_no_process_is_nobodys(self, pid: object) -> None:
        text = LeaseRecord(owner=owner.this_process("me"), counter=3, is_released=False).text()
        assert owner.read(json.dumps({**json.loads(text), "pid": pid})) is None

    def test_of_a_report_of_a_failure(self, spool: Spool) -> None:
        folder = spool.root / "failed" / DAY / "cat"
        sound = report(job(), WHY, "{}")
        for forged, text in forgeries(sound, *READ_OF_A_REPORT):
            write(folder / "report.json", text)
            write(folder / "cat.png", "a cat")
            is_report(text.encode("utf-8", "surrogateescape"))
            (path,) = requeue(spool, folder, TICKET)
            assert (spool.inbox / path).read_text() == "a cat", forged
            (spool.inbox / path).unlink()

    def test_of_a_finished_job(self, tmp_path: Path) -> None:
        of = finished(resolved_job(job(), scratch=tmp_path), b"blue")
        save_finished(of)
        record = tmp_path / "finished.json"
        for forged, text in forgeries(record.read_text()):
            write(record, text)
            assert load_finished(job(), tmp_path) in (None, of) or forged


class TestWhatPeopleAsk:
    """Commands read the records of ended jobs, sound or not."""

    def test_a_receipt_that_is_not_sound_is_none(self, spool: Spool, tmp_path: Path) -> None:
        receipt = a_receipt(spool, tmp_path)
        sound = json.loads(receipt.read_text())
        for unread in ("instruction", "output", "versions", "host"):
            del sound[unread]
        for forged, text in forgeries(json.dumps(sound), *SHOWN_OF_A_RECEIPT):
            write(receipt, text)
            find_traces(spool.root, "cat.png")
            trace = of_result(spool.root, "outbox/cat.png")
            assert trace is None or forged.endswith(OF_THE_RIGHT_TYPE), forged

    def test_a_result_that_needs_a_look_is_told_by_a_sound_receipt_alone(
        self, spool: Spool, tmp_path: Path
    ) -> None:
        sound = json.loads(a_receipt(spool, tmp_path).read_text())
        sound |= {"status": "review", "fidelity": {"missed": ["it differs"]}}
        receipt = spool.root / "review" / "s" / "cat.png.json"
        write(receipt, json.dumps(sound))
        (review,) = reviews_since(spool.root, 0.0)
        assert (review.file, review.reason) == ("s/cat.png", "it differs")
        for forged, text in forgeries(json.dumps(sound), "missed", "input", "fidelity", "status"):
            write(receipt, text)
            assert list(reviews_since(spool.root, 0.0)) == [], forged

    def test_a_report_that_is_not_sound_is_none(self, spool: Spool) -> None:
        path = spool.root / "failed" / DAY / "cat" / "report.json"
        sound = report(job(), WHY, "{}")
        write(path, sound)
        assert failed_job(spool.root, TICKET.job_id) == (f"failed/{DAY}/cat",)
        assert len(find_traces(spool.root, "cat.png")) == 1
        for forged, text in forgeries(sound, "job_id", "folder", "files"):
            write(path, text)
            find_traces(spool.root, "cat.png")
            assert failed_job(spool.root, "20251122-") == (), forged

    def test_a_job_that_is_not_sound_is_not_shown(self, spool: Spool, begun: Job) -> None:
        (left,) = claimed_jobs(spool.root)
        assert (left.job_id, left.path, left.attempts) == (begun.job_id, "cat.png", 1)
        record = spool.work(begun.job_id) / "job.json"
        for forged, text in forgeries(record.read_text()):
            write(record, text)
            assert all(left.attempts >= 0 for left in claimed_jobs(spool.root)), forged

    def test_records_that_come_and_go_meanwhile_are_there_or_not(
        self, spool: Spool, tmp_path: Path
    ) -> None:
        sound = json.loads(a_receipt(spool, tmp_path).read_text())
        sound |= {"status": "review", "fidelity": {"missed": ["it differs"]}}
        paths = [spool.root / area / "s" / "dog.png.json" for area in ("outbox", "review")]
        paths += [spool.root / "failed" / DAY / "dog" / "report.json"]
        paths += [spool.root / "done" / DAY / "s" / "dog.png"]
        done = threading.Event()

        def come_and_go() -> None:
            while not done.is_set():
                for path in paths:
                    write(path, json.dumps(sound))
                for path in paths:
                    path.unlink()
                    path.parent.rmdir()

        thread = threading.Thread(target=come_and_go)
        thread.start()
        try:
            for _ in range(300):
                find_traces(spool.root, "s/dog.png")
                find_traces(spool.root, "s/emu.png")
                failed_job(spool.root, "20261122-")
                list(reviews_since(spool.root, 0.0))
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize("text", [*WHOLES.values(), '{"a": NaN}', '{"a": -Infinity}'])
def test_whatever_is_not_sound_is_a_value_error(text: str) -> None:
    content = text.encode("utf-8", "surrogateescape")
    for read in (lambda: codec.load(Recipe, content), lambda: codec.load(Job, content)):
        with pytest.raises(ValueError):  # noqa: PT011 - what is wrong with it is all the same
            read()


class Kept(HotFolderWorker):
    """A hot folder whose folder worker is yet to start."""

    def work_on(self, name: str) -> messages.Filed:
        """Drop a pair, and have it edited."""
        (self.inbox / name).write_bytes(WHOLE)
        (self.inbox / name).with_suffix(".yaml").write_text("prompt: blue\n")
        self.folder_worker.submit(messages.Scan())
        self.next(messages.Scanned, lambda it: it.plan.ready)
        self.folder_worker.submit(messages.ClaimNext())
        of = finished(self.next(messages.Claimed).resolved_job, b"blue")
        self.folder_worker.submit(messages.Publish(of, ("outbox/cat.png",)))
        return self.next(messages.Filed, lambda it: it.job == of.resolved_job.job)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    one = Kept(tmp_path / "hot", tmp_path / "scratch", SHORT)
    yield one
    one.end()


WORK = f".hotfolder/work/{TICKET.job_id}"


@pytest.mark.parametrize("forged", WHOLES.values(), ids=WHOLES.keys())
@pytest.mark.parametrize(
    "record",
    [
        f"{WORK}/job.json",
        f"{WORK}/failing.json",
        f"{WORK}/published.json",
        ".hotfolder/lease/00000001/owner.json",
        f".hotfolder/filed/done-{DAY}.jsonl",
        "outbox/cat.png.json",
        f"failed/{DAY}/cat/report.json",
        "scratch",
    ],
)
def test_a_keeper_outlives_it_and_works_on(
    kept: Kept, tmp_path: Path, record: str, forged: str
) -> None:
    left_behind(Spool(kept.root))
    a_receipt(Spool(kept.root), tmp_path)
    path = kept.root / record
    if record == "scratch":
        path = ScratchDirs(kept.scratch, "the-id").of(TICKET.job_id) / "finished.json"
    write(path, forged)
    kept.folder_worker.start()
    assert kept.work_on("dog.png").state is State.DONE
    kept.folder_worker.submit(messages.Requeue(f"failed/{DAY}/cat"))
    kept.next(messages.Requeued)
