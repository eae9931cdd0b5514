"""No socket but local ones is made, from the start to the end of a run, model load included."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness import HotFolder, unshared

from daemon.events.events import NotConfined, OfflineVerified
from daemon.service.preflight import check_network

CALL = re.compile(r"^\d+ +(socket|socketpair|connect|sendto|sendmsg|bind)\((.*)$", re.MULTILINE)
ELSEWHERE = re.compile(r"\bAF_(?!UNIX\b|LOCAL\b)\w+")


def test_a_whole_run_makes_local_sockets_and_one_attempt_that_leads_nowhere(
    hot: HotFolder, tiny_model: Path, tmp_path: Path
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    hot.settle_fast()
    hot.drop("traced.png", cfg=1)
    trace = tmp_path / "trace"
    calls = "trace=socket,socketpair,connect,sendto,sendmsg,bind"
    watch = ("strace", "-f", "--seccomp-bpf", "-qq", "-o", str(trace), "-e", calls)
    within = (*watch, *unshared("--net"))
    done = hot.call("run", "--once", "--model", tiny_model, within=within, seconds=300)
    assert (done.returncode, (hot.outbox / "traced.png.json").exists()) == (0, True), done.stderr
    made = CALL.findall(trace.read_text(encoding="utf-8", errors="replace"))
    assert len(made) > 5  # the children's lines, the control socket
    elsewhere = [f"{name}({rest}" for name, rest in made if ELSEWHERE.search(rest)]
    socket, connect = elsewhere
    assert socket.startswith("socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC")  # sends nothing
    assert 'inet_addr("192.0.2.1")' in connect


def test_where_there_is_no_network_the_attempt_says_so() -> None:
    alone = unshared("--net")
    if not alone:
        pytest.skip("no namespace of the network may be made here")
    code = "from daemon.service.preflight import check_network; print(check_network())"
    said = subprocess.check_output([*alone, sys.executable, "-c", code], text=True)
    assert said == "Offline verified: there is no way out (Network is unreachable).\n"


def test_by_hand_it_says_how_it_stands() -> None:
    outward = [name for _, name in socket.if_nameindex() if name != "lo"]
    assert isinstance(check_network(), NotConfined if outward else OfflineVerified)
