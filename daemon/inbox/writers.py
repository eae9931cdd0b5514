"""Whether somebody has a file open for writing: for a local disk, the kernel can tell."""

from __future__ import annotations

import errno
import fcntl
import signal


def has_writer(descriptor: int) -> bool:
    """Whether any process has this file open for writing, as far as we are told.

    The descriptor must be open for reading alone, the file on a local disk: of a share the kernel
    knows our own machine at most. Of files that are not ours only root is told; then False.
    """
    # A lease that is granted means that there is no writer; it is given back at once. Who opens
    # the file in between waits for that, and we get a signal: SIGIO, unless told otherwise, which
    # would end us.
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
