"""`hotfolder` with short terms: what takes a minute for people takes seconds in a test."""

import sys
from argparse import Namespace

from daemon import cli
from daemon.commands.run import run
from daemon.lease.campaign import Periods

PERIODS = Periods(refresh=0.3, act=1.5, look=0.1, take_over=4.0)


def main() -> int:
    """Run one command line; a daemon takes over from one that is silent for four seconds."""
    arguments = cli.parser().parse_args()
    if arguments.command is cli._run:
        arguments.command = _run
    code: int = arguments.command(arguments)
    return code


def _run(arguments: Namespace) -> int:
    return run(arguments, periods=PERIODS)


if __name__ == "__main__":
    sys.exit(main())
