"""Tests that are skipped are counted, and fail a run in which all has to be proven."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from unproven import promises

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/reliability.md").read_text(encoding="utf-8")


def run_with(folder: Path, reason: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a test that is skipped for a reason, and one that is not."""
    hooks = "pytest_sessionfinish, pytest_terminal_summary"
    (folder / "conftest.py").write_text(f"from unproven import {hooks}\n")
    (folder / "test_it.py").write_text(
        f"import pytest\ndef test_one():\n    pytest.skip({reason!r})\ndef test_other(): pass\n"
    )
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"],
        cwd=folder,
        env={**os.environ, "EVERY_PROOF": "", "PYTHONPATH": str(TESTS), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("reason", "strict", "code"),
    [
        ("no share can be had", "", 0),
        ("no share can be had", "1", 1),
        ("torchvision is not installed", "1", 0),
    ],
)
def test_it_is_told_and_fails_where_all_has_to_be_proven(
    tmp_path: Path, reason: str, strict: str, code: int
) -> None:
    ended = run_with(tmp_path, reason, EVERY_PROOF=strict)
    assert ended.returncode == code, ended.stdout
    assert "not proven here (1 skipped)" in ended.stdout
    assert f"{reason}: test_it.py (1)" in ended.stdout


def test_promises_are_named_by_their_rows() -> None:
    of_shares = list(promises(["tests/process/test_share.py"], PAGE))
    assert "unmounted" in of_shares
    assert "the leader stops" not in of_shares
    assert list(promises(["tests/process/test_nothing.py"], PAGE)) == []
