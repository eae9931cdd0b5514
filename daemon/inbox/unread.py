"""What instructions ask for that nobody has read yet: a reference that one of them names stays."""

from __future__ import annotations

import os
from collections.abc import Iterator

from daemon.fs.names import Kind, kind_of
from daemon.fs.safe_tree import SafeTree
from daemon.job import Candidate, Plan, State

_NOT_READ = frozenset((State.SEEN, State.SETTLING))


def wanted_by_unread(tree: SafeTree, plan: Plan, candidate: Candidate) -> frozenset[str]:
    """The candidate's references and mask that a newer instruction beside it names, by its bytes.

    Such an instruction rests still, or came after the scan; in the plan nobody needs them.
    """
    if not candidate.companions:
        return frozenset()
    texts = list(_unread(tree, plan, candidate))
    names = {it.path: os.fsencode(it.path.rpartition("/")[2]) for it in candidate.companions}
    return frozenset(path for path, name in names.items() if any(name in it for it in texts))


def _unread(tree: SafeTree, plan: Plan, candidate: Candidate) -> Iterator[bytes]:
    read = {it.path for it in plan.states if it.state not in _NOT_READ}
    below = candidate.image.folder
    try:
        names = tree.names(tree.root / "inbox" / below)
    except (FileNotFoundError, NotADirectoryError):
        return  # the claim finds that out
    for name in names:
        path = f"{below}/{name}" if below else name
        if kind_of(name) is Kind.SIDECAR and path not in read:
            try:
                yield tree.read(tree.root / "inbox" / path)
            except OSError:
                continue  # it says so itself when its turn comes
