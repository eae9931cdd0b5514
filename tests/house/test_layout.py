"""The rules of the house: imports point downwards, and the daemon stays light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path
from statistics import median

import pytest

from benchmarks.import_graph import Graph, circles, grouped, import_graph, module_paths

TOP = Path(__file__).parents[2]
ORDER = ("config", "pipeline", "daemon")
READ_LIKE_PACKAGES = (*ORDER, "training")
HEAVY = {"torch", "triton", "diffusers", "transformers", "accelerate", "safetensors"}
HEAVY_ALLOWED = ("pipeline/qwen/", "pipeline/tiny_model.py")
READ_AS_PROGRAMS = {"pickle", "marshal", "shelve", "multiprocessing"}
LIGHT_MODULES = (
    "daemon.cli",
    "daemon.commands.run",
    "daemon.commands.why",
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


def rule() -> list[list[str]]:
    """The packages of the daemon as its docstring lists them, from the top down."""
    text = ast.get_docstring(ast.parse((TOP / "daemon/__init__.py").read_text(encoding="utf-8")))
    _, _, rows = (text or "").partition("rows below its own")
    return [re.findall(r"\w+", row) for row in rows.splitlines()[2:]]


def daemon_graph() -> Graph:
    """What the packages of the daemon import of each other."""
    graph = import_graph(module_paths(TOP, "daemon"))
    packages = {name: ([*name.split("."), ""])[1] for name in graph}
    return grouped(graph, packages)


def test_packages_of_the_daemon_import_downwards() -> None:
    rows = {package: row for row, packages in enumerate(rule()) for package in packages}
    # The package itself has its version for all; `python -m daemon` starts the command line.
    graph = {one: targets - {""} for one, targets in daemon_graph().items() if one}
    assert sorted(rows) == sorted(set(graph) - {"__main__"})
    assert graph.pop("__main__") == {"cli"}
    upwards = [(one, it) for one in graph for it in graph[one] if rows[it] <= rows[one]]
    assert upwards == []


def test_the_rule_and_the_way_of_a_job_are_the_same_wherever_they_are_told() -> None:
    page = (TOP / "docs/architecture.md").read_text(encoding="utf-8")
    assert " > ".join(", ".join(row) for row in rule()) in page
    text = (TOP / "daemon/__init__.py").read_text(encoding="utf-8")
    way = [f"daemon/{it}.py" for it in re.findall(r"^    (\w+/\w+) ", text, re.MULTILINE)]
    told = re.findall(r"^\| \d+ \| `([^`]+)`", page, re.MULTILINE)
    assert way == told
    developers = (TOP / "docs/developers.md").read_text(encoding="utf-8")
    _, _, section = developers.partition("## The path of a job\n")
    section = section.partition("\n## ")[0]
    named = re.findall(r"`(daemon/[^`]+)`", section.partition("| Step |")[2])
    assert set(way) <= set(named)
    assert len(named) <= 16


@pytest.mark.parametrize("package", ORDER)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    assert circles(import_graph(module_paths(TOP, package))) == []


# Tests of the whole, or of what is no package of the program.
OF_THE_WHOLE = ("house/", "process/", "torture/", "training/", "rig/")
OF_THE_BED = {
    "test_bundle",
    "test_install",
    "test_others",
    "test_people",
    "test_service",
    "test_units",
}


def files_of_tests() -> Iterator[Path]:
    """Every file of tests that is about one module."""
    for test in sorted((TOP / "tests").rglob("test_*.py")):
        within = test.relative_to(TOP / "tests")
        is_of_systemd = within.parts[0] == "service" and test.stem in OF_THE_BED
        if not str(within).startswith(OF_THE_WHOLE) and not is_of_systemd:
            yield test


@pytest.mark.parametrize(
    "test", list(files_of_tests()), ids=lambda path: str(path.relative_to(TOP / "tests"))
)
def test_the_test_of_a_module_is_found_by_its_path(test: Path) -> None:
    folder = test.parent.name
    homes = {path.parent.name: path.parent for path in modules() if path.name == "__init__.py"}
    home = TOP / "daemon" if folder == "tests" else homes[folder]
    words = test.stem.removeprefix("test_").split("_")
    subjects = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
    assert any((home / f"{it}.py").exists() for it in subjects)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(TOP)))
def test_no_package_needs_the_training(path: Path) -> None:
    assert "training" not in set(imported(path))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(TOP)))
def test_nothing_is_read_that_may_run_a_program(path: Path) -> None:
    assert not READ_AS_PROGRAMS & set(imported(path))


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


LARGEST_CONSTRUCTOR, MEDIAN_CONSTRUCTOR = 6, 2


def constructors(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The objects that work with others, and how many things each is handed.

    Not the frozen dataclasses: they are records, and a record has as many fields as its subject.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            decorators = [ast.unparse(it) for it in node.decorator_list]
            if any("dataclass" in it and "frozen=True" not in it for it in decorators):
                yield node.name, sum(isinstance(it, ast.AnnAssign) for it in node.body)
            for it in node.body:
                if isinstance(it, ast.FunctionDef) and it.name == "__init__":
                    arguments = it.args
                    handed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
                    yield node.name, len(handed) - 1


def test_an_object_of_the_daemon_is_handed_few_others() -> None:
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in modules(["daemon"]))
    counts = {name: count for tree in trees for name, count in constructors(tree)}
    assert {it: count for it, count in counts.items() if count > LARGEST_CONSTRUCTOR} == {}
    assert median(counts.values()) <= MEDIAN_CONSTRUCTOR
