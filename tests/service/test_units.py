"""The units are well formed, and what they allow is little."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = ("hotfolder.service", "hotfolder@.service")
MOST_EXPOSED = 10  # in tenths: 1.0, of 10.0

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def analyze(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Ask systemd-analyze about the units in a folder."""
    return subprocess.run(
        ["systemd-analyze", *words],
        env={"SYSTEMD_UNIT_PATH": f"{folder}:", "PATH": "/usr/bin:/bin"}
        | {"XDG_RUNTIME_DIR": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """All units in one folder, their program being one that is there."""
    user = tmp_path / "user"
    shutil.copytree(UNITS / "user", user)
    for unit in UNITS.glob("*.service"):
        name = unit.name.replace("@.", "@studio.")
        (tmp_path / name).write_text(unit.read_text(encoding="utf-8"), encoding="utf-8")
    for unit in tmp_path.rglob("*.service"):
        text = re.sub(r"[^\s=]+/bin/hotfolder ", "/bin/true ", unit.read_text(encoding="utf-8"))
        unit.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["hotfolder.service", "hotfolder@studio.service", "hotfolder-alert@studio.service"]
)
def test_systemd_finds_no_fault_in_a_unit(units: Path, name: str) -> None:
    found = analyze(units, "verify", "--man=no", "--recursive-errors=yes", name)
    assert (found.returncode, found.stderr) == (0, "")


def test_systemd_finds_no_fault_in_the_unit_of_a_user(units: Path) -> None:
    words = ("verify", "--user", "--man=no", "--recursive-errors=yes", "user/hotfolder.service")
    found = analyze(units, *words)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_fault_would_be_found(units: Path) -> None:
    with (units / "hotfolder.service").open("a", encoding="utf-8") as unit:
        unit.write("[Service]\nWatchdogSecs=90\n")
    words = ("verify", "--man=no", "--recursive-errors=yes", "hotfolder.service")
    assert "WatchdogSecs" in analyze(units, *words).stderr


@pytest.mark.parametrize("name", ["hotfolder.service", "hotfolder@studio.service"])
def test_a_service_is_exposed_to_little(units: Path, name: str) -> None:
    words = ("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", name)
    found = analyze(units, *words)
    assert found.returncode == 0, found.stdout


def directives(name: str) -> list[str]:
    """The lines of a unit that say something."""
    lines = (UNITS / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_one_of_many_daemons_is_confined_like_the_only_one() -> None:
    def told(name: str) -> list[str]:
        return [line for line in directives(name) if not line.startswith("Description")]

    of_many = [line.replace("-%i", "").replace("%i", "hotfolder") for line in told(SERVICES[1])]
    assert of_many == told(SERVICES[0])


@pytest.mark.parametrize("name", SERVICES)
def test_every_exception_from_the_sandbox_has_its_reason_beside_it(name: str) -> None:
    text = (UNITS / name).read_text(encoding="utf-8")
    for exception in ("PrivateDevices=no", "ProcSubset=all"):
        before = text.partition(f"\n{exception}")[0].splitlines()[-1]
        assert before.startswith("# Exception: "), exception
    for absent in ("MemoryDenyWriteExecute", "PrivateUsers", "DynamicUser"):
        assert re.search(rf"^# {absent}=no: \w", text, re.MULTILINE), absent
