"""Where one image stands: ready to be claimed, or waiting for something that can be named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from config.problems import Problem
from daemon.inbox.known import Broken, Wanted
from daemon.inbox.names import Kind, conversion, kind_of, printable, stem_of
from daemon.inbox.scene import Scene
from daemon.inbox.settling import Wait
from daemon.job import Candidate, Seen, State
from pipeline.instruction import Instruction


def stand(scene: Scene, image: Seen) -> Wait | Candidate:
    """Judge an image that is an input of its own."""
    case = _Case(scene, image, scene.folder.sidecars_of[image.path])
    wait = next(case.waits(), None)
    return case.candidate() if wait is None else wait


def problems_so_far(scene: Scene, image: Seen) -> tuple[Problem, ...]:
    """What is known already of why the job of a waiting image will fail."""
    moment = scene.moment
    if next(moment.picture_waits(image), None) is not None:
        return ()
    texts = map(moment.known.text, scene.folder.sidecars_of[image.path])
    broken = (text.problems for text in texts if isinstance(text, Broken))
    return sum(broken, moment.picture_problems(image) + scene.preset_problems)


@dataclass(frozen=True, slots=True)
class _Case:
    scene: Scene
    image: Seen
    sidecars: tuple[Seen, ...]

    def waits(self) -> Iterator[Wait]:
        """Every reason to wait, the first to tell first."""
        moment = self.scene.moment
        yield from moment.picture_waits(self.image)
        if len(self.sidecars) > 1:
            names = " and ".join(printable(sidecar.name) for sidecar in self.sidecars)
            yield Wait(State.HELD, f"{names} both belong to it: remove one", None)
        for sidecar in self.sidecars:
            for wait in moment.text_waits(sidecar):
                reason = f"waits for {printable(sidecar.name)}: {wait.reason}"
                yield Wait(wait.state, reason, wait.until)
        yield from self.scene.preset_waits
        if not self.sidecars and not self.scene.preset_problems:
            yield from self._alone()
        wanted = self._wanted()
        if not self._hopeless(wanted):
            yield from self._companion_waits(wanted)

    def candidate(self) -> Candidate:
        """The job, when there is nothing left to wait for."""
        moment, wanted = self.scene.moment, self._wanted()
        problems = self._hopeless(wanted) or tuple(self._companion_problems(wanted))
        companions = tuple(file for file in self._companions(wanted) if moment.is_settled(file))
        files = (self.image, *self.sidecars, *companions)
        return Candidate(
            image=self.image,
            sidecar=self.sidecars[0] if self.sidecars else None,
            companions=companions,
            priority=wanted.priority,
            since=min(moment.watched[file] for file in files),
            problems=tuple(dict.fromkeys(problems)),
        )

    def _wanted(self) -> Wanted:
        sidecar = self.sidecars[0] if self.sidecars else None
        return self.scene.moment.known.wanted(sidecar, self.scene.presets)

    def _alone(self) -> Iterator[Wait]:
        moment, rules = self.scene.moment, self.scene.moment.rules
        if not moment.known.give_prompt(self.scene.presets):
            yield self._unaccompanied()
        elif rules.final and self.scene.sidecars_wait:
            reason = "runs on the folder's preset when every sidecar here has been read"
            yield Wait(State.WAITING_SIDECAR, reason, None)
        elif not rules.final:
            until = moment.settles_at(self.image) + rules.sidecar_grace_seconds
            if moment.now < until:
                when = moment.clock(until)
                reason = f"runs on the folder's preset at {when} unless a sidecar comes before"
                yield Wait(State.WAITING_SIDECAR, reason, until)

    def _unaccompanied(self) -> Wait:
        moment = self.scene.moment
        since = moment.watched[self.image]
        until = since + moment.rules.sidecar_wait_seconds
        stem, when = printable(stem_of(self.image.name)), moment.clock(since)
        if moment.now < until:
            reason = f"waits for {stem}.yaml, {stem}.txt or another sidecar since {when}"
            return Wait(State.WAITING_SIDECAR, reason, until)
        reason = (
            f"no sidecar has come since {when}: add {stem}.yaml or {stem}.txt, or take it away"
        )
        return Wait(State.HELD, reason, None)

    def _companions(self, wanted: Wanted) -> tuple[Seen, ...]:
        named = (self.scene.folder.images_named(name) for name in wanted.companions)
        return tuple(dict.fromkeys(found[0] for found in named if len(found) == 1))

    def _companion_waits(self, wanted: Wanted) -> Iterator[Wait]:
        for name in wanted.companions:
            found, shown = self.scene.folder.images_named(name), printable(name)
            if not found and not self.scene.moment.rules.final:
                yield Wait(State.HELD, f"waits for {shown}", None)
            if len(found) > 1:
                names = " and ".join(printable(file.name) for file in found)
                yield Wait(State.HELD, f"{names} both answer to {shown}: remove one", None)
            for file in found:
                for wait in self.scene.moment.picture_waits(file):
                    yield Wait(State.HELD, f"waits for {shown}: {wait.reason}", wait.until)

    def _hopeless(self, wanted: Wanted) -> tuple[Problem, ...]:
        return (
            *self.scene.moment.picture_problems(self.image),
            *self.scene.preset_problems,
            *wanted.problems,
            *self._misnamed(wanted),
        )

    def _misnamed(self, wanted: Wanted) -> Iterator[Problem]:
        for name in wanted.companions:
            if kind_of(name) is not Kind.IMAGE:
                what = f"'{printable(name)}' cannot be read"
                yield Problem(self._where(name), what, conversion(name))
            elif self.scene.folder.images_named(name) == (self.image,):
                what = f"'{printable(name)}' is the picture to edit itself"
                yield Problem(self._where(name), what, "name another one or remove it")

    def _companion_problems(self, wanted: Wanted) -> Iterator[Problem]:
        for name in wanted.companions:
            found = self.scene.folder.images_named(name)
            for file in found:
                yield from self.scene.moment.picture_problems(file)
            if not found:
                advice = "put it into the folder of the picture"
                yield Problem(self._where(name), f"{printable(name)} is missing", advice)

    def _where(self, name: str) -> str:
        """The place where a companion is named."""
        said = self.scene.moment.known.text(self.sidecars[0]) if self.sidecars else None
        return said.where_named(name) if isinstance(said, Instruction) else "the folder's preset"
