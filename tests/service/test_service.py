"""The service on a real systemd: what an administrator relies on, tried on the shipped unit."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from service.bed import Bed, wait_for

_RUN = "/opt/hotfolder/bin/hotfolder --config /etc/hotfolder/hotfolder.yaml run"
_ECHO = f"ExecStart=\nExecStart={_RUN} --editor echo"
_ONE_THREAD = "Environment=OMP_NUM_THREADS=1"  # two spinning ones starve on a busy core
_EXTRA = "/run/systemd/system/hotfolder.service.d/50-test.conf"
_START = ("InactiveExit", "ActiveEnter")
_SETTINGS = "/etc/hotfolder/hotfolder.yaml"
_LONG = {"steps": 50, "variants": 2, "cfg": 4, "seed": 1}  # seconds, with the tiny model


class Service:
    """The installed service."""

    def __init__(self, bed: Bed) -> None:
        self.bed, self.number = bed, 0

    def configure(self, *lines: str) -> None:
        """Have these lines in the unit, too."""
        self.bed.write(_EXTRA, "\n".join(["[Service]", "RestartSec=0", _ONE_THREAD, *lines, ""]))
        self.bed.run("systemctl", "daemon-reload")

    def start(self, *lines: str) -> None:
        """Start it anew, with these lines in its unit."""
        self.bed.call("systemctl", "stop", "hotfolder")
        self.bed.call("systemctl", "reset-failed", "hotfolder")
        self.configure(*lines)
        self.bed.run("systemctl", "start", "hotfolder")

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return int(self.bed.property("hotfolder", "MainPID"))

    @property
    def restarts(self) -> int:
        """How often systemd has started it again."""
        return int(self.bed.property("hotfolder", "NRestarts"))

    @property
    def line(self) -> str:
        """What `systemctl status` shows of it."""
        return self.bed.property("hotfolder", "StatusText")

    def drop(self, name: str, **keys: object) -> None:
        """Drop a picture and its instruction."""
        inbox = self.bed.path("/srv/hot/inbox")
        Image.effect_noise((96, 64), 60).convert("RGB").save(inbox / name)
        text = json.dumps({"prompt": "Make it blue", "cfg": 1, **keys})
        (inbox / name).with_suffix(".yaml").write_text(text, encoding="utf-8")

    def receipt(self, name: str) -> Path:
        """The receipt of a result, there when the result is complete."""
        return self.bed.path(f"/srv/hot/outbox/{name}.json")

    def records(self, *match: str) -> list[dict[str, Any]]:
        """The records of the journal that match, the fields of which are all texts."""
        words = ("journalctl", "-u", "hotfolder", "-o", "json", *match)
        return [json.loads(line) for line in self.bed.run(*words).splitlines()]

    def said(self, text: str) -> bool:
        """Whether the journal has such a message."""
        return any(text in str(record.get("MESSAGE")) for record in self.records())


@pytest.fixture(scope="module")
def service(installed: Bed) -> Iterator[Service]:
    settings = installed.path(_SETTINGS)
    text = settings.read_text(encoding="utf-8").replace(
        "settle_seconds: auto", "settle_seconds: 0.2"
    )
    settings.write_text(text.replace("min_free_gib: 2", "min_free_gib: 0"), encoding="utf-8")
    yield Service(installed)
    installed.call("systemctl", "stop", "hotfolder")


def test_it_starts_ready_with_its_model_and_edits_what_is_dropped(service: Service) -> None:
    service.start()  # returns when it is ready
    assert service.said("The editor is ready after")
    assert re.fullmatch(r"queue 0 · share ok", wait_for(lambda: service.line))
    service.drop("hero.png", **_LONG)
    wait_for(lambda: re.match(r"editing hero\.png step \d+/50 · queue 0", service.line))
    assert "editing hero.png" in service.bed.call("systemctl", "status", "hotfolder").stdout
    wait_for(service.receipt("hero_s2.png").exists, 120)
    told = service.bed.run("stat", "-c", "%U:%G %a", "/srv/hot/outbox/hero_s2.png")
    assert told.startswith("hotfolder:design 6")


def test_a_model_that_really_loads_may_take_longer_than_a_start(service: Service) -> None:
    service.start("TimeoutStartSec=3")
    took = [int(service.bed.property("hotfolder", f"{it}TimestampMonotonic")) for it in _START]
    assert took[1] - took[0] > 3_000_000


def test_a_model_for_which_its_own_limit_is_too_small_is_refused_and_not_killed(
    service: Service,
) -> None:
    service.bed.call("systemctl", "stop", "hotfolder")
    service.configure("MemoryMax=1536M")
    assert service.bed.call("systemctl", "start", "hotfolder").returncode != 0
    invocation = f"_SYSTEMD_INVOCATION_ID={service.bed.property('hotfolder', 'InvocationID')}"
    said = " ".join(str(record.get("MESSAGE")) for record in service.records(invocation))
    told = re.search(r"needs 2\.0 GiB of main memory \(RAM\), and (\S+) GiB are available", said)
    assert told, said
    assert float(told[1]) < 1.5
    assert service.bed.property("hotfolder", "Result") == "exit-code"
    assert service.bed.property("hotfolder", "ExecMainStatus") == "78"
    assert service.restarts == 0


def test_a_killed_daemon_is_started_again_and_finishes_its_job(service: Service) -> None:
    service.start()
    service.drop("killed.png", **_LONG)
    wait_for(lambda: "editing killed.png step" in service.line)
    service.bed.run("kill", "-9", service.pid)
    wait_for(lambda: service.restarts == 1)
    wait_for(service.receipt("killed_s2.png").exists, 120)


def test_a_stop_gives_the_job_back_within_ten_seconds(service: Service) -> None:
    service.start()
    service.drop("back.png", **_LONG)
    wait_for(lambda: "editing back.png step" in service.line)
    began = time.monotonic()
    service.bed.run("systemctl", "stop", "hotfolder")
    assert time.monotonic() - began < 10
    assert service.bed.path("/srv/hot/inbox/back.png").exists()
    assert service.bed.property("hotfolder", "Result") == "success"
    service.bed.path("/srv/hot/inbox/back.png").unlink()
    service.bed.path("/srv/hot/inbox/back.yaml").unlink()


def test_one_that_hangs_is_started_again_by_the_watchdog(service: Service) -> None:
    service.start(_ECHO, "WatchdogSec=3", "TimeoutAbortSec=1")
    wait_for(lambda: service.bed.property("hotfolder", "WatchdogTimestampMonotonic") != "0")
    before = service.pid
    service.bed.run("kill", "-STOP", before)
    wait_for(lambda: service.restarts == 1 and service.pid not in (0, before))
    assert service.said("Watchdog timeout")


def test_it_stays_alive_for_the_watchdog_while_nothing_happens(service: Service) -> None:
    service.start(_ECHO, "WatchdogSec=3")
    signs = "WatchdogTimestampMonotonic"
    first = service.bed.property("hotfolder", signs)
    wait_for(lambda: int(service.bed.property("hotfolder", signs)) > int(first) + 4_000_000)
    assert service.restarts == 0


def test_good_settings_are_taken_over_and_bad_ones_change_nothing(service: Service) -> None:
    service.start(_ECHO)
    settings = service.bed.path(_SETTINGS)
    text = settings.read_text(encoding="utf-8")
    before = service.pid
    service.bed.run("systemctl", "reload", "hotfolder")
    wait_for(lambda: service.said("The settings were read again"))
    settings.write_text(f"{text}\nnonsense: 1\n", encoding="utf-8")
    service.bed.run("systemctl", "reload", "hotfolder")
    wait_for(lambda: service.said("the old ones stay in force"))
    settings.write_text(text, encoding="utf-8")
    assert (service.pid, service.restarts) == (before, 0)
    assert service.bed.property("hotfolder", "ActiveState") == "active"


def test_the_journal_has_fields_and_explains(service: Service) -> None:
    service.start(_ECHO)
    service.drop("told.png")
    wait_for(service.receipt("told.png").exists)
    wait_for(lambda: service.records("HOTFOLDER_FILE=told.png", "HOTFOLDER_STATE=done"))
    (done,) = service.records("HOTFOLDER_FILE=told.png", "HOTFOLDER_STATE=done")
    assert done["HOTFOLDER_INBOX"] == "/srv/hot"
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{8}", done["HOTFOLDER_JOB"])
    assert float(done["HOTFOLDER_SECONDS"]) >= 0
    assert done["SYSLOG_IDENTIFIER"] == "hotfolder"
    explained = service.bed.run("journalctl", "-x", f"MESSAGE_ID={done['MESSAGE_ID']}")
    assert "Subject: A picture was edited: told.png" in explained


def test_a_failed_job_has_its_class_of_error(service: Service) -> None:
    service.start(_ECHO)
    service.drop("wrong.png", colour="blue")
    wait_for(lambda: service.records("HOTFOLDER_FILE=wrong.png", "HOTFOLDER_STATE=failed"))
    (failed,) = service.records("HOTFOLDER_FILE=wrong.png", "HOTFOLDER_STATE=failed")
    assert (failed["HOTFOLDER_ERRCLASS"], failed["PRIORITY"]) == ("job", "3")
    wait_for(lambda: "failed today 1" in service.line)


def test_inside_there_is_no_network_and_it_says_so(service: Service) -> None:
    service.start(_ECHO)
    interfaces = service.bed.path(f"/proc/{service.pid}/net/dev").read_text(encoding="utf-8")
    assert [line.split(":")[0].strip() for line in interfaces.splitlines()[2:]] == ["lo"]
    invocation = service.bed.property("hotfolder", "InvocationID")
    (told,) = service.records(
        f"_SYSTEMD_INVOCATION_ID={invocation}", "HOTFOLDER_EVENT=offline_verified"
    )
    assert told["MESSAGE"] == "Offline verified: no sockets but local ones may be made."


def test_nothing_outside_its_folders_can_be_written(service: Service) -> None:
    service.start(_ECHO)
    inside = ("nsenter", "-t", service.pid, "-m", "--")
    for path in ("/etc/x", "/usr/x", "/srv/x", "/opt/hotfolder/x", "/models/x"):
        done = service.bed.call(*inside, "touch", path)
        assert "Read-only file system" in done.stderr, path
    assert service.bed.call(*inside, "touch", "/srv/hot/logs/x").returncode == 0


def test_hooks_are_run_beside_the_service_with_the_network_that_it_has_not(
    service: Service,
) -> None:
    bed, settings = service.bed, service.bed.path(_SETTINGS)
    bed.write(
        "/etc/hotfolder/tell",
        "#!/bin/sh\n"
        'echo "$HOTFOLDER_EVENT $HOTFOLDER_FILE" $(head -c 1 "$2") \\\n'
        "  as $(id -un) in $(readlink /proc/self/ns/net)\n",
    )
    bed.path("/etc/hotfolder/tell").chmod(0o755)
    before, tell = settings.read_text(encoding="utf-8"), "[/etc/hotfolder/tell, x]"
    settings.write_text(
        before.replace("_done: []", f"_done: {tell}").replace("_failed: []", f"_failed: {tell}"),
        encoding="utf-8",
    )
    try:
        service.start(_ECHO)
        service.drop("told.png")
        service.drop("untold.png", promt="x")

        def said() -> str:
            return bed.run("journalctl", "-u", "hotfolder-hook@hotfolder", "-o", "cat")

        wait_for(lambda: "on_done told.png {" in said() and "on_failed untold.png {" in said())
        network = bed.run("readlink", "/proc/1/ns/net").strip()
        assert f"as hotfolder in {network}" in said()
        assert bed.run("readlink", f"/proc/{service.pid}/ns/net").strip() != network
        assert bed.run("find", "/var/lib/hotfolder/hooks", "-type", "f") == ""
        bed.call("systemctl", "stop", "hotfolder")
    finally:
        settings.write_text(before, encoding="utf-8")


def test_bad_settings_are_no_reason_to_try_again(service: Service) -> None:
    service.start(_ECHO)
    settings = service.bed.path(_SETTINGS)
    text = settings.read_text(encoding="utf-8")
    settings.write_text("nonsense: 1\n", encoding="utf-8")
    assert service.bed.call("systemctl", "restart", "hotfolder").returncode != 0
    wait_for(lambda: service.bed.property("hotfolder", "ActiveState") == "failed")
    settings.write_text(text, encoding="utf-8")
    assert service.bed.property("hotfolder", "ExecMainStatus") == "78"
    assert service.restarts == 0
    assert service.bed.property("hotfolder", "StatusErrno") == "22"
    assert "nonsense" in service.line
    assert service.said("hotfolder.yaml")
    wait_for(
        lambda: "has failed and is not" in service.bed.run("journalctl", "-t", "hotfolder-alert")
    )


def test_on_a_share_it_comes_and_goes_with_the_mount(service: Service) -> None:
    bed = service.bed
    bed.call("systemctl", "stop", "hotfolder")
    service.configure(_ECHO)
    bed.run("mkdir", "-p", "/mnt/nas")
    bed.write(
        "/etc/systemd/system/mnt-nas.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt/nas\nType=tmpfs\n"
    )
    nas = bed.run("cat", "/opt/bed/source/systemd/nas.conf")
    nas = nas.replace("/srv/hot", "/mnt/nas").replace("srv-hot.mount", "mnt-nas.mount")
    bed.write("/etc/systemd/system/hotfolder.service.d/20-nas.conf", nas)
    try:
        bed.run("systemctl", "daemon-reload")
        bed.run("systemctl", "reenable", "hotfolder")
        bed.run("systemctl", "start", "mnt-nas.mount")
        wait_for(lambda: bed.property("hotfolder", "ActiveState") == "active")
        bed.run("systemctl", "stop", "mnt-nas.mount")
        wait_for(lambda: bed.property("hotfolder", "ActiveState") == "inactive")
    finally:
        bed.run("rm", "/etc/systemd/system/hotfolder.service.d/20-nas.conf")
        bed.run("systemctl", "daemon-reload")
        bed.run("systemctl", "reenable", "hotfolder")
