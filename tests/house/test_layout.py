"""The rules of the house: imports point downwards, and the daemon stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
ORDER = ("config", "pipeline", "daemon")
READ_LIKE_PACKAGES = (*ORDER, "training")
HEAVY = {"torch", "diffusers", "transformers", "accelerate", "safetensors"}
HEAVY_ALLOWED = ("pipeline/qwen/", "pipeline/tiny.py")
LIGHT_MODULES = (
    "daemon.cli",
    "daemon.commands.run",
    "daemon.commands.look",
    "daemon.commands.check",
)


def modules(packages: Sequence[str] = ORDER) -> list[Path]:
    """Every module of the packages."""
    return [path for package in packages for path in sorted((TOP / package).rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    """The top-level names of all packages that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(TOP)))
def test_imports_go_from_config_to_pipeline_to_daemon(path: Path) -> None:
    package = path.relative_to(TOP).parts[0]
    above = set(ORDER[ORDER.index(package) + 1 :])
    assert not above & set(imported(path))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(TOP)))
def test_no_package_needs_the_training(path: Path) -> None:
    assert "training" not in set(imported(path))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(TOP)))
def test_only_the_model_imports_torch(path: Path) -> None:
    if not str(path.relative_to(TOP)).startswith(HEAVY_ALLOWED):
        assert not HEAVY & set(imported(path))


@pytest.mark.parametrize(
    "path", modules(READ_LIKE_PACKAGES), ids=lambda path: str(path.relative_to(TOP))
)
def test_a_module_opens_with_its_sentence_and_fits_on_a_few_screens(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    first = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    assert first, f"{path} has no opening sentence"
    assert first[0].endswith((".", "!")), f"{path} opens with no sentence"
    assert text.count("\n") <= 500


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_the_daemon_loads_neither_torch_nor_pictures(module: str) -> None:
    code = f"import {module}, sys; print(*sys.modules)"
    words = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TOP
    ).stdout.split()
    assert not {"torch", "diffusers", "numpy", "PIL", "rich"} & set(words)


@pytest.mark.parametrize("package", ORDER)
def test_the_package_names_are_ours_alone(package: str) -> None:
    assert set(packages_distributions().get(package, ["hotfolder"])) == {"hotfolder"}
