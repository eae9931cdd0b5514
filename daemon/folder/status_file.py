"""DIR/STATUS.txt, for people who have only the share: seen whole or not at all, never input."""

from __future__ import annotations

import errno

from daemon.folder.messages import WriteStatus
from daemon.fs.errors import is_of_the_share, words_of
from daemon.fs.safe_tree import SafeTree
from daemon.spool.failed_jobs import FailedJobs

STATUS_FILE = "STATUS.txt"


class StatusFile:
    """Holds the newest text until it is written; no work depends on it."""

    def __init__(self, tree: SafeTree) -> None:
        """`tree` is that of the hot folder."""
        self._tree, self._failed_jobs = tree, FailedJobs(tree)
        self._wanted: WriteStatus | None = None
        self._is_tidy = False  # nothing that was killed half-way lies there
        self._reason = ""  # why it could not be written the last time

    def show(self, wanted: WriteStatus) -> None:
        """Have this text written next, in place of one that has not been."""
        self._wanted = wanted

    def forget(self) -> None:
        """Write nothing: it is another daemon's now."""
        self._wanted, self._is_tidy = None, False

    def write(self) -> str:
        """Write what is to be written; gives the reason where that cannot be, once.

        Raises OSError where the share is away.
        """
        if self._wanted is None:
            return ""
        try:
            if not self._is_tidy:
                self._tree.clear_temporaries(self._tree.root)
                self._is_tidy = True
            failed_jobs = self._failed_jobs.of_day(self._wanted.day)
            content = self._wanted.text(failed_jobs).encode("utf-8", "backslashreplace")
            self._tree.write_passing(self._tree.root / STATUS_FILE, content)
        except OSError as error:
            if is_of_the_share(error):
                raise
            reason = _reason(error, self._tree)
            is_news, self._reason = reason != self._reason, reason
            return reason if is_news else ""
        self._wanted, self._reason = None, ""
        return ""


def _reason(error: OSError, tree: SafeTree) -> str:
    advice = words_of(error, tree.root)[1]
    if error.errno == errno.EISDIR:
        advice = "give the folder of that name another one"
    return f"{STATUS_FILE}: {error.strerror or error}; {advice}"
