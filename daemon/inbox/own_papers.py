"""WHY.txt and report.json of a failed job, moved back by somebody, known by what they say."""

from __future__ import annotations

import re

from daemon import typed_json

LIMIT_BYTES = 1 << 20  # a report quotes an instruction of 64 KiB at most

_WHY_LINES = (" was not edited.", "Cause: ", "What to do: ")
_JOB = re.compile(r"^Job: \d{8}-\d{6}-[0-9a-f]{8}$", re.MULTILINE)
_REPORT_KEYS = {"schema", "job_id", "status", "input", "files", "folder", "cause", "advice"}


def may_be_report(name: str) -> bool:
    """Whether a file of this name is worth a look: file managers number and copy names."""
    lower = name.lower()
    return lower.endswith(".json") and "report" in lower


def is_why(text: str) -> bool:
    """Whether a text is a WHY.txt; a prompt that begins like one is a prompt."""
    lines = text.splitlines()[: len(_WHY_LINES)]
    if len(lines) < len(_WHY_LINES):
        return False
    first, cause, advice = lines
    begins = cause.startswith(_WHY_LINES[1]) and advice.startswith(_WHY_LINES[2])
    is_ours = _JOB.search("\n".join(text.splitlines())) is not None
    return first.endswith(_WHY_LINES[0]) and begins and is_ours


def is_report(content: bytes) -> bool:
    """Whether a text is a report.json of ours."""
    try:
        said = typed_json.parse(content)
    except ValueError:
        return False
    return isinstance(said, dict) and said.keys() >= _REPORT_KEYS
