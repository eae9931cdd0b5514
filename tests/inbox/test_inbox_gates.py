"""A file on its way into the inbox is not taken: by name, by rest, by writer, by content."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from paper import FINAL, PROMPT, RULES, about, names, states
from PIL import Image

from config.settings import Limits
from daemon.inbox.inbox import Inbox
from daemon.inbox.settle import ZEROS_REST, SettleRules
from daemon.job import Plan, State
from pipeline.recipe import Defaults, RecipeRules

SETTLE = RULES.settle_seconds
FORMATS: dict[str, dict[str, Any]] = {
    "a.jpg": {"format": "JPEG"},
    "a.jpeg": {"format": "JPEG", "progressive": True},
    "a.png": {"format": "PNG"},
    "a.webp": {"format": "WEBP"},
    "a.tif": {"format": "TIFF"},
    "a.tiff": {"format": "TIFF", "compression": "tiff_lzw"},
    "a.bmp": {"format": "BMP"},
}


def picture(name: str = "a.png") -> bytes:
    """A picture of noise, so that no part of it happens to be zeros."""
    file = io.BytesIO()
    Image.effect_noise((320, 240), 60).convert("RGB").save(file, **FORMATS[name])
    return file.getvalue()


class TimedInbox:
    """A real folder that is looked at by a clock of its own."""

    def __init__(self, path: Path, rules: SettleRules = RULES, *, is_local: bool = True) -> None:
        self.path, self.now, self.unix_time = path, 1000.0, 1.7e9
        self._survey = Inbox(
            path,
            rules,
            recipe_rules=RecipeRules(presets={}, loras={}, limits=Limits(), defaults=Defaults()),
            trust_inodes=is_local,
            unix_clock=lambda: self.unix_time,
        )

    def after(self, seconds: float = 0.0) -> Plan:
        """Let time pass, and look."""
        self.now += seconds
        self.unix_time += seconds
        return self._survey.scan(self.now)

    def is_taken_after(self, seconds: float) -> bool:
        """Whether a job is ready when so much time has passed."""
        return bool(self.after(seconds).ready)


@pytest.fixture
def inbox(tmp_path: Path) -> TimedInbox:
    """An inbox with a sidecar that has settled; its picture is still to come."""
    (tmp_path / "a.yaml").write_bytes(PROMPT)
    one = TimedInbox(tmp_path)
    one.after()
    one.after(SETTLE)
    return one


class TestNames:
    """What copiers call a file until it is whole."""

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param(".a.png.Xy12Zw", id="rsync"),
            pytest.param(".~tmp~/a.png", id="rsync --delay-updates"),
            pytest.param(".rsync-partial/a.png", id="rsync --partial-dir"),
            pytest.param("a.png.filepart", id="WinSCP"),
            pytest.param("a.png.part", id="Firefox, FileZilla, KDE"),
            pytest.param("a.png.crdownload", id="Chrome"),
            pytest.param("a.png.download", id="Safari"),
            pytest.param("a.png.partial", id="rclone, Edge"),
            pytest.param("~a.png.tmp", id="Explorer, Office"),
            pytest.param(".goutputstream-7KX2T1", id="GNOME"),
            pytest.param(".syncthing.a.png.tmp", id="Syncthing"),
            pytest.param("._a.png", id="Finder"),
            pytest.param(".smbdelete0123", id="Samba"),
            pytest.param(".nfs00000000000012", id="NFS"),
        ],
    )
    def test_a_temporary_name_is_never_taken_and_its_last_name_is(
        self, inbox: TimedInbox, name: str
    ) -> None:
        temporary = inbox.path / name
        temporary.parent.mkdir(exist_ok=True)
        temporary.write_bytes(picture())
        for _ in range(3):
            plan = inbox.after(1000)
            assert states(plan) == {"a.yaml": State.WAITING_SIDECAR}
            assert plan.ignored == ()
        temporary.rename(inbox.path / "a.png")
        assert not inbox.is_taken_after(0)
        assert inbox.is_taken_after(SETTLE)


class TestRest:
    """A file must have been the same for the settle time, by our own clock."""

    def test_a_slow_writer_is_waited_for_and_why_says_how_long(self, inbox: TimedInbox) -> None:
        content = picture()
        with (inbox.path / "a.png").open("wb", buffering=0) as file:
            for start in range(0, len(content), len(content) // 8 + 1):
                file.write(content[start : start + len(content) // 8 + 1])
                plan = inbox.after(SETTLE - 0.1)
                assert about(plan, "a.png").reason.startswith("settling: unchanged for ")
                assert plan.ready == ()
        assert not inbox.is_taken_after(0)
        assert inbox.is_taken_after(SETTLE)

    def test_a_file_is_never_taken_at_its_first_look_however_old_it_says_it_is(
        self, inbox: TimedInbox
    ) -> None:
        (inbox.path / "a.png").write_bytes(picture())
        os.utime(inbox.path / "a.png", (978_307_200, 978_307_200))  # as cp -p and rsync -t do
        assert not inbox.is_taken_after(100)
        assert inbox.is_taken_after(SETTLE)

    def test_a_time_in_the_future_holds_nothing_up(self, inbox: TimedInbox) -> None:
        (inbox.path / "a.png").write_bytes(picture())
        os.utime(inbox.path / "a.png", (4e9, 4e9))
        inbox.after()
        assert inbox.is_taken_after(SETTLE)

    def test_a_rewrite_that_keeps_size_and_time_is_seen_by_its_ctime(
        self, inbox: TimedInbox
    ) -> None:
        path, content = inbox.path / "a.png", picture()
        path.write_bytes(content)
        before = path.stat()
        inbox.after()
        inbox.after(SETTLE - 0.1)
        with path.open("r+b") as file:
            file.write(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (len(content), before.st_mtime_ns)
        assert not inbox.is_taken_after(0.1)
        assert inbox.is_taken_after(SETTLE)

    def test_another_file_moved_into_its_place_settles_anew(self, inbox: TimedInbox) -> None:
        path = inbox.path / "a.png"
        path.write_bytes(picture())
        inbox.after()
        inbox.after(SETTLE - 0.1)
        (inbox.path / ".new").write_bytes(picture())
        (inbox.path / ".new").rename(path)
        assert not inbox.is_taken_after(0.1)
        assert inbox.is_taken_after(SETTLE)

    @pytest.mark.parametrize("jump_seconds", [-4e8, 4e8])
    def test_a_jump_of_the_clock_changes_only_what_people_read(
        self, inbox: TimedInbox, jump_seconds: float
    ) -> None:
        (inbox.path / "a.png").write_bytes(picture())
        inbox.after()
        inbox.unix_time += jump_seconds
        assert not inbox.is_taken_after(SETTLE - 0.1)
        inbox.unix_time -= jump_seconds
        assert inbox.is_taken_after(0.1)

    def test_an_empty_placeholder_is_a_promise_not_a_file(self, inbox: TimedInbox) -> None:
        (inbox.path / "a.png").touch()  # as Finder does before it copies
        inbox.after()
        plan = inbox.after(RULES.settle_max_seconds - 1)
        assert plan.ready == ()
        assert about(plan, "a.png").reason.startswith("empty so far: unchanged for ")
        (inbox.path / "a.png").write_bytes(picture())
        inbox.after()
        assert inbox.is_taken_after(SETTLE)


class TestWriters:
    """On a local disk a file that somebody has open for writing is not taken."""

    BUSY = "another program is at work on it"

    @pytest.fixture
    def note(self, tmp_path: Path) -> Iterator[io.FileIO]:
        """A text that somebody is writing; no content says of itself that it is whole."""
        (tmp_path / "a.png").write_bytes(picture())
        with (tmp_path / "a.txt").open("wb", buffering=0) as file:
            file.write(b"Paint the door red")
            yield file

    def test_a_writer_that_pauses_is_waited_for(self, tmp_path: Path, note: io.FileIO) -> None:
        inbox = TimedInbox(tmp_path)
        inbox.after()
        for _ in range(3):
            plan = inbox.after(10 * SETTLE)
            assert plan.ready == ()
            assert about(plan, "a.txt").reason == self.BUSY
            assert about(plan, "a.png").reason == f"waits for a.txt: {self.BUSY}"
        note.write(b" and the wall white")
        inbox.after()
        assert not inbox.is_taken_after(SETTLE)
        note.close()
        assert inbox.is_taken_after(0)

    def test_a_picture_that_looks_whole_is_not_while_its_writer_stays(
        self, inbox: TimedInbox
    ) -> None:
        with (inbox.path / "a.png").open("wb", buffering=0) as file:
            file.write(picture())
            inbox.after()
            assert not inbox.is_taken_after(10 * SETTLE)
        assert inbox.is_taken_after(0)

    def test_a_writer_in_another_process_is_seen(self, inbox: TimedInbox) -> None:
        (inbox.path / "a.png").write_bytes(picture())
        code = "import sys; it = open(sys.argv[1], 'r+b'); print('open', flush=True); input()"
        writer = subprocess.Popen(
            [sys.executable, "-c", code, inbox.path / "a.png"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        inbox.after()
        assert not inbox.is_taken_after(SETTLE)
        writer.communicate(b"\n")
        assert inbox.is_taken_after(0)

    def test_readers_are_no_writers(self, inbox: TimedInbox) -> None:
        (inbox.path / "a.png").write_bytes(picture())
        with (inbox.path / "a.png").open("rb"):
            inbox.after()
            assert inbox.is_taken_after(SETTLE)

    def test_one_who_never_closes_it_is_named_at_last(
        self, tmp_path: Path, note: io.FileIO
    ) -> None:
        inbox = TimedInbox(tmp_path)
        inbox.after()
        plan = inbox.after(RULES.settle_max_seconds)
        assert about(plan, "a.txt").state is State.HELD
        assert "another program has had it open since " in about(plan, "a.txt").reason
        note.close()
        assert inbox.is_taken_after(0)

    def test_of_a_share_nobody_is_asked(self, tmp_path: Path, note: io.FileIO) -> None:
        inbox = TimedInbox(tmp_path, is_local=False)
        inbox.after()
        assert inbox.is_taken_after(SETTLE)
        note.close()

    def test_asking_harms_neither_us_nor_who_opens_the_file_meanwhile(
        self, inbox: TimedInbox
    ) -> None:
        path = inbox.path / "a.png"
        path.write_bytes(picture())
        code = "import sys\nfor _ in range(20000): open(sys.argv[1], 'ab').close()"
        writer = subprocess.Popen([sys.executable, "-c", code, path])
        while writer.poll() is None:
            TimedInbox(inbox.path, replace(RULES, settle_seconds=0.0)).after()
        assert writer.returncode == 0


class TestContent:
    """A picture must be whole by its own bytes, whatever its writer did."""

    @pytest.mark.parametrize("name", FORMATS)
    def test_a_copier_that_pauses_and_closes_is_waited_for(
        self, tmp_path: Path, name: str
    ) -> None:
        inbox, content = started(tmp_path), picture(name)
        for share in (0.01, 0.5, 0.999):
            (tmp_path / name).write_bytes(content[: int(len(content) * share)])
            assert_incomplete(inbox, name)
        (tmp_path / name).write_bytes(content)
        inbox.after()
        assert inbox.is_taken_after(SETTLE)

    @pytest.mark.parametrize("name", FORMATS)
    @pytest.mark.parametrize("is_written", [False, True])
    def test_a_copier_that_makes_room_first_is_waited_for(
        self, tmp_path: Path, name: str, *, is_written: bool
    ) -> None:
        inbox, content = started(tmp_path), picture(name)
        (tmp_path / name).write_bytes(bytes(len(content) * is_written))
        os.truncate(tmp_path / name, len(content))  # as Explorer and --preallocate do
        for share in (0.0, 0.01, 0.5, 0.9):
            with (tmp_path / name).open("r+b") as file:
                file.write(content[: int(len(content) * share)])
            assert_incomplete(inbox, name)
        (tmp_path / name).write_bytes(content)
        inbox.after()
        assert inbox.is_taken_after(SETTLE)

    @pytest.mark.parametrize("name", ["a.tif", "a.bmp"])
    def test_a_copier_that_pauses_at_the_end_of_a_row_is_waited_for(
        self, tmp_path: Path, name: str
    ) -> None:
        inbox, content = started(tmp_path), picture(name)
        for missing in (100, 50):
            tail = missing * 320 * 3
            (tmp_path / name).write_bytes(content[:-tail] + bytes(tail))
            assert_incomplete(inbox, name, ZEROS_REST * SETTLE - 1)
        (tmp_path / name).write_bytes(content)
        inbox.after()
        assert inbox.is_taken_after(SETTLE)

    @pytest.mark.parametrize(("name", "mode"), [("a.bmp", "RGB"), ("a.tif", "RGBA")])
    @pytest.mark.parametrize("is_final", [False, True])
    def test_a_sound_picture_that_ends_dark_is_taken_when_it_has_rested(
        self, tmp_path: Path, name: str, mode: str, *, is_final: bool
    ) -> None:
        """A night sky in a BMP, whose rows run upwards; a cut-out with a transparent border."""
        dark = Image.new(mode, (320, 240))
        dark.paste((200, 150, 100), (90, 90, 230, 150))
        dark.save(tmp_path / name)
        inbox = started(tmp_path, FINAL if is_final else RULES)
        inbox.after()
        plan = inbox.after(SETTLE)
        if not is_final:
            assert about(plan, name).state is State.HELD
            assert about(plan, name).reason.startswith("perhaps incomplete: the last 4096 bytes")
            assert not inbox.is_taken_after((ZEROS_REST - 1) * SETTLE - 1)
            plan = inbox.after(1)
        (candidate,) = plan.ready
        assert candidate.problems == ()

    def test_once_a_dark_bar_from_side_to_side_is_half_a_copy(self, tmp_path: Path) -> None:
        (tmp_path / "a.bmp").write_bytes(picture("a.bmp")[: -50 * 960] + bytes(50 * 960))
        inbox = started(tmp_path, FINAL)
        inbox.after()
        (candidate,) = inbox.after(SETTLE).ready
        assert "is incomplete: " in candidate.problems[0].what
        assert "save it as PNG" in candidate.problems[0].what

    def test_zeros_at_the_end_are_no_more_doubted_than_a_copy_without_them(
        self, tmp_path: Path
    ) -> None:
        rules = replace(RULES, settle_seconds=40.0)
        inbox = started(tmp_path, rules)
        Image.new("RGB", (320, 240)).save(tmp_path / "a.bmp")
        inbox.after()
        assert not inbox.is_taken_after(rules.settle_max_seconds - 1)
        assert inbox.is_taken_after(1)

    def test_the_wait_ends_and_then_it_fails_with_a_reason(self, inbox: TimedInbox) -> None:
        (inbox.path / "a.png").write_bytes(picture()[:-1])
        inbox.after()
        assert not inbox.is_taken_after(RULES.settle_max_seconds - 1)
        (candidate,) = inbox.after(1).ready
        assert "is incomplete: " in candidate.problems[0].what

    def test_once_the_wait_has_no_second_chance(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_bytes(PROMPT)
        (tmp_path / "a.png").write_bytes(picture()[:-1])
        inbox = TimedInbox(tmp_path, FINAL)
        inbox.after()
        (candidate,) = inbox.after(SETTLE).ready
        assert "is incomplete: " in candidate.problems[0].what


def started(path: Path, rules: SettleRules = RULES) -> TimedInbox:
    """An inbox with a sidecar; its picture is not seen yet."""
    (path / "a.yaml").write_bytes(PROMPT)
    return TimedInbox(path, rules)


def assert_incomplete(
    inbox: TimedInbox, name: str, seconds: float = RULES.settle_max_seconds / 2
) -> None:
    """It is not taken while it rests for so long, and why says the reason."""
    inbox.after()
    plan = inbox.after(seconds)
    assert names(plan.ready) == []
    assert about(plan, name).state is State.HELD
    assert "incomplete: " in about(plan, name).reason
