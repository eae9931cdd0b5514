"""Three people beside the installed service: root, a member of its group, one without rights.

None of them has a variable set, nor a folder of Hotfolder's own.
"""

import json
import subprocess
from collections.abc import Iterator

import pytest
from PIL import Image
from service.bed import Bed, wait_for

_RUN = "/opt/hotfolder/bin/hotfolder --config /etc/hotfolder/hotfolder.yaml run --editor echo"
_EXTRA = "/run/systemd/system/hotfolder.service.d/50-test.conf"
_ROOT = "/srv/hot"
_FLAG = f"{_ROOT}/.hotfolder/paused"
_INSTALL = ("install", "--root", _ROOT, "--model", "/models/tiny", "--group", "design")


class Machine:
    """The machine with the service, and its people."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        for user, words in (("mia", ("-G", "design")), ("karl", ())):
            bed.run("useradd", "--create-home", *words, user)

    def start(self, *lines: str) -> int:
        """Start the service with these lines in its unit; gives the daemon's process id."""
        lines = lines or ("ExecStart=", f"ExecStart={_RUN}")
        self.bed.call("systemctl", "stop", "hotfolder")
        self.bed.call("systemctl", "reset-failed", "hotfolder")
        self.bed.write(_EXTRA, "\n".join(["[Service]", *lines, ""]))
        self.bed.run("systemctl", "daemon-reload")
        self.bed.run("systemctl", "start", "hotfolder")
        return int(self.bed.property("hotfolder", "MainPID"))

    def does(self, user: str, *words: object) -> subprocess.CompletedProcess[str]:
        """What somebody gets who calls `hotfolder`."""
        become = () if user == "root" else ("runuser", "-u", user, "--")
        return self.bed.call(*become, "/opt/hotfolder/bin/hotfolder", *words)

    def told(self, user: str, *words: object) -> str:
        """What somebody reads whose command does well."""
        done = self.does(user, *words)
        assert done.returncode == 0, f"{user} {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def drop(self, name: str, **keys: object) -> None:
        """Drop a picture and its instruction."""
        inbox = self.bed.path(f"{_ROOT}/inbox")
        text = json.dumps({"prompt": "Make it blue", **keys})
        (inbox / name).with_suffix(".yaml").write_text(text, encoding="utf-8")
        Image.effect_noise((96, 64), 60).convert("RGB").save(inbox / name)

    def is_there(self, path: str) -> bool:
        """Whether the hot folder has such a file."""
        return self.bed.path(f"{_ROOT}/{path}").exists()

    def has_failed(self, stem: str) -> bool:
        """Whether a job was filed as failed."""
        return any(self.bed.path(f"{_ROOT}/failed").glob(f"*/{stem}*/report.json"))


@pytest.fixture(scope="module")
def machine(installed: Bed) -> Iterator[Machine]:
    for words in (
        "s/settle_seconds: auto/settle_seconds: 0.2/",
        "s/min_free_gib: 2/min_free_gib: 0/",
    ):
        installed.run("sed", "-i", words, "/etc/hotfolder/hotfolder.yaml")
    machine = Machine(installed)
    yield machine
    machine.told("root", "resume")
    installed.call("systemctl", "stop", "hotfolder")
    # What others count on the same machine begins at nothing.
    installed.run("rm", "-rf", _EXTRA, "/var/lib/hotfolder/history.sqlite3")
    installed.run("systemctl", "daemon-reload")


def test_root_pauses_the_service_and_a_member_lets_it_go_on(machine: Machine) -> None:
    pid = machine.start()
    for user in ("root", "mia"):
        assert f"process {pid}" in machine.told(user, "status")
    assert "is paused: what was begun is finished" in machine.told("root", "pause")
    machine.drop("cat.png")
    wait_for(lambda: "1 ready" in machine.told("mia", "status"))
    assert "paused (by hand" in machine.told("mia", "status")
    assert machine.is_there("inbox/cat.png")
    assert "is paused no more." in machine.told("mia", "resume")
    wait_for(lambda: machine.is_there("outbox/cat.png.json"))


def test_a_member_cancels_and_retries_without_any_folder_of_its_own(machine: Machine) -> None:
    machine.start()
    machine.drop("odd.png", colour="blue")
    wait_for(lambda: machine.has_failed("odd"))
    machine.told("mia", "pause")
    (failed,) = machine.bed.path(f"{_ROOT}/failed").glob("*/odd*")
    went = machine.told("mia", "retry", f"{_ROOT}/failed/{failed.parent.name}/{failed.name}")
    assert "odd.png, odd.yaml went back to the inbox" in went
    wait_for(lambda: machine.is_there("inbox/odd.png"))
    assert "odd.png was cancelled" in machine.told("mia", "cancel", "odd.png")
    assert not machine.is_there("inbox/odd.png")
    assert "odd.png was cancelled at" in machine.told("mia", "why", "odd.png")
    machine.told("mia", "resume")
    assert not machine.bed.path("/home/mia/.local").exists()


def test_a_member_ends_reviews_and_has_a_result_edited_anew(machine: Machine) -> None:
    machine.start()
    results = ("good.png", "good.png.json", "bad.png", "bad.png.json")
    machine.drop("good.png")
    machine.drop("bad.png")
    wait_for(lambda: all(machine.is_there(f"outbox/{it}") for it in results))
    for name in results:  # the echo editor's pass every gate
        machine.bed.run("mv", f"{_ROOT}/outbox/{name}", f"{_ROOT}/review/{name}")
    accepted = machine.told("mia", "accept", f"{_ROOT}/review/good.png")
    assert accepted == "review/good.png was accepted: it is outbox/good.png now.\n"
    assert machine.is_there("outbox/good.png.json")
    rejected = machine.told("mia", "reject", f"{_ROOT}/review/bad.png", "--reason", "too dark")
    assert "review/bad.png was rejected (too dark): it is failed/" in rejected
    assert machine.has_failed("bad")
    assert "is edited anew" in machine.told("mia", "again", f"{_ROOT}/outbox/good.png")
    wait_for(lambda: machine.is_there("outbox/good_2.png.json"))
    refused = machine.does("karl", "again", "--root", _ROOT, f"{_ROOT}/outbox/good.png")
    assert refused.returncode == 78
    assert "the group design" in refused.stderr
    assert not machine.bed.path("/home/mia/.local").exists()


@pytest.mark.parametrize(
    "words",
    [
        *(("status",), ("plan",), ("pause",), ("resume",), ("drain",)),
        *(("why", "a.png"), ("why", f"{_ROOT}/inbox/a.png")),
        *(("cancel", "a.png"), ("retry", "20260101-a"), ("retry", f"{_ROOT}/failed/a")),
    ],
    ids=" ".join,
)
def test_one_without_rights_reads_for_whom_it_is_and_changes_nothing(
    machine: Machine, words: tuple[str, ...]
) -> None:
    if machine.bed.property("hotfolder", "ActiveState") != "active":
        machine.start()
    done = machine.does("karl", *words)
    said = done.stdout + done.stderr
    assert done.returncode == (2 if words == ("drain",) else 78), said
    assert "for root, hotfolder and the group design" in said
    assert "usermod -aG design karl" in said
    assert not machine.is_there(".hotfolder/paused")
    assert machine.bed.property("hotfolder", "ActiveState") == "active"


def test_a_member_drains_it_and_without_it_everybody_leaves_what_it_can_use(
    machine: Machine,
) -> None:
    bed, pid = machine.bed, machine.start()
    machine.told("mia", "pause")
    machine.drop("cow.png")
    wait_for(lambda: machine.does("mia", "cancel", "cow.png").returncode == 0)
    machine.told("mia", "resume")
    assert f"the daemon, process {pid}, ends" in machine.told("mia", "drain")
    wait_for(lambda: bed.property("hotfolder", "ActiveState") == "inactive")
    assert " cancelled" in machine.told("mia", "status")  # of the service's history
    assert "no daemon is running here" in machine.does("root", "drain").stdout
    assert "no daemon runs now" in machine.told("root", "pause")
    assert bed.run("stat", "-c", "%U:%G", _FLAG) == "hotfolder:design\n"
    assert "is paused already" in machine.told("mia", "pause")
    for user in ("root", "mia"):
        machine.drop("dog.png")
        assert "dog.png was cancelled" in machine.told(user, "cancel", "dog.png")
        machine.drop("odd.png", colour="blue")
    closed = ("find", _ROOT, "-type", "d", "-not", "-perm", "-g=rwx", "-not", "-path", "*/work/*")
    assert bed.run(*closed) == ""
    machine.start()
    assert "paused (by hand" in machine.told("mia", "status")
    machine.told("mia", "resume")
    wait_for(lambda: machine.has_failed("odd"))


def test_a_service_that_is_about_to_start_again_is_stopped_with_its_removal_as_all_are(
    machine: Machine,
) -> None:
    bed, other = machine.bed, "hotfolder@other.service"
    lines = ["[Service]", "Type=simple", "ExecStart=", "ExecStart=/bin/sleep inf", ""]
    bed.write(f"/run/systemd/system/{other}.d/x.conf", "\n".join(lines))
    bed.run("systemctl", "daemon-reload")
    bed.run("systemctl", "enable", "--now", other)
    try:
        # As with a model that is not there: for ever between two starts.
        machine.start("Type=simple", "ExecStart=", "ExecStart=/bin/false", "RestartSec=1h")
        wait_for(lambda: bed.property("hotfolder", "SubState") == "auto-restart")
        assert "done      run systemctl stop" in machine.told("root", "uninstall")
        for unit in ("hotfolder", other):
            assert bed.property(unit, "ActiveState") == "inactive"
        assert bed.call("systemctl", "is-enabled", other).returncode != 0
        assert "done  " not in machine.told("root", "uninstall")
    finally:
        bed.call("hotfolder", *_INSTALL)
