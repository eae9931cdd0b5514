"""Numbers as the documents write them, to hold those against the committed results."""

import json
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[1]


def result(name: str) -> Any:
    """A committed result."""
    path = TOP / "benchmarks" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def percent(share: float, digits: int = 0) -> str:
    """A share, without zeros at its end."""
    text = f"{100 * share:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def fixed(number: float, digits: int = 2) -> str:
    """So many digits after the point; what lies half-way goes up, as people round."""
    return str(Decimal(str(number)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def row(*cells: object) -> str:
    """A row of a table; empty cells have no second space."""
    return "".join(f"| {cell} " if cell != "" else "| " for cell in cells) + "|"


def written_rows(document: str, head: str) -> list[str]:
    """The rows of the table with that head."""
    lines = (TOP / document).read_text(encoding="utf-8").splitlines()
    (at,) = (number for number, line in enumerate(lines) if line == head)
    below = lines[at + 2 :]
    ends = next((n for n, line in enumerate(below) if not line.startswith("|")), len(below))
    return below[:ends]


def untold(document: str, sentences: Iterable[str]) -> list[str]:
    """The sentences, or parts of them, that a document does not have, wherever its lines end."""
    text = " ".join((TOP / document).read_text(encoding="utf-8").split())
    return [it for it in sentences if it not in text]
