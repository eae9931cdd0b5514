"""Which folders must not lie inside each other: those people write to, and those they may not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.problems import Problem
from config.settings import ModelSettings
from daemon.places import Places
from daemon.spool import SHOWN

_INNER = (*SHOWN, ".hotfolder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a daemon stands on; all paths absolute, and resolved where that could be done."""

    roots: tuple[Path, ...]  # of hot folders
    identities: Mapping[Path, str]  # of those that answer
    settings: Path | None
    apart: tuple[tuple[str, Path], ...]  # what each is, and where


def look(
    roots: Iterable[Path],
    identify: Callable[[Path], str],
    settings: Path | None,
    apart: Iterable[tuple[str, Path]],
    resolve: Callable[[Path], Path],
) -> Site:
    """Look at everything through `resolve` and `identify`, which do not wait for ever."""
    places = {root: resolve(root) for root in roots}
    return Site(
        roots=tuple(places.values()),
        identities={places[root]: identity for root in places if (identity := identify(root))},
        settings=None if settings is None else resolve(settings),
        apart=tuple((name, resolve(path)) for name, path in apart),
    )


def apart_from(
    model: ModelSettings, places: Places, code: Iterable[Path]
) -> Iterator[tuple[str, Path]]:
    """What must not lie in a hot folder, nor a hot folder in it."""
    if model.path is not None:
        yield "the model", model.path
    for name, lora in model.loras.items():
        yield f"the LoRA {name}", lora.path
    yield "the state folder", places.state
    yield "the scratch folder", places.scratch
    yield "the folder of control sockets", places.control
    for path in code:
        yield "Hotfolder's own program", path


def problems(of: Site) -> Iterator[Problem]:
    """Everything that lies where it must not."""
    yield from _entangled(of.roots)
    yield from _twins(of)
    for root in of.roots:
        for name, path in of.apart:
            if _overlap(root, path):
                what = f"{name} ({path}) and this hot folder lie inside each other"
                yield Problem(str(root), what, "choose another place for one of the two")
        if of.settings is not None and any(_is_in(of.settings, root / it) for it in _INNER):
            what = f"the settings ({of.settings}) lie where everybody drops files"
            yield Problem(str(root), what, "move them out, /etc/hotfolder is a good place")


def _entangled(roots: tuple[Path, ...]) -> Iterator[Problem]:
    for number, root in enumerate(roots):
        for other in roots[:number]:
            if root == other:
                yield Problem(str(root), "is named twice", "remove one of the two")
            elif _overlap(root, other):
                what = f"{other} and this hot folder lie inside each other"
                yield Problem(str(root), what, "put hot folders side by side")


def _twins(of: Site) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for root, identity in of.identities.items():
        other = first.setdefault(identity, root)
        if other != root:
            what = f"has the id of {other}: it is the same one by another path, or a copy"
            advice = "remove one of the two, or in a copy .hotfolder/id, then run hotfolder init"
            yield Problem(str(root), what, advice)


def _overlap(first: Path, second: Path) -> bool:
    return _is_in(first, second) or _is_in(second, first)


def _is_in(path: Path, folder: Path) -> bool:
    return path == folder or path.is_relative_to(folder)
