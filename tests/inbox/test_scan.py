import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daemon.inbox.scan import scan
from daemon.job import SkippedEntry

ODD_NAMES = [
    "-rf.jpg",
    "a\nb.jpg",
    "👩‍👩‍👧.jpg",
    "e\u0301.jpg",
    "\u00e9.jpg",
    "\udce9.jpg",
    "b" * 251 + ".jpg",
]


def paths(inbox: Path) -> list[str]:
    return [file.path for file in scan(inbox, trust_inodes=True).files]


def odd(inbox: Path) -> tuple[SkippedEntry, ...]:
    return scan(inbox, trust_inodes=True).odd


def test_files_are_listed_in_all_subfolders_in_the_order_of_their_paths(tmp_path: Path) -> None:
    (tmp_path / "s" / "t").mkdir(parents=True)
    for path in ("b.jpg", "s/a.yaml", "s/t/c.heic", "a.txt"):
        (tmp_path / path).write_bytes(b"x")
    assert paths(tmp_path) == ["a.txt", "b.jpg", "s/a.yaml", "s/t/c.heic"]


def test_a_file_is_described_by_what_changes_with_it(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"1234")
    (seen,) = scan(tmp_path, trust_inodes=True).files
    status = (tmp_path / "a.jpg").stat()
    assert seen == ("a.jpg", 4, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def test_inodes_of_a_share_are_not_believed(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"1234")
    (seen,) = scan(tmp_path, trust_inodes=False).files
    assert seen.inode == 0


def test_a_file_replaced_by_one_of_equal_size_and_time_is_another(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"1234")
    before = scan(tmp_path, trust_inodes=False)
    os.utime(tmp_path / "a.jpg", ns=(1, 1))
    middle = scan(tmp_path, trust_inodes=False)
    (tmp_path / "a.jpg").write_bytes(b"5678")
    os.utime(tmp_path / "a.jpg", ns=(1, 1))
    assert len({before.files, middle.files, scan(tmp_path, trust_inodes=False).files}) == 3


def test_hidden_files_are_left_out_and_hidden_folders_are_not_entered(tmp_path: Path) -> None:
    for folder in (".hotfolder", "@eaDir", "#recycle", "upload.part", "shown"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes(b"x")
    (tmp_path / ".a.jpg.Xy12Zw").write_bytes(b"x")
    (tmp_path / ".link").symlink_to("shown")
    assert paths(tmp_path) == ["shown/a.jpg"]
    assert odd(tmp_path) == ()


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_any_name_that_the_file_system_took_is_a_good_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert paths(tmp_path) == [name]


def test_links_are_told_and_never_followed(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.jpg").write_bytes(b"x")
    inbox.mkdir()
    (inbox / "file.jpg").symlink_to(tmp_path / "outside" / "a.jpg")
    (inbox / "folder").symlink_to(tmp_path / "outside")
    (inbox / "loop").symlink_to(inbox)
    (inbox / "nowhere.jpg").symlink_to("missing")
    assert paths(inbox) == []
    names = ("file.jpg", "folder", "loop", "nowhere.jpg")
    assert odd(inbox) == tuple(SkippedEntry(name, "a symbolic link") for name in names)


def test_what_is_neither_file_nor_folder_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
        assert odd(tmp_path) == (
            SkippedEntry("pipe.jpg", "a FIFO"),
            SkippedEntry("socket.png", "a socket"),
        )


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("x.jpg", "a folder with the name of a picture"),
        ("x.yaml", "a folder with the name of an instruction"),
        ("_preset.yaml", "a folder with the name of a folder preset"),
    ],
)
def test_a_folder_with_the_name_of_a_file_is_not_entered(
    tmp_path: Path, name: str, what: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.jpg").write_bytes(b"x")
    assert paths(tmp_path) == []
    assert odd(tmp_path) == (SkippedEntry(name, what),)


def test_a_subfolder_that_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    inbox = tmp_path / "i"
    inbox.mkdir()
    (inbox / "a.jpg").write_bytes(b"x")
    folder = os.open(inbox, os.O_RDONLY)
    for _ in range(17):  # deeper than any path can say
        os.mkdir("d" * 250, dir_fd=folder)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(folder)
    assert paths(inbox) == ["a.jpg"]
    (unread,) = odd(inbox)
    assert unread.what == "a folder that cannot be read (File name too long)"


def test_a_missing_inbox_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "inbox", trust_inodes=True)


RESTLESS = """
import pathlib, shutil, sys
folder = pathlib.Path(sys.argv[1])
while True:
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.jpg").touch()
    print(flush=True)
    shutil.rmtree(folder)
"""


def listed_until_unlike(folder: Path) -> list[list[str]]:
    """1500 listings, and on until two differ: a busy machine lets the visitor wait."""
    listings = [paths(folder) for _ in range(1500)]
    end = time.monotonic() + 60.0
    while all(len(listing) == len(listings[0]) for listing in listings):
        assert time.monotonic() < end, "the visitor never got its turn"
        listings = [*listings[-1:], *(paths(folder) for _ in range(100))]
    return listings


def test_files_and_folders_may_come_and_go_during_a_scan(tmp_path: Path) -> None:
    (tmp_path / "stays.jpg").write_bytes(b"x")
    command = [sys.executable, "-c", RESTLESS, str(tmp_path / "goes")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as visitor:
        try:
            assert visitor.stdout is not None
            visitor.stdout.readline()
            listings = listed_until_unlike(tmp_path)
        finally:
            visitor.kill()
    assert len({len(listing) for listing in listings}) > 1
    assert all(listing[-1] == "stays.jpg" for listing in listings)
