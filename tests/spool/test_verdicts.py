"""A result in review is accepted or rejected: whole here or there, and never over another file."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sample
from dying import ends_within
from reviewed import PREVIEW, RESULT, add_result

from config.problems import UserError
from daemon.fs.hot_folder import make_hot_folder
from daemon.spool.requeue import requeue
from daemon.spool.retention import FiledManifest
from daemon.spool.spool import Spool
from daemon.spool.verdicts import Verdicts

NOON = datetime(2026, 11, 22, 12).astimezone().timestamp()
TICKET = replace(sample.TICKET, claimed_at=NOON)
FAILED = "failed/2026-11-22/cat"
PAPERS = {f"{FAILED}/WHY.txt", f"{FAILED}/report.json"}


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    make_hot_folder(tmp_path, "the-id")
    spool = Spool(tmp_path)
    add_result(tmp_path, "review/s/cat.png")
    return spool


def shown(root: Path) -> set[str]:
    paths = (str(it.relative_to(root)) for it in root.rglob("*") if it.is_file())
    return {path for path in paths if not path.startswith(".hotfolder/")}


def of(path: str) -> set[str]:
    return {path, f"{path}.json", f"{path}.preview.jpg"}


def receipt(root: Path, path: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((root / f"{path}.json").read_text())
    return document


def accept(spool: Spool) -> str:
    return Verdicts(spool.tree).accept("review/s/cat.png", TICKET).target


def reject(spool: Spool, reason: str = "the ears") -> str:
    return Verdicts(spool.tree).reject("review/s/cat.png", reason, TICKET).target


def test_what_is_accepted_is_in_the_outbox_and_its_receipt_says_so(spool: Spool) -> None:
    before = receipt(spool.root, "review/s/cat.png")
    assert accept(spool) == "outbox/s/cat.png"
    assert shown(spool.root) == of("outbox/s/cat.png")
    now = receipt(spool.root, "outbox/s/cat.png")
    accepted = now.pop("accepted")
    assert accepted["result"] == "review/s/cat.png"
    assert accepted["at"].startswith("2026-")
    assert now == {**before, "status": "done"}


def test_a_name_that_is_taken_is_left_and_the_receipt_names_the_files(spool: Spool) -> None:
    add_result(spool.root, "outbox/s/cat.png", content=b"another")
    (spool.root / "outbox/s/cat_2.png.preview.jpg").write_bytes(b"somebody's")
    before = shown(spool.root) - of("review/s/cat.png")
    assert accept(spool) == "outbox/s/cat_3.png"
    assert shown(spool.root) == before | of("outbox/s/cat_3.png")
    now = receipt(spool.root, "outbox/s/cat_3.png")
    assert (now["output"]["name"], now["preview"]["name"]) == (
        "cat_3.png",
        "cat_3.png.preview.jpg",
    )
    assert (spool.root / "outbox/s/cat.png").read_bytes() == b"another"


def test_what_is_rejected_is_in_failed_with_the_reason_and_is_kept(spool: Spool) -> None:
    assert reject(spool) == f"{FAILED}/cat.png"
    assert shown(spool.root) == of(f"{FAILED}/cat.png") | PAPERS
    why = (spool.root / FAILED / "WHY.txt").read_text().splitlines()
    assert why[0] == "s/cat.png was not edited."
    assert why[1] == "Cause: its result, review/s/cat.png, was rejected: the ears."
    assert why[2].startswith("What to do: ")
    assert why[4] == "Picture: s/cat.png"
    assert why[-1].startswith("The whole story: logs/2026-11-")  # where the story of its job is
    now = receipt(spool.root, f"{FAILED}/cat.png")
    assert (now["status"], now["rejected"]["reason"]) == ("failed", "the ears")
    manifest = FiledManifest(spool.tree)
    (day,) = manifest.days()
    assert {it.path for it in manifest.read(day)} == shown(spool.root)


def test_a_result_that_was_rejected_is_no_original_to_try_again(spool: Spool) -> None:
    reject(spool)
    before = shown(spool.root)
    with pytest.raises(UserError, match="holds a result that was rejected"):
        requeue(spool, spool.root / FAILED, TICKET)
    assert shown(spool.root) == before


def test_variants_are_judged_each_for_itself(spool: Spool) -> None:
    add_result(spool.root, "review/s/cat_s8.png", content=b"the other")
    accept(spool)
    Verdicts(spool.tree).reject("review/s/cat_s8.png", "", TICKET)
    assert of("outbox/s/cat.png") < shown(spool.root)
    assert of("failed/2026-11-22/cat_s8/cat_s8.png") < shown(spool.root)
    why = (spool.root / "failed/2026-11-22/cat_s8/WHY.txt").read_text()
    assert "was rejected: no reason was given." in why


@pytest.mark.parametrize("judge", [accept, reject])
def test_killed_at_any_step_it_is_finished_and_no_receipt_is_ever_beside_half_a_result(
    tmp_path: Path, judge: Callable[[Spool], str]
) -> None:
    def one(steps: int) -> tuple[set[str], bool]:
        root = tmp_path / str(steps)
        make_hot_folder(root, "the-id")
        add_result(root, "review/s/cat.png")
        ended = ends_within(steps, root, lambda: judge(Spool(root)))
        for path in shown(root):
            if path.endswith(".png.json"):
                assert (root / path.removesuffix(".json")).read_bytes() == RESULT
        assert len(list(Verdicts(Spool(root).tree).finish())) <= 1
        assert not list((root / ".hotfolder/verdicts").glob("*"))
        return shown(root), ended

    ends, steps, ended = list[set[str]](), 0, False
    while not ended:
        now, ended = one(steps)
        ends.append(now)
        steps += 1
    untouched = of("review/s/cat.png")
    moved = [it for it in ends if it != untouched]
    assert [it ^ ends[-1] for it in moved if it != ends[-1]] == []
    assert ends == [*[untouched] * (len(ends) - len(moved)), *moved]


def break_receipt(root: Path) -> None:
    (root / "review/s/cat.png.json").write_text("{")


def edit_result(root: Path) -> None:
    (root / "review/s/cat.png").write_bytes(b"edited by somebody")


def remove_result(root: Path) -> None:
    (root / "review/s/cat.png").unlink()


def link_result(root: Path) -> None:
    (root / "review/s/cat.png").unlink()
    (root / "review/s/cat.png").symlink_to("/etc/hostname")


def link_receipt(root: Path) -> None:
    (root / "review/s/cat.png.json").rename(root / "elsewhere.json")
    (root / "review/s/cat.png.json").symlink_to(root / "elsewhere.json")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (break_receipt, "is damaged"),
        (edit_result, "was changed since"),
        (remove_result, "is not there, only its receipt is"),
        (link_result, "is not there, only its receipt is"),
        (link_receipt, "has no receipt"),
    ],
)
@pytest.mark.parametrize("judge", [accept, reject])
def test_what_is_not_as_it_was_is_said_and_stays(
    spool: Spool, harm: Callable[[Path], None], said: str, judge: Callable[[Spool], str]
) -> None:
    harm(spool.root)
    before = shown(spool.root)
    with pytest.raises(UserError, match=said):
        judge(spool)
    assert shown(spool.root) == before


@pytest.mark.parametrize(
    "path",
    ["", "review", "review/../inbox/cat.png", "/etc/passwd", "inbox/cat.png", "review/.x/cat.png"],
)
def test_a_path_that_leads_elsewhere_is_no_result(spool: Spool, path: str) -> None:
    with pytest.raises(UserError, match="is no result"):
        Verdicts(spool.tree).accept(path, TICKET)


@pytest.mark.parametrize(
    "name", ["line\nbreak.png", os.fsdecode(b"caf\xe9.png"), "-x.png", "x" * 246 + ".png"]
)
def test_any_name_finds_its_way(spool: Spool, name: str) -> None:
    add_result(spool.root, f"review/{name}", preview=len(name) < 200)
    verdict = Verdicts(spool.tree).accept(f"review/{name}", TICKET)
    assert (spool.root / verdict.target).read_bytes() == RESULT
    assert (spool.root / f"{verdict.target}.json").exists()
    assert not any((spool.root / "review").glob("*.png*"))


@pytest.mark.parametrize(
    "record",
    [
        "{",
        "[]",
        '{"result": "inbox/a.png", "target": "outbox/a.png"}',
        '{"result": "review/../inbox/a.png", "target": "outbox/a.png", "sha256": "", "job_id": "",'
        ' "preview_sha256": null, "picture": "", "receipt": {}, "reason": ""}',
    ],
)
def test_a_forged_record_moves_nothing(spool: Spool, record: str) -> None:
    (spool.inbox / "a.png").write_bytes(RESULT)
    folder = spool.root / ".hotfolder/verdicts"
    folder.mkdir()
    (folder / "x.json").write_text(record)
    before = shown(spool.root)
    assert list(Verdicts(spool.tree).finish()) == []
    assert shown(spool.root) == before


def test_a_preview_that_somebody_changed_stays(spool: Spool) -> None:
    (spool.root / "review/s/cat.png.preview.jpg").write_bytes(b"mine")
    accept(spool)
    assert shown(spool.root) == {
        *("outbox/s/cat.png", "outbox/s/cat.png.json", "review/s/cat.png.preview.jpg")
    }
    assert "preview" not in receipt(spool.root, "outbox/s/cat.png")
    assert PREVIEW != b"mine"
