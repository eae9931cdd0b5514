"""One archive brings Hotfolder onto a machine without network, and to a user without rights."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from service.bed import TOP, Bed, wait_for, why_not

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
OFFLINE = ("unshare", "--net", "--")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def bundle(into: Path, extras: str) -> Path:
    """The bundle, unpacked."""
    said = subprocess.run(
        [TOP / "scripts" / "bundle", into],
        env={**os.environ, "BUNDLE_EXTRAS": extras},
        capture_output=True,
        text=True,
        check=True,
    )
    # As its users do; tarfile of Python 3.11.2, which is Debian 12's, has no filters.
    subprocess.run(["tar", "--extract", "--file", said.stdout.strip(), "-C", into], check=True)
    (folder,) = (path for path in into.iterdir() if path.is_dir())
    return folder


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small bundle, without the model libraries, where every user can read it."""
    into = Path("/tmp") / f"hotfolder-bundle-{os.getpid()}"
    into.mkdir()
    into.chmod(0o755)
    yield bundle(into, "")
    shutil.rmtree(into)


def test_without_network_and_without_rights_it_installs_and_edits(unpacked: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    if not Path(f"/usr/bin/{PYTHON}").exists():
        pytest.skip(f"no {PYTHON} that every user can run")
    home = unpacked.parent / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    prefix, hot = home / "prefix", home / "hot"
    clean = ("env", "-i", "PATH=/usr/bin:/bin", f"HOME={home}", f"PYTHON=/usr/bin/{PYTHON}")

    def run(*words: object) -> str:
        words = (*OFFLINE, *NOBODY, *clean, *words)
        done = subprocess.run(
            [*map(str, words)], capture_output=True, text=True, check=False, cwd=home
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run(unpacked / "install", "--prefix", prefix)
    said = run(unpacked / "install", "--prefix", prefix)  # again, as an upgrade does
    assert_it_can_be_tried_as_it_says(said, home, run)
    run(prefix / "bin" / "hotfolder", "init", hot)
    Image.effect_noise((96, 64), 60).convert("RGB").save(hot / "inbox" / "a.png")
    (hot / "inbox" / "a.txt").write_text("Make it blue", encoding="utf-8")
    settings = home / "hotfolder.yaml"
    text = settings.read_text(encoding="utf-8").replace("min_free_gib: 2", "min_free_gib: 0")
    settings.write_text(text, encoding="utf-8")
    said = run(prefix / "bin" / "hotfolder", "run", "--once", "--editor", "echo")
    assert 'reason="there is no way out (Network is unreachable)"' in said
    assert (hot / "outbox" / "a.png.json").exists()


def assert_it_can_be_tried_as_it_says(said: str, home: Path, run: Callable[..., str]) -> None:
    """The lines that an installation ends with work as they are; one picture fails on purpose."""
    copying, editing = re.findall(r"^.* (cp -R .*|\S+/hotfolder run .*)$", said, re.MULTILINE)
    run("sh", "-c", f"{copying} && {editing} || [ $? = 1 ]")
    assert len(list((home / "hot" / "outbox").rglob("*.json"))) == 10
    shutil.rmtree(home / "hot")


def test_a_damaged_bundle_is_refused(unpacked: Path) -> None:
    damaged = unpacked.parent / "damaged"
    shutil.copytree(unpacked, damaged)
    (damaged / "README.md").write_text("other words", encoding="utf-8")
    done = subprocess.run(
        [damaged / "install", "--prefix", damaged / "prefix"],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "the bundle is damaged" in done.stderr) == (1, True)


def test_another_python_than_the_bundles_is_refused(unpacked: Path) -> None:
    done = subprocess.run(
        [unpacked / "install"],
        env={**os.environ, "PYTHON": "/bin/false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "set PYTHON to one" in done.stderr) == (1, True)


@pytest.mark.torture
def test_bundle_service_and_model_work_on_a_machine_without_network(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    folder = bundle(tmp_path, "qwen,journal")
    machine = Bed(size="8g")
    try:
        work_on(machine, folder)
    finally:
        machine.close()


def work_on(machine: Bed, folder: Path) -> None:
    """Install from the bundle, make it a service, let it edit."""
    hotfolder = "/opt/fresh/bin/hotfolder"
    (machine.path("/var/tmp") / "bundle").mkdir()
    shutil.copytree(folder, machine.path("/var/tmp/bundle"), dirs_exist_ok=True)
    python = f"PYTHON=/opt/hotfolder/bin/{PYTHON}"
    installing = ("env", python, "/var/tmp/bundle/install", "--prefix", "/opt/fresh")
    machine.run(*installing, seconds=600)  # the model libraries are large
    brought = "/opt/fresh/share/hotfolder"
    words = ("--root", "/srv/hot", "--model", f"{brought}/models/small", "--start")
    machine.run(hotfolder, "install", *words)
    for name in ("circle.png", "circle.txt"):
        machine.run("cp", f"{brought}/hotfolder_example/inbox/{name}", "/srv/hot/inbox")
    receipt = machine.path("/srv/hot/outbox/circle.png.json")
    wait_for(receipt.exists, 120)
    told = json.loads(receipt.read_text(encoding="utf-8"))
    assert (told["model"]["weights"], told["recipe"]["steps"]) == ("trained", 8)
    assert "Offline verified" in machine.run("journalctl", "-u", "hotfolder", "-o", "cat")
    machine.run(hotfolder, "uninstall")
    assert not machine.path("/etc/systemd/system/hotfolder.service").exists()
    assert machine.path("/srv/hot/outbox/circle.png").exists()
