"""Whether a network can be reached from here: tried out once, at the start."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from daemon.log.confining import NotConfined, OfflineVerified
from daemon.log.story import Event

# An address for documentation: nobody has it. To connect a datagram socket sends nothing.
_NOWHERE = ("192.0.2.1", 9)
_INTERFACES = Path("/proc/self/net/dev")
_LOOPBACK = "lo"


def look() -> Event:
    """Try to find a way to a network, and say what came of it."""
    return verdict(_refusal(), sorted(_interfaces()))


def verdict(refusal: int | None, interfaces: Iterable[str]) -> Event:
    """What an attempt, and the interfaces that there are, mean.

    `refusal` is the error of the attempt, None where a way was found.
    """
    if refusal in (errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES):
        return OfflineVerified(reason="no sockets but local ones may be made")
    outward = [name for name in interfaces if name != _LOOPBACK]
    if refusal is None:
        return NotConfined(reason="there is a route to other machines")
    if outward:
        return NotConfined(reason=f"there is a network interface, {', '.join(outward)}")
    return OfflineVerified(reason=f"there is no way out ({os.strerror(refusal)})")


def _refusal() -> int | None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as attempt:
            attempt.connect(_NOWHERE)
    except OSError as error:
        return error.errno
    return None


def _interfaces() -> Iterator[str]:
    with contextlib.suppress(OSError):
        for line in _INTERFACES.read_text().splitlines()[2:]:  # below two of headings
            yield line.partition(":")[0].strip()
