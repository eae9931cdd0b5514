"""One folder of the inbox at one moment: its presets, and which file needs which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from config.problems import Problem
from daemon.inbox.folder import Folder
from daemon.inbox.known import Broken, Unread
from daemon.inbox.names import printable
from daemon.inbox.settling import Moment, Wait
from daemon.job import Seen, State

Needs = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A folder, the moment, and the presets that hold for it."""

    folder: Folder
    moment: Moment
    presets: tuple[Seen, ...]  # those that can be used, outermost first
    preset_waits: tuple[Wait, ...]
    preset_problems: tuple[Problem, ...]
    sidecars_wait: bool  # some sidecar has not been read, and may name any image


def scene_of(folder: Folder, presets: tuple[Seen, ...], moment: Moment) -> Scene:
    """Set the scene of a folder; `presets` are those of its parents and its own."""
    waits = [wait for preset in presets for wait in _preset_waits(preset, moment)]
    problems = tuple(_preset_problems(presets, moment))
    if problems and not moment.rules.final:
        where = " and ".join(dict.fromkeys(problem.where for problem in problems))
        waits.append(Wait(State.HELD, f"waits for somebody to mend {where}", None))
    return Scene(
        folder=folder,
        moment=moment,
        presets=tuple(file for file in presets if is_usable(file, moment)),
        preset_waits=tuple(waits),
        preset_problems=problems,
        sidecars_wait=any(
            isinstance(moment.known.text(sidecar), Unread) for sidecar in folder.sidecars
        ),
    )


def is_usable(file: Seen, moment: Moment) -> bool:
    """Whether a text has been read and makes sense."""
    return not isinstance(moment.known.text(file), Broken | Unread)


def _preset_waits(preset: Seen, moment: Moment) -> Iterator[Wait]:
    for wait in moment.text_waits(preset):
        yield Wait(wait.state, f"waits for {printable(preset.path)}: {wait.reason}", wait.until)


def _preset_problems(presets: Iterable[Seen], moment: Moment) -> Iterator[Problem]:
    for _, group in groupby(presets, key=lambda preset: preset.folder):
        first, *others = group
        for other in others:
            what = f"stands beside {printable(first.name)}"
            yield Problem(printable(other.path), what, "keep one of the two")
    for preset in presets:
        match moment.known.text(preset):
            case Broken(problems):
                yield from problems
            case _:
                pass


def references(scene: Scene) -> Needs:
    """Which images are named in an instruction: image path -> paths of those that need it.

    An instruction without its image, and a preset that names an image, need it by their own path.
    """
    needs: dict[str, set[str]] = defaultdict(set)
    for file, needers in _named_images(scene):
        needs[file.path] |= needers
    for path, needers in needs.items():
        if scene.folder.sidecars_of[path]:
            needers.add(path)
    return {path: frozenset(needers) for path, needers in needs.items()}


def _named_images(scene: Scene) -> Iterator[tuple[Seen, set[str]]]:
    folder, known = scene.folder, scene.moment.known
    for sidecar in folder.sidecars:
        if not isinstance(known.text(sidecar), Unread):
            images = folder.images_of.get(sidecar.path, (sidecar,))
            for name in known.wanted(sidecar, scene.presets).companions:
                for file in folder.images_named(name):
                    yield file, {image.path for image in images}
    if scene.presets:
        named = known.wanted(None, scene.presets).companions
        files = [file for name in named for file in folder.images_named(name)]
        needers = {image.path for image in folder.lone_images() if image not in files}
        for file in files:
            yield file, needers | {scene.presets[-1].path}
