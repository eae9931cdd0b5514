"""Measures what one job runs through in the daemon, and how the daemon's modules hang together.

Run it from the project's environment:

    .venv/bin/python benchmarks/job_path.py [--out FILE] [--tree DIR]

It takes about half a minute and writes below $TMPDIR only. `--tree` is another checkout, such as
the one before a change: its daemon runs, this script counts.

One 64x64 picture with a one-line sidecar lies in the inbox of a local hot folder with default
settings, and `run --once --editor echo` works it, under a profile function in every thread of the
daemon process. Counted is from the first scan of the inbox until the job is filed: from the first
call of `scan` in daemon/inbox/scan.py to the first return of a method `filed`. Child processes and
imports are not. How often a thread looks while it waits differs from run to run, so that calls and
moves do, a little: each count is the median of a few runs, with the least and the greatest.

- files: those in which a call entered a frame; functions: those with a name of their own
- calls: entries of frames of ours, a generator's each time that it goes on
- moves: calls whose nearest caller among our frames stands in another file
- deepest stack: of our own frames, without those of libraries between them
- a walk from the root: an opening of the hot folder's root by its path; a folder entered: one that
  is opened by its name in the one before, for which a share is asked
- from the claim on: from the first call of a method `claim` in a file spool.py
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# Before the folder of this file, where `import daemon` would find a file beside this one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine
from benchmarks.import_graph import circles, grouped, import_graph, module_paths, mutual

_TOP = Path(__file__).resolve().parents[1]
_OUT = _TOP / "benchmarks" / "results" / "job_path.json"
_PROFILE = Path(__file__).with_name("call_profile.py")
_RUNS = 5
_PACKAGE = "daemon"


def main() -> int:
    """Measure, show, write; returns the exit code."""
    arguments = _arguments()
    tree = arguments.tree.resolve()
    structure = _structure(tree)
    with tempfile.TemporaryDirectory(prefix="hotfolder-benchmark-") as base:
        samples = [_one_job(tree, Path(base) / str(number)) for number in range(_RUNS)]
        stamp = machine.measured(Path(base), tree)
    one_job = _summary(samples)
    document = {
        "schema": 1,
        "what": "one job's way through the daemon, by benchmarks/job_path.py",
        **stamp,
        "versions": machine.versions(),
        "runs": _RUNS,
        "one_job": one_job,
        "structure": structure,
    }
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    arguments.out.write_text(text, encoding="utf-8")
    print("\n".join(_lines(one_job, structure)))
    return 0


def _one_job(tree: Path, base: Path) -> dict[str, int]:
    """Work one job in a hot folder of its own, and count."""
    from PIL import Image

    root, counts = base / "hot", base / "counts.json"
    (base / "elsewhere").mkdir(parents=True)
    _call(tree, base, "-m", "daemon", "init", root)
    picture = root / "inbox" / "photo.png"
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(picture)
    picture.with_suffix(".yaml").write_text("prompt: Make it blue\n", encoding="utf-8")
    run = ("run", "--once", "--editor", "echo", "--root", root)
    _call(tree, base, _PROFILE, counts, tree, root, *run)
    assert (root / "outbox" / "photo.png").exists(), "the job has no result"
    found: dict[str, int] = json.loads(counts.read_text(encoding="utf-8"))
    return found


def _call(tree: Path, base: Path, *words: object) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "XDG_STATE_HOME": str(base / "state"),
        "XDG_CACHE_HOME": str(base / "cache"),
        "HOME": str(base),
        "NUM_STEPS": "2",
    }
    done = subprocess.run(
        [sys.executable, "-P", *map(str, words)],
        cwd=base / "elsewhere",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{words[0]} ended with exit code {done.returncode}:\n{done.stderr}")


def _summary(samples: Sequence[Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Each count over the runs; what a run did not have, a thread for one, was 0 there."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    columns = {name: [sample.get(name, 0) for sample in samples] for name in names}
    return {
        name: {
            "median": statistics.median_low(column),
            "least": min(column),
            "greatest": max(column),
        }
        for name, column in columns.items()
    }


def _structure(tree: Path) -> dict[str, object]:
    """What can be seen of the daemon's modules without running them."""
    modules = module_paths(tree, _PACKAGE)
    graph = import_graph(modules)
    folders = {name: path.parent.name for name, path in modules.items()}
    units = {
        name: path.stem if path.parent.name == _PACKAGE else path.parent.name
        for name, path in modules.items()
    }
    return {
        "lines": sum(path.read_text(encoding="utf-8").count("\n") for path in modules.values()),
        "files": len(modules),
        f"files flat in {_PACKAGE}/": sum(folder == _PACKAGE for folder in folders.values()),
        "import circles of modules": circles(graph),
        "import circles of packages and flat files": circles(grouped(graph, units)),
        "packages that import each other": mutual(grouped(graph, folders)),
        "packages and flat files that import each other": mutual(grouped(graph, units)),
        "widest constructors": dict(sorted(_constructors(modules), key=lambda it: -it[1])[:5]),
    }


def _constructors(modules: Mapping[str, Path]) -> Iterator[tuple[str, int]]:
    """Each written `__init__` and its arguments without self; dataclasses are values, and none."""
    for module, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                        given = method.args
                        count = len([*given.posonlyargs, *given.args, *given.kwonlyargs]) - 1
                        yield f"{module}.{node.name}", count


def _lines(
    one_job: Mapping[str, Mapping[str, int]], structure: Mapping[str, object]
) -> Iterator[str]:
    width = max(map(len, (*one_job, *structure)))
    for name, seen in one_job.items():
        spread = (
            "" if seen["least"] == seen["greatest"] else f"({seen['least']}-{seen['greatest']})"
        )
        yield f"{name.ljust(width)}  {seen['median']} {spread}".rstrip()
    yield ""
    for name, value in structure.items():
        yield f"{name.ljust(width)}  {_words(value)}"


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    if isinstance(value, list):
        groups = "; ".join(" ".join(group) for group in value)
        return f"{len(value)}: {groups}" if value else "none"
    return str(value)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=_OUT)
    parser.add_argument(
        "--tree", type=Path, default=_TOP, help="another checkout, to measure that one"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
