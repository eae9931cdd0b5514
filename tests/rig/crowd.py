"""Several clients that copy pictures into one inbox at the same time, and what became of these."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import Daemon, HotFolder, wait_for
from PIL import Image
from rig.clients import Client

PAIRS = 3
_SIDE_PIXELS = 300
_SETTLE_SECONDS = 0.4  # less than any of the pictures is on its way


class Crowd:
    """Each client has a subfolder of the inbox of its own."""

    def __init__(self, base: Path, clients: Sequence[Client]) -> None:
        self.hot = HotFolder(base)
        self.hot.write_settings(f"defaults: {{settle_seconds: {_SETTLE_SECONDS}}}")
        self._base, self._clients = base, clients
        self._sent: dict[str, dict[str, str]] = {}  # client -> name -> hash of each picture
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._daemon = Daemon(self.hot, "--editor", "echo")
        wait_for(lambda: self._daemon.said("action=editor_ready"))
        for client in clients:
            if not client.missing:
                self._begin(client)

    def _begin(self, client: Client) -> None:
        source, target = self._base / "from" / self._folder(client), self.target(client)
        self._sent[client.name] = fill(source, PAIRS)
        target.mkdir()
        self._running[client.name] = subprocess.Popen(
            client.command(source, target),
            cwd=self._base,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def target(self, client: Client) -> Path:
        """Where it copies to."""
        return self.hot.inbox / self._folder(client)

    def assert_served(self, client: Client) -> None:
        """All that it sent was edited once and as it was sent, and nothing of it is left."""
        program, sent = self._running[client.name], self._sent[client.name]
        _, complaint = program.communicate(timeout=60)
        assert program.returncode == 0, complaint.decode()
        folder = self._folder(client)
        wait_for(lambda: not self.hot.files(f"inbox/{folder}"))
        wait_for(lambda: all((self.hot.outbox / folder / f"{it}.json").exists() for it in sent))
        results = {name for it in sent for name in (it, f"{it}.json")}
        assert self.hot.files(f"outbox/{folder}") == results
        receipts = {it: self.hot.receipt(f"{folder}/{it}") for it in sent}
        assert {it: said["input"]["sha256"] for it, said in receipts.items()} == sent
        assert {said["attempts"] for said in receipts.values()} == {1}
        assert {said["recipe"]["prompt"] for said in receipts.values()} == {PROMPT}
        assert not self.hot.files("failed")

    def close(self) -> None:
        """End the daemon and whoever is still copying."""
        processes: list[subprocess.Popen[Any]] = [*self._running.values(), self._daemon.process]
        for process in processes:
            process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()
        shutil.rmtree(self.hot.root)

    def _folder(self, client: Client) -> str:
        return f"client-{self._clients.index(client)}"


PROMPT = "Make it blue, all of it, to the end of the last word"


def fill(folder: Path, pairs: int, side_pixels: int = _SIDE_PIXELS) -> dict[str, str]:
    """Write pairs of pictures, no two alike, and sidecars; returns the hash of each picture."""
    folder.mkdir(parents=True)
    sidecar = json.dumps({"prompt": PROMPT})
    hashes = {}
    for name in _names(pairs):
        path = folder / name
        Image.effect_noise((side_pixels, side_pixels), 60).convert("RGB").save(path)
        path.with_suffix(".yaml").write_text(sidecar)
        hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashes


def _names(pairs: int) -> Iterator[str]:
    return (f"picture {number}.png" for number in range(pairs))
