"""The page of `hotfolder status`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from daemon.commands import bulletin
from daemon.commands.bulletin import Bulletin
from daemon.commands.inquiry import Reply
from daemon.commands.page import Page
from daemon.inbox.names import Kind, kind_of
from daemon.job import FolderState

_FILES_SHOWN = 20


def write(page: Page, reply: Reply) -> None:
    """Write how one hot folder stands."""
    news = bulletin.read(reply.folder)
    for line in _head(news, reply):
        page.line(line)
    page.table([(job.file, job.state, job.text) for job in news.jobs])
    page.table(list(_files(news)))
    page.table([(it.file, it.state, it.reason) for it in news.reviews[-_FILES_SHOWN:]])
    if news.ignored:
        number = len(news.ignored)
        files = "1 file is" if number == 1 else f"{number} files are"
        page.line(f"{files} ignored: hotfolder plan says why.")


def _head(news: Bulletin, reply: Reply) -> Iterator[str]:
    reason = f" ({news.reason})" if news.reason else ""
    pid = reply.daemon.get("pid")
    served = f"served by process {pid}" if pid else reply.note
    yield f"{news.root}: {news.state}{reason}; {served}"
    model = _model(reply.daemon.get("editor"))
    if model and news.state != FolderState.STANDBY:  # none is needed there
        yield model
    counts = ", ".join(f"{number} {state}" for state, number in sorted(_counted(news).items()))
    today = f"{news.done_today} done, {news.failed_today} failed"
    others = "".join(f", {number} {state}" for state, number in news.others_today)
    yield f"now: {counts or 'nothing'}; today: {today}{others}"


def _counted(news: Bulletin) -> Counter[str]:
    """Pictures alone: what stands beside a picture would count it twice."""
    pictures = [it for it in news.files if kind_of(it.file.rpartition("/")[2]) is Kind.IMAGE]
    return Counter(it.state for it in pictures) + Counter(job.state for job in news.jobs)


def _model(editor: object) -> str:
    if not isinstance(editor, Mapping):
        return ""
    facts = (str(editor.get(key, "")) for key in ("model", "class", "dtype", "weights"))
    described = ", ".join(fact for fact in facts if fact)
    return f"editor {editor.get('state', 'unknown')}{f': {described}' if described else ''}"


def _files(news: Bulletin) -> Iterator[tuple[str, str, str]]:
    files = [file for file in news.files if file.is_worth_a_line]
    for file in files[:_FILES_SHOWN]:
        yield file.file, file.state, "; ".join((file.reason, *file.problems))
    if len(files) > _FILES_SHOWN:
        yield f"and {len(files) - _FILES_SHOWN} more", "", ""
