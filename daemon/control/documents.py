"""What passes between the daemon and those who ask it: requests, results, how things stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from daemon.events.text import duration
from daemon.fs.names import Kind, kind_of
from daemon.job import State

Document = Mapping[str, object]
Reply = Callable[[Document], None]


_OTHER_ENDS = (State.REVIEW, State.QUARANTINED, State.DUPLICATE, State.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """One file of the inbox."""

    file: str
    state: str
    reason: str
    problems: tuple[str, ...]

    @property
    def is_worth_a_line(self) -> bool:
        """Whether it says more than the lines of the images do."""
        match kind_of(self.file.rpartition("/")[2]):
            case Kind.SIDECAR:  # one that serves an image stands as its image does
                return self.state == State.WAITING_SIDECAR
            case Kind.PRESET:
                return self.state != State.SEEN
            case _:
                return True


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """One job under way."""

    job_id: str
    file: str
    state: str
    text: str  # "step 3 of 10, about 12 s more", may be empty


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStatus:
    """One hot folder."""

    root: str
    state: str
    reason: str
    done_today: int
    failed_today: int
    others_today: tuple[tuple[str, int], ...]  # how else jobs have ended, and how many
    reviews: tuple[FileStatus, ...]  # results that need a look, with their reasons
    jobs: tuple[JobStatus, ...]
    files: tuple[FileStatus, ...]
    ignored: tuple[FileStatus, ...]


def read_folder_status(document: Document) -> FolderStatus:
    """Read what `folder_document` gave; what another version leaves out is empty."""
    today = _table(document, "today")
    return FolderStatus(
        root=_text(document, "root"),
        state=_text(document, "state"),
        reason=_text(document, "reason"),
        done_today=_count(today, "done"),
        failed_today=_count(today, "failed"),
        others_today=tuple((it, _count(today, it)) for it in _OTHER_ENDS if _count(today, it)),
        reviews=tuple(map(_review, _tables(document, "reviews"))),
        jobs=tuple(map(_job, _tables(document, "jobs"))),
        files=tuple(map(_file, _tables(document, "files"))),
        ignored=tuple(map(_file, _tables(document, "ignored"))),
    )


def _review(document: Document) -> FileStatus:
    reason = f"{_text(document, 'result')}: {_text(document, 'reason')}"
    file = _text(document, "file")
    return FileStatus(file=file, state=State.REVIEW, reason=reason, problems=())


def _file(document: Document) -> FileStatus:
    problems = document.get("problems")
    return FileStatus(
        file=_text(document, "file"),
        state=_text(document, "state") or "ignored",
        reason=_text(document, "reason"),
        problems=tuple(map(str, problems)) if isinstance(problems, list) else (),
    )


def _job(document: Document) -> JobStatus:
    return JobStatus(
        job_id=_text(document, "job_id"),
        file=_text(document, "file"),
        state=_text(document, "state"),
        text=", ".join(_progress(document)),
    )


def _progress(document: Document) -> Iterator[str]:
    if reason := _text(document, "reason"):
        yield reason
    if steps := _count(document, "steps"):
        yield f"step {_count(document, 'step')} of {steps}"
    if (variant := _count(document, "variant")) > 1:
        yield f"variant {variant}"
    if "eta_seconds" in document:
        yield f"about {duration(_number(document, 'eta_seconds'))} more"
    if "retry_in_seconds" in document:
        yield f"tried again in {duration(_number(document, 'retry_in_seconds'))}"
    if (attempts := _count(document, "attempts")) > 1:
        yield f"attempt {attempts}"


def _text(document: Document, key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _number(document: Document, key: str) -> float:
    value = document.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _count(document: Document, key: str) -> int:
    return int(_number(document, key))


def _table(document: Document, key: str) -> Document:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _tables(document: Document, key: str) -> Iterator[Document]:
    value = document.get(key)
    yield from (it for it in value if isinstance(it, dict)) if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks of the daemon about one hot folder."""

    verb: str
    root: Path
    arguments: Mapping[str, str]
    # From any thread; the first reply counts, and one with the key "error" is a refusal.
    reply: Reply


class ResultCode(StrEnum):
    """How a request stands."""

    DONE = "done"
    BEGUN = "begun"  # it will be done, whoever asks may go
    REFUSED = "refused"
    UNKNOWN = "unknown"  # no such job or file


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What came of it, and one or more plain sentences about it."""

    how: ResultCode
    text: str

    def as_json(self) -> dict[str, object]:
        """The outcome for the control socket."""
        return {"how": self.how.value, "text": self.text}


def read_result(body: Mapping[str, object]) -> CommandResult:
    """Read what `as_json` gave; another version's words count as refused."""
    known = {how.value: how for how in ResultCode}
    how = known.get(str(body.get("how")), ResultCode.REFUSED)
    return CommandResult(
        how, str(body.get("text") or "the daemon is of another version: restart it")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A result that needs a look."""

    file: str  # the original, relative to the inbox
    result: str  # relative to the root
    reason: str
    ended_at: float  # Unix time
