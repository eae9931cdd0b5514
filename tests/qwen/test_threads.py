"""Threads of the processor wait asleep, unless the administrator says otherwise."""

import os
import subprocess
import sys

import pytest

from pipeline.qwen import threads

IMPORTING = "from pipeline.editor_worker import import_libraries; import_libraries(compiles=False)"


@pytest.mark.parametrize("said", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "300"}])
def test_what_the_administrator_has_set_stays(said: dict[str, str]) -> None:
    environment = dict(said)
    threads.enforce(environment)
    assert environment == said


def test_the_library_of_torch_has_heard_it_when_the_editor_has_its_libraries() -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING],
        env={**environment, "OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
    assert "GOMP_SPINCOUNT = '0'" in done.stderr
