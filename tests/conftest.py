"""How tests run side by side, and that none is told off for the pace of the machine."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

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
    first = (_OF_THE_COMMAND, "tests/model/")
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
