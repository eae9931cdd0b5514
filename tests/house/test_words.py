"""What people read uses one word for one thing: those of docs/words.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings_file import SHIPPED_FILE
from daemon.job import FolderState, State

TOP = Path(__file__).parents[2]
CATALOG = TOP / "systemd" / "hotfolder.catalog"
MODULES = sorted(
    it for top in ("config", "pipeline", "daemon") for it in (TOP / top).rglob("*.py")
)
WORDS = (TOP / "docs" / "words.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?P<words>[^|]+) \| [^|]+ \|(?: (?P<instead>[^|]*) ?\|)?$", re.MULTILINE)

# Words that are not ours, by what is ours.
FOREIGN = {
    "instruction": r"side-?cars?\b",
    "picture": r"\b(?<!-)images?\b(?!-)",
    "ignored, or do not change it": r"\b(left|leave it|leave them) alone\b",
    "works on": r"\b(leads|led|leaders?)\b|\bserve[sd]?\b",
    "paused, or tried again": r"\b(?<!the )rest(s|ed|ing)?\b",
    "claimed, counts as, removed, or works on": r"\b(taken|takes over)\b",
    "originals, records": r"\bpapers?\b",
}
# What these words may stand in: words of the contract, of formats and of others.
CONTRACT = re.compile(r"waiting-sidecar|sidecar_\w+|'images'|image token|taken as it lies")
THE_MODELS = ("pipeline/tiny_model.py",)  # the model's own words, for a tokenizer and a template


def sentences(module: Path) -> Iterator[tuple[int, str]]:
    """The texts of more than one word, with {} for what is filled in; no docstrings."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    seen: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant() as text):
                seen.add(id(text))
            case ast.JoinedStr(values=values):
                seen.update(map(id, values))
                whole = "".join(
                    str(it.value) if isinstance(it, ast.Constant) else "{}" for it in values
                )
                yield node.lineno, whole
            case ast.Constant(value=str(whole)) if id(node) not in seen:
                yield node.lineno, whole
            case _:
                pass


def foreign(text: str) -> list[str]:
    """What to write instead of each word in a text that is not ours."""
    ours = CONTRACT.sub("", text)
    return [word for word, pattern in FOREIGN.items() if re.search(pattern, ours, re.IGNORECASE)]


@pytest.mark.parametrize("top", ["config", "pipeline", "daemon"])
def test_every_sentence_of_the_program_uses_our_words(top: str) -> None:
    found = [
        f"{name}:{line}: {text!r}: {' '.join(words)}"
        for module in MODULES
        if (name := str(module.relative_to(TOP))).startswith(f"{top}/") and name not in THE_MODELS
        for line, text in sentences(module)
        if " " in text and (words := foreign(text))
    ]
    assert found == []


@pytest.mark.parametrize("text", [CATALOG, SHIPPED_FILE], ids=["catalog", "settings"])
def test_the_catalog_of_the_journal_and_the_shipped_settings_use_our_words(text: Path) -> None:
    lines = text.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if foreign(line)] == []


@pytest.mark.parametrize(
    "text",
    [
        *("another sidecar", "its image", "it is left alone", "process 7 on nas leads"),
        *("a daemon serves it", "the hot folder rests", "cat.png was taken from the inbox"),
    ],
)
def test_a_word_that_is_not_ours_is_noticed(text: str) -> None:
    assert foreign(text)


def test_the_list_has_every_state() -> None:
    rows = {word for row in ROW.finditer(WORDS) for word in re.findall(r"`([^`]+)`", row["words"])}
    assert rows == {*State, *FolderState}
