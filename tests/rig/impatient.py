"""`hotfolder` with little patience: half a minute of silence for people is a second in a test."""

import sys
from argparse import Namespace

from daemon import cli
from daemon.commands.run import run
from daemon.pulse import Patience

PATIENCE = Patience(silent_seconds=1.0, offline_seconds=1.0)


def main() -> int:
    """Run one command line; `run` takes a share that answers nothing for a second as away."""
    arguments = cli.parser().parse_args()
    if arguments.command is cli._run:
        arguments.command = _run
    code: int = arguments.command(arguments)
    return code


def _run(arguments: Namespace) -> int:
    return run(arguments, patience=PATIENCE)


if __name__ == "__main__":
    sys.exit(main())
