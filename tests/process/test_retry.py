"""Failed jobs are tried again: by command, or by moving their files back by hand."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Daemon, HotFolder, wait_for

ECHO = ("--editor", "echo")
DONE = {"cat.png", "cat.png.json"}


def fail(hot: HotFolder, name: str = "cat.png") -> Path:
    """The folder of a job that has failed, its instruction mended since."""
    path = hot.drop(name, steps=4000)
    assert hot.once().returncode == 1
    stem, sidecar = path.stem, path.with_suffix(".yaml").name
    folder = max(hot.root.glob(f"failed/*/{stem}*"), key=lambda it: it.stat().st_ctime)
    (folder / sidecar).write_text("prompt: Make it blue\n")
    return folder


def job_id(folder: Path) -> str:
    """The id of a failed job."""
    return str(json.loads((folder / "report.json").read_text())["job_id"])


def retried(hot: HotFolder, *words: object) -> str:
    """What it says where it can be done."""
    done = hot.call("retry", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class TestByCommand:
    """The originals go back to where they came from, and the job begins anew."""

    def test_without_a_daemon(self, hot: HotFolder) -> None:
        folder = fail(hot, "sub/cat.png")
        assert "sub/cat.png, sub/cat.yaml went back" in retried(hot, folder)
        assert hot.files("inbox") == {"sub/cat.png", "sub/cat.yaml"}
        assert hot.files("failed") == hot.files(".hotfolder/work") == set()
        assert not folder.exists()
        assert hot.once().returncode == 0
        assert hot.receipt("sub/cat.png")["attempts"] == 1

    def test_by_the_daemon_that_runs(self, hot: HotFolder, start: Callable[..., Daemon]) -> None:
        folder = fail(hot)
        daemon = start(*ECHO)
        wait_for(lambda: daemon.said("editor_ready"))
        assert "cat.png, cat.yaml went back to the inbox" in retried(hot, folder / "WHY.txt")
        wait_for(lambda: hot.files("outbox") == DONE)
        assert daemon.said("job_revived", "cat.png")

    def test_several_by_their_ids_and_relative_paths(self, hot: HotFolder) -> None:
        first, second = fail(hot, "cat.png"), fail(hot, "dog.png")
        retried(hot, job_id(first), second.relative_to(hot.root))
        assert hot.files("inbox") == {"cat.png", "cat.yaml", "dog.png", "dog.yaml"}

    def test_a_name_that_is_taken_gets_a_number_for_both(self, hot: HotFolder) -> None:
        folder = fail(hot)
        hot.drop("cat.png")
        retried(hot, folder)
        assert hot.files("inbox") == {"cat.png", "cat.yaml", "cat_2.png", "cat_2.yaml"}

    def test_what_lies_in_the_inbox_too_does_not_come_twice(
        self, hot: HotFolder, start: Callable[..., Daemon]
    ) -> None:
        hot.drop("logo.png").with_suffix(".yaml").unlink()
        hot.drop("dog.png", images=["logo.png", "late.png"])
        hot.drop("cat.png", images=["logo.png"], lora="lost")
        hot.settle_fast()
        daemon = start(*ECHO)
        wait_for(lambda: daemon.said("job_failed"))
        daemon.stop()
        (folder,) = hot.root.glob("failed/*/cat")
        assert (folder / "logo.png").exists()
        retried(hot, folder)
        assert hot.files("inbox") == {"cat.png", "cat.yaml", "dog.png", "dog.yaml", "logo.png"}

    @pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9.png"), "line\nbreak.png", "WHY.png"])
    def test_any_name_finds_its_way_back(self, hot: HotFolder, name: str) -> None:
        path = hot.inbox / "sub" / name
        path.parent.mkdir()
        path.write_text("no picture")
        path.with_suffix(".txt").write_text("Make it blue")
        assert hot.once().returncode == 1
        (folder,) = hot.root.glob("failed/*/*")
        retried(hot, folder)
        assert {it.name for it in path.parent.iterdir()} == {name, path.with_suffix(".txt").name}
        assert not folder.exists()

    def test_without_its_report_the_files_go_to_the_inbox(self, hot: HotFolder) -> None:
        folder = fail(hot, "sub/cat.png")
        (folder / "report.json").write_text('{"came_from": {"folder": "../../etc", "files": []}}')
        retried(hot, folder)
        assert hot.files("inbox") == {"cat.png", "cat.yaml"}

    @pytest.mark.parametrize("word", ["nothing", "20261122-000000", "inbox", "failed"])
    def test_what_is_no_failed_job_is_said(self, hot: HotFolder, word: str) -> None:
        refused = hot.call("retry", word)
        assert refused.returncode == 2
        assert word in refused.stdout

    def test_the_file_system_of_a_failed_job_may_be_cleaned_away(self, hot: HotFolder) -> None:
        folder = fail(hot)
        for name in ("cat.png", "cat.yaml"):
            (folder / name).unlink()
        assert "no originals were left" in retried(hot, folder)
        assert not folder.exists()


class TestByHand:
    """Whoever drags everything back, our papers too, gets an edit and a clean inbox."""

    def test_the_whole_content_is_edited_and_our_papers_leave(self, hot: HotFolder) -> None:
        for path in fail(hot).iterdir():
            path.rename(hot.inbox / path.name)
        assert hot.once().returncode == 0
        assert hot.files("outbox") == DONE
        assert hot.files("inbox") == set()
        assert {"WHY.txt", "report.json"} <= {Path(it).name for it in hot.files("done")}

    def test_the_folder_itself_is_edited_as_a_subfolder(self, hot: HotFolder) -> None:
        shutil.move(fail(hot), hot.inbox / "again")
        assert hot.once().returncode == 0
        assert hot.files("outbox") == {f"again/{name}" for name in DONE}
        assert hot.files("inbox") == set()

    def test_papers_that_a_file_manager_has_numbered_leave_too(self, hot: HotFolder) -> None:
        folder = fail(hot)
        (folder / "WHY.txt").rename(hot.inbox / "WHY - Copy (2).txt")
        (folder / "report.json").rename(hot.inbox / "report (2).json")
        assert hot.once().returncode == 0
        assert hot.files("inbox") == set()

    def test_a_why_of_ours_is_no_instruction_of_a_picture_of_that_name(
        self, hot: HotFolder
    ) -> None:
        (fail(hot) / "WHY.txt").rename(hot.inbox / "WHY.txt")
        hot.drop("why.png").with_suffix(".yaml").unlink()
        assert hot.once().returncode == 0
        assert hot.files("inbox") == {"why.png"}  # it still waits for an instruction
        (hot.inbox / "why.txt").write_text("Make it blue")
        assert hot.once().returncode == 0
        assert hot.files("outbox") == {"why.png", "why.png.json"}

    def test_plan_says_that_they_are_no_input(self, hot: HotFolder) -> None:
        folder = fail(hot)
        for name in ("WHY.txt", "report.json"):
            (folder / name).rename(hot.inbox / name)
        (hot.inbox / "report.json").with_name("my report.json").write_text("{}")
        lines = hot.call("plan").stdout.splitlines()
        ours = [line for line in lines if "note on an earlier failure" in line]
        assert len(ours) == 2
        assert any("my report.json" in line and "no instruction" in line for line in lines)
