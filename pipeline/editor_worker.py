"""The editor process: keeps one editor and edits what the daemon sends until it hangs up."""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import time
import traceback
from typing import assert_never

from config.problems import UserError
from config.settings import ModelSettings
from pipeline import ipc
from pipeline.echo import EchoEditor
from pipeline.editor import Editor, Event
from pipeline.ipc import Connection


class EventSender:
    """Events go to the daemon; the ids that it wants dropped come back."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dropped: frozenset[str] = frozenset()

    def on_event(self, event: Event) -> frozenset[str]:
        """Report an event; returns the ids to drop."""
        self._connection.send(event)
        while self._connection.has_more():
            match self._connection.receive():
                case ipc.Drop(request_ids):
                    self._dropped |= request_ids
                case message:
                    raise TypeError(f"{message!r} has no place inside a batch")  # noqa: EM102, TRY003
        return self._dropped


class Remarks(logging.Handler):
    """What the editor logs goes to the daemon, which has the log."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(logging.INFO)
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record over, and for whoever looks for a fault, where its error arose."""
        self._connection.send(ipc.Remark(record.levelno, record.getMessage()))
        if record.exc_info and record.exc_info[1] is not None:
            story = "".join(traceback.format_exception(record.exc_info[1]))
            self._connection.send(ipc.Remark(logging.DEBUG, story.strip()))


def import_libraries(*, compiles: bool) -> None:
    """Import what an editor with a model needs: seconds, some hundred megabytes, nothing of a GPU.

    What is imported for an editor that compiles does for one that does not, but not vice versa.
    """
    # Imported here: the echo editor starts without torch.
    from pipeline.qwen import allocator, library_imports, offline, threads  # noqa: PLC0415

    offline.enforce()
    allocator.enforce()
    threads.enforce()
    with library_imports.limited(compiles=compiles):
        importlib.import_module("pipeline.qwen.engine")


def open_editor(kind: str, model: ModelSettings, *, needs_gpu: bool = False) -> Editor:
    """The editor of that kind, its model loaded.

    Raises UserError if the model cannot be used, or a GPU that is needed is gone.
    """
    if kind == "echo":
        return EchoEditor()
    import_libraries(compiles=model.compile)
    from pipeline.qwen import device  # noqa: PLC0415
    from pipeline.qwen.engine import open_editor as open_qwen  # noqa: PLC0415

    if needs_gpu:
        device.require_gpu()
    return open_qwen(model)


def serve(connection: Connection) -> None:
    """Answer the daemon until it hangs up."""
    opening = connection.receive()
    if isinstance(opening, ipc.ImportLibraries):
        import_libraries(compiles=opening.compiles)
        opening = connection.receive()
    assert isinstance(opening, ipc.OpenEditor)
    began = time.perf_counter()
    try:
        editor = open_editor(opening.kind, opening.model, needs_gpu=opening.needs_gpu)
    except UserError as error:
        connection.send(ipc.Unusable(error.problems))
        return
    connection.send(ipc.Ready(editor.describe(), time.perf_counter() - began))
    edit_for_ever(connection, editor)


def edit_for_ever(connection: Connection, editor: Editor) -> None:
    """Edit what the daemon sends until it hangs up, or the model proves unusable after all."""
    try:
        while True:
            _answer(connection, editor)
    except UserError as error:
        connection.send(ipc.Unusable(error.problems))
    finally:
        editor.close()


def _answer(connection: Connection, editor: Editor) -> None:
    message: ipc.ToEditor = connection.receive()
    match message:
        case ipc.EditBatch(requests):
            editor.edit(requests, EventSender(connection).on_event)
            connection.send(ipc.BatchDone())
        case ipc.Drop():
            pass  # came too late: its batch has ended
        case ipc.OpenEditor() | ipc.ImportLibraries():
            raise TypeError("the editor is open already")  # noqa: EM101, TRY003
        case _:
            assert_never(message)


def main() -> None:
    """Entry of `python -m pipeline.editor_worker DESCRIPTOR DAEMON`."""
    # How a daemon that has hung up shows itself.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection = ipc.connect(sys.argv[1:], ipc.ToEditor)
        log = logging.getLogger("pipeline")
        log.setLevel(logging.INFO)
        log.addHandler(Remarks(connection))
        serve(connection)


if __name__ == "__main__":
    main()
