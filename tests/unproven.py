"""Tests that were skipped: told at the end as what was not proven here, and why.

With EVERY_PROOF=1 in the environment, as in .ci/run, a test that was skipped fails the run.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

_RELIABILITY = Path(__file__).parents[1] / "docs" / "reliability.md"
_STRICT = "EVERY_PROOF"
# What a machine without a GPU cannot have, and nothing of the product needs.
_ALLOWED = ("torchvision is not installed", "there is a GPU")


def reasons(reports: Iterable[Any]) -> Mapping[str, Counter[str]]:
    """How many tests of which file were skipped, by the reason."""
    found: dict[str, Counter[str]] = {}
    for report in reports:
        where = report.longrepr
        said = where[2] if isinstance(where, tuple) else str(where)
        reason = said.removeprefix("Skipped: ").strip()
        found.setdefault(reason, Counter())[report.nodeid.partition("::")[0]] += 1
    return found


def promises(files: Iterable[str], page: str) -> Iterator[str]:
    """The rows of docs/reliability.md of which such files are proofs."""
    for fault, shown_by in re.findall(r"^\| (.+?) \| .+ \| (.+) \|$", page, re.MULTILINE):
        if any(f"`{file}`" in shown_by for file in files):
            yield fault


def _skipped(config: pytest.Config) -> Sequence[Any]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return reporter.stats.get("skipped", ()) if reporter else ()  # a process of xdist has none


@pytest.hookimpl
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where all was to be proven and something was not."""
    missed = set(reasons(_skipped(session.config))) - {*_ALLOWED}
    if missed and os.environ.get(_STRICT) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell what was skipped, and which promises stand without a proof of theirs."""
    found = reasons(_skipped(config))
    if not found:
        return
    tests = sum(files.total() for files in found.values())
    terminalreporter.section(f"not proven here ({tests} skipped)")
    for reason, files in sorted(found.items()):
        names = ", ".join(f"{name} ({count})" for name, count in sorted(files.items()))
        terminalreporter.line(f"{reason}: {names}")
    page = _RELIABILITY.read_text(encoding="utf-8")
    rows = list(promises({name for files in found.values() for name in files}, page))
    if rows:
        terminalreporter.line(f"Not all proofs of {_RELIABILITY.name} were run: {'; '.join(rows)}")
    if os.environ.get(_STRICT) and set(found) - {*_ALLOWED}:
        terminalreporter.line(f"{_STRICT} is set: here each of them has to run", red=True)
