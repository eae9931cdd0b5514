"""A machine with a real systemd, made for a test and gone with it."""

import os
import select
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

TOP = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("bed.sh")
DEADLINE_SECONDS = 30.0
PYTHON, SITE, SOURCE = "/opt/bed/python", "/opt/bed/site", "/opt/bed/source"
_PATH = "/opt/hotfolder/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TOOLS = ("unshare", "nsenter", "setpriv", "ip", "findmnt", "systemctl", "journalctl")
T = TypeVar("T")


def why_not() -> str:
    """Why no machine can be made here; "" where one can."""
    if os.geteuid() != 0:
        return "a test machine with systemd needs root"
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"a test machine with systemd needs {', '.join(missing)}"
    if not Path("/lib/systemd/systemd").exists():
        return "systemd is not installed"
    tried = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount", "--net", "--cgroup", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"no namespaces may be made here: {tried.stderr.strip()}" if tried.returncode else ""


class Bed:
    """The machine; its files are this one's until they are written to."""

    def __init__(self, size: str = "2g") -> None:
        binds = {sys.base_prefix: PYTHON, sysconfig.get_path("purelib"): SITE, str(TOP): SOURCE}
        self._script = subprocess.Popen(
            [SCRIPT, *(f"{source}:{target}" for source, target in binds.items())],
            env={**os.environ, "SIZE": size},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._script.stdout is not None
        said = self._script.stdout.readline().split()
        assert said, "the machine did not start"
        self.pid = int(said[1])
        self.root = Path(f"/proc/{self.pid}/root")
        self._give_python()

    def _give_python(self) -> None:
        """A Python of its own, which other users than root can run, with all that ours has."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        self.write("/etc/ld.so.conf.d/bed.conf", f"{PYTHON}/lib\n")
        self.run("ldconfig")
        self.run(f"{PYTHON}/bin/python{version}", "-m", "venv", "--without-pip", "/opt/hotfolder")
        self.write(
            f"/opt/hotfolder/lib/python{version}/site-packages/bed.pth", f"{SITE}\n{SOURCE}\n"
        )
        program = "/opt/hotfolder/bin/hotfolder"
        code = "import sys; from daemon.cli import main; sys.exit(main())"
        self.write(program, f"#!/opt/hotfolder/bin/python\n{code}\n")
        self.path(program).chmod(0o755)

    def path(self, inside: str) -> Path:
        """Where a file of the machine lies for us."""
        return self.root / inside.lstrip("/")

    def write(self, inside: str, text: str) -> None:
        """Write a file of the machine."""
        self.path(inside).parent.mkdir(parents=True, exist_ok=True)
        self.path(inside).write_text(text, encoding="utf-8")

    def call(
        self, *words: object, seconds: float = 120, **settings: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine to its end."""
        enter = ["setsid", "--wait", "nsenter", "-t", str(self.pid), "-a", "--"]
        clean = ["env", "-i", "HOME=/root", "LANG=C.UTF-8", f"PATH={_PATH}"]
        quiet = ["SYSTEMD_PAGER=cat", "SYSTEMD_COLORS=0", *map(str, words)]
        return subprocess.run(
            [*enter, *clean, *quiet],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            **settings,
        )

    def run(self, *words: object, seconds: float = 120) -> str:
        """What a command that must do well prints."""
        done = self.call(*words, seconds=seconds)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def property(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).strip()

    def close(self) -> None:
        """Let the machine vanish."""
        assert self._script.stdin is not None
        assert self._script.stdout is not None
        self._script.stdin.close()
        self._script.wait(timeout=30)
        self._script.stdout.close()


def wait_for(condition: Callable[[], T], seconds: float = DEADLINE_SECONDS) -> T:
    """The first true value of a condition; fails when the deadline has passed."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        select.select([], [], [], 0.05)
    return value
