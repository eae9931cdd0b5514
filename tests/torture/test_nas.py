"""A night with real NFS 4.2 and SMB 3.1.1 mounts, whose servers die and come back."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.torture

_HERE = Path(__file__).parent / "nas"
_TESTS, _TOP = _HERE.parents[1], _HERE.parents[2]
_NO_MACHINE = 69
_PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "modprobe": "kmod",
    "rpc.nfsd": "nfs-kernel-server",
    "mount.nfs": "nfs-common",
    "rpcbind": "rpcbind",
    "smbd": "samba",
    "mount.cifs": "cifs-utils",
}


def missing() -> str:
    """Why there can be no such night here; "" where there can."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    packages = [package for it, package in _PROGRAMS.items() if not shutil.which(it, path=path)]
    if packages:
        return f"no machine: apt-get install {' '.join(packages)}"
    return "" if os.geteuid() == 0 else "no machine: it shows all of this one's files; be root"


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_when_the_servers_die_and_come_back_all_jobs_are_done_once(tmp_path: Path) -> None:
    script = (
        f"cd {_TESTS} && {_HERE}/servers.sh && PYTHONDONTWRITEBYTECODE=1"
        f" PYTHONPATH={_TESTS}:{_TOP} {sys.executable} {_HERE}/night.py"
    )
    ran = subprocess.run(
        [_HERE / "machine.sh", "bash", "-c", script],
        env={**os.environ, "OUT": str(tmp_path), "LIMIT_SECONDS": "1800"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(ran.stdout)
    if ran.returncode == _NO_MACHINE:
        pytest.skip(f"no machine: Debian's kernel cannot be had: {ran.stderr[-300:]}")
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]
