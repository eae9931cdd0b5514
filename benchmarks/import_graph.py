"""What imports what, as the text says it: imports inside functions count like all others."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

Graph = dict[str, frozenset[str]]


def module_paths(tree: Path, package: str) -> dict[str, Path]:
    """The modules of a package below `tree`, by their dotted names."""
    return {_name(path.relative_to(tree)): path for path in sorted((tree / package).rglob("*.py"))}


def import_graph(modules: Mapping[str, Path]) -> Graph:
    """The modules among these that each of them imports."""
    return {name: frozenset(_imported(path, modules)) - {name} for name, path in modules.items()}


def grouped(graph: Graph, group: Mapping[str, str]) -> Graph:
    """The same imports between groups of modules; `group` names that of each module."""
    groups = sorted({group[name] for name in graph})
    return {
        one: frozenset(
            group[target] for name in graph if group[name] == one for target in graph[name]
        )
        - {one}
        for one in groups
    }


def reachable(graph: Graph, start: str) -> set[str]:
    """All that `start` imports, and what that imports, and so on."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        fresh = graph[ahead.pop()] - found
        found |= fresh
        ahead += fresh
    return found


def circles(graph: Graph) -> list[list[str]]:
    """The sets of modules in which each imports each other by some way, the largest first."""
    reach = {name: reachable(graph, name) for name in graph}
    found = {
        tuple(sorted(other for other in reach[name] if name in reach[other]))
        for name in graph
        if name in reach[name]
    }
    return sorted(map(list, found), key=lambda names: (-len(names), names))


def mutual(graph: Graph) -> list[tuple[str, str]]:
    """The pairs that import each other."""
    return sorted(
        (one, other)
        for one, targets in graph.items()
        for other in targets
        if one < other and one in graph[other]
    )


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, modules: Container[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                # `from daemon import cli` names a module, `from daemon.cli import main` does not.
                whole = f"{node.module}.{alias.name}"
                name = whole if whole in modules else str(node.module)
                if name in modules:
                    yield name
