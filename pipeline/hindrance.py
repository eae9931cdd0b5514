"""What the machine does wrong while a picture is worked on: a full disk, one that fails."""

from __future__ import annotations

import errno

from pipeline.editor import EditError, Failure

# A full, failing or read-only disk, scratch that somebody emptied, too many open files.
_OF_THE_MACHINE = frozenset(
    (
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE),
        *(errno.ENOENT, errno.EACCES, errno.EMFILE, errno.ENFILE),
    )
)
ADVICE = "Make room on that disk, or mend it."


def is_of_the_machine(error: OSError) -> bool:
    """Whether no picture is to blame."""
    return error.errno in _OF_THE_MACHINE


def words(error: OSError) -> str:
    """What cannot be done, and where."""
    where = f"{error.filename}: " if error.filename else ""
    return f"Local scratch cannot be used ({where}{error.strerror})."


def hindered(error: OSError) -> EditError:
    """The EditError for an error of the machine."""
    return EditError(words(error), ADVICE, Failure.ENVIRONMENT)
