"""The documents tell the truth: what they list is all there is, and their examples work."""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from config.instruction_keys import read_preset
from config.settings import Limits, Lora, Settings
from config.settings_file import read_settings
from daemon.cli import parser
from daemon.commands import ExitCode
from daemon.events import events, job_events
from daemon.fs.names import Kind, kind_of
from daemon.jobs import failures
from pipeline import checkpoint, instruction, recipe

TOP = Path(__file__).parents[2]
KEY_DOCUMENTS = TOP / "scripts" / "write_key_documents.py"
DOCUMENTS = [
    TOP / "README.md",
    TOP / "CHANGELOG.md",
    TOP / "hotfolder_example" / "README.md",
    TOP / "models" / "small" / "README.md",
    TOP / "training" / "README.md",
    *sorted((TOP / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"```yaml\n# (?P<name>\S+)\n(?P<text>.*?)```", re.DOTALL)
CELL = re.compile(r"(?<!\\)\|")
MODULE = re.compile(
    r"`((?:config|pipeline|daemon|training|tests|benchmarks|docs|scripts|systemd)/[^`\s]*)`"
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
DRAWN_SEED = 0
PAIRS = TOP / "docs" / "pairs"
PAIR = re.compile(r"```yaml\n([^`]*)```\n\n!\[[^]]*\]\(pairs/([^)]*)\)")


def page(name: str) -> str:
    """The text of a page below docs/."""
    return (TOP / "docs" / f"{name}.md").read_text(encoding="utf-8")


def rows(name: str) -> Iterator[list[str]]:
    """The cells of every row of the tables of a page."""
    for line in page(name).splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in CELL.split(line)[1:-1]]


def described(name: str) -> dict[str, list[str]]:
    """The rows of a page by the code words in their first cells."""
    return {word: row for row in rows(name) for word in re.findall(r"`([^`]+)`", row[0])}


def blocks() -> list[tuple[str, bytes]]:
    """The YAML examples of all documents, each with the file name in its first line."""
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS]
    found = [(it["name"], it["text"].encode()) for text in texts for it in BLOCK.finditer(text)]
    expected = sum(text.count("```yaml") for text in texts)
    assert len(found) == expected, "an example does not say what file it is"
    return sorted({*found})


def example_settings() -> Settings:
    """The settings that a page shows."""
    (content,) = (text for name, text in blocks() if name == "hotfolder.yaml")
    return read_settings(content, "settings.md")


SIDECARS = [it for it in blocks() if kind_of(it[0]) is Kind.SIDECAR and it[0] != "hotfolder.yaml"]
PRESETS = [it for it in blocks() if kind_of(it[0]) is Kind.PRESET]


def test_what_is_said_of_the_keys_is_what_the_code_says() -> None:
    subprocess.run([sys.executable, KEY_DOCUMENTS, "--check"], check=True)


def test_the_defaults_of_an_instruction_are_true() -> None:
    resolved = recipe.resolve(
        instruction.parse(b"prompt: Make it blue", "photo.yaml"),
        folder_presets=(),
        rules=recipe.RecipeRules(
            presets={}, loras={}, limits=Limits(), defaults=recipe.Defaults()
        ),
        drawn_seed=DRAWN_SEED,
    ).recipe.as_json()
    for key, row in described("instructions").items():
        for default in re.findall(r"`([\d.a-z]+)`", row[3]):
            assert default == str(resolved[key]), f"the default of {key}"


def test_what_a_listed_setting_holds_is_described() -> None:
    told = described("settings")
    assert all(f"`{key.name}`" in told["model.loras"][1] for key in fields(Lora))
    assert "`root`" in told["folders"][1]


@pytest.mark.parametrize(("name", "content"), SIDECARS)
def test_an_instruction_of_the_papers_makes_a_job(name: str, content: bytes) -> None:
    settings = example_settings()
    resolved = recipe.resolve(
        instruction.parse(content, name),
        folder_presets=(),
        rules=recipe.RecipeRules.of(settings, recipe.Defaults()),
        drawn_seed=DRAWN_SEED,
    )
    assert resolved.notes == ()


@pytest.mark.parametrize(("name", "content"), PRESETS)
def test_a_folder_preset_of_the_papers_is_one(name: str, content: bytes) -> None:
    assert read_preset(content, name).prompt


def test_the_settings_of_the_papers_load() -> None:
    settings = example_settings()
    assert settings.folders
    assert settings.presets
    assert settings.model.loras


def test_every_command_and_option_is_described() -> None:
    text = page("commands")
    (commands,) = (
        action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    assert len(commands.choices) == len(re.findall(r"^\| `hotfolder ", text, re.MULTILINE))
    for name, command in commands.choices.items():
        assert f"`hotfolder {name}" in text, name
        for word in command._option_string_actions:
            assert word in ("-h", "--help") or word in text, f"{name} {word}"
    for word in parser()._option_string_actions:
        assert word in ("-h", "--help") or word in text, word


def test_every_exit_code_is_described() -> None:
    codes = {word for word in described("commands") if word.isdecimal()}
    assert codes == {str(code.value) for code in ExitCode}


def test_the_waits_between_tries_are_true() -> None:
    assert "30 s, 2 min and 10 min" in page("failures")
    assert failures.WAIT_SECONDS == (30, 2 * 60, 10 * 60)


def test_every_dependency_has_its_reason() -> None:
    reasons = (TOP / "docs/decisions/009-dependencies.md").read_text(encoding="utf-8")
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    wanted += [requirement for extra in extras for requirement in extra]
    names = {re.split(r"[^\w.-]", requirement)[0] for requirement in wanted}
    assert set(re.findall(r"^\| `([^`]+)` \|", reasons, re.MULTILINE)) == names


def test_every_kind_of_record_in_the_journal_is_described() -> None:
    text = (TOP / "docs/operations.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([0-9a-f]{32})` \| `(\w+)` \|", text, re.MULTILINE)
    kinds = {
        (it.kind.message_id, action_of(name))
        for module in (events, job_events)
        for name, it in vars(module).items()
        if isinstance(it, type) and issubclass(it, events.DaemonEvent) and it.kind.message_id
    }
    assert kinds == set(told)


def action_of(class_name: str) -> str:
    """The name of a kind of event as the journal has it."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()


def test_the_decisions_are_numbered_without_a_gap() -> None:
    names = sorted(path.name for path in (TOP / "docs/decisions").iterdir())
    assert [name[:3] for name in names] == [f"{n:03}" for n in range(1, len(names) + 1)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_every_module_that_a_document_names_exists(path: Path) -> None:
    named = set(MODULE.findall(path.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not (TOP / name).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_every_link_of_a_document_leads_somewhere(path: Path) -> None:
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" not in link:
            target, _, fragment = link.partition("#")
            found = path.parent / target if target else path
            assert found.exists(), link
            assert not fragment or fragment in anchors(found), link


def test_every_page_is_reached_from_the_first() -> None:
    reached, found = set[Path](), {TOP / "README.md"}
    while found:
        path = found.pop()
        reached.add(path)
        links = LINK.findall(path.read_text(encoding="utf-8"))
        targets = {(path.parent / link.partition("#")[0]).resolve() for link in links}
        pages = {it for it in targets if it.suffix == ".md" and it.exists()}
        pages |= {page for it in targets if it.is_dir() for page in it.glob("*.md")}
        found |= pages - reached
    assert set(DOCUMENTS) - reached == set()


def test_the_first_page_is_one_page() -> None:
    assert len((TOP / "README.md").read_text(encoding="utf-8").splitlines()) <= 90


def test_the_pictures_of_the_pages_are_edits_of_the_small_model_as_it_is_shipped() -> None:
    pairs = json.loads((PAIRS / "pairs.json").read_text(encoding="utf-8"))
    assert set(pairs) == {path.name for path in PAIRS.glob("*.jpg")}
    assert sum(path.stat().st_size for path in PAIRS.iterdir()) < 400_000
    shipped = checkpoint.read(TOP / "models" / "small").fingerprint
    assert {it["model"]["fingerprint"] for it in pairs.values()} == {shipped}


def test_a_picture_of_the_pages_stands_below_the_very_words_that_made_it() -> None:
    pairs = json.loads((PAIRS / "pairs.json").read_text(encoding="utf-8"))
    shown = PAIR.findall((TOP / "docs" / "designers.md").read_text(encoding="utf-8"))
    assert len(shown) == len(pairs) == 10
    for written, picture in shown:
        made_by, asked = pairs[picture]["recipe"], read_preset(written.encode(), picture)
        assert asked.prompt == made_by["prompt"]
        assert [asked.mask, list(asked.images or ())] == [made_by["mask"], made_by["images"]]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {anchor(line) for line in text.splitlines() if line.startswith("#")}


def anchor(heading: str) -> str:
    """The anchor that a heading gets."""
    words = heading.lstrip("# ").lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
