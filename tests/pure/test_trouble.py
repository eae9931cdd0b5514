import errno
import os
from pathlib import Path

import pytest

from daemon.job import FolderState
from daemon.trouble import trouble_of

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
