import json
from dataclasses import replace
from pathlib import Path

import pytest
from sample import job, settings

from config.instruction_keys import Keys
from config.problems import Problem
from config.settings import FolderSettings, Limits
from daemon.folder.messages import Claimed, Rejected
from daemon.folder.resolve import Resolver
from daemon.job import Job, JobFile, ResolvedJob, Role
from pipeline.recipe import Defaults, RecipeRules

TASKS = Resolver(RecipeRules.of(settings(FolderSettings(root=Path("/hot"))), Defaults()))
PRESET = (Keys(prompt="from the folder", steps=7),)


def given(scratch: Path, sidecar: str, *companions: str) -> Job:
    """A job whose copies lie on scratch."""
    scratch.mkdir(exist_ok=True)
    (scratch / "original-0").write_bytes(b"picture")
    (scratch / "original-1").write_text(sidecar, encoding="utf-8")
    others = tuple(
        JobFile(role=Role.COMPANION, name=name, moved=True, sha256=name, size=1)
        for name in companions
    )
    of = job()
    return replace(of, files=(*of.files, *others))


def read(scratch: Path, of: Job, resolver: Resolver = TASKS) -> ResolvedJob:
    answer = resolver.read(of, scratch, (), ())
    assert isinstance(answer, Claimed)
    return answer.resolved_job


def test_the_instruction_becomes_a_recipe_and_stays_as_written(tmp_path: Path) -> None:
    resolved_job = read(tmp_path, given(tmp_path, "prompt: 蓝色\nsteps: 3\n"))
    assert (resolved_job.recipe.prompt, resolved_job.recipe.steps) == ("蓝色", 3)
    assert json.loads(resolved_job.instruction) == {"prompt": "蓝色", "steps": 3}


def test_a_seed_that_nobody_wrote_is_the_jobs_own(tmp_path: Path) -> None:
    of = given(tmp_path, "prompt: x")
    assert [read(tmp_path, of).recipe.seed for _ in range(2)] == [7, 7]


def test_without_a_sidecar_the_presets_decide(tmp_path: Path) -> None:
    of = given(tmp_path, "")
    of = replace(of, files=of.files[:1])
    answer = TASKS.read(of, tmp_path, PRESET, ())
    assert isinstance(answer, Claimed)
    assert (answer.resolved_job.recipe.steps, answer.resolved_job.instruction) == (7, "{}")


def test_companions_are_found_by_their_names_however_they_are_written(tmp_path: Path) -> None:
    of = given(tmp_path, "prompt: x\nimages: [CAFE\u0301.png]\nmask: m.png", "café.PNG", "m.png")
    resolved_job = read(tmp_path, of)
    assert resolved_job.companions == {
        "CAFE\u0301.png": tmp_path / "original-2",
        "m.png": tmp_path / "original-3",
    }


def test_every_companion_that_is_missing_is_named(tmp_path: Path) -> None:
    of = given(tmp_path, "prompt: x\nimages: [logo.png]\nmask: m.png")
    answer = TASKS.read(of, tmp_path, (), ())
    assert isinstance(answer, Rejected)
    assert [it.what for it in answer.problems] == ["logo.png is missing", "m.png is missing"]


def test_a_faulty_instruction_is_invalid_with_its_lines(tmp_path: Path) -> None:
    answer = TASKS.read(given(tmp_path, "prompt: x\nstepz: 3"), tmp_path, PRESET, ())
    assert isinstance(answer, Rejected)
    assert answer.problems[0].where == "cat.yaml, line 2"
    assert answer.instruction == "{}"


def test_problems_known_before_the_claim_go_before_all_others(tmp_path: Path) -> None:
    known = (Problem("cat.png", "is torn", "copy it again"),)
    for sidecar, instruction in (("stepz: 3", "{}"), ("prompt: x", '{"prompt": "x"}')):
        answer = TASKS.read(given(tmp_path, sidecar), tmp_path, (), known)
        assert answer == Rejected(answer.job, known, instruction)  # type: ignore[union-attr]  # that is what is asked


def test_limits_are_told(tmp_path: Path) -> None:
    tight = Resolver(replace(TASKS.rules, limits=Limits(max_steps=5)))
    resolved_job = read(tmp_path, given(tmp_path, "prompt: x\nsteps: 90"), tight)
    assert resolved_job.recipe.steps == 5
    assert resolved_job.notes == ("90 steps were asked for; the settings allow 5.",)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_same_content_has_the_same_key_and_another_another(tmp_path: Path, index: int) -> None:
    of = given(tmp_path, "prompt: x\nimages: [logo.png]", "logo.png")
    files = list(of.files)
    files[index] = replace(files[index], sha256="another")
    key = read(tmp_path, of).content_key
    assert read(tmp_path, replace(of, job_id="later")).content_key == key
    assert read(tmp_path, replace(of, files=tuple(files))).content_key != key
