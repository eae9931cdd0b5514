"""How tests run side by side, and what those of several packages share."""

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image
from unproven import pytest_sessionfinish, pytest_terminal_summary
from xdist.scheduler import LoadScopeScheduling

from pipeline.checkpoint import EDIT, EDIT_PLUS

__all__ = ["pytest_sessionfinish", "pytest_terminal_summary"]  # hooks

# Before torch is loaded: threads that spin while they wait starve those of other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_OF_THE_COMMAND = "tests/process/"
_SHARED = {  # module -> what its tests share, and make at some cost
    "tests/process/test_bad_input.py": "night",
    "tests/process/test_clients.py": "crowd",
    "tests/process/test_crashes.py": "campaign",
    "tests/process/test_scripted_editor.py": "campaign",
}

settings.register_profile("any pace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any pace")


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Keep the tests of a module in one process, with what they share; deal out those that wait.

    A test of the real command waits most of its time, so each runs where there is room. (The mark
    xdist_group would say this too, but not with pytest 9.2 and pytest-xdist 3.8.)
    """
    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = _scope_of
    return scheduling


def _scope_of(test: str) -> str:
    module = test.partition("::")[0]
    return _SHARED.get(module, test if module.startswith(_OF_THE_COMMAND) else module)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with those that take long, side by side; the quick ones fill the gaps in the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    first = (_OF_THE_COMMAND, "tests/qwen/")
    return next((at for at, it in enumerate(first) if item.nodeid.startswith(it)), len(first))


@pytest.fixture(scope="session")
def made_once(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Callable[[str, Callable[[Path], object]], Path]:
    """made_once(name, make) -> a folder that the first process makes for all to read."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        whole, fresh = shared / name, shared / f"{name}.new"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                make(fresh)
                fresh.rename(whole)
        return whole

    return folder


@pytest.fixture(scope="session")
def tiny_models(made_once: Callable[[str, Callable[[Path], object]], Path]) -> dict[str, Path]:
    """A tiny checkpoint of each class that edits."""
    from pipeline import tiny_model

    return {
        edit_class: made_once(edit_class, partial(tiny_model.build, edit_class=edit_class))
        for edit_class in (EDIT, EDIT_PLUS)
    }


@pytest.fixture
def scene() -> Callable[[int, int], Image.Image]:
    """scene(width, height) -> an RGB picture without symmetry: two ramps and some grain."""

    def make(width: int, height: int) -> Image.Image:
        y, x = np.mgrid[0:height, 0:width]
        grain = np.random.default_rng(3).integers(0, 24, (height, width))
        red, green = 230 * x // max(1, width - 1), 230 * y // max(1, height - 1)
        channels = (red + grain, green + grain, 200 - red // 2 + grain)
        return Image.fromarray(np.stack(channels, axis=2).astype(np.uint8))

    return make


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB; needs root."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk to be had: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)
