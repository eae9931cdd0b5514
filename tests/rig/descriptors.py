"""What this process holds open."""

from pathlib import Path


def descriptors_below(folder: Path) -> list[Path]:
    """Where the descriptors of this process below a folder lead."""
    links = Path("/proc/self/fd").iterdir()
    there = [link.readlink() for link in links if link.is_symlink()]
    return [it for it in there if it.is_relative_to(folder)]
