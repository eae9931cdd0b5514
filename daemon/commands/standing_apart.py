"""Whether the hot folders of a command stand apart from each other and from what is not theirs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import config
import daemon
import pipeline
from config.problems import Problem, UserError
from config.settings import ModelSettings
from daemon import separation
from daemon.commands.selection import ANSWER_SECONDS
from daemon.patience import Silent, call
from daemon.places import Places
from daemon.spool import folder_id


def problems(
    roots: tuple[Path, ...], settings: Path | None, model: ModelSettings, places: Places
) -> Iterator[Problem]:
    """Everything that lies where it must not; a share that hangs hinders nobody."""
    found = separation.look(
        roots=roots,
        identify=_identify,
        settings=settings,
        apart=separation.apart_from(model, places, _code()),
        resolve=_resolve,
    )
    return separation.problems(found)


def _code() -> Iterator[Path]:
    """Where programs are imported from; not the working directory, which may hold hot folders."""
    for package in (config, pipeline, daemon):
        assert package.__file__ is not None
        yield Path(package.__file__).parent
    yield Path(sys.prefix)
    yield Path(os.__file__).parent


def _resolve(path: Path) -> Path:
    try:
        return call(path.resolve, ANSWER_SECONDS)
    except (Silent, OSError):
        return path.absolute()


def _identify(root: Path) -> str:
    try:
        return call(lambda: folder_id(root), ANSWER_SECONDS)
    except (Silent, OSError, UserError):
        return ""  # offline, or no hot folder: others say so
