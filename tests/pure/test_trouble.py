import errno
import os
from pathlib import Path

import pytest

from daemon.job import FolderState
from daemon.trouble import is_of_the_share, rest_seconds, trouble_of

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


def test_a_folder_in_trouble_is_left_alone_for_longer_and_longer() -> None:
    rests = [rest_seconds(failures, once=False) for failures in range(1, 10)]
    assert rests == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert rest_seconds(10_000, once=False) == 60.0


def test_with_once_it_is_tried_again_every_few_seconds() -> None:
    assert [rest_seconds(failures, once=True) for failures in (1, 2, 3, 4, 50)] == [1, 2, 4, 5, 5]


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EHOSTDOWN, errno.ENOTCONN])
def test_a_share_that_fails_at_the_start_is_away(number: int) -> None:
    assert is_of_the_share(OSError(number, ""))


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP])
def test_what_somebody_has_to_mend_is_no_share_that_is_away(number: int) -> None:
    assert not is_of_the_share(OSError(number, ""))
