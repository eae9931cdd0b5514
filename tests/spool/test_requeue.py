"""Failed jobs go back to the inbox: whole, beside others of their names, and nothing is lost."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from dying import ends_within
from sample import TICKET, candidate, seen

from config.problems import UserError
from daemon.fs.hot_folder import make_hot_folder
from daemon.job import State
from daemon.spool.receipts import FailureReason
from daemon.spool.records import ClaimTicket
from daemon.spool.requeue import requeue
from daemon.spool.spool import Spool

DAY = "2026-11-22"
WHY = FailureReason(State.FAILED, "It is broken.", "Mend it.")
PAIR, PAIR_2 = {"s/cat.png", "s/cat.yaml"}, {"s/cat_2.png", "s/cat_2.yaml"}


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    make_hot_folder(tmp_path, "the-id")
    return Spool(tmp_path)


@pytest.fixture
def tickets() -> Iterator[ClaimTicket]:
    return (replace(TICKET, job_id=f"20261122-140153-{number:08x}") for number in count())


def drop(spool: Spool, **contents: str) -> None:
    for name, content in contents.items():
        path = spool.inbox / "s" / name.replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)


def failed(spool: Spool, ticket: ClaimTicket, mask: str = "mask") -> Path:
    """The folder of a failed job of s/cat.png, its sidecar and its mask."""
    drop(spool, cat_png="picture", cat_yaml="instruction", mask_png=mask)
    look = {name: seen(f"s/{name}", spool.inbox) for name in ("cat.png", "cat.yaml", "mask.png")}
    looked = candidate(look["cat.png"], look["mask.png"], sidecar=look["cat.yaml"])
    job = spool.begin_attempt(spool.claim(looked, frozenset(), ticket))
    return spool.root / spool.file_failed(job, DAY, WHY, "{}")


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def contents_in(root: Path) -> list[str]:
    """What of the originals there is, wherever it lies."""
    paths = (path for path in root.rglob("*") if path.suffix in (".png", ".yaml"))
    return sorted(path.read_text() for path in paths)


def test_two_of_one_name_and_instruction_come_back_with_all_their_files(
    spool: Spool, tickets: Iterator[ClaimTicket]
) -> None:
    folders = [failed(spool, next(tickets)) for _ in range(2)]
    before = contents_in(spool.root)
    for folder in folders:
        requeue(spool, folder, next(tickets))
    assert names_in(spool.inbox) == {*PAIR, *PAIR_2, "s/mask.png"}
    assert names_in(spool.root / "failed") == set()
    assert contents_in(spool.root) == before  # the second mask is kept in done/
    assert len(names_in(spool.root / "done")) == 1


def test_a_reference_that_is_another_file_there_is_said_and_nothing_moves(
    spool: Spool, tickets: Iterator[ClaimTicket]
) -> None:
    folder = failed(spool, next(tickets))
    drop(spool, mask_png="another")
    before = names_in(spool.root)
    with pytest.raises(UserError, match=r"inbox/s/mask.png: is another file than that in failed/"):
        requeue(spool, folder, next(tickets))
    assert names_in(spool.root) == before


@pytest.mark.parametrize("there", ["CAT.PNG", "Cat.yaml"])
def test_a_name_in_other_letters_is_taken(
    spool: Spool, tickets: Iterator[ClaimTicket], there: str
) -> None:
    folder = failed(spool, next(tickets))
    (spool.inbox / "s" / there).write_text("somebody's")
    requeue(spool, folder, next(tickets))
    assert names_in(spool.inbox) == {f"s/{there}", *PAIR_2, "s/mask.png"}
    assert (spool.inbox / "s" / there).read_text() == "somebody's"


def test_a_number_that_another_picture_has_is_not_shared(
    spool: Spool, tickets: Iterator[ClaimTicket]
) -> None:
    folder = failed(spool, next(tickets))
    drop(spool, cat_png="later", cat_yaml="later")
    (spool.inbox / "s" / "cat_2.jpg").write_text("it has a preset")
    requeue(spool, folder, next(tickets))
    assert {"s/cat_3.png", "s/cat_3.yaml"} <= names_in(spool.inbox)


def test_a_file_that_another_has_the_place_of_replaces_nothing(
    spool: Spool, tickets: Iterator[ClaimTicket]
) -> None:
    folder = failed(spool, next(tickets))
    ticket = next(tickets)
    spool.work(ticket.job_id).mkdir(parents=True)
    (spool.work(ticket.job_id) / "cat.png").write_text("somebody's")
    with pytest.raises(FileExistsError):
        requeue(spool, folder, ticket)
    assert (folder / "cat.png").read_text() == "picture"
    assert (spool.work(ticket.job_id) / "cat.png").read_text() == "somebody's"


def test_killed_at_any_step_it_goes_on_and_nothing_is_lost(
    spool: Spool, tickets: Iterator[ClaimTicket]
) -> None:
    folders = [failed(spool, next(tickets)) for _ in range(2)]
    requeue(spool, folders[0], next(tickets))
    before, steps = contents_in(spool.root), 0
    while folders[1].exists():
        ends_within(steps, spool.root, partial(requeue, spool, folders[1], next(tickets)))
        assert contents_in(spool.root) == before
        for left in spool.recover():
            spool.release(left.job)
        steps += 1
    assert steps > 5
    assert contents_in(spool.root) == before
    assert names_in(spool.inbox) == {*PAIR, *PAIR_2, "s/mask.png"}
