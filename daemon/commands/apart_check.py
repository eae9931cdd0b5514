"""Whether what people write to lies apart from what only the administrator may change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from config import custody
from config.problems import UserError
from config.settings import FolderSettings, ModelSettings
from daemon import places
from daemon.commands import standing_apart
from daemon.commands.finding import Finding, ok, problems, warning


def look_at_separation(
    folders: tuple[FolderSettings, ...],
    settings: Path | None,
    model: ModelSettings,
    environment: Mapping[str, str],
) -> Iterator[Finding]:
    """Look whether hot folders, settings, model, local folders and program lie apart."""
    try:
        local = places.locate(environment)
    except UserError:
        return  # told where the places are looked at
    roots = tuple(folder.root for folder in folders)
    found = [*standing_apart.problems(roots, settings, model, local)]
    yield from problems("folder", found)
    if folders and not found:
        text = "nothing lies in a hot folder that must not: settings, model, program, local state"
        yield ok("folder", text)


def look_at_custody(settings: Path) -> Iterator[Finding]:
    """Look whether others than its owner may change the settings."""
    if custody.is_of_a_group(settings):
        advice = f"if not all of them may say what the daemon reads: chmod g-w {settings}"
        yield warning("settings", f"{settings} can be changed by its whole group", advice)
