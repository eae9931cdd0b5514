"""A reference that an unread instruction names is copied for the job that is claimed before it."""

from dataclasses import replace
from pathlib import Path

import pytest
from sample import candidate, seen

from daemon.fs.hot_folder import make_hot_folder
from daemon.fs.safe_tree import SafeTree
from daemon.inbox.unread import wanted_by_unread
from daemon.job import EMPTY_PLAN, FileState, Plan, State


@pytest.fixture
def tree(tmp_path: Path) -> SafeTree:
    make_hot_folder(tmp_path, "the-id")
    for name in ("cat.png", "cat.yaml", "mask.png"):
        (tmp_path / "inbox" / name).write_text("mask: mask.png")
    return SafeTree(tmp_path)


def wanted(tree: SafeTree, plan: Plan) -> frozenset[str]:
    files = {name: seen(name, tree.root / "inbox") for name in ("cat.png", "cat.yaml", "mask.png")}
    looked = candidate(files["cat.png"], files["mask.png"], sidecar=files["cat.yaml"])
    return wanted_by_unread(tree, plan, looked)


def plan(**states: State) -> Plan:
    named = {"cat": "cat.yaml", "cat_2": "cat_2.yaml"}
    files = (FileState(named[key], state, "") for key, state in states.items())
    return replace(EMPTY_PLAN, states=tuple(files))


@pytest.mark.parametrize(
    ("text", "states", "is_wanted"),
    [
        ("mask: mask.png", {}, True),  # came after the scan
        ("mask: mask.png", {"cat_2": State.SETTLING}, True),
        ("mask: mask.png", {"cat_2": State.READY}, False),  # the plan says who needs it
        ("prompt: a hat", {}, False),
    ],
)
def test_what_a_newer_instruction_names_stays(
    tree: SafeTree, text: str, states: dict[str, State], is_wanted: bool
) -> None:
    (tree.root / "inbox/cat_2.yaml").write_text(text)
    assert wanted(tree, plan(cat=State.READY, **states)) == ({"mask.png"} if is_wanted else set())


def test_an_instruction_that_cannot_be_read_hinders_nothing(tree: SafeTree) -> None:
    (tree.root / "inbox/cat_2.yaml").symlink_to("cat.yaml")
    (tree.root / "inbox/x.txt").mkdir()
    assert wanted(tree, plan(cat=State.READY)) == set()
