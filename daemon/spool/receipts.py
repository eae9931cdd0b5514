"""The records of a job: the receipt beside a result, WHY.txt and report.json beside a failure."""

from __future__ import annotations

import json
import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from config import codec
from config.problems import Problem
from daemon import own_version
from daemon.fs.names import printable
from daemon.job import Job, ResolvedJob, Role, State, story_of
from pipeline.editor import EditResult, ModelFacts
from pipeline.pixel_requests import Composed, Prepared, Preview

SCHEMA = 1
LONGEST_NAME_BYTES = 255
PREVIEW_SUFFIX = ".preview.jpg"
_VERBS = ("is ", "has ", "holds ", "cannot ")
MOVE_BACK = "Then move the files back into the inbox."


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One finished result of a job, on local scratch."""

    index: int
    seed: int
    edit: EditResult
    composed: Composed
    compose_seconds: float
    missed: tuple[str, ...] = ()  # what it falls short in; not empty: it goes into review/
    first_seed: int | None = None  # of an edit before it, which fell short, too

    @property
    def status(self) -> State:
        """How this result ends."""
        return State.REVIEW if self.missed else State.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedJob:
    """A job whose results are ready to be published."""

    resolved_job: ResolvedJob
    prepared: Prepared
    prepare_seconds: float
    variants: tuple[Variant, ...]
    model: ModelFacts
    model_loaded_at: float  # Unix time

    @property
    def job(self) -> Job:
        """The job itself."""
        return self.resolved_job.job

    @property
    def status(self) -> State:
        """How the job ends: a result to be reviewed is what somebody has to know of."""
        return State.REVIEW if any(it.missed for it in self.variants) else State.DONE


@dataclass(frozen=True, slots=True)
class FailureReason:
    """Why a job ended without a result, in words for its owner."""

    state: State
    cause: str
    advice: str
    details: tuple[str, ...] = ()


def reason_of(problems: tuple[Problem, ...]) -> FailureReason:
    """The words for an instruction or a picture that somebody must mend."""
    causes = [_cause(problem) for problem in problems]
    advice: dict[str, list[int]] = {}  # each once, with the numbers of the causes that it mends
    for number, problem in enumerate(problems, start=1):
        advice.setdefault(_sentence(problem.advice), []).append(number)
    if len(problems) == 1:
        return FailureReason(State.FAILED, causes[0], f"{next(iter(advice))} {MOVE_BACK}")
    numbered = " ".join(f"({number}) {text}" for number, text in enumerate(causes, start=1))
    remedies = " ".join(f"({', '.join(map(str, of))}) {text}" for text, of in advice.items())
    return FailureReason(State.FAILED, numbered, f"{remedies} {MOVE_BACK}")


def _cause(problem: Problem) -> str:
    # "photo.jpg is empty", but "photo.yaml, line 3: steps is 4000".
    is_of_the_file = ", line" not in problem.where and problem.what.startswith(_VERBS)
    return f"{problem.where}{' ' if is_of_the_file else ': '}{_whole(problem.what)}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{_whole(text[1:])}"


def _whole(text: str) -> str:
    """A text with its full stop."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _one_line(text: str) -> str:
    return _whole(" ".join(text.split("\n")))


def in_the_way(error: OSError) -> FailureReason:
    """The words for a result that finds a file where its folder should be."""
    where = printable(str(error.filename or "outbox"))
    return FailureReason(
        State.FAILED,
        f"there is a file or a link where the result needs a folder: {where}",
        f"Rename that. {MOVE_BACK}",
    )


def hindered_job(cause: str, advice: str) -> FailureReason:
    """The words for a job that failed at files that belong to it alone."""
    return FailureReason(State.FAILED, _whole(cause), f"{_sentence(advice)} {MOVE_BACK}")


def why_text(job: Job, why: FailureReason) -> str:
    """WHY.txt: what was not edited, the cause, what to do, then the details."""
    return _why(
        picture=printable(job.path),
        cause=_one_line(why.cause),
        advice=_one_line(why.advice),
        facts=(f"Job: {job.job_id}", f"State: {why.state}", f"Attempts: {job.attempts}"),
        rest=(f"The whole story: {story_of(job.job_id)}", *why.details),
    )


def _why(
    *, picture: str, cause: str, advice: str, facts: tuple[str, ...], rest: tuple[str, ...]
) -> str:
    lines = [
        f"{picture} was not edited.",
        f"Cause: {cause}",
        f"What to do: {advice}",
        "",
        f"Picture: {picture}",
        *facts,
        f"Machine: {socket.gethostname()}",
        *rest,
    ]
    return _encodable("\n".join(lines) + "\n")


def report(job: Job, why: FailureReason, instruction: str) -> str:
    """report.json: the same for programs; `instruction` is JSON."""
    return json_text(
        {
            "schema": SCHEMA,
            "job_id": job.job_id,
            "status": why.state,
            "input": {"name": printable(job.image.name), "sha256": job.image.sha256},
            "files": [printable(file.name) for file in job.files],
            "folder": printable(job.folder),
            "came_from": {  # as the file system has it, for the way back
                "folder": job.folder,
                "files": [{"role": file.role, "name": file.name} for file in job.files],
            },
            "cause": why.cause,
            "advice": why.advice,
            "details": list(why.details),
            "instruction": codec.parse(instruction),
            "attempts": job.attempts,
            "host": socket.gethostname(),
            "versions": _versions(()),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A result that somebody does not want."""

    job_id: str
    picture: str  # the original, relative to the inbox, as people read it
    folder: str  # of the inbox, that it came from
    result: str  # where it was, relative to the root
    reason: str

    @property
    def cause(self) -> str:
        """In one sentence."""
        why = _one_line(self.reason) if self.reason else "no reason was given."
        return f"its result, {printable(self.result)}, was rejected: {printable(why)}"

    @property
    def advice(self) -> str:
        """What can be done now."""
        return (
            "Have it edited anew, with another instruction: hotfolder again, with the path of the"
            " result in this folder. The original is in done."
        )


def rejection_why(rejection: Rejection) -> str:
    """WHY.txt beside a result that was rejected."""
    return _why(
        picture=rejection.picture,
        cause=rejection.cause,
        advice=rejection.advice,
        facts=(f"Job: {rejection.job_id}", f"State: {State.FAILED}"),
        rest=(f"The whole story: {story_of(rejection.job_id)}",),
    )


def rejection_report(rejection: Rejection) -> str:
    """report.json: the same for programs."""
    name = rejection.picture.rpartition("/")[2]
    return json_text(
        {
            "schema": SCHEMA,
            "job_id": rejection.job_id,
            "status": State.FAILED,
            "input": {"name": name},
            "files": [name],
            "folder": printable(rejection.folder),
            "cause": rejection.cause,
            "advice": rejection.advice,
            "rejected": {"result": rejection.result, "reason": rejection.reason},
            "host": socket.gethostname(),
            "versions": _versions(()),
        }
    )


def receipt(
    finished: FinishedJob, variant: Variant, name: str, *, publish_seconds: float, now: float
) -> str:
    """The receipt of one result published as `name` at Unix time `now`."""
    job, composed = finished.job, variant.composed
    recipe = replace(finished.resolved_job.recipe, seed=variant.seed)
    return json_text(
        {
            "schema": SCHEMA,
            "job_id": job.job_id,
            "status": variant.status,
            "input": {
                "name": printable(job.image.name),
                "sha256": job.image.sha256,
                "width": finished.prepared.width,
                "height": finished.prepared.height,
            },
            "output": {
                "name": name,
                "sha256": composed.sha256,
                "width": composed.width,
                "height": composed.height,
            },
            **_preview(name, composed.preview),
            **_references(job),
            "instruction": codec.parse(finished.resolved_job.instruction),
            "recipe": {**recipe.as_json(), "variants": 1},
            "model": _model(finished),
            "seconds": _seconds(finished, variant, publish_seconds, now),
            "peak_vram_gib": round(variant.edit.peak_vram_gib, 3),
            "attempts": job.attempts,
            "fidelity": _fidelity(variant),
            "host": socket.gethostname(),
            "versions": _versions(finished.model.versions),
        }
    )


def preview_name(result: str) -> str | None:
    """What the preview beside a result is called; None where that would be too long a name."""
    name = f"{result}{PREVIEW_SUFFIX}"
    return name if len(os.fsencode(name)) <= LONGEST_NAME_BYTES else None


def _fidelity(variant: Variant) -> Mapping[str, object]:
    judged: dict[str, object] = {"missed": list(variant.missed)}
    if variant.first_seed is not None:
        judged["first_seed"] = variant.first_seed
    return {**variant.composed.fidelity.as_json(), **judged}


def _preview(result: str, preview: Preview | None) -> Mapping[str, object]:
    name = preview_name(result)
    if preview is None or name is None:
        return {}
    return {"preview": {"name": name, "sha256": preview.sha256}}


def _references(job: Job) -> Mapping[str, object]:
    """What is needed to find the same references and the same mask once more."""
    references = {it.name: it.sha256 for it in job.files if it.role is Role.COMPANION}
    return {"references": references} if references else {}


def work_seconds(finished: FinishedJob) -> float:
    """What the job took without its waiting and its publication."""
    seconds = finished.prepare_seconds
    for variant in finished.variants:
        edit = variant.edit
        seconds += edit.encode_seconds + edit.denoise_seconds + edit.decode_seconds
        seconds += variant.compose_seconds
    return seconds


def _model(finished: FinishedJob) -> Mapping[str, object]:
    model, placement = finished.model, finished.prepared.placement
    loaded_at = datetime.fromtimestamp(finished.model_loaded_at, UTC)
    return {
        "path": model.path,
        "class": model.class_name,
        "fingerprint": model.fingerprint,
        "dtype": model.dtype,
        "pack": model.pack,
        "attention": model.attention,
        # Compiled blocks would not see a LoRA.
        "compiled": model.is_compiled and finished.resolved_job.recipe.lora is None,
        "weights": model.weights,
        "canvas": {"width": placement.canvas_width, "height": placement.canvas_height},
        "loaded_at": loaded_at.astimezone().isoformat(timespec="milliseconds"),
    }


def _seconds(
    finished: FinishedJob, variant: Variant, publish_seconds: float, now: float
) -> Mapping[str, float]:
    work = {
        "prepare": finished.prepare_seconds,
        "encode": variant.edit.encode_seconds,
        "denoise": variant.edit.denoise_seconds,
        "decode": variant.edit.decode_seconds,
        "compose": variant.compose_seconds,
        "publish": publish_seconds,
    }
    # Whatever was not work was waiting: settling, for its turn, for another variant.
    total = max(now - finished.job.arrived_at, sum(work.values()))
    queued = total - sum(work.values())
    seconds = {"queued": queued, **work, "total": total}
    return {key: round(value, 3) for key, value in seconds.items()}


def _versions(libraries: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return {"hotfolder": own_version(), "python": platform.python_version(), **dict(libraries)}


def json_text(document: Mapping[str, object]) -> str:
    """A receipt or a report as it is written."""
    return _encodable(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def _encodable(text: str) -> str:
    r"""A text with bytes that are no UTF-8 as \udcff, which JSON reads as what they were."""
    return text.encode("utf-8", "backslashreplace").decode()
