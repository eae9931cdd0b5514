"""A result is edited anew from its own originals, wherever they were filed, or it says why not."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest
import sample
from dying import ends_within
from reviewed import add_result, sha256_of

from config.instruction_keys import Keys
from config.problems import UserError
from daemon.fs.hot_folder import make_hot_folder
from daemon.spool.again import Changes, edit_again
from daemon.spool.records import ClaimTicket
from daemon.spool.spool import Spool
from pipeline import instruction

NOON = datetime(2026, 11, 22, 12).astimezone().timestamp()
PICTURE, LOGO = b"the picture", b"the logo"
RESULT, DAY = "outbox/s/cat.png", "2026-11-20"
ARRIVED = {"s/cat.png", "s/cat.png.yaml", "s/logo.png"}


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return filled(tmp_path)


def filled(root: Path) -> Spool:
    """A hot folder with a result of a picture and a reference."""
    make_hot_folder(root, "the-id")
    put(root, f"done/{DAY}/s/cat.png", PICTURE)
    put(root, f"done/{DAY}/s/logo.png", LOGO)
    put(root, f"done/{DAY}/s/cat.yaml", b"prompt: make it blue")
    add(root)
    return Spool(root)


def add(root: Path, path: str = RESULT, *, preview: bool = True, **more: object) -> None:
    recipe = {**sample.RECIPE.as_json(), "variants": 1, "images": ["logo.png"], "preset": "gone"}
    said = {"references": {"logo.png": sha256_of(LOGO)}, "recipe": recipe, **more}
    add_result(root, path, preview=preview, receipt=said)


def put(root: Path, path: str, content: bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)


def tickets() -> Iterator[ClaimTicket]:
    ids = (f"20261122-120000-{number:08x}" for number in count())
    return (replace(sample.TICKET, job_id=it, claimed_at=NOON) for it in ids)


def again(spool: Spool, path: str = RESULT, **changes: str | int) -> tuple[str, ...]:
    return edit_again(spool, path, Changes(**changes), next(tickets()))  # type: ignore[arg-type]


def names_in(folder: Path) -> set[str]:
    return {str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file()}


def written(spool: Spool) -> Keys:
    """What the instruction says, as a daemon reads it."""
    content = (spool.inbox / "s/cat.png.yaml").read_bytes()
    return instruction.parse(content, "cat.png.yaml").written


class TestWhatArrives:
    """Copies of the originals, with the recipe of the receipt; those in done/ stay."""

    def test_all_that_the_job_needs(self, spool: Spool) -> None:
        before = names_in(spool.root / "done")
        assert set(again(spool)) == ARRIVED == names_in(spool.inbox)
        assert (spool.inbox / "s/cat.png").read_bytes() == PICTURE
        assert (spool.inbox / "s/logo.png").read_bytes() == LOGO
        assert names_in(spool.root / "done") == before
        assert names_in(spool.root / ".hotfolder/work") == set()

    def test_the_recipe_with_another_seed(self, spool: Spool) -> None:
        again(spool)
        keys = written(spool)
        assert (keys.prompt, keys.seed, keys.variants) == ("make it blue", 7, 1)
        assert (keys.images, keys.preset) == (("logo.png",), None)

    def test_what_is_to_be_different(self, spool: Spool) -> None:
        again(spool, prompt='a "red": hat # 1\n把', seed=3)
        keys = written(spool)
        assert (keys.prompt, keys.seed) == ('a "red": hat # 1\n把', 3)

    @pytest.mark.parametrize("path", ["review/s/cat.png", "outbox/s/cat_s9.png"])
    def test_a_result_in_review_and_one_of_several(self, spool: Spool, path: str) -> None:
        add(spool.root, path)
        assert set(again(spool, path)) == ARRIVED

    def test_names_that_are_taken_get_one_number(self, spool: Spool) -> None:
        put(spool.root, "inbox/s/cat.png", b"another")
        assert set(again(spool)) == {"s/cat_2.png", "s/cat_2.png.yaml", "s/logo.png"}
        assert (spool.inbox / "s/cat.png").read_bytes() == b"another"

    def test_a_reference_that_lies_there_is_used(self, spool: Spool) -> None:
        put(spool.root, "inbox/s/logo.png", LOGO)
        assert set(again(spool)) == {"s/cat.png", "s/cat.png.yaml"}

    def test_originals_that_were_filed_under_a_number_or_higher_up(self, spool: Spool) -> None:
        put(spool.root, "done/2026-11-21/s/cat.png", b"a later one of the name")
        (spool.root / f"done/{DAY}/s/cat.png").rename(spool.root / f"done/{DAY}/cat_2.png")
        assert set(again(spool)) == ARRIVED

    @pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9.png"), "line\nbreak.png"])
    def test_any_name(self, spool: Spool, name: str) -> None:
        shown = {os.fsdecode(b"caf\xe9.png"): "caf%E9.png", "line\nbreak.png": "line\\nbreak.png"}
        put(spool.root, f"done/{DAY}/{name}", PICTURE)
        facts = {"name": shown[name], "sha256": sha256_of(PICTURE)}
        put(spool.root, f"done/{DAY}/logo.png", LOGO)
        add(spool.root, f"outbox/{shown[name]}", input=facts, preview=False)
        again(spool, f"outbox/{shown[name]}")
        assert {name, f"{name}.yaml"} < names_in(spool.inbox)


def delete_original(root: Path) -> None:
    (root / f"done/{DAY}/s/cat.png").unlink()


def change_original(root: Path) -> None:
    put(root, f"done/{DAY}/s/cat.png", b"another picture")


def delete_reference(root: Path) -> None:
    (root / f"done/{DAY}/s/logo.png").unlink()


def put_another_reference_in_the_inbox(root: Path) -> None:
    put(root, "inbox/s/logo.png", b"another")


def forget_the_references(root: Path) -> None:
    put(root, "done/2026-11-21/s/logo.png", b"another")
    add(root, references=None)


def link_the_original(root: Path) -> None:
    (root / f"done/{DAY}/s/cat.png").rename(root / "elsewhere.png")
    (root / f"done/{DAY}/s/cat.png").symlink_to(root / "elsewhere.png")


def break_the_receipt(root: Path) -> None:
    put(root, f"{RESULT}.json", b"{")


def take_the_receipt(root: Path) -> None:
    (root / f"{RESULT}.json").unlink()


def forge_the_recipe(root: Path) -> None:
    add(root, recipe={"prompt": "x", "images": ["../../../etc/passwd"]})


def empty_the_recipe(root: Path) -> None:
    add(root, recipe="nothing")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (delete_original, r"its original cat\.png is not in done/ any more"),
        (change_original, r"its original cat\.png was changed since: done/.* is another picture"),
        (delete_reference, r"its reference logo\.png is not in done/ any more"),
        (put_another_reference_in_the_inbox, r"inbox/s/logo\.png: is another file than"),
        (forget_the_references, r"which of these was its reference logo\.png, nobody can say"),
        (link_the_original, r"is not in done/ any more"),
        (break_the_receipt, r"outbox/s/cat\.png\.json: is damaged"),
        (take_the_receipt, r"outbox/s/cat\.png: has no receipt"),
        (forge_the_recipe, r"names '\.\./"),
        (empty_the_recipe, r"has no recipe that can be read"),
    ],
)
def test_what_hinders_is_said_and_nothing_arrives(
    spool: Spool, harm: Callable[[Path], None], said: str
) -> None:
    harm(spool.root)
    before = names_in(spool.root)
    with pytest.raises(UserError, match=said):
        again(spool)
    assert names_in(spool.root) == before


def test_killed_at_any_step_all_arrives_or_nothing(tmp_path: Path) -> None:
    steps, ended, arrived = 0, False, list[bool]()
    while not ended:
        spool = filled(tmp_path / str(steps))
        ended = ends_within(steps, spool.root, lambda spool=spool: again(spool))  # type: ignore[misc]
        for left in spool.recover():
            assert left.is_known
            spool.release(left.job)
        there = names_in(spool.inbox)
        assert there in (set(), ARRIVED), steps
        arrived.append(bool(there))
        again(spool, seed=3)  # and a later call clears away what is left
        assert names_in(spool.root / ".hotfolder/again") == set()
        steps += 1
    assert arrived == sorted(arrived)
    assert {False, True} == set(arrived)
