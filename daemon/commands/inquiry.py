"""What would happen to every file of an inbox, in the order in which it would."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from config.problems import Problem, UserError
from config.settings import FolderSettings, Settings
from config.values import Format
from config.yaml_nodes import JsonValue
from daemon.commands.select import NO_ANSWER, Selection
from daemon.control.client import ask_status, folders_in
from daemon.control.documents import Document, FileStatus, read_folder_status
from daemon.fs.blocking import ANSWER_SECONDS, Stalled, call_all
from daemon.fs.errors import NOT_LOOKED_AT, trouble_of
from daemon.fs.local_dirs import LocalDirs
from daemon.fs.names import Kind, kind_of, printable, result_names
from daemon.fs.safe_tree import SafeTree
from daemon.inbox.inbox import Inbox, settle_rules, watch_mode_of
from daemon.job import FileState, FolderState, Ignored, Plan, State
from pipeline import instruction, recipe
from pipeline.recipe import Recipe
from pipeline.sniff.whole_file import EXTENSIONS, HEAD_BYTES, recognise
from pipeline.sniff.whole_file import Kind as Content

_DRAWN = -1  # stands for a seed that nobody has written: no instruction can hold it
_SEED_TO_COME = "_s…"
_CONTENTS = {Format.PNG: Content.PNG, Format.JPG: Content.JPEG, Format.WEBP: Content.WEBP}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPreview:
    """A job that has not begun."""

    recipe: Recipe
    results: tuple[str, ...]  # relative to the root; "_s…" where the seed is still to be drawn
    notes: tuple[str, ...]  # plain sentences: which limits were applied

    @property
    def seed(self) -> int | None:
        """The seed of the first variant; None: it will be drawn."""
        return None if self.recipe.seed == _DRAWN else self.recipe.seed

    def as_json(self) -> dict[str, JsonValue]:
        """The recipe, seed null where it will be drawn, with results and notes."""
        return {
            **self.recipe.as_json(),
            "seed": self.seed,
            "results": list(self.results),
            "notes": list(self.notes),
        }


def sidecars(plan: Plan) -> Mapping[str, str]:
    """The sidecar of each image that has exactly one, by their paths."""
    pairs = [
        (image, path)
        for path, images in plan.needed_by.items()
        if kind_of(path.rpartition("/")[2]) is Kind.SIDECAR
        for image in images
    ]
    found = dict(pairs)
    doubled = {image for image, path in pairs if found[image] != path}
    return {image: path for image, path in found.items() if image not in doubled}


class JobPreviewer:
    """Previews the jobs of one inbox by the settings in force."""

    def __init__(self, seen: OfflineScan, settings: Settings, default_steps: int) -> None:
        self._seen, self._settings, self._default_steps = seen, settings, default_steps
        self._sidecars = sidecars(seen.plan)
        self._root = seen.folder.root

    def job_preview(self, image: str) -> JobPreview | None:
        """The job of an image of the inbox; None where its instruction does not make one."""
        folder, settings = image.rpartition("/")[0], self._seen.folder.keys
        try:
            resolved = recipe.resolve(
                self._instruction(image),
                folder_presets=(settings, *self._seen.opened_inbox.presets_for(folder)),
                presets=self._settings.presets,
                loras=self._settings.model.loras,
                limits=self._settings.limits,
                default_steps=self._default_steps,
                drawn_seed=_DRAWN,
            )
        except (UserError, OSError):  # the plan tells what is wrong
            return None
        results = tuple(self._results(image, resolved.recipe))
        return JobPreview(recipe=resolved.recipe, results=results, notes=resolved.notes)

    def _instruction(self, image: str) -> instruction.Instruction:
        sidecar = self._sidecars.get(image)
        if sidecar is None:
            return instruction.NONE
        path = self._inbox / sidecar
        return instruction.parse(SafeTree(self._root).read(path), path.name)

    @property
    def _inbox(self) -> Path:
        return self._root / "inbox"

    def _results(self, image: str, chosen: Recipe) -> Iterator[str]:
        folder, _, name = image.rpartition("/")
        stem, _, written = name.rpartition(".")
        extension = self._extension(image, written, chosen.format)
        target = Path("outbox") / folder
        for index in range(chosen.variants):
            if chosen.variants > 1 and chosen.seed == _DRAWN:
                names = result_names(f"{stem}{_SEED_TO_COME}", extension, None)
            else:
                seed = chosen.seed + index if chosen.variants > 1 else None
                names = result_names(stem, extension, seed)
            yield str(target / next(one for one in names if self._is_free(target / one)))

    def _is_free(self, path: Path) -> bool:
        result = self._root / path
        return not result.exists() and not result.with_name(f"{path.name}.json").exists()

    def _extension(self, image: str, written: str, wanted: Format) -> str:
        if wanted is Format.SAME:
            return written
        content = _CONTENTS[wanted]
        with SafeTree(self._root).open(self._inbox / image) as stream:
            is_same = recognise(stream.read(HEAD_BYTES)) is content
        return written if is_same else EXTENSIONS[content][0].removeprefix(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineScan:
    """A hot folder's inbox at one moment."""

    folder: FolderSettings
    plan: Plan
    opened_inbox: Inbox


def scan_offline(folder: FolderSettings, settings: Settings, default_steps: int) -> OfflineScan:
    """Look at an inbox and change nothing; raises UserError where it cannot be read."""
    inbox = folder.root / "inbox"
    try:
        watch_mode = watch_mode_of(folder)
        opened_inbox = Inbox(
            inbox,
            replace(settle_rules(folder, watch_mode, final=False), settle_seconds=0.0),
            settings=settings,
            default_steps=default_steps,
            trust_inodes=not watch_mode.is_share,
        )
        plan = opened_inbox.scan(time.monotonic())
    except OSError as error:
        advice = f"mount the share, or run `hotfolder init {folder.root}`"
        problem = Problem(str(inbox), trouble_of(error, folder.root).reason, advice)
        raise UserError([problem]) from error
    return OfflineScan(folder=folder, plan=plan, opened_inbox=opened_inbox)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePreview:
    """One file of the inbox, and the job that it would make."""

    news: FileStatus
    job_preview: JobPreview | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxPreview:
    """One inbox."""

    root: Path
    running: bool
    note: str  # why no daemon has told how long files still settle; "" where one has
    files: tuple[FilePreview, ...]
    ignored: tuple[Ignored, ...]
    away: str = ""  # why nothing can be seen there; then nobody knows what lies there

    def as_json(self) -> dict[str, object]:
        """The preview for programs."""
        return {
            "root": printable(str(self.root)),
            "state": FolderState.OFFLINE if self.away else FolderState.ONLINE,
            "reason": self.away,
            "files": [_file_document(file) for file in self.files],
            "ignored": [
                {"file": printable(file.path), "reason": file.reason} for file in self.ignored
            ],
        }


def preview_inboxes(
    selection: Selection, default_steps: int, local_dirs: LocalDirs
) -> list[InboxPreview]:
    """Look into all inboxes of a selection; raises UserError."""
    settings = selection.settings
    here = [folder for folder in selection.folders if folder.root not in selection.silent]
    looks = [partial(preview_inbox, it, settings, default_steps, local_dirs) for it in here]
    seen = {}
    for folder, look in zip(here, call_all(looks, ANSWER_SECONDS), strict=True):
        with suppress(Stalled):
            seen[folder.root] = look.result()
    return [
        seen.get(it.root) or _out_of_sight(it.root, NO_ANSWER, running=False)
        for it in selection.folders
    ]


def preview_inbox(
    folder: FolderSettings, settings: Settings, default_steps: int, local_dirs: LocalDirs
) -> InboxPreview:
    """Look into an inbox, and ask its daemon what has settled; raises UserError."""
    said, note = ask_status(local_dirs, folder.root)
    for document in folders_in(said):
        news = read_folder_status(document)
        if news.state == FolderState.OFFLINE and news.reason != NOT_LOOKED_AT:
            return _out_of_sight(folder.root, news.reason, running=True)
    seen = scan_offline(folder, settings, default_steps)
    previewer = JobPreviewer(seen, settings, default_steps)
    told = _told(said)
    return InboxPreview(
        root=folder.root,
        running=bool(said),
        note=note,
        files=tuple(_file(state, told, previewer) for state in _in_turn(seen)),
        ignored=seen.plan.ignored,
    )


def _out_of_sight(root: Path, reason: str, *, running: bool) -> InboxPreview:
    return InboxPreview(root=root, running=running, note="", files=(), ignored=(), away=reason)


def _told(said: Document) -> Mapping[str, FileStatus]:
    return {
        news.file: news
        for document in folders_in(said)
        for news in read_folder_status(document).files
    }


def _in_turn(seen: OfflineScan) -> Iterator[FileState]:
    states = {state.path: state for state in seen.plan.states}
    for candidate in seen.plan.ready:
        yield states.pop(candidate.image.path)
    yield from states.values()


def _file(
    state: FileState, told: Mapping[str, FileStatus], previewer: JobPreviewer
) -> FilePreview:
    name = printable(state.path)
    own = FileStatus(
        file=name,
        state=state.state,
        reason=state.reason,
        problems=tuple(map(str, state.problems)),
    )
    makes_a_job = kind_of(state.path.rpartition("/")[2]) is Kind.IMAGE and not state.problems
    is_reference = state.state is State.REFERENCE
    return FilePreview(
        news=told.get(name, own),
        job_preview=previewer.job_preview(state.path)
        if makes_a_job and not is_reference
        else None,
    )


def _file_document(file: FilePreview) -> dict[str, object]:
    news = file.news
    document: dict[str, object] = {
        "file": news.file,
        "state": news.state,
        "reason": news.reason,
        "problems": list(news.problems),
    }
    if file.job_preview is not None:
        document["job"] = file.job_preview.as_json()
    return document
