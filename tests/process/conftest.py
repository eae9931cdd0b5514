"""Fixtures: a hot folder, daemons on it, a tiny model."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from campaign import Campaign
from harness import Daemon, HotFolder


@pytest.fixture
def hot(tmp_path: Path) -> HotFolder:
    """A hot folder."""
    return HotFolder(tmp_path)


@pytest.fixture
def start(hot: HotFolder) -> Iterator[Callable[..., Daemon]]:
    """Starts daemons, and ends them with the test."""
    started: list[Daemon] = []

    def begin(*words: object, **environment: str) -> Daemon:
        daemon = Daemon(hot, *words, **environment)
        started.append(daemon)
        return daemon

    yield begin
    for daemon in started:
        daemon.process.kill()
        daemon.process.wait()
        assert daemon.process.stderr is not None
        daemon.process.stderr.close()


@pytest.fixture(scope="session")
def tiny_model(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A tiny checkpoint of the real classes, made by the command."""

    def make(folder: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "daemon", "make-tiny-model", folder],
            check=True,
            capture_output=True,
            timeout=120,
        )

    return made_once("tiny", make)


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """Nights in which something goes wrong, several at once."""
    one = Campaign(tmp_path_factory.mktemp("campaign"), warm=6)
    yield one
    one.close()
