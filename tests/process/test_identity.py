"""Which file is which: twins to people, drops that come again, files touched meanwhile."""

import hashlib
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Daemon, HotFolder, wait_for
from held import held_editor, jobs, wait_until_running, waiting
from PIL import Image

ECHO = ("--editor", "echo")
NFC = "\u00e9.png"
NFD = unicodedata.normalize("NFD", NFC)


@pytest.fixture
def watched(hot: HotFolder, start: Callable[..., Daemon]) -> Daemon:
    """A daemon that is ready for work."""
    hot.settle_fast()
    daemon = start(*ECHO)
    wait_for(lambda: daemon.said("editor_ready"))
    return daemon


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def originals(hot: HotFolder) -> set[str]:
    """The files in done/, without the day."""
    return {path.partition("/")[2] for path in hot.files("done")}


def instruction_of(hot: HotFolder, result: str) -> tuple[str, str]:
    """What was asked for, and of which picture."""
    receipt = hot.receipt(result)
    return str(receipt["instruction"]["prompt"]), str(receipt["input"]["sha256"])


def is_quiet(hot: HotFolder) -> bool:
    """Whether no job is under way, and none is about to be."""
    return not jobs(hot) and not hot.files("inbox")


class TestTwins:
    """Names that are one to people are two files, and both are edited."""

    def test_an_accent_in_both_forms_with_an_instruction_each(self, hot: HotFolder) -> None:
        asked = {}
        for name, prompt in ((NFC, "Make it blue"), (NFD, "Make it red")):
            asked[prompt] = sha256_of(hot.drop(name, prompt))
        assert len(hot.files("inbox")) == 4
        assert hot.once().returncode == 0
        results = sorted(hot.files("outbox"))
        second = f"{NFC[0]}_2.png"
        assert results == sorted([NFC, f"{NFC}.json", second, f"{second}.json"])
        assert {instruction_of(hot, it) for it in (NFC, second)} == set(asked.items())
        assert len(hot.files("done")) == 4

    def test_case_twins_share_one_instruction(self, hot: HotFolder) -> None:
        hot.drop("Photo.png")
        hot.drop("photo.PNG").with_suffix(".yaml").unlink()
        assert hot.once().returncode == 0
        names = {"Photo.png", "photo.PNG"}
        assert hot.files("outbox") == names | {f"{name}.json" for name in names}
        assert originals(hot) == {*names, "Photo.yaml"}

    def test_case_twins_with_an_instruction_each(self, hot: HotFolder) -> None:
        asked = {sha256_of(hot.drop(f"{name}.png", name)): name for name in ("Photo", "photo")}
        assert hot.once().returncode == 0
        for name in ("Photo", "photo"):
            prompt, sha256 = instruction_of(hot, f"{name}.png")
            assert (asked[sha256], prompt) == (name, name)


class TestDroppedAgain:
    """The same pair a second time."""

    def drop_twice(self, hot: HotFolder, policy: str) -> None:
        hot.write_settings(f"defaults: {{settle_seconds: 0.2, on_duplicate: {policy}}}")
        path = hot.drop("cat.png", seed=1)
        kept = {it: it.read_bytes() for it in (path, path.with_suffix(".yaml"))}
        assert hot.call("run", "--once", *ECHO).returncode == 0
        for it, content in kept.items():
            it.write_bytes(content)
        assert hot.call("run", "--once", *ECHO).returncode == 0

    def test_a_duplicate_is_told_by_why_and_status(self, hot: HotFolder) -> None:
        self.drop_twice(hot, "skip")
        assert hot.files("outbox") == {"cat.png", "cat.png.json"}
        said = hot.call("why", "cat.png").stdout
        assert "came again and was not edited a second time" in said
        assert "cat.png was edited: outbox/cat.png." in said
        assert "today: 1 done, 0 failed, 1 duplicate" in hot.call("status").stdout
        assert originals(hot) == {"cat.png", "cat.yaml", "cat_2.png", "cat_2.yaml"}

    def test_a_cancelled_job_is_told_and_is_no_earlier_one(self, hot: HotFolder) -> None:
        hot.write_settings("defaults: {settle_seconds: 0.2, on_duplicate: skip}")
        path = hot.drop("cat.png", seed=1)
        kept = {it: it.read_bytes() for it in (path, path.with_suffix(".yaml"))}
        assert hot.call("cancel", "cat.png").returncode == 0
        assert "cat.png was cancelled at " in hot.call("why", "cat.png").stdout
        assert "0 failed, 1 cancelled" in hot.call("status").stdout
        for it, content in kept.items():
            it.write_bytes(content)
        assert hot.call("run", "--once", *ECHO).returncode == 0
        assert hot.files("outbox") == {"cat.png", "cat.png.json"}


class TestTouchedWhileItRuns:
    """A claimed job keeps its own content; what comes in its place is another job."""

    def test_a_new_picture_of_the_name_is_a_new_job(self, hot: HotFolder, watched: Daemon) -> None:
        editor = held_editor(watched)
        old = sha256_of(hot.drop("cat.png", "Make it blue"))
        wait_until_running(hot)
        new = sha256_of(hot.drop("cat.png", "Make it red"))
        editor.let_go()
        wait_for(lambda: len(hot.files("outbox")) == 4 and is_quiet(hot))
        assert instruction_of(hot, "cat.png") == ("Make it blue", old)
        assert instruction_of(hot, "cat_2.png") == ("Make it red", new)

    def test_a_new_instruction_alone_waits_for_its_picture(
        self, hot: HotFolder, watched: Daemon
    ) -> None:
        editor = held_editor(watched)
        path = hot.drop("cat.png", "Make it blue")
        wait_until_running(hot)
        path.with_suffix(".yaml").write_text("prompt: Make it red\n")
        editor.let_go()
        wait_for(lambda: hot.files("outbox") == {"cat.png", "cat.png.json"} and not jobs(hot))
        assert hot.receipt("cat.png")["instruction"]["prompt"] == "Make it blue"
        assert hot.files("inbox") == {"cat.yaml"}
        wait_for(
            lambda: "waits for its picture" in str(waiting(hot).get("cat.yaml", {}).get("reason"))
        )

    def test_a_result_finds_its_name_taken_by_a_file_of_the_user(
        self, hot: HotFolder, watched: Daemon
    ) -> None:
        editor = held_editor(watched)
        hot.drop("cat.png")
        wait_until_running(hot)
        (hot.outbox / "cat.png").write_text("my own")
        (hot.outbox / "cat_2.png.json").write_text("mine as well")
        editor.let_go()
        wait_for((hot.outbox / "cat_3.png.json").exists)
        assert (hot.outbox / "cat.png").read_text() == "my own"
        assert (hot.outbox / "cat_2.png.json").read_text() == "mine as well"

    def test_its_files_in_work_may_be_taken_away(self, hot: HotFolder, watched: Daemon) -> None:
        editor = held_editor(watched)
        hot.drop("cat.png")
        wait_until_running(hot)
        shutil.rmtree(hot.root / ".hotfolder" / "work")
        editor.let_go()
        wait_for(lambda: hot.files("outbox") == {"cat.png", "cat.png.json"} and not jobs(hot))
        hot.drop("dog.png")
        wait_for((hot.outbox / "dog.png.json").exists)

    def test_one_that_rests_is_forgotten_when_its_files_are_taken_away(
        self, hot: HotFolder, watched: Daemon
    ) -> None:
        editor = held_editor(watched)
        hot.drop("cat.png")
        wait_until_running(hot)
        editor.kill()
        wait_for(lambda: watched.said("job_retry"))
        shutil.rmtree(hot.root / ".hotfolder" / "work")
        assert hot.call("cancel", "cat.png").returncode == 0
        wait_for(lambda: not jobs(hot))
        assert hot.files(".hotfolder/work") == set()


class TestTouchedBeforeItsClaim:
    """What a user does to files in the inbox is what holds."""

    @pytest.fixture
    def patient(self, hot: HotFolder, start: Callable[..., Daemon]) -> Daemon:
        """A daemon for which files settle in a while."""
        hot.write_settings("defaults: {settle_seconds: 3}")
        daemon = start(*ECHO)
        wait_for(lambda: daemon.said("editor_ready"))
        return daemon

    def settles(self, hot: HotFolder) -> bool:
        return waiting(hot).get("cat.png", {}).get("state") == "settling"

    def test_a_pair_that_is_deleted_leaves_no_job(self, hot: HotFolder, patient: Daemon) -> None:
        path = hot.drop("cat.png")
        wait_for(lambda: self.settles(hot))
        path.unlink()
        path.with_suffix(".yaml").unlink()
        hot.drop("dog.png")
        wait_for((hot.outbox / "dog.png.json").exists)
        assert not patient.said("job_claimed", "cat.png")

    def test_a_pair_that_is_renamed_is_edited_under_its_new_name(
        self, hot: HotFolder, patient: Daemon
    ) -> None:
        path = hot.drop("cat.png")
        wait_for(lambda: self.settles(hot))
        path.with_suffix(".yaml").rename(hot.inbox / "lion.yaml")
        path.rename(hot.inbox / "lion.png")
        wait_for(lambda: hot.files("outbox") == {"lion.png", "lion.png.json"})
        assert not patient.said("job_claimed", "cat.png")

    def test_a_picture_that_is_replaced_is_edited_as_it_is_last(
        self, hot: HotFolder, patient: Daemon
    ) -> None:
        path = hot.drop("cat.png")
        wait_for(lambda: self.settles(hot))
        Image.new("RGB", (96, 64), "red").save(path)
        last = sha256_of(path)
        wait_for((hot.outbox / "cat.png.json").exists)
        assert hot.receipt("cat.png")["input"]["sha256"] == last
        assert patient.said("job_claimed", "cat.png")
