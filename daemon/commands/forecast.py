"""What the job of an image would be: its recipe, and where its results would go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.document import JsonValue
from config.keys import Format
from config.problems import UserError
from config.settings import Settings
from daemon.commands.glance import Glance
from daemon.ground import Ground
from daemon.inbox.names import Kind, kind_of, result_names
from daemon.job import Plan
from pipeline import instruction, recipe
from pipeline.container.examination import EXTENSIONS, HEAD_BYTES, recognise
from pipeline.container.examination import Kind as Content
from pipeline.recipe import Recipe

_DRAWN = -1  # stands for a seed that nobody has written: no instruction can hold it
_SEED_TO_COME = "_s…"
_CONTENTS = {Format.PNG: Content.PNG, Format.JPG: Content.JPEG, Format.WEBP: Content.WEBP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
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


class Forecaster:
    """Forecasts the jobs of one inbox by the settings in force."""

    def __init__(self, seen: Glance, settings: Settings, default_steps: int) -> None:
        self._seen, self._settings, self._default_steps = seen, settings, default_steps
        self._sidecars = sidecars(seen.plan)
        self._root = seen.folder.root

    def forecast(self, image: str) -> Forecast | None:
        """The job of an image of the inbox; None where its instruction does not make one."""
        folder = image.rpartition("/")[0]
        try:
            resolved = recipe.resolve(
                self._instruction(image),
                folder_presets=self._seen.survey.presets_for(folder),
                presets=self._settings.presets,
                loras=self._settings.model.loras,
                limits=self._settings.limits,
                default_steps=self._default_steps,
                drawn_seed=_DRAWN,
            )
        except (UserError, OSError):  # the plan tells what is wrong
            return None
        results = tuple(self._results(image, resolved.recipe))
        return Forecast(recipe=resolved.recipe, results=results, notes=resolved.notes)

    def _instruction(self, image: str) -> instruction.Instruction:
        sidecar = self._sidecars.get(image)
        if sidecar is None:
            return instruction.NONE
        path = self._inbox / sidecar
        return instruction.parse(Ground(self._root).read(path), path.name)

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
        with Ground(self._root).open(self._inbox / image) as stream:
            is_same = recognise(stream.read(HEAD_BYTES)) is content
        return written if is_same else EXTENSIONS[content][0].removeprefix(".")
