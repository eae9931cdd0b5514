"""`hotfolder` with little patience: half a minute of silence for people is a second in a test."""

import sys

from daemon import cli
from daemon.app import Internals
from daemon.commands.run import run
from daemon.fs.blocking import StallTimeouts

INTERNALS = Internals(stall_timeouts=StallTimeouts(silent_seconds=1.0, offline_seconds=1.0))


def main() -> int:
    """Run one command line; `run` takes a share that answers nothing for a second as away."""
    arguments = cli.parser().parse_args()
    return run(arguments, INTERNALS) if arguments.command == "run:run" else cli.main()


if __name__ == "__main__":
    sys.exit(main())
