"""The morning after: nothing is lost, nothing is half, nothing is there twice."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nights import Hot, Night
from PIL import Image

HOMES = ("inbox", "work", "done", "failed")
_OURS = frozenset(("job.json", "published.json", "WHY.txt", "report.json"))
_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
Homes = Counter[tuple[str, str]]  # content and home of each file that is somebody's


@dataclass(frozen=True, slots=True)
class Evening:
    """What was there before the daemon began."""

    homes: Homes
    outbox: Mapping[str, bytes]
    outside: Mapping[str, bytes]

    @classmethod
    def of(cls, hot: Hot) -> Evening:
        return cls(homes_in(hot), outbox_of(hot), _outside(hot))


def homes_in(hot: Hot) -> Homes:
    """Where each original lies; two names of one file count as one."""
    found: dict[tuple[str, int], str] = {}
    for home in HOMES:
        base = hot.root / (".hotfolder/work" if home == "work" else home)
        for path in sorted(base.rglob("*")):
            if path.is_file() and path.name not in _OURS and not path.name.startswith("."):
                content = path.read_bytes()
                found[hashlib.sha256(content).hexdigest(), path.stat().st_ino] = home
    return Counter((sha256, home) for (sha256, _), home in found.items())


def outbox_of(hot: Hot) -> Mapping[str, bytes]:
    """The visible files of the outbox."""
    paths = [path for path in hot.outbox.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(hot.outbox)): path.read_bytes()
        for path in paths
        if not path.name.startswith(".")
    }


def _outside(hot: Hot) -> Mapping[str, bytes]:
    paths = (hot.root.parent / "neighbour", hot.settings)
    return {path.name: path.read_bytes() for path in paths}


def attempts_counted(hot: Hot) -> Mapping[str, int]:
    """The attempts on paper of each job that lies in work/."""
    records = (hot.root / ".hotfolder" / "work").glob("*/job.json")
    documents = [json.loads(path.read_bytes()) for path in records]
    return {document["job_id"]: document["attempts"] for document in documents}


def receipts(hot: Hot) -> Mapping[str, dict[str, Any]]:
    """Each receipt of the outbox by the name of its result."""
    return {
        name.removesuffix(".json"): json.loads(content)
        for name, content in outbox_of(hot).items()
        if name.endswith(".json")
    }


def wrong_now(hot: Hot, evening: Evening) -> Iterator[str]:
    """What is wrong at any moment, however the daemon ended."""
    there: Counter[str] = Counter()
    for (sha256, _), count in homes_in(hot).items():
        there[sha256] += count
    for (sha256, home), count in evening.homes.items():
        if there[sha256] < count:
            yield f"an original of {home} is lost"
    yield from _half_results(hot, evening)
    if _outside(hot) != evening.outside:
        yield "something outside was touched"
    yield from _bad_reasons(hot)


def said_in_vain(hot: Hot, output: str) -> Iterator[str]:
    """What a daemon told of its jobs, and what is not so after its end."""
    done = {receipt["job_id"] for receipt in receipts(hot).values()}
    reports = hot.root.glob("failed/*/*/report.json")
    failed = {json.loads(path.read_bytes())["job_id"] for path in reports}
    counted = attempts_counted(hot)
    for line in output.splitlines(keepends=True):
        if " action=job_" not in line or not line.endswith("\n"):
            continue  # the last one may be half
        said = dict(word.split("=", 1) for word in shlex.split(line))
        match said["action"]:
            case "job_running" if counted.get(said["job"], 1) < 1:
                yield "an attempt began and is not counted"
            case "job_done" if said["job"] not in done:
                yield "a job was said to be done, and has no receipt"
            case "job_failed" if said["job"] not in failed:
                yield "a job was said to have failed, and has no report"


def _half_results(hot: Hot, evening: Evening) -> Iterator[str]:
    outbox = outbox_of(hot)
    for name, content in outbox.items():
        if name.endswith(".json"):
            output = json.loads(content)["output"]
            result = outbox.get(name.removesuffix(".json"))
            if result is None:
                yield f"{name} has no result"
            elif hashlib.sha256(result).hexdigest() != output["sha256"]:
                yield f"{name} does not fit its result"
            elif _size_of(hot.outbox / name.removesuffix(".json")) != (
                output["width"],
                output["height"],
            ):
                yield f"{name} says another size"
        elif evening.outbox.get(name) != content and _size_of(hot.outbox / name) is None:
            yield f"{name} is half"


def _size_of(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as image:
            image.load()
            return image.size
    except OSError:
        return None


def _bad_reasons(hot: Hot) -> Iterator[str]:
    whys = [path.relative_to(hot.root) for path in hot.root.rglob("WHY.txt")]
    if any(path.parts[0] != "failed" for path in whys):
        yield "a WHY.txt lies outside failed/"
    for path in hot.root.glob("failed/*/*/WHY.txt"):
        if len(path.read_text(encoding="utf-8").splitlines()) < 3:
            yield f"{path} is half"


def wrong_in_the_end(hot: Hot, night: Night, evening: Evening) -> Iterator[str]:
    """What is wrong when all work is done."""
    yield from wrong_now(hot, evening)
    expected = Counter(
        {
            (sha256, "done"): count
            for (sha256, home), count in evening.homes.items()
            if home != "inbox"
        }
    )
    for (sha256, home), count in evening.homes.items():
        if home == "inbox":
            expected[sha256, night.home] += count
    homes = homes_in(hot)
    if homes != expected:
        names = Counter(home for _, home in homes.elements())
        yield f"the originals lie elsewhere: {dict(names)}"
    yield from _wrong_results(hot, night, evening)
    yield from _debris(hot)
    yield from _bad_logs(hot)


def _wrong_results(hot: Hot, night: Night, evening: Evening) -> Iterator[str]:
    expected = set(evening.outbox) | set(night.results)
    expected |= {f"{name}.json" for name in night.results}
    outbox = outbox_of(hot)
    if set(outbox) != expected:
        yield f"the outbox holds {sorted(outbox)}"
    for name, content in evening.outbox.items():
        if not night.replaces and outbox.get(name) != content:
            yield f"{name} in the outbox was changed"
    said = receipts(hot)
    attempts = {said[name]["attempts"] for name in night.results[:1] if name in said}
    if night.attempts and not attempts <= set(night.attempts):
        yield f"it took {attempts} attempts"
    jobs = {receipt["job_id"] for name, receipt in receipts(hot).items() if name in night.results}
    filed = [json.loads(path.read_bytes()) for path in hot.root.glob("failed/*/*/report.json")]
    if jobs & {report["job_id"] for report in filed}:
        yield "a job is done and failed"


def _debris(hot: Hot) -> Iterator[str]:
    for path in hot.root.rglob("*"):
        name = path.relative_to(hot.root)
        if path.name.startswith(".") and str(name) != ".hotfolder":
            yield f"{name} was left behind"
    for path in (hot.root / ".hotfolder" / "work").iterdir():
        yield f"{path.name} is left in work/ with {sorted(it.name for it in path.iterdir())}"
    for path in hot.root.glob("failed/*/*"):
        names = {it.name for it in path.iterdir()}
        if not {"WHY.txt", "report.json"} < names:
            yield f"{path.relative_to(hot.root)} holds only {sorted(names)}"


def _bad_logs(hot: Hot) -> Iterator[str]:
    for path in (it for it in hot.root.glob("logs/**/*") if it.is_file()):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            # A line that was torn, within a letter perhaps, is followed by the next one.
            if not _LINE.match(line) and line:
                yield f"{path.name} has a line that begins with {line[:40]!r}"
