"""The plan of one folder: the state of each of its files in words, and its jobs that are ready."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from daemon.inbox.known import Broken
from daemon.inbox.names import printable
from daemon.inbox.scene import Needs, Scene, references
from daemon.inbox.settling import Wait
from daemon.inbox.standing import problems_so_far, stand
from daemon.job import Candidate, FileState, Seen, State

_NAMED_AT_MOST = 3

Standing = Wait | Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPlan:
    """What a plan says about one folder."""

    states: tuple[FileState, ...]
    ready: tuple[Candidate, ...]
    needed_by: Needs
    untils: tuple[float, ...]  # monotonic seconds when some wait may end by itself


def plan_folder(scene: Scene) -> FolderPlan:
    """Say what every file of a folder waits for."""
    needs = references(scene)
    standings = {image: _stand(scene, image, needs) for image in scene.folder.images}
    texts = (*scene.folder.sidecars, *scene.folder.presets)
    waits = {
        text: next(scene.moment.text_waits(text), None) or _lone(scene, text) for text in texts
    }
    ends = (it.until for it in (*standings.values(), *waits.values()) if isinstance(it, Wait))
    return FolderPlan(
        states=tuple(_states(scene, standings, waits)),
        ready=tuple(it for it in standings.values() if isinstance(it, Candidate)),
        needed_by=_needed_by(scene, needs),
        untils=tuple(end for end in ends if end is not None),
    )


def _stand(scene: Scene, image: Seen, needs: Needs) -> Standing:
    needers = needs.get(image.path)
    if needers is None or scene.folder.sidecars_of[image.path]:
        return stand(scene, image)
    names = sorted(printable(path.rpartition("/")[2]) for path in needers)
    more = len(names) - _NAMED_AT_MOST
    shown = ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
    pending = next(scene.moment.picture_waits(image), None)
    if pending is None:
        return Wait(State.REFERENCE, f"reference of {shown}", None)
    return Wait(State.REFERENCE, f"reference of {shown}; {pending.reason}", pending.until)


def _needed_by(scene: Scene, needs: Needs) -> Needs:
    served = scene.folder.images_of.items()
    sidecars = {path: frozenset(image.path for image in images) for path, images in served}
    return {**sidecars, **needs}


def _states(
    scene: Scene, standings: Mapping[Seen, Standing], waits: Mapping[Seen, Wait | None]
) -> Iterator[FileState]:
    images = {image: _image(scene, image, standing) for image, standing in standings.items()}
    yield from images.values()
    for text, wait in waits.items():
        match scene.moment.known.text(text):
            case Broken(problems):
                pass
            case _:
                problems = ()
        state, reason = _text(scene, text, wait, images)
        yield FileState(text.path, state, reason, problems)


def _image(scene: Scene, image: Seen, standing: Standing) -> FileState:
    match standing:
        case Wait(state, reason):
            return FileState(image.path, state, reason, problems_so_far(scene, image))
        case Candidate(problems=()):
            return FileState(image.path, State.READY, "ready")
        case Candidate(problems=problems):
            return FileState(image.path, State.READY, "ready, but it will fail", problems)


def _text(
    scene: Scene, text: Seen, wait: Wait | None, images: Mapping[Seen, FileState]
) -> tuple[State, str]:
    if wait is not None:
        return wait.state, wait.reason
    if text in scene.folder.presets:
        return _preset(scene, text)
    if served := scene.folder.images_of.get(text.path):
        partners = [images[image] for image in served]
        partner = next((it for it in partners if it.state is State.READY), partners[0])
        return (
            partner.state,
            f"with {printable(partner.path.rpartition('/')[2])}: {partner.reason}",
        )
    better = scene.folder.outranked[text.path]
    return State.WAITING_SIDECAR, f"not used: {printable(better.name)} goes before it"


def _lone(scene: Scene, text: Seen) -> Wait | None:
    """The wait of a sidecar for its image; None where one is there, or another goes before it."""
    folder, moment = scene.folder, scene.moment
    if text in folder.presets or text.path in folder.images_of or text.path in folder.outranked:
        return None
    since = moment.watched[text]
    until, when = since + moment.rules.sidecar_wait_seconds, moment.clock(since)
    if moment.now < until:
        return Wait(State.WAITING_SIDECAR, f"waits for its image since {when}", until)
    reason = f"no image has come since {when}: add one of its name, or take it away"
    return Wait(State.HELD, reason, None)


def _preset(scene: Scene, preset: Seen) -> tuple[State, str]:
    broken = isinstance(scene.moment.known.text(preset), Broken)
    if broken or len(scene.folder.presets) > 1:
        what = "somebody mends it" if broken else "only one preset is left here"
        return State.HELD, f"holds up the images here and below until {what}"
    return State.SEEN, "holds for the images here and below"
