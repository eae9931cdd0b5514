"""A job is cancelled by command or by a file, wherever it stands, and nothing else is touched."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from harness import Daemon, HotFolder, sealed, wait_for
from held import Held, held_editor, jobs, state, wait_until_running
from leads import lead_from_afar
from rig.cast import CastDaemon

from daemon.job import story_of

ECHO = ("--editor", "echo")


@pytest.fixture
def watched(hot: HotFolder, start: Callable[..., Daemon]) -> Daemon:
    """A daemon that is ready for work."""
    hot.settle_fast()
    daemon = start(*ECHO)
    wait_for(lambda: daemon.said("editor_ready"))
    return daemon


@pytest.fixture
def players(hot: HotFolder) -> Iterator[Callable[[], Daemon]]:
    """Starts a daemon whose editor does what the prompts say."""
    started: list[Daemon] = []

    def begin() -> Daemon:
        started.append(CastDaemon(hot, *ECHO))
        return started[-1]

    yield begin
    for daemon in started:
        daemon.stop(signal.SIGKILL)
        assert daemon.process.stderr is not None
        daemon.process.stderr.close()


def wake_the_editor(daemon: Daemon) -> None:
    """End the hang of a player."""
    os.kill(daemon.children()["rig.cast"], signal.SIGUSR2)


def filed(hot: HotFolder, folder: str = "done") -> set[str]:
    """The files below done/, without the day."""
    return {path.partition("/")[2] for path in hot.files(folder)}


def cancelled(hot: HotFolder, word: object) -> str:
    """What it says where it can be cancelled; on a busy machine before it has been done."""
    done = hot.call("cancel", word)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.replace("is being cancelled", "was cancelled")


class TestInTheInbox:
    """What waits is filed at once, with all that belongs to it alone."""

    @pytest.mark.parametrize("word", ["cat.png", "cat.yaml", "CAT.png"])
    def test_a_pair_is_filed_without_a_daemon(self, hot: HotFolder, word: str) -> None:
        hot.drop("cat.png")
        assert "cat.png was cancelled" in cancelled(hot, word)
        assert (hot.files("inbox"), filed(hot)) == (set(), {"cat.png", "cat.yaml"})
        assert not hot.files(".hotfolder/work")

    def test_a_pair_that_settles_is_filed_by_the_daemon(
        self, hot: HotFolder, start: Callable[..., Daemon]
    ) -> None:
        hot.write_settings("defaults: {settle_seconds: 600}")
        daemon = start(*ECHO)
        hot.drop("sub/cat.png")
        wait_for(lambda: "settling" in hot.call("why", "sub/cat.png").stdout)
        cancelled(hot, hot.inbox / "sub" / "cat.png")
        wait_for(lambda: daemon.said("job_cancelled", "sub/cat.png"))
        assert (hot.files("inbox"), filed(hot)) == (set(), {"sub/cat.png", "sub/cat.yaml"})

    def test_a_picture_without_instruction_and_one_without_picture(
        self, hot: HotFolder, watched: Daemon
    ) -> None:
        hot.drop("cat.png").with_suffix(".yaml").rename(hot.inbox / "dog.txt")
        wait_for(lambda: watched.said("file_waiting", "dog.txt"))
        assert "cat.png was cancelled" in cancelled(hot, "cat.png")
        assert "dog.txt was cancelled" in cancelled(hot, "dog.txt")
        wait_for(lambda: filed(hot) == {"cat.png", "dog.txt"})
        assert hot.files("inbox") == set()

    def test_what_others_need_stays(self, hot: HotFolder) -> None:
        hot.drop("cat.png", images=["logo.png"])
        hot.drop("dog.png", images=["logo.png"])
        hot.drop("logo.png").with_suffix(".yaml").unlink()
        cancelled(hot, "cat.png")
        assert hot.files("inbox") == {"dog.png", "dog.yaml", "logo.png"}
        cancelled(hot, "dog.png")
        assert hot.files("inbox") == set()
        assert filed(hot) == {"cat.png", "cat.yaml", "dog.png", "dog.yaml", "logo.png"}

    def test_a_reference_is_not_taken_from_its_picture(self, hot: HotFolder) -> None:
        hot.drop("cat.png", images=["logo.png"])
        hot.drop("logo.png").with_suffix(".yaml").unlink()
        refused = hot.call("cancel", "logo.png")
        assert refused.returncode == 2
        assert "logo.png is a reference of cat.png: cancel that picture" in refused.stdout

    def test_nothing_of_that_name_is_said_with_what_became_of_it(self, hot: HotFolder) -> None:
        hot.drop("cat.png")
        assert hot.once().returncode == 0
        refused = hot.call("cancel", "cat.png")
        assert refused.returncode == 2
        assert "no job that waits or is under way" in refused.stdout
        assert "cat.png was edited: outbox/cat.png." in refused.stdout


class TestUnderWay:
    """A claimed job ends where it stands; its neighbours go on."""

    def test_the_edit_of_one_is_dropped_and_its_neighbours_are_edited(
        self, hot: HotFolder, watched: Daemon
    ) -> None:
        editor = held_editor(watched)
        for name in ("a.png", "b.png", "c.png"):
            hot.drop(name)
        wait_for(lambda: "running" in {state(hot, name) for name in jobs(hot)})
        first = next(name for name in jobs(hot) if state(hot, name) == "running")
        assert f"{first} was cancelled" in cancelled(hot, first)
        wait_for(lambda: filed(hot) == {first, first.replace("png", "yaml")})
        editor.let_go()
        others = {"a.png", "b.png", "c.png"} - {first}
        done = others | {f"{name}.json" for name in others}
        wait_for(lambda: hot.files("outbox") == done)
        assert not watched.said("editor_lost")
        scratch = hot.root.parent / "cache" / "hotfolder"
        wait_for(lambda: not list(scratch.iterdir()))

    def test_an_editor_in_the_middle_of_it_keeps_its_files_until_it_lets_go(
        self, hot: HotFolder, players: Callable[[], Daemon]
    ) -> None:
        hot.settle_fast()
        daemon = players()
        wait_for(lambda: daemon.said("editor_ready"))
        hot.drop("cat.png", prompt="hang @stage")
        wait_until_running(hot)
        scratch = hot.root.parent / "cache" / "hotfolder"
        assert "cat.png was cancelled" in cancelled(hot, "cat.png")
        wait_for(lambda: filed(hot) == {"cat.png", "cat.yaml"})
        assert len(list(scratch.iterdir())) == 1
        hot.drop("dog.png")
        wake_the_editor(daemon)
        wait_for(lambda: hot.files("outbox") == {"dog.png", "dog.png.json"})
        assert not daemon.said("editor_lost")
        wait_for(lambda: not list(scratch.iterdir()))

    def test_one_that_is_prepared_by_the_beginning_of_its_id(
        self, hot: HotFolder, watched: Daemon
    ) -> None:
        workers = Held(watched, "pipeline.pixel_worker")
        hot.drop("cat.png")
        wait_for(lambda: state(hot, "cat.png") == "claimed")
        job_id = str(jobs(hot)["cat.png"]["job_id"])
        assert "cat.png was cancelled" in cancelled(hot, job_id[:-3])
        workers.let_go()
        hot.drop("dog.png")
        wait_for(lambda: hot.files("outbox") == {"dog.png", "dog.png.json"})
        assert filed(hot) >= {"cat.png", "cat.yaml"}
        story = (hot.root / story_of(job_id)).read_text()
        assert "cat.png was cancelled; the originals are in done/" in story

    def test_one_that_rests_before_another_try(self, hot: HotFolder, watched: Daemon) -> None:
        editor = held_editor(watched)
        hot.drop("cat.png")
        wait_until_running(hot)
        editor.kill()
        wait_for(lambda: watched.said("job_retry"))
        assert "cat.png was cancelled" in cancelled(hot, "cat.png")
        wait_for(lambda: filed(hot) == {"cat.png", "cat.yaml"})
        assert not hot.files("outbox")

    def test_it_is_done_when_the_share_is_back(self, hot: HotFolder, watched: Daemon) -> None:
        editor = held_editor(watched)
        hot.drop("cat.png")
        wait_until_running(hot)
        marker = hot.root / ".hotfolder" / "id"
        marker.rename(hot.cwd / "id")
        (hot.inbox / "wake").touch()
        wait_for(lambda: watched.said("folder_offline"))
        assert "will be cancelled when the share is back" in cancelled(hot, "cat.png")
        (hot.cwd / "id").rename(marker)
        wait_for(lambda: watched.said("job_cancelled"))
        assert filed(hot) == {"cat.png", "cat.yaml"}
        editor.let_go()

    def test_what_is_being_published_is_too_late(self, hot: HotFolder, watched: Daemon) -> None:
        editor = held_editor(watched)
        hot.drop("cat.png")
        wait_until_running(hot)
        (hot.root / ".hotfolder" / "id").rename(hot.cwd / "id")
        (hot.inbox / "wake").touch()
        wait_for(lambda: watched.said("folder_offline"))
        editor.let_go()
        wait_for(lambda: state(hot, "cat.png") == "publishing")
        refused = hot.call("cancel", "cat.png")
        assert (refused.returncode, "it is too late" in refused.stdout) == (2, True)
        (hot.cwd / "id").rename(hot.root / ".hotfolder" / "id")
        wait_for(lambda: hot.files("outbox") == {"cat.png", "cat.png.json"})

    def test_one_of_a_daemon_that_died(
        self, hot: HotFolder, watched: Daemon, start: Callable[..., Daemon]
    ) -> None:
        held_editor(watched)
        hot.drop("cat.png")
        wait_until_running(hot)
        watched.stop(signal.SIGKILL)
        assert "cat.png was cancelled" in cancelled(hot, "cat.png")
        assert filed(hot) == {"cat.png", "cat.yaml"}
        assert hot.once().returncode == 0
        assert not hot.files("outbox")


class TestByFile:
    """photo.cancel cancels what photo.yaml would be an instruction of."""

    @pytest.mark.parametrize("name", ["cat.cancel", "cat.png.cancel", "CAT.PNG.Cancel"])
    def test_a_pair_beside_it_is_filed_with_it(self, hot: HotFolder, name: str) -> None:
        hot.drop("sub/cat.png")
        hot.drop("cat.png")
        (hot.inbox / "sub" / name).write_text("please")
        assert hot.once().returncode == 0
        assert filed(hot) >= {"sub/cat.png", "sub/cat.yaml", f"sub/{name}"}
        assert hot.files("outbox") == {"cat.png", "cat.png.json"}

    def test_both_pictures_of_one_instruction_are_cancelled(self, hot: HotFolder) -> None:
        hot.drop("cat.png")
        hot.drop("cat.bmp")
        (hot.inbox / "cat.cancel").touch()
        assert hot.once().returncode == 0
        assert hot.files("inbox") == hot.files("outbox") == set()
        assert filed(hot) == {"cat.png", "cat.bmp", "cat.yaml", "cat.cancel"}

    def test_a_job_under_way_is_ended_by_it(self, hot: HotFolder, watched: Daemon) -> None:
        editor = held_editor(watched)
        hot.drop("cat.png")
        wait_until_running(hot)
        hot.drop("dog.png")
        (hot.inbox / "cat.cancel").touch()
        wait_for(lambda: filed(hot) == {"cat.png", "cat.yaml", "cat.cancel"})
        editor.let_go()
        wait_for(lambda: hot.files("outbox") == {"dog.png", "dog.png.json"})

    def test_where_the_job_is_held_the_reason_is_told_and_the_file_leaves(
        self, hot: HotFolder, watched: Daemon
    ) -> None:
        held_editor(watched)
        hot.drop("cat.png")
        wait_until_running(hot)
        (work,) = (hot.root / ".hotfolder" / "work").iterdir()
        with sealed(work):
            (hot.inbox / "cat.cancel").touch()
            wait_for(lambda: watched.said("nothing_cancelled", "cat.png was not cancelled"))
            assert watched.said("nothing_cancelled", "its files lie in .hotfolder/work/")
            assert filed(hot) == {"cat.cancel"}

    def test_one_that_comes_first_harms_no_later_drop(
        self, hot: HotFolder, watched: Daemon
    ) -> None:
        (hot.inbox / "cat.cancel").touch()
        wait_for(lambda: watched.said("nothing_cancelled", "cat.cancel"))
        assert filed(hot) == {"cat.cancel"}
        hot.drop("cat.png")
        wait_for(lambda: hot.files("outbox") == {"cat.png", "cat.png.json"})

    def test_plan_says_what_it_would_do(self, hot: HotFolder) -> None:
        hot.drop("cat.png")
        (hot.inbox / "cat.cancel").touch()
        (hot.inbox / "dog.cancel").touch()
        said = hot.call("plan").stdout
        assert "cancels cat.png" in said
        assert "cancels nothing" in said

    def test_it_outlives_a_daemon_that_dies_over_it(self, hot: HotFolder, watched: Daemon) -> None:
        held_editor(watched)
        hot.drop("cat.png")
        wait_until_running(hot)
        watched.stop(signal.SIGKILL)
        (hot.inbox / "cat.cancel").touch()
        assert hot.once().returncode == 0
        assert (hot.files("outbox"), hot.files("inbox")) == (set(), set())
        assert filed(hot) == {"cat.png", "cat.yaml", "cat.cancel"}


class TestElsewhere:
    """Whose daemon leads, and on which machine, is found through the hot folder itself."""

    def test_a_daemon_with_another_state_folder_is_asked(
        self, hot: HotFolder, start: Callable[..., Daemon]
    ) -> None:
        hot.write_settings("defaults: {settle_seconds: 600}")
        elsewhere = str(hot.root.parent / "elsewhere-state")
        daemon = start(*ECHO, XDG_STATE_HOME=elsewhere, XDG_CACHE_HOME=elsewhere)
        wait_for(lambda: daemon.said("editor_ready"))
        hot.drop("cat.png")
        assert hot.call("cancel", "cat.png").returncode == 0
        assert daemon.said("action=job_cancelled", "cat.png")
        assert not (hot.root.parent / "state").exists()

    def test_one_on_another_machine_is_named_and_nothing_is_moved(self, hot: HotFolder) -> None:
        lead_from_afar(hot.root)
        hot.drop("cat.png")
        refused = hot.call("cancel", "cat.png")
        assert refused.returncode == 78
        assert "process 4711 on nas1" in refused.stderr
        assert "nothing was done" in refused.stderr
        assert "drop an empty file of its name with .cancel beside it" in refused.stderr
        assert hot.files("inbox") == {"cat.png", "cat.yaml"}
