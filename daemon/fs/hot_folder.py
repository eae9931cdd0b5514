"""What makes a folder a hot folder: its areas and its marker."""

from __future__ import annotations

from pathlib import Path

from config.problems import Problem, UserError
from daemon.fs.safe_tree import SafeTree

SHOWN = ("inbox", "outbox", "review", "done", "failed", "logs")


def folder_id(root: Path) -> str:
    """The id of a hot folder; raises UserError where its marker is missing."""
    return id_in(SafeTree(root))


def id_in(tree: SafeTree) -> str:
    """The id of the hot folder of a tree; raises as `folder_id`."""
    root = tree.root
    try:
        return tree.read(root / ".hotfolder" / "id").decode("ascii", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        problem = Problem(
            str(root),
            "it is no hot folder, or its share is not mounted: .hotfolder/id is missing",
            f"run `hotfolder init {root}`, or mount the share",
        )
        raise UserError([problem]) from None


def make_hot_folder(root: Path, identity: str) -> bool:
    """Make the folders of a hot folder; False where it was one already."""
    root.mkdir(parents=True, exist_ok=True)
    tree = SafeTree(root)
    tree.make_home()
    for name in (*SHOWN, ".hotfolder/work", ".hotfolder/lease", ".hotfolder/filed"):
        tree.make_folder(root / name)
    marker = root / ".hotfolder" / "id"
    if tree.exists(marker):
        return False
    tree.write_whole(marker, f"{identity}\n".encode())
    return True
