"""Fixtures: a machine with systemd, with the service installed on it."""

from collections.abc import Iterator

import pytest
from service.bed import Bed, why_not


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """A machine with systemd, where one can be made."""
    if reason := why_not():
        pytest.skip(reason)
    machine = Bed()
    yield machine
    machine.close()


@pytest.fixture(scope="session")
def installed(bed: Bed) -> Bed:
    """The service installed for a tiny model, not started yet."""
    bed.run("hotfolder", "make-tiny-model", "/models/tiny")
    bed.run(
        "hotfolder",
        "install",
        "--root",
        "/srv/hot",
        "--model",
        "/models/tiny",
        "--group",
        "design",
    )
    return bed
