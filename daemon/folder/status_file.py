"""DIR/STATUS.txt, for people who have only the share: seen whole or not at all, never input."""

from __future__ import annotations

import errno

from daemon.fs.errors import is_of_the_share, words_of
from daemon.fs.safe_tree import SafeTree

STATUS_FILE = "STATUS.txt"


class StatusFile:
    """Holds the newest text until it is written; no work depends on it."""

    def __init__(self, tree: SafeTree) -> None:
        """`tree` is that of the hot folder."""
        self._tree = tree
        self._text: str | None = None  # to be written
        self._is_tidy = False  # nothing that was killed half-way lies there
        self._reason = ""  # why it could not be written the last time

    def show(self, text: str) -> None:
        """Have this text written next, in place of one that has not been."""
        self._text = text

    def forget(self) -> None:
        """Write nothing: it is another daemon's now."""
        self._text, self._is_tidy = None, False

    def write(self) -> str:
        """Write what is to be written; gives the reason where that cannot be, once.

        Raises OSError where the share is away.
        """
        if self._text is None:
            return ""
        try:
            if not self._is_tidy:
                self._tree.clear_temporaries(self._tree.root)
                self._is_tidy = True
            content = self._text.encode("utf-8", "backslashreplace")
            self._tree.write_passing(self._tree.root / STATUS_FILE, content)
        except OSError as error:
            if is_of_the_share(error):
                raise
            reason = _reason(error, self._tree)
            is_news, self._reason = reason != self._reason, reason
            return reason if is_news else ""
        self._text, self._reason = None, ""
        return ""


def _reason(error: OSError, tree: SafeTree) -> str:
    advice = words_of(error, tree.root)[1]
    if error.errno == errno.EISDIR:
        advice = "give the folder of that name another one"
    return f"{STATUS_FILE}: {error.strerror or error}; {advice}"
