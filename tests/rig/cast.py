"""`hotfolder` with an editor and pixel workers that play parts, or that will not open."""

import os
import sys
from argparse import Namespace
from pathlib import Path

import scripted
from harness import Daemon

from config.problems import Problem
from daemon import cli
from daemon.app import Internals
from daemon.commands.run import run
from pipeline import ipc

LOCK = "locked"  # a file of this name in the home folder: the editor will not open
PROBLEM = Problem("/models/gone", "there is no model folder", "mount the disk")


class CastDaemon(Daemon):
    """The real daemon; its editor is a player."""

    module = "rig.cast"

    def __init__(self, *arguments: object, **environment: str) -> None:
        here = str(Path(__file__).parents[1])
        super().__init__(*arguments, PYTHONPATH=here, **environment)  # type: ignore[arg-type]


def main() -> int:
    """Run one command line, or be the editor of one."""
    if len(sys.argv) == 3 and sys.argv[1].isdecimal():
        _be_editor()
        return 0
    arguments = cli.parser().parse_args()
    arguments.command = _run
    code: int = arguments.command(arguments)
    return code


def _run(arguments: Namespace) -> int:
    if python := os.environ.get("PYTHON_OF_CHILDREN"):
        sys.executable = python
    return run(arguments, Internals(editor_module="rig.cast", pixel_module="rig.mortal"))


def _be_editor() -> None:
    if (Path(os.environ["HOME"]) / LOCK).exists():
        line = ipc.connect(sys.argv[1:], ipc.ToEditor)
        line.receive()
        line.send(ipc.Unusable((PROBLEM,)))
    else:
        scripted.main()


if __name__ == "__main__":
    sys.exit(main())
