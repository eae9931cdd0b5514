"""`hotfolder` with short terms: what takes a minute for people takes seconds in a test."""

import sys

from daemon import cli
from daemon.app import Internals
from daemon.commands.run import run
from daemon.lease.election import LeaseTimings

INTERNALS = Internals(lease=LeaseTimings(refresh=0.3, act=1.5, look=0.1, take_over=4.0))


def main() -> int:
    """Run one command line; a daemon takes over from one that is silent for four seconds."""
    arguments = cli.parser().parse_args()
    return run(arguments, INTERNALS) if arguments.command == "run:run" else cli.main()


if __name__ == "__main__":
    sys.exit(main())
