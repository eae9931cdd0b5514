"""The sabotages of `table.toml`: small edits that break a promise, each with who has to notice."""

import ast
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("table.toml")
RELIABILITY = "docs/reliability.md"
_NAMED = (ast.ClassDef, ast.FunctionDef)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sabotage:
    """An edit of one file, the fault that is no longer borne then, and the test that fails."""

    fault: str  # how the first cell of its row in docs/reliability.md begins
    file: str
    old: str  # occurs exactly once in the file
    new: str
    test: str
    is_slow: bool = False  # its test takes long to fail, mostly by waiting in vain

    def edited(self, top: Path) -> str:
        """The text of the file with the edit; raises ValueError where there is nothing to edit."""
        text = (top / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1 or self.old == self.new:
            what = f"occurs {text.count(self.old)} times in {self.file}: {self.old!r}"
            raise ValueError(what)
        text = text.replace(self.old, self.new)
        compile(text, self.file, "exec")
        return text


def read_table() -> tuple[Sabotage, ...]:
    """All sabotages, in their order."""
    written = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return tuple(Sabotage(**entry) for entry in written["sabotage"])


def faults(top: Path) -> list[str]:
    """The faults that docs/reliability.md promises to bear, as its rows name them."""
    rows = re.findall(
        r"^\| (.+?) \| .+ \| .+ \|$", (top / RELIABILITY).read_text("utf-8"), re.MULTILINE
    )
    return [fault for fault in rows if fault != "Fault"]


def problems(top: Path, table: Sequence[Sabotage]) -> Iterator[str]:
    """What is wrong with the table as it is written."""
    known = faults(top)
    for one in table:
        if len(_meant(one, known)) != 1:
            yield f"no row, or several, of {RELIABILITY}: {one.fault}"
        try:
            one.edited(top)
        except (ValueError, OSError, SyntaxError) as error:
            yield str(error)
        if not _is_there(top, one.test):
            yield f"no such test: {one.test}"
    sabotaged = {fault for one in table for fault in _meant(one, known)}
    for fault in known:
        if fault not in sabotaged:
            yield f"nothing sabotages: {fault}"


def _meant(one: Sabotage, known: Sequence[str]) -> list[str]:
    return [fault for fault in known if fault.startswith(one.fault)]


def _is_there(top: Path, test: str) -> bool:
    file, *names = test.partition("[")[0].split("::")
    if not (top / file).is_file():
        return False
    within: list[ast.AST] = [ast.parse((top / file).read_text(encoding="utf-8"))]
    for name in names:
        inner = (it for one in within for it in ast.iter_child_nodes(one))
        within = [it for it in inner if isinstance(it, _NAMED) and it.name == name]
    return bool(within)
