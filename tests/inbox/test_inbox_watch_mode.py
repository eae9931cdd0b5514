from pathlib import Path

import pytest

from config.settings import FolderSettings, Watch
from daemon.fs.mounts import Mount
from daemon.inbox.inbox import choose_watch_mode, settle_rules

FOLDER = FolderSettings(root=Path("/srv/hot"))
DISK = Mount(point="/", type="ext4", device="8:1", source="/dev/sda1")
SHARE = Mount(point="/srv", type="nfs4", device="0:45", source="nas:/hot")


@pytest.mark.parametrize(
    ("mount", "watch", "settle_seconds", "poll_seconds"),
    [
        (DISK, Watch.EVENTS, 2.0, 30.0),
        (SHARE, Watch.POLL, 10.0, 5.0),
        (None, Watch.POLL, 10.0, 5.0),  # unknown: as a share
    ],
)
def test_the_file_system_chooses_where_the_settings_do_not(
    mount: Mount | None, watch: Watch, settle_seconds: float, poll_seconds: float
) -> None:
    watch_mode = choose_watch_mode(FOLDER, mount)
    assert (watch_mode.watch, watch_mode.settle_seconds) == (watch, settle_seconds)
    assert watch_mode.poll_seconds == poll_seconds


def test_it_says_why() -> None:
    assert choose_watch_mode(FOLDER, DISK).why == "ext4 is a local disk"
    assert choose_watch_mode(FOLDER, SHARE).why == "nfs4 is a share"
    assert choose_watch_mode(FOLDER, None).why == "an unknown file system is a share"


def test_the_settings_win_even_where_they_say_nothing_of_the_rest() -> None:
    forced = FolderSettings(root=Path("/srv/hot"), watch=Watch.POLL)
    watch_mode = choose_watch_mode(forced, DISK)
    assert (watch_mode.watch, watch_mode.why) == (Watch.POLL, "the settings say so")
    assert (watch_mode.settle_seconds, watch_mode.poll_seconds) == (2.0, 5.0)


@pytest.mark.parametrize("mount", [DISK, SHARE])
def test_written_seconds_hold_even_when_they_are_zero(mount: Mount) -> None:
    written = FolderSettings(root=Path("/srv/hot"), settle_seconds=0.0, poll_seconds=0.0)
    watch_mode = choose_watch_mode(written, mount)
    assert watch_mode.settle_seconds == watch_mode.poll_seconds == 0.0


def test_events_asked_for_on_a_share_leave_it_a_share() -> None:
    asked = FolderSettings(root=Path("/srv/hot"), watch=Watch.EVENTS)
    watch_mode = choose_watch_mode(asked, SHARE)
    assert (watch_mode.watch, watch_mode.is_share) == (Watch.EVENTS, True)


def test_the_rules_of_planning_count_in_seconds() -> None:
    rules = settle_rules(FOLDER, choose_watch_mode(FOLDER, DISK), final=True)
    assert rules.sidecar_wait_seconds == 24 * 3600
    assert (rules.settle_seconds, rules.settle_max_seconds) == (2.0, 900.0)
    assert rules.sidecar_grace_seconds == 120.0
    assert rules.final
