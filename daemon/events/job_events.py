"""What happens to jobs: every event with its facts and the sentence that tells it."""

from __future__ import annotations

from logging import DEBUG, ERROR, WARNING

from daemon.events.events import _CAUTIONS, FolderEvent, JobEvent, Kind
from daemon.events.text import duration


class JobClaimed(JobEvent):
    """The files of a job have left the inbox."""

    kind = Kind("e27e1f2e0ebe4bb8a3709d84f14eb320", state="claimed")

    def __str__(self) -> str:
        return f"{self.path} is claimed: its files have left the inbox."


class JobResolved(JobEvent):
    """What is to be done with a picture: for the story of the job, not for the others."""

    kind = Kind(level=DEBUG, for_the_day=False)
    prompt: str

    def __str__(self) -> str:
        return f"{self.path} is to be edited by this prompt: {self.prompt}"


class JobRunning(JobEvent):
    """The editor has begun a variant of a job; variants count from 1."""

    seed: int
    steps: int
    variant: int = 1
    variants: int = 1

    def __str__(self) -> str:
        which = f", variant {self.variant} of {self.variants}" if self.variants > 1 else ""
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        return f"{self.path} is being edited ({steps}, seed {self.seed}{which})."


class StepDone(JobEvent):
    """One denoising step is done; counts from 1."""

    kind = Kind(for_the_day=False)
    step: int
    steps: int

    def __str__(self) -> str:
        return f"{self.path}: step {self.step} of {self.steps}."


class JobNote(JobEvent):
    """Something surprising about a job that did not stop it."""

    text: str  # a whole sentence

    def __str__(self) -> str:
        # What the pixel side says mostly begins with the file that it means.
        return self.text if self.text.startswith(self.path) else f"{self.path}: {self.text}"


class JobDone(JobEvent):
    """The results and their receipts are complete."""

    kind = Kind("d28e285d4cf249aea9bed5d82027d2a9", state="done")
    results: tuple[str, ...]  # relative to the root: "outbox/portraits/hero.png"
    seconds: float
    weights: str  # "trained", "random", "none"
    doubts: tuple[str, ...] = ()  # what makes the fidelity of those that passed uncertain

    def __str__(self) -> str:
        results = ", ".join(self.results)
        caution = _CAUTIONS.get(self.weights, "")
        told = f"{self.path} was edited in {duration(self.seconds)}: {results}{caution}."
        doubts = "; ".join(self.doubts)
        return f"{told} Have a look at it, its confidence is low: {doubts}." if doubts else told


class JobFailed(JobEvent):
    """A job has ended without a result."""

    kind = Kind("4a4fc1bbe05740efa581f29a364a2095", state="failed", error_class="job", level=ERROR)
    cause: str
    advice: str
    originals: str  # where the originals are, relative to the root

    def __str__(self) -> str:
        cause, advice = self.cause.rstrip("."), self.advice.rstrip(".")
        told = f"{self.path} was not edited: {cause}. What to do: {advice}."
        return f"{told} The originals are in {self.originals}."


class JobQuarantined(JobFailed):
    """A job has ended because it is dangerous to try again."""

    kind = Kind(
        "d915fcc837fe4cc6a888bbcdd93f7bb8", state="quarantined", error_class="crash", level=ERROR
    )


class JobDuplicate(JobEvent):
    """The same name with the same content was edited before."""

    earlier: tuple[str, ...]  # the results of then, relative to the root
    originals: str

    def __str__(self) -> str:
        return (
            f"{self.path} was edited before, see {', '.join(self.earlier)};"
            f" the originals are in {self.originals}."
        )


class JobGivenBack(JobEvent):
    """The files of a job are in the inbox again; costs no attempt."""

    kind = Kind("46f1934f5e2245b7ae332fc9a04f5131", state="ready")
    reason: str  # "hotfolder is stopping"

    def __str__(self) -> str:
        return f"{self.path} is back in the inbox: {self.reason}."


class JobRetry(JobEvent):
    """A run of a job ended badly; it will be tried again."""

    kind = Kind(
        "d6a22861a7554e85a7a22deeda833d10", state="claimed", error_class="transient", level=WARNING
    )
    attempt: int  # that comes next
    wait_seconds: float
    cause: str

    def __str__(self) -> str:
        when = f"in {duration(self.wait_seconds)}" if self.wait_seconds > 0 else "at once"
        return f"{self.path} did not work: {self.cause.rstrip('.')}. It is tried again {when}."


class JobPassed(JobEvent):
    """A job was begun here, and another daemon works on its hot folder now."""

    def __str__(self) -> str:
        return f"{self.path} is now a job of the other daemon that works on this hot folder."


class JobFoundDone(JobEvent):
    """The results of a job were complete before the daemon that made them had told of it."""

    results: tuple[str, ...]  # relative to the root

    def __str__(self) -> str:
        return f"{self.path} was edited before the restart: {', '.join(self.results)}."


class ResultMissed(JobEvent):
    """A result fell short for the first time; it is edited once more."""

    kind = Kind(level=WARNING)
    missed: tuple[str, ...]  # "42.0% of the picture changed, max_changed is 0.2 (20%)"
    seed: int  # of the next edit

    def __str__(self) -> str:
        told = f"{self.path} did not pass: {'; '.join(self.missed)}."
        return f"{told} It is edited once more, with seed {self.seed}."


class JobReviewed(JobDone):
    """The results and their receipts are complete, and at least one needs a look."""

    # Nobody looks for it by an id.
    kind = Kind(level=WARNING)
    missed: tuple[str, ...]

    def __str__(self) -> str:
        return f"{JobDone.__str__(self)} Look at what is in review: {'; '.join(self.missed)}."


class JobCancelled(JobEvent):
    """A job has ended because somebody wanted it."""

    originals: str  # where they are, relative to the root

    def __str__(self) -> str:
        return f"{self.path} was cancelled; the originals are in {self.originals}."


class NothingCancelled(FolderEvent):
    """A cancel file found nothing that it could cancel."""

    kind = Kind(level=WARNING)
    path: str
    reason: str  # "no picture or job has its name"
    where: str  # it is now, relative to the root; "" where it could not be moved

    def __str__(self) -> str:
        told = f"{self.path} cancels nothing: {self.reason}."
        return f"{told} It was moved to {self.where}." if self.where else told


class CancelStuck(FolderEvent):
    """A cancel file cannot be moved away."""

    kind = Kind(level=WARNING)
    path: str
    reason: str  # "it may not be moved by this user (…)"

    def __str__(self) -> str:
        return f"{self.path} counts no more, but stays in the inbox: {self.reason}. Remove it."


class JobRevived(FolderEvent):
    """The originals of a failed job are in the inbox again."""

    folder: str  # of failed/, relative to the root
    paths: tuple[str, ...]  # in the inbox

    def __str__(self) -> str:
        return f"{self.folder} is tried again: {', '.join(self.paths)} went back to the inbox."


class ResultHandled(FolderEvent):
    """Somebody has looked at a result: it is edited anew, accepted or rejected."""

    result: str  # relative to the root, where it was
    text: str  # a whole sentence

    def __str__(self) -> str:
        return self.text
