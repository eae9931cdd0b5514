"""What would happen to every file of an inbox, in the order in which it would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from config.settings import FolderSettings, Settings
from daemon.commands import bulletin
from daemon.commands.asking import Document, ask, folders_in
from daemon.commands.bulletin import FileNews
from daemon.commands.forecast import Forecast, Forecaster
from daemon.commands.glance import Glance, glance
from daemon.commands.selection import ANSWER_SECONDS, NO_ANSWER, Selection
from daemon.inbox.names import Kind, kind_of, printable
from daemon.job import FileState, FolderState, Ignored, State
from daemon.patience import Silent, call_all
from daemon.places import Places
from daemon.trouble import NOT_LOOKED_AT


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutlook:
    """One file of the inbox, and the job that it would make."""

    news: FileNews
    forecast: Forecast | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One inbox."""

    root: Path
    running: bool
    note: str  # why no daemon has told how long files still settle; "" where one has
    files: tuple[FileOutlook, ...]
    ignored: tuple[Ignored, ...]
    away: str = ""  # why nothing can be seen there; then nobody knows what lies there

    def as_json(self) -> dict[str, object]:
        """The outlook for programs."""
        return {
            "root": printable(str(self.root)),
            "state": FolderState.OFFLINE if self.away else FolderState.ONLINE,
            "reason": self.away,
            "files": [_file_document(file) for file in self.files],
            "ignored": [
                {"file": printable(file.path), "reason": file.reason} for file in self.ignored
            ],
        }


def outlooks(selection: Selection, default_steps: int, places: Places) -> list[Outlook]:
    """Look into all inboxes of a selection; raises UserError."""
    settings = selection.settings
    here = [folder for folder in selection.folders if folder.root not in selection.silent]
    looks = [partial(outlook, it, settings, default_steps, places) for it in here]
    seen = {}
    for folder, look in zip(here, call_all(looks, ANSWER_SECONDS), strict=True):
        with suppress(Silent):
            seen[folder.root] = look.result()
    return [
        seen.get(it.root) or _out_of_sight(it.root, NO_ANSWER, running=False)
        for it in selection.folders
    ]


def outlook(
    folder: FolderSettings, settings: Settings, default_steps: int, places: Places
) -> Outlook:
    """Look into an inbox, and ask its daemon what has settled; raises UserError."""
    said, note = ask(places, folder.root)
    for document in folders_in(said):
        news = bulletin.read(document)
        if news.state == FolderState.OFFLINE and news.reason != NOT_LOOKED_AT:
            return _out_of_sight(folder.root, news.reason, running=True)
    seen = glance(folder, settings, default_steps)
    forecaster = Forecaster(seen, settings, default_steps)
    told = _told(said)
    return Outlook(
        root=folder.root,
        running=bool(said),
        note=note,
        files=tuple(_file(state, told, forecaster) for state in _in_turn(seen)),
        ignored=seen.plan.ignored,
    )


def _out_of_sight(root: Path, reason: str, *, running: bool) -> Outlook:
    return Outlook(root=root, running=running, note="", files=(), ignored=(), away=reason)


def _told(said: Document) -> Mapping[str, FileNews]:
    return {
        news.file: news for document in folders_in(said) for news in bulletin.read(document).files
    }


def _in_turn(seen: Glance) -> Iterator[FileState]:
    states = {state.path: state for state in seen.plan.states}
    for candidate in seen.plan.ready:
        yield states.pop(candidate.image.path)
    yield from states.values()


def _file(state: FileState, told: Mapping[str, FileNews], forecaster: Forecaster) -> FileOutlook:
    name = printable(state.path)
    own = FileNews(
        file=name,
        state=state.state,
        reason=state.reason,
        problems=tuple(map(str, state.problems)),
    )
    makes_a_job = kind_of(state.path.rpartition("/")[2]) is Kind.IMAGE and not state.problems
    is_reference = state.state is State.REFERENCE
    return FileOutlook(
        news=told.get(name, own),
        forecast=forecaster.forecast(state.path) if makes_a_job and not is_reference else None,
    )


def _file_document(file: FileOutlook) -> dict[str, object]:
    news = file.news
    document: dict[str, object] = {
        "file": news.file,
        "state": news.state,
        "reason": news.reason,
        "problems": list(news.problems),
    }
    if file.forecast is not None:
        document["job"] = file.forecast.as_json()
    return document
