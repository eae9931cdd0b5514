"""What somebody says of a result in review: accepted it is in the outbox, rejected in failed.

A verdict is put on record before a file moves, and whoever finds the record carries it out: at any
moment the result and its receipt are whole in one place, or on their way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from config import codec
from config.problems import Problem, UserError
from daemon.clock import day_of, local_time
from daemon.fs.names import is_path_below, numbered, printable, result_names
from daemon.fs.safe_tree import SafeTree
from daemon.job import State
from daemon.spool.receipts import (
    Rejection,
    json_text,
    preview_name,
    rejection_report,
    rejection_why,
)
from daemon.spool.records import ClaimTicket
from daemon.spool.results import Result, beside, read_result
from daemon.spool.retention import FiledManifest
from daemon.spool.spool import REPORT, WHY

_ACCEPTED, _REJECTED = "outbox", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision, and how far it leads."""

    result: str  # in review, relative to the root
    target: str  # where it goes, relative to the root
    sha256: str
    preview_sha256: str | None
    job_id: str
    picture: str  # the original, relative to the inbox
    receipt: Mapping[str, object]  # the new one, without the names of the files
    reason: str  # of a rejection

    @property
    def is_accepted(self) -> bool:
        """Whether the result is good."""
        return self.target.startswith(f"{_ACCEPTED}/")

    @property
    def is_sound(self) -> bool:
        """Whether it may be ours: whoever may write to the share may have written it."""
        areas = (self.result.partition("/")[0], self.target.partition("/")[0])
        paths_lead_down = is_path_below(self.result) and is_path_below(self.target)
        return paths_lead_down and areas in (("review", _ACCEPTED), ("review", _REJECTED))


class Verdicts:
    """The verdicts on the results of one hot folder."""

    def __init__(self, tree: SafeTree) -> None:
        self._tree, self._root = tree, tree.root
        self._folder = tree.root / ".hotfolder" / "verdicts"

    def accept(self, path: str, ticket: ClaimTicket) -> Verdict:
        """Move a result of review to the outbox; raises UserError where that is none."""
        result = self._judged(path)
        at = local_time(ticket.claimed_at).isoformat(timespec="seconds")
        names = result_names(*_stem_and_extension(result.name), None)
        folder = f"{_ACCEPTED}/{result.folder}" if result.folder else _ACCEPTED
        said = {"status": State.DONE, "accepted": {"at": at, "result": printable(result.path)}}
        verdict = _verdict(result, f"{folder}/{next(names)}", said, "")
        return self._begin(verdict, ticket.job_id)

    def reject(self, path: str, reason: str, ticket: ClaimTicket) -> Verdict:
        """Move a result of review to failed, with the reason; raises UserError as `accept`."""
        result = self._judged(path)
        at = local_time(ticket.claimed_at).isoformat(timespec="seconds")
        day = f"{_REJECTED}/{day_of(ticket.claimed_at)}"
        stem = result.name.rpartition(".")[0] or result.name
        own = next(it for it in numbered(stem) if not self._tree.exists(self._root / day / it))
        rejected = {"at": at, "result": result.path, "reason": reason}
        said = {"status": State.FAILED, "rejected": rejected}
        verdict = _verdict(result, f"{day}/{own}/{result.name}", said, reason)
        return self._begin(verdict, ticket.job_id)

    def finish(self) -> Iterator[Verdict]:
        """Carry out what an earlier call has begun; gives each verdict that is done."""
        try:
            names = self._tree.names(self._folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        self._tree.clear_temporaries(self._folder)
        for record in (self._folder / name for name in names):
            if (verdict := self._read(record)) is not None:
                self._tree.clear_temporaries((self._root / verdict.target).parent)
                yield self._carry_out(verdict, record)

    def _judged(self, path: str) -> Result:
        """The result, as it was published; raises UserError where it cannot be judged."""
        result, shown = read_result(self._tree, path), printable(path)
        if result.area != "review":
            what = f"is in {result.area}, not in review: nothing is to be decided there"
            raise UserError([Problem(shown, what, "name a result in review/")])
        sha256 = self._sha256_of(path)
        if sha256 is None:
            advice = "remove its receipt, or put the result back"
            raise UserError([Problem(shown, "is not there, only its receipt is", advice)])
        if sha256 != result.sha256:
            what = "was changed since its receipt was written"
            advice = "move it to where you want it, and remove the receipt"
            raise UserError([Problem(shown, what, advice)])
        return result

    def _begin(self, verdict: Verdict, record_id: str) -> Verdict:
        self._tree.make_folder(self._folder)
        record = self._folder / f"{record_id}.json"
        self._write(verdict, record)
        return self._carry_out(verdict, record)

    def _carry_out(self, verdict: Verdict, record: Path) -> Verdict:
        """Do what is not done yet, and forget the record; gives the verdict as it came out."""
        # A receipt is only beside a complete result, here and there.
        self._tree.remove(self._root / f"{verdict.result}.json")
        self._tree.make_folder((self._root / verdict.target).parent)
        verdict = self._move_result(verdict, record)
        target = self._root / verdict.target
        if self._sha256_of(verdict.target) == verdict.sha256:
            has_preview = self._move_preview(verdict)
            papers = _papers(verdict, has_preview=has_preview)
            for name, text in papers.items():
                self._tree.write_whole(target.with_name(name), text.encode())
            if not verdict.is_accepted:
                every = (target, *(target.with_name(name) for name in papers))
                preview = preview_name(target.name)
                more = (target.with_name(preview),) if has_preview and preview else ()
                FiledManifest(self._tree).note((*every, *more))
        self._tree.remove(record)
        return verdict

    def _move_result(self, verdict: Verdict, record: Path) -> Verdict:
        source = self._root / verdict.result
        names = result_names(*_stem_and_extension(source.name), None)
        while self._tree.exists(source):
            target = self._root / verdict.target
            with contextlib.suppress(FileExistsError):
                if self._is_free(target, source):
                    self._tree.move(source, target.parent, iter((target.name,)))
                    break
            verdict = replace(verdict, target=beside(verdict.target, next(names)))
            self._write(verdict, record)
        self._tree.sync((self._root / verdict.target).parent)
        return verdict

    def _is_free(self, target: Path, source: Path) -> bool:
        preview = preview_name(target.name)
        others = [target.with_name(f"{target.name}.json")]
        others += [target.with_name(preview)] if preview else []
        return self._tree.are_one(source, target) or not any(map(self._tree.exists, others))

    def _move_preview(self, verdict: Verdict) -> bool:
        """Whether its preview is beside it now."""
        old, new = (_preview_of(it) for it in (verdict.result, verdict.target))
        if verdict.preview_sha256 is None or old is None or new is None:
            return False
        source, target = self._root / old, self._root / new
        is_begun = self._tree.are_one(source, target)
        if is_begun or self._sha256_of(old) == verdict.preview_sha256:
            with contextlib.suppress(FileExistsError):
                self._tree.move(source, target.parent, iter((target.name,)))
        return self._sha256_of(new) == verdict.preview_sha256

    def _sha256_of(self, path: str) -> str | None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return self._tree.sha256_of(self._root / path)
        return None

    def _read(self, record: Path) -> Verdict | None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            verdict = codec.load(Verdict, self._tree.read(record))
            return verdict if verdict.is_sound else None
        return None

    def _write(self, verdict: Verdict, record: Path) -> None:
        self._tree.write_whole(record, codec.dump(verdict).encode())


def _verdict(result: Result, target: str, said: Mapping[str, object], reason: str) -> Verdict:
    picture = "/".join(filter(None, (printable(result.folder), result.picture)))
    return Verdict(
        result=result.path,
        target=target,
        sha256=result.sha256,
        preview_sha256=result.preview_sha256,
        job_id=result.job_id,
        picture=picture,
        receipt={**result.receipt, **said},
        reason=reason,
    )


def _papers(verdict: Verdict, *, has_preview: bool) -> Mapping[str, str]:
    """What is written beside the result, by name; the receipt last."""
    name = verdict.target.rpartition("/")[2]
    receipt = {**verdict.receipt, "output": _named(verdict.receipt.get("output"), name)}
    receipt.pop("preview", None)
    if has_preview:
        shown = _named(verdict.receipt.get("preview"), preview_name(name) or "")
        receipt["preview"] = shown
    papers = {f"{name}.json": json_text(receipt)}
    if verdict.is_accepted:
        return papers
    rejection = Rejection(
        job_id=verdict.job_id,
        picture=verdict.picture,
        folder=verdict.result.partition("/")[2].rpartition("/")[0],
        result=verdict.result,
        reason=verdict.reason,
    )
    return {REPORT: rejection_report(rejection), WHY: rejection_why(rejection), **papers}


def _named(part: object, name: str) -> Mapping[str, object]:
    return {**(part if isinstance(part, Mapping) else {}), "name": name}


def _preview_of(path: str) -> str | None:
    name = preview_name(path.rpartition("/")[2])
    return None if name is None else beside(path, name)


def _stem_and_extension(name: str) -> tuple[str, str]:
    stem, _, extension = name.rpartition(".")
    return stem, extension
