import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from paper import FINAL, PROMPT, RULES, WHOLE, about, names, states

from config.instruction_keys import Keys
from config.problems import UserError
from config.settings import FolderSettings, Limits, ModelSettings, Settings
from daemon.inbox import reader
from daemon.inbox.inbox import Inbox
from daemon.inbox.settle import SettleRules
from daemon.job import Plan, State
from pipeline.recipe import Defaults, RecipeRules

ODD_STEMS = ["-rf", "a\nb", "👩‍👩‍👧", "\udce9", "b" * 250, " ", "a.b.c"]


def settings(**limits: float) -> Settings:
    folder = FolderSettings(root=Path("/hot"))
    return Settings(
        model=ModelSettings(),
        folders=(folder,),
        defaults=folder,
        presets={},
        limits=Limits(**limits),  # type: ignore[arg-type]  # all limits of the tests are floats
    )


def survey(
    inbox: Path,
    rules: SettleRules = RULES,
    opener: reader.Opener = os.open,
    **limits: float,
) -> Inbox:
    return Inbox(
        inbox,
        rules,
        recipe_rules=RecipeRules.of(settings(**limits), Defaults()),
        trust_inodes=True,
        opener=opener,
    )


def drop_pair(inbox: Path, stem: str = "a") -> None:
    (inbox / f"{stem}.jpg").write_bytes(WHOLE)
    (inbox / f"{stem}.yaml").write_bytes(PROMPT)


def take_settled(one: Inbox) -> Plan:
    one.scan(0.0)
    return one.scan(2.0)


class RecordingOpener:
    """Opens files as the system does, after doing something first; remembers what was opened."""

    def __init__(self, first: Callable[[Path], object] = lambda _: None) -> None:
        self.first = first
        self.opened: list[str] = []

    def __call__(self, path: str, flags: int, *, dir_fd: int) -> int:
        self.opened.append(path)
        self.first(Path(f"/proc/self/fd/{dir_fd}").readlink() / path)
        return os.open(path, flags, dir_fd=dir_fd)


def refusing(number: int) -> Callable[[Path], None]:
    def refuse(path: Path) -> None:
        if path.suffix == ".jpg":
            raise OSError(number, os.strerror(number))

    return refuse


def test_a_pair_is_ready_when_it_has_settled(tmp_path: Path) -> None:
    drop_pair(tmp_path)
    one = survey(tmp_path)
    assert set(states(one.scan(100.0)).values()) == {State.SETTLING}
    assert one.scan(101.9).ready == ()
    assert names(one.scan(102.0).ready) == ["a.jpg"]


@pytest.mark.parametrize("stem", ODD_STEMS, ids=ascii)
def test_pairs_of_any_name_are_ready(tmp_path: Path, stem: str) -> None:
    drop_pair(tmp_path, stem)
    assert names(take_settled(survey(tmp_path)).ready) == [f"{stem}.jpg"]


def test_nothing_new_gives_the_same_plan_again(tmp_path: Path) -> None:
    drop_pair(tmp_path)
    opener = RecordingOpener()
    one = survey(tmp_path, opener=opener)
    plan = take_settled(one)
    assert one.scan(3.0) is one.scan(4.0) is plan
    assert sorted(opener.opened) == ["a.jpg", "a.yaml"]


def test_a_change_gives_a_new_plan_and_reads_only_what_is_new(tmp_path: Path) -> None:
    drop_pair(tmp_path)
    opener = RecordingOpener()
    one = survey(tmp_path, opener=opener)
    take_settled(one)
    (tmp_path / "a.yaml").write_bytes(b"prompt: a forest\n")
    assert one.scan(3.0).ready == ()
    assert names(one.scan(5.0).ready) == ["a.jpg"]
    assert sorted(opener.opened) == ["a.jpg", "a.yaml", "a.yaml"]


def test_what_is_due_gives_a_new_plan_without_any_change(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(WHOLE)
    one = survey(tmp_path)
    assert states(take_settled(one)) == {"a.jpg": State.WAITING_SIDECAR}
    assert states(one.scan(3600.0)) == {"a.jpg": State.HELD}


def test_a_look_without_settle_time_says_all_at_once(tmp_path: Path) -> None:
    drop_pair(tmp_path)
    assert names(survey(tmp_path, replace(RULES, settle_seconds=0.0)).scan(5.0).ready) == ["a.jpg"]


def test_odd_things_are_left_alone_and_told(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to("x.jpg")
    os.mkfifo(tmp_path / "pipe.yaml")
    plan = take_settled(survey(tmp_path))
    assert plan.states == ()
    assert [(it.path, it.reason) for it in plan.ignored] == [
        ("link.jpg", "a symbolic link"),
        ("pipe.yaml", "a FIFO"),
        ("x.jpg", "a folder with the name of a picture"),
    ]


def test_a_file_that_may_not_be_read_is_held_and_names_owner_and_mode(tmp_path: Path) -> None:
    drop_pair(tmp_path)
    (tmp_path / "a.jpg").chmod(0o640)
    opener = RecordingOpener(refusing(errno.EACCES))
    one = survey(tmp_path, opener=opener)
    plan = take_settled(one)
    held = about(plan, "a.jpg")
    assert (held.state, plan.ready) == (State.HELD, ())
    assert "it belongs to " in held.reason
    assert f"uid {os.getuid()}" in held.reason
    assert held.reason.endswith("has mode 0640; give the daemon the right to read it (chmod a+r)")
    assert one.scan(61.9) is plan  # it is not asked at every look
    opener.first = lambda _: None  # by rights that the file does not show
    assert names(one.scan(62.0).ready) == ["a.jpg"]


def test_a_sidecar_that_may_not_be_read_holds_its_image_until_it_may(tmp_path: Path) -> None:
    drop_pair(tmp_path)
    opener = RecordingOpener(
        lambda path: path.suffix == ".yaml" and refusing(errno.EACCES)(Path("a.jpg"))
    )
    one = survey(tmp_path, opener=opener)
    held = about(take_settled(one), "a.jpg")
    assert held.state is State.HELD
    assert held.reason.startswith("waits for a.yaml: cannot be read by ")
    opener.first = lambda _: None
    (tmp_path / "a.yaml").chmod(0o600)  # another ctime: it is read as a new file is
    assert one.scan(3.0).ready == ()
    assert names(one.scan(5.0).ready) == ["a.jpg"]


def test_a_file_whose_bytes_cannot_be_read_is_held_alone(tmp_path: Path) -> None:
    drop_pair(tmp_path)
    (tmp_path / "b.png").write_bytes(WHOLE)
    (tmp_path / "b.yaml").write_bytes(PROMPT)
    opener = RecordingOpener(refusing(errno.EIO))
    one = survey(tmp_path, opener=opener)
    one.scan(0.0)
    seen = [one.scan(now) for now in (2.0, 3.0, 5.0, 9.0)]
    assert [names(plan.ready) for plan in seen] == [["b.png"]] * 4
    stood = [about(plan, "a.jpg").state for plan in seen]
    assert stood == [State.SETTLING] * 3 + [State.HELD]  # it may have been for a moment
    assert "cannot be read (Input/output error)" in about(seen[-1], "a.jpg").reason
    opener.first = lambda _: None
    assert names(one.scan(17.0).ready) == ["a.jpg", "b.png"]


def test_bytes_that_cannot_be_read_in_an_inbox_that_cannot_are_the_shares(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    drop_pair(inbox)

    def leave(path: Path) -> None:
        if path.suffix == ".jpg":
            inbox.rename(tmp_path / "away")
            refusing(errno.EIO)(path)

    one = survey(inbox, opener=RecordingOpener(leave))
    one.scan(0.0)
    with pytest.raises(FileNotFoundError):
        one.scan(2.0)


@pytest.mark.parametrize("number", [errno.EBUSY, errno.ETXTBSY, errno.EAGAIN])
def test_a_file_in_use_is_tried_again_at_every_look(tmp_path: Path, number: int) -> None:
    drop_pair(tmp_path)
    opener = RecordingOpener(refusing(number))
    one = survey(tmp_path, opener=opener)
    plan = take_settled(one)
    assert about(plan, "a.jpg").reason == "another program is at work on it"
    opener.first = lambda _: None
    assert names(one.scan(3.0).ready) == ["a.jpg"]


@pytest.mark.parametrize("number", [errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN])
def test_trouble_of_the_share_is_raised_and_the_watch_goes_on(tmp_path: Path, number: int) -> None:
    drop_pair(tmp_path)
    opener = RecordingOpener(refusing(number))
    one = survey(tmp_path, opener=opener)
    one.scan(0.0)
    with pytest.raises(OSError, match=os.strerror(number)):
        one.scan(2.0)
    opener.first = lambda _: None
    assert names(one.scan(2.1).ready) == ["a.jpg"]


def test_an_inbox_that_goes_away_and_comes_back_is_watched_on(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    drop_pair(inbox)
    one = survey(inbox)
    one.scan(0.0)
    inbox.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        one.scan(1.0)
    (tmp_path / "away").rename(inbox)
    assert names(one.scan(2.0).ready) == ["a.jpg"]


def replace_by_link(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        replace_by_link,
        replace_by_fifo,
        lambda path: path.write_bytes(b"longer than it was" * 9),
    ],
    ids=["unlink", "link", "fifo", "growth"],
)
def test_a_file_that_changes_under_our_eyes_is_not_read(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    drop_pair(tmp_path)
    opener = RecordingOpener(lambda path: change(path) if path.suffix == ".jpg" else None)
    one = survey(tmp_path, opener=opener)
    assert take_settled(one).ready == ()
    opener.first = lambda _: None
    assert one.scan(2.1).ready == ()


def test_a_sidecar_of_a_megabyte_is_a_problem(tmp_path: Path) -> None:
    drop_pair(tmp_path)
    (tmp_path / "a.yaml").write_bytes(b"#" * (1 << 20))
    (candidate,) = take_settled(survey(tmp_path)).ready
    assert candidate.problems[0].what == "is longer than 64 KiB"


def test_a_file_larger_than_allowed_is_refused_unread(tmp_path: Path) -> None:
    drop_pair(tmp_path)
    os.truncate(tmp_path / "a.jpg", 3 << 20)
    opener = RecordingOpener()
    (candidate,) = take_settled(survey(tmp_path, opener=opener, max_file_mib=2.5)).ready
    assert candidate.problems[0].what == "has 3 MiB, more than the 2.5 that are allowed"
    assert opener.opened == ["a.yaml"]


def test_other_settings_are_taken_up_without_settling_again(tmp_path: Path) -> None:
    drop_pair(tmp_path)
    os.truncate(tmp_path / "a.jpg", 3 << 20)
    one = survey(tmp_path, max_file_mib=2.0)
    take_settled(one)
    one.reconfigure(
        FINAL, RecipeRules.of(settings(max_file_mib=4.0), Defaults()), trust_inodes=True
    )
    (candidate,) = one.scan(2.5).ready
    assert candidate.problems == ()


class TestPresets:
    """The presets of a folder, for jobs that were claimed from it."""

    def test_they_come_from_the_outside_in_even_before_they_settle(self, tmp_path: Path) -> None:
        (tmp_path / "s" / "t").mkdir(parents=True)
        (tmp_path / "other").mkdir()
        (tmp_path / "_preset.yaml").write_bytes(PROMPT)
        (tmp_path / "s" / "t" / "_preset.yml").write_bytes(b"steps: 9\n")
        (tmp_path / "other" / "_preset.yml").write_bytes(b"steps: 1\n")
        one = survey(tmp_path)
        one.scan(0.0)
        beach = Keys(prompt="a beach at dawn")
        assert one.presets_for("s/t") == (beach, Keys(steps=9))
        assert one.presets_for("s") == (beach,)

    def test_a_broken_one_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "_preset.yaml").write_bytes(b"promt: red\n")
        one = survey(tmp_path)
        take_settled(one)
        with pytest.raises(UserError, match=r"_preset\.yaml, line 1: 'promt' is no key"):
            one.presets_for("any")

    def test_one_that_is_gone_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "_preset.yaml").write_bytes(PROMPT)
        one = survey(tmp_path)
        one.scan(0.0)
        (tmp_path / "_preset.yaml").unlink()
        with pytest.raises(UserError, match=r"_preset\.yaml: is being changed"):
            one.presets_for("")
