"""An SSH and a Samba server on the loopback interface, and the clients that copy through them."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from harness import wait_for
from rig.clients import Client

_HOST = "127.0.0.1"
_SLOW_KBIT = 3200  # a second
_SSHD = "/usr/sbin/sshd"
_SFTP = "/usr/lib/openssh/sftp-server"


def missing() -> str:
    """Why there can be no servers here; "" where there can."""
    if os.geteuid() != 0:
        return "no servers: sshd and smbd are started by root here"
    wanted = {
        _SSHD: "openssh-server",
        _SFTP: "openssh-sftp-server",
        "/usr/bin/scp": "openssh-client",
    }
    wanted |= {"/usr/sbin/smbd": "samba", "/usr/bin/smbclient": "smbclient"}
    packages = [package for path, package in wanted.items() if not Path(path).exists()]
    return f"no servers: apt-get install {' '.join(packages)}" if packages else ""


class Ssh:
    """An SSH server that lets its own key in."""

    def __init__(self, base: Path) -> None:
        base.mkdir(mode=0o700, parents=True)
        self._port = _free_port()
        self._key = base / "key"
        self._words = [
            *("-i", str(self._key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={base}/known"),
        ]
        for key in (self._key, base / "host"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
            subprocess.run(command, check=True, capture_output=True)
        shutil.copy(self._key.with_suffix(".pub"), base / "allowed")
        config = base / "config"
        config.write_text(
            f"ListenAddress {_HOST}\nPort {self._port}\nHostKey {base}/host\nPidFile none\n"
            f"AuthorizedKeysFile {base}/allowed\nStrictModes no\nUsePAM no\n"
            f"PermitRootLogin yes\nMaxStartups 50\nSubsystem sftp {_SFTP}\n"
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        words = [_SSHD, "-D", "-e", "-f", str(config)]
        self.server = _started(words)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    def clients(self) -> Iterator[Client]:
        """Ways to copy through it."""
        for option in ("-q", "-p", "-O"):
            yield Client(
                name=f"scp {option}",
                needs="scp",
                package="openssh-client",
                command=partial(self._scp, option),
            )
        yield Client(name="sftp", needs="sftp", package="openssh-client", command=self._sftp)
        yield Client(name="rsync -e ssh", needs="rsync", package="rsync", command=self._rsync)

    def _scp(self, option: str, source: Path, target: Path) -> list[str]:
        words = ["scp", "-q", option, "-l", str(_SLOW_KBIT), "-P", str(self._port), *self._words]
        script = f'{" ".join(words)} "$1"/* "$2"'
        return ["sh", "-ec", script, "sh", str(source), f"{_HOST}:{target}"]

    def _sftp(self, source: Path, target: Path) -> list[str]:
        words = f"sftp -l {_SLOW_KBIT} -P {self._port} {' '.join(self._words)} -b - {_HOST}"
        orders = f'put -r \\"{source}/.\\" \\"{target}\\"'
        return ["sh", "-ec", f'echo "{orders}" | {words}']

    def _rsync(self, source: Path, target: Path) -> list[str]:
        shell = " ".join(["ssh", "-p", str(self._port), *self._words])
        words = ["rsync", "-a", "-s", "--bwlimit=400", "-e", shell]
        return [*words, f"{source}/", f"{_HOST}:{target}/"]


class Samba:
    """A Samba server that serves one folder to everybody."""

    def __init__(self, base: Path, folder: Path) -> None:
        base.mkdir(mode=0o755, parents=True)
        self._port, self._folder = _free_port(), folder
        kinds = ("private", "lock", "state", "cache", "pid", "ncalrpc")
        own = "".join(f" {kind} dir = {base / kind}\n" for kind in kinds)
        for kind in kinds:
            (base / kind).mkdir()
        config = base / "smb.conf"
        config.write_text(
            f"[global]\n{own} interfaces = lo\n bind interfaces only = yes\n"
            f" smb ports = {self._port}\n server role = standalone server\n"
            " map to guest = bad user\n disable netbios = yes\n load printers = no\n"
            f" log file = {base}/log\n"
            f"[hot]\n path = {folder}\n guest ok = yes\n read only = no\n force user = root\n"
        )
        words = ["smbd", f"--configfile={config}", "--foreground", "--no-process-group"]
        self.server = _started(words)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    def clients(self) -> Iterator[Client]:
        """Ways to copy through it."""
        yield Client(
            name="smbclient", needs="smbclient", package="smbclient", command=self._smbclient
        )

    def _smbclient(self, source: Path, target: Path) -> list[str]:
        there = target.relative_to(self._folder)
        orders = f'cd "{there}"; lcd "{source}"; prompt off; mput *'
        return ["smbclient", f"//{_HOST}/hot", "-N", "-p", str(self._port), "-c", orders]


@contextmanager
def serving(base: Path, folder: Path) -> Iterator[tuple[Client, ...]]:
    """Both servers at work; gives all their clients."""
    ssh, samba = Ssh(base / "ssh"), Samba(base / "samba", folder)
    try:
        for server in (ssh, samba):
            wait_for(lambda server=server: _answers(server.port))  # type: ignore[misc]
        yield (*ssh.clients(), *samba.clients())
    finally:
        for process in (ssh.server, samba.server):
            os.killpg(process.pid, signal.SIGKILL)  # a Samba in the foreground heeds no SIGTERM
            process.wait()


def _started(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # its children go with it
    )


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((_HOST, 0))
        port: int = one.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((_HOST, port), timeout=1):
        return True
    return False
