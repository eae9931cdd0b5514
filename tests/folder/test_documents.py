from dataclasses import replace

import pytest

from config.problems import Problem
from config.settings import settings_without_file
from config.values import Format
from daemon.folder.documents import FolderSnapshot
from daemon.folder.messages import StatusChanged
from daemon.job import (
    DRAWN_SEED,
    EMPTY_PLAN,
    Candidate,
    FileState,
    FolderState,
    Ignored,
    PlannedJob,
    Seen,
    State,
)
from pipeline import instruction, recipe
from pipeline.recipe import Defaults
from pipeline.sniff.whole_file import Kind


def planned(written: str, content: Kind | None = Kind.PNG) -> PlannedJob:
    """The job of an instruction."""
    settings = settings_without_file()
    resolved = recipe.resolve(
        instruction.parse(written.encode(), "cat.yaml"),
        folder_presets=(),
        rules=recipe.RecipeRules.of(settings, Defaults(steps=4)),
        drawn_seed=DRAWN_SEED,
    )
    return PlannedJob(resolved, content)


def candidate(path: str) -> Candidate:
    return Candidate(
        image=Seen(path, 1, 1, 1, 1),
        sidecar=None,
        companions=(),
        priority=5,
        since=0.0,
        problems=(),
    )


CAT = planned("prompt: Make it blue\nseed: 7\n")
PLAN = replace(
    EMPTY_PLAN,
    states=(
        FileState("bad.png", State.READY, "ready", (Problem("bad.yaml", "is bad", "mend it"),)),
        FileState("hat.png", State.REFERENCE, "reference of cat.png"),
        FileState("cat.png", State.READY, "ready"),
        FileState("cat.yaml", State.READY, "with cat.png: ready"),
    ),
    ignored=(Ignored("dog.heic", "a HEIC picture"),),
    ready=(candidate("cat.png"),),
    jobs={"cat.png": CAT, "hat.png": CAT, "bad.png": CAT},
)
SNAPSHOT = FolderSnapshot(root="/srv/hot", stands=StatusChanged(FolderState.ONLINE, ""), plan=PLAN)


def results(path: str, job: PlannedJob) -> tuple[str, ...]:
    plan = replace(PLAN, states=(FileState(path, State.READY, "ready"),), jobs={path: job})
    (file,) = replace(SNAPSHOT, plan=plan).answer("explain", {"path": path}).files
    assert file.job is not None
    return file.job.results


def test_a_forecast_begins_with_what_comes_next_and_foresees_only_jobs() -> None:
    told = SNAPSHOT.answer("plan", {})
    assert [file.file for file in told.files] == ["cat.png", "bad.png", "hat.png"]
    assert [file.file for file in told.files if file.job is not None] == ["cat.png"]


def test_a_whole_forecast_has_every_file_and_the_recipe() -> None:
    cat, *_, sidecar = SNAPSHOT.answer("plan", {"whole": "yes"}).files
    assert sidecar.file == "cat.yaml"
    assert cat.job is not None
    assert cat.job.recipe is not None
    assert (cat.job.recipe["prompt"], cat.job.recipe["seed"]) == ("Make it blue", 7)


@pytest.mark.parametrize("path", ["cat.png", "dog.heic", "cow.png"])
def test_one_file_is_told_of_alone(path: str) -> None:
    told = SNAPSHOT.answer("explain", {"path": path})
    names = [it.file for it in told.files] + [it.file for it in told.ignored]
    assert names == [path] * (path != "cow.png")


def test_a_picture_keeps_its_extension_where_it_is_what_is_wanted() -> None:
    wanted = f"prompt: Make it blue\nformat: {Format.JPG}\n"
    assert results("a/cat.jpeg", planned(wanted, Kind.JPEG)) == ("outbox/a/cat.jpeg",)
    assert results("a/cat.jpeg", planned(wanted, Kind.PNG)) == ("outbox/a/cat.jpg",)


def test_of_a_picture_that_nobody_has_read_the_name_is_believed() -> None:
    wanted = f"prompt: Make it blue\nformat: {Format.JPG}\n"
    assert results("cat.jpeg", planned(wanted, None)) == ("outbox/cat.jpeg",)
    assert results("cat.png", planned(wanted, None)) == ("outbox/cat.jpg",)
