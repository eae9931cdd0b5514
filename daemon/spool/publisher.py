"""How results reach the outbox: whole, under a free name, the receipt last, and never twice."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from config import codec
from daemon.fs.names import is_path_below, result_names
from daemon.fs.safe_tree import SafeTree
from daemon.job import Job
from daemon.spool.receipts import FinishedJob, Variant, preview_name, receipt

PUBLISH_RECORD = "published.json"
_INDEX = re.compile("[0-9]{1,9}")  # of a variant
_FOLDERS = ("outbox", "review")
# What we wrote we may read.
_NOT_OURS = (FileNotFoundError, NotADirectoryError, PermissionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PublishNote:
    """A result that was about to appear; written before it does, so that recovery knows it."""

    name: str  # relative to the root
    sha256: str
    preview: str = ""  # the SHA-256 of its preview
    replaced: str = ""  # the receipt of the result that it takes the place of
    is_out: bool = False  # its receipt was written; somebody may have taken both away since

    @property
    def is_sound(self) -> bool:
        """Whether it may be ours: whoever may write to the share may have written it."""
        return is_path_below(self.name) and self.name.partition("/")[0] in _FOLDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Notes:
    """One line of the file: its notes take the place of earlier ones of the same variants."""

    variants: int
    results: Mapping[str, _PublishNote]  # by the index of the variant


class Publisher:
    """The results of one job, and its notes about them in its work folder."""

    def __init__(self, tree: SafeTree, work: Path) -> None:
        self._tree, self._root, self._work = tree, tree.root, work
        self._record = work / PUBLISH_RECORD

    def make_record(self) -> None:
        """Make the file of the notes, empty: its name is safe with the next one made beside it."""
        self._tree.append(self._record, b"")

    def publish(
        self, finished: FinishedJob, now: Iterator[float], earlier: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Put all results and their receipts into the outbox, or for a review apart.

        Returns the paths of the results relative to the root. What an earlier, interrupted call
        has published completely is not published again. `earlier` are results of the same names
        to replace; those that somebody has changed since stay, and the new ones get free names.
        """
        self._tree.make_folder(self._work)
        self._see_to_record()
        complete = dict(self._complete(finished.resolved_job.job))
        for variant in finished.variants:
            if variant.index not in complete:
                complete[variant.index] = self._publish(finished, variant, now, earlier)
        return tuple(complete[variant.index] for variant in finished.variants)

    def _see_to_record(self) -> None:
        try:
            self._tree.open(self._record).close()
        except FileNotFoundError:  # cleaned away, or no file of ours
            self._tree.write_whole(self._record, b"")

    def is_complete(self, job: Job) -> bool:
        """Whether every variant has its receipt."""
        lines = self._lines()
        return bool(lines) and 0 < lines[-1].variants == len(self._complete(job))

    def results(self, job: Job) -> tuple[str, ...]:
        """The paths of the results that have their receipts, relative to the root."""
        return tuple(name for _, name in sorted(self._complete(job).items()))

    def clear_half_done(self, job: Job) -> None:
        """Remove what an interrupted call left without its receipt.

        An earlier result that it was about to replace gets its own receipt back.
        """
        complete = self._complete(job).values()
        for folder in _FOLDERS:
            self._tree.clear_temporaries(self._root / folder / job.folder)
        for note in self._notes().values():
            if note.name not in complete:
                self._clear(note)

    def _clear(self, note: _PublishNote) -> None:
        path = self._root / note.name
        if self._tree.exists(_receipt_of(path)):
            return
        sha256 = self._sha256_of(path)
        if sha256 is None:
            return
        if sha256 == _ReceiptFacts.of(note.replaced).sha256:
            again = note.replaced.encode("utf-8", "backslashreplace")
            self._tree.write_whole(_receipt_of(path), again)
        elif sha256 == note.sha256:
            self._clear_preview(path, note)
            self._tree.remove(path)

    def _clear_preview(self, result: Path, note: _PublishNote) -> None:
        """Remove the preview of a result where it is its own, or that of the replaced one."""
        ours = {note.preview, _ReceiptFacts.of(note.replaced).preview_sha256}
        if (path := _preview_of(result)) and self._is_one_of(ours, path):
            self._tree.remove(path)

    def _is_one_of(self, hashes: Collection[str | None], path: Path) -> bool:
        sha256 = self._sha256_of(path)
        return sha256 is not None and sha256 in hashes

    def _publish(
        self,
        finished: FinishedJob,
        variant: Variant,
        now: Iterator[float],
        earlier: tuple[str, ...],
    ) -> str:
        folder = "review" if variant.missed else "outbox"
        target = self._root / folder / finished.resolved_job.job.folder
        self._tree.make_folder(target)
        began = next(now)
        # One that needs a look takes the place of none that needed none.
        note = self._place(finished, variant, target, () if variant.missed else earlier)
        result = self._root / note.name
        self._place_preview(variant, result, note)
        ended = next(now)
        text = receipt(finished, variant, result.name, publish_seconds=ended - began, now=ended)
        self._tree.write_whole(_receipt_of(result), text.encode())
        self._note(variant, replace(note, replaced="", is_out=True), finished)
        return note.name

    def _place(
        self, finished: FinishedJob, variant: Variant, target: Path, earlier: tuple[str, ...]
    ) -> _PublishNote:
        source = variant.composed.path
        for name in earlier:
            old = self._root / name
            if old.suffix == source.suffix and self._is_replaceable(old, finished, variant):
                note = self._note_of(variant, old, self._tree.read(_receipt_of(old)).decode())
                self._note(variant, note, finished)
                self._tree.remove(_receipt_of(old))  # it is only beside a complete result
                self._tree.bring_over(source, old)
                return note
        names = _names(finished, variant)
        free = (name for name in names if self._is_free(finished, variant, target / name))
        return self._note_of(variant, target / self._tree.bring(source, target, free))

    def _place_preview(self, variant: Variant, result: Path, note: _PublishNote) -> None:
        preview, path = variant.composed.preview, _preview_of(result)
        if preview is None:
            self._clear_preview(result, note)
        elif path is not None:
            self._tree.bring_over(preview.path, path)

    def _is_replaceable(self, old: Path, finished: FinishedJob, variant: Variant) -> bool:
        origin = self._origin_beside(old)
        if origin.job_id in (None, finished.resolved_job.job.job_id):
            return False
        recipe = finished.resolved_job.recipe
        is_same = recipe.variants == 1 or origin.seed == variant.seed
        preview = _preview_of(old) if variant.composed.preview else None
        has_room = (
            preview is None
            or not self._tree.exists(preview)
            or self._is_one_of({origin.preview_sha256}, preview)
        )
        return is_same and has_room and origin.sha256 == self._sha256_of(old)

    def _is_free(self, finished: FinishedJob, variant: Variant, path: Path) -> bool:
        preview = _preview_of(path) if variant.composed.preview else None
        if any(self._tree.exists(it) for it in (path, _receipt_of(path), preview) if it):
            return False
        self._note(variant, self._note_of(variant, path), finished)
        return True

    def _note_of(self, variant: Variant, path: Path, replaced: str = "") -> _PublishNote:
        name = os.path.relpath(path, self._root)
        composed = variant.composed
        preview = composed.preview.sha256 if composed.preview else ""
        return _PublishNote(name=name, sha256=composed.sha256, preview=preview, replaced=replaced)

    def _note(self, variant: Variant, note: _PublishNote, finished: FinishedJob) -> None:
        line = _Notes(variants=len(finished.variants), results={str(variant.index): note})
        # It begins anew whatever a power cut has left of the last one.
        text = f"\n{codec.dump(line)}\n"
        self._tree.append(self._record, text.encode(), is_safe=True)

    def _notes(self) -> Mapping[int, _PublishNote]:
        results = itertools.chain(*(line.results.items() for line in self._lines()))
        return {int(index): note for index, note in results if note.is_sound}

    def _lines(self) -> list[_Notes]:
        """The lines that are whole, and ours."""
        try:
            written = self._tree.read(self._record).splitlines()
        except FileNotFoundError:
            return []
        return list(filter(None, map(_parse, written)))

    def _origin_beside(self, result: Path) -> _ReceiptFacts:
        try:
            return _ReceiptFacts.of(self._tree.read(_receipt_of(result)))
        except _NOT_OURS:
            return _ReceiptFacts()

    def _sha256_of(self, result: Path) -> str | None:
        try:
            return self._tree.sha256_of(result)
        except _NOT_OURS:
            return None

    def _complete(self, job: Job) -> Mapping[int, str]:
        return {
            index: note.name
            for index, note in self._notes().items()
            if note.is_out or self._origin_beside(self._root / note.name).job_id == job.job_id
        }


def _parse(line: bytes) -> _Notes | None:
    with contextlib.suppress(ValueError):
        notes = codec.load(_Notes, line)
        if all(map(_INDEX.fullmatch, notes.results)):
            return notes
    return None


def _names(finished: FinishedJob, variant: Variant) -> Iterator[str]:
    stem, _, written = finished.resolved_job.job.image.name.rpartition(".")
    made = variant.composed.path.suffix.removeprefix(".")
    recipe = finished.resolved_job.recipe
    seed = variant.seed if recipe.variants > 1 else None
    return result_names(stem, made if variant.composed.format_changed else written, seed)


def _receipt_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _preview_of(path: Path) -> Path | None:
    name = preview_name(path.name)
    return None if name is None else path.with_name(name)


@dataclass(frozen=True, slots=True)
class _ReceiptFacts:
    """What a receipt says of its result; None what it does not say."""

    job_id: str | None = None
    seed: int | None = None
    sha256: str | None = None
    preview_sha256: str | None = None

    @classmethod
    def of(cls, text: bytes | str) -> _ReceiptFacts:
        try:
            written = codec.parse(text)
            return cls(
                job_id=codec.at(str, written, "job_id"),
                seed=codec.at(int, written, "recipe", "seed"),
                sha256=codec.at(str, written, "output", "sha256"),
                preview_sha256=codec.at(str | None, written, "preview", "sha256"),
            )
        except ValueError:
            return cls()
