"""STATUS.txt on the share: whole or not at all, in nobody's way."""

import errno
import os
from pathlib import Path

import pytest

from daemon.folder.messages import WriteStatus
from daemon.folder.status_file import StatusFile
from daemon.fs.safe_tree import SafeTree


@pytest.fixture
def status_file(tmp_path: Path) -> StatusFile:
    return StatusFile(SafeTree(tmp_path))


def names(folder: Path) -> list[str]:
    return [it.name for it in folder.iterdir()]


def write(status_file: StatusFile, text: str) -> str:
    status_file.show(WriteStatus("2026-11-28", lambda _: text))
    return status_file.write()


def test_it_replaces_the_whole_text_and_leaves_nothing_else(
    tmp_path: Path, status_file: StatusFile
) -> None:
    assert write(status_file, "a long first text, é\n") == ""
    assert write(status_file, "short\udcff\n") == ""
    assert (tmp_path / "STATUS.txt").read_bytes() == b"short\\udcff\n"
    assert names(tmp_path) == ["STATUS.txt"]


def test_without_news_nothing_is_written(tmp_path: Path, status_file: StatusFile) -> None:
    write(status_file, "text\n")
    (tmp_path / "STATUS.txt").unlink()
    assert status_file.write() == ""
    assert names(tmp_path) == []


def test_a_link_in_its_place_is_replaced_and_never_followed(
    tmp_path: Path, status_file: StatusFile
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    (tmp_path / "STATUS.txt").symlink_to(precious)
    assert write(status_file, "text\n") == ""
    assert precious.read_text() == "keep me"
    assert not (tmp_path / "STATUS.txt").is_symlink()


def test_what_hinders_it_is_said_once_and_it_is_written_when_that_is_over(
    tmp_path: Path, status_file: StatusFile
) -> None:
    (tmp_path / "STATUS.txt").mkdir()
    assert write(status_file, "text\n").startswith("STATUS.txt: Is a directory; ")
    assert write(status_file, "newer\n") == ""
    (tmp_path / "STATUS.txt").rmdir()
    assert status_file.write() == ""
    assert (tmp_path / "STATUS.txt").read_text() == "newer\n"
    (tmp_path / "STATUS.txt").unlink()
    (tmp_path / "STATUS.txt").mkdir()
    assert write(status_file, "again\n")  # it is news once more


def test_what_a_killed_daemon_left_half_written_is_cleared(
    tmp_path: Path, status_file: StatusFile
) -> None:
    (tmp_path / ".hotfolder-0123456789abcdef.tmp").write_text("half")
    write(status_file, "text\n")
    assert names(tmp_path) == ["STATUS.txt"]


class _Away(SafeTree):
    def write_passing(self, path: Path, content: bytes) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))


def test_a_share_that_is_away_is_for_others_to_tell(tmp_path: Path) -> None:
    status_file = StatusFile(_Away(tmp_path))
    status_file.show(WriteStatus("2026-11-28", lambda _: "text\n"))
    with pytest.raises(OSError, match="Stale"):
        status_file.write()


def test_what_another_daemon_has_taken_over_is_not_written(
    tmp_path: Path, status_file: StatusFile
) -> None:
    status_file.show(WriteStatus("2026-11-28", lambda _: "text\n"))
    status_file.forget()
    assert status_file.write() == ""
    assert names(tmp_path) == []
