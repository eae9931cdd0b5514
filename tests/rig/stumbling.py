"""`hotfolder` with a fault of its own: one of its threads raises what nobody expects."""

import os
import sys
import threading

from rig import impatient

_AT = os.environ.get("STUMBLES_AT", "os.scandir").split()  # an event, and perhaps a name
_LEFT = [int(os.environ["STUMBLES"])]  # how often it is still to happen


def _stumble(event: str, arguments: tuple[object, ...]) -> None:
    is_there = threading.current_thread().name.startswith(os.environ["STUMBLES_IN"])
    is_it = event == _AT[0] and _AT[1:] in ([], [*map(str, arguments[:1])])
    if is_it and is_there and _LEFT[0]:
        _LEFT[0] -= 1
        message = "it stumbled"
        raise LookupError(message)


if __name__ == "__main__":
    sys.addaudithook(_stumble)
    sys.exit(impatient.main())
