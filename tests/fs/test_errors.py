import errno
import os
from pathlib import Path

import pytest

from daemon.fs.errors import (
    Scope,
    areas_of,
    is_lasting,
    is_of_the_share,
    rest_seconds,
    scope_of,
    trouble_of,
    words_of,
)
from daemon.job import FolderState

ROOT = Path("/srv/hot")


@pytest.mark.parametrize(
    ("number", "state", "words"),
    [
        (errno.ENOSPC, FolderState.LOW_SPACE, "make room there"),
        (errno.EDQUOT, FolderState.LOW_SPACE, "make room there"),
        (errno.EACCES, FolderState.OFFLINE, "give the daemon's user the right"),
        (errno.EROFS, FolderState.OFFLINE, "give the daemon's user the right"),
        (errno.ESTALE, FolderState.OFFLINE, "the share is not there"),
        (errno.EHOSTDOWN, FolderState.OFFLINE, "the share is not there"),
        (errno.EIO, FolderState.OFFLINE, "the share is not there"),
        (errno.EBADMSG, FolderState.OFFLINE, os.strerror(errno.EBADMSG)),
    ],
)
def test_an_error_says_how_the_folder_stands_and_what_to_do(
    number: int, state: FolderState, words: str
) -> None:
    trouble = trouble_of(OSError(number, os.strerror(number), "/srv/hot/done"), ROOT)
    assert trouble.state is state
    assert words in trouble.reason


def test_the_reason_names_the_file() -> None:
    trouble = trouble_of(OSError(errno.EACCES, "Permission denied", "/srv/hot/done"), ROOT)
    assert trouble.reason.startswith("/srv/hot/done: Permission denied;")


def test_an_error_without_a_file_names_the_hot_folder() -> None:
    assert "/srv/hot: " in trouble_of(OSError(errno.EIO, "Input/output error"), ROOT).reason


# What was touched, and whose an error there is. What the error says changes nothing of that.
WORK = ".hotfolder/work/20261122-120000-aaaaaaaa"
TOUCHED = {
    "": Scope.FOLDER,
    ".hotfolder": Scope.FOLDER,
    ".hotfolder/id": Scope.FOLDER,
    ".hotfolder/lease/00000001/owner.json": Scope.FOLDER,
    ".hotfolder/work": Scope.FOLDER,
    WORK: Scope.JOB,
    f"{WORK}/job.json": Scope.JOB,
    f"{WORK}/cat.png": Scope.JOB,
    f"{WORK}/.hotfolder-1234.tmp": Scope.JOB,
    ".hotfolder/work/.hotfolder-1234.tmp": Scope.FOLDER,
    "inbox": Scope.FOLDER,
    "inbox/cat.png": Scope.JOB,
    "inbox/s/cat.png": Scope.JOB,
    "outbox": Scope.FOLDER,
    "outbox/.hotfolder-1234.tmp": Scope.FOLDER,
    "outbox/cat.png": Scope.JOB,
    "outbox/s": Scope.JOB,
    "outbox/s/.hotfolder-1234.tmp": Scope.JOB,
    "review/s": Scope.JOB,
    "done": Scope.FOLDER,
    "done/2026-11-22": Scope.JOB,
    "done/2026-11-22/s/cat.png": Scope.JOB,
    "failed/2026-11-22/cat/WHY.txt": Scope.JOB,
    "logs": Scope.LOG,
    "logs/LOG-2026-11-22.txt": Scope.LOG,
    ".hotfolder/filed": Scope.LOG,
    ".hotfolder/filed/done-2026-11-22.jsonl": Scope.LOG,
    "/var/cache/hotfolder/20261122-120000-aaaaaaaa.0123/original-0": Scope.MACHINE,
}
SAID = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG),
    *(errno.EIO, errno.EDQUOT, errno.ENOSPC, errno.ESTALE, errno.ENOTCONN, errno.EXDEV),
)


def met(number: int, *names: str) -> OSError:
    """An error at these names below the root."""
    error = OSError(number, os.strerror(number), str(ROOT / names[0]))
    error.filename2 = str(ROOT / names[1]) if names[1:] else None
    return error


@pytest.mark.parametrize(("name", "scope"), TOUCHED.items())
def test_what_was_touched_says_whose_an_error_is(name: str, scope: Scope) -> None:
    assert {scope_of(met(number, name), ROOT) for number in SAID} == {scope}


@pytest.mark.parametrize(
    ("names", "scope"),
    [
        ((f"{WORK}/cat.png", "done/2026-11-22/cat.png"), Scope.JOB),
        ((f"{WORK}/cat.png", "inbox"), Scope.FOLDER),
        (("inbox/cat.png", "/var/cache/x"), Scope.MACHINE),
    ],
)
def test_of_two_names_the_wider_scope_counts(names: tuple[str, str], scope: Scope) -> None:
    assert scope_of(met(errno.EACCES, *names), ROOT) is scope


def test_an_error_that_names_nothing_is_the_folders() -> None:
    assert scope_of(OSError(errno.EIO, "Input/output error"), ROOT) is Scope.FOLDER


def test_the_areas_below_which_a_job_met_its_error_are_those_to_try_out() -> None:
    error = met(errno.EDQUOT, f"{WORK}/cat.png", "done/2026-11-22/s/cat.png")
    assert areas_of(error, ROOT) == (ROOT / ".hotfolder/work", ROOT / "done")


@pytest.mark.parametrize("number", SAID)
def test_what_somebody_has_to_mend_lasts(number: int) -> None:
    passing = {errno.EIO, errno.EDQUOT, errno.ENOSPC, errno.ESTALE, errno.ENOTCONN}
    assert is_lasting(met(number, "outbox/s")) is (number not in passing)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "give the daemon's user the right to read, write and rename there"),
        (errno.EROFS, "give the daemon's user the right to read, write and rename there"),
        (errno.EDQUOT, "make room there"),
        (errno.ENAMETOOLONG, "give its folders shorter names"),
        (errno.EIO, "see to it that files can be read and written there"),
    ],
)
def test_a_jobs_trouble_names_the_folder_and_what_to_do(number: int, advice: str) -> None:
    what, said = words_of(met(number, "outbox/s/.hotfolder-1234.tmp"), ROOT)
    assert (what, said) == (f"outbox/s: {os.strerror(number)}", advice)


def test_full_scratch_is_no_share_that_is_away() -> None:
    trouble = trouble_of(met(errno.EIO, "/var/cache/x"), ROOT)
    assert trouble.reason == "/var/cache/x: Input/output error"


def test_a_folder_in_trouble_is_left_alone_for_longer_and_longer() -> None:
    pause_control = [rest_seconds(failures, once=False) for failures in range(1, 10)]
    assert pause_control == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert rest_seconds(10_000, once=False) == 60.0


def test_with_once_it_is_tried_again_every_few_seconds() -> None:
    assert [rest_seconds(failures, once=True) for failures in (1, 2, 3, 4, 50)] == [1, 2, 4, 5, 5]


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EHOSTDOWN, errno.ENOTCONN])
def test_a_share_that_fails_at_the_start_is_away(number: int) -> None:
    assert is_of_the_share(OSError(number, ""))


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP])
def test_what_somebody_has_to_mend_is_no_share_that_is_away(number: int) -> None:
    assert not is_of_the_share(OSError(number, ""))
