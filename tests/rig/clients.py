"""Programs that people copy pictures into an inbox with, each as a client that is in no hurry."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Command = Callable[[Path, Path], list[str]]
_SLOW_KIB = 400  # a second: files are on their way for longer than they have to rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One way to copy; `command` has the folder to copy from, and a new one in the inbox."""

    name: str
    needs: str  # program
    package: str  # of Debian
    command: Command

    @property
    def missing(self) -> str:
        """Why it cannot be tried here; "" where it can."""
        if shutil.which(self.needs):
            return ""
        return f"{self.needs} is missing (apt-get install {self.package})"


def _rsync(*options: str) -> Client:
    def command(source: Path, target: Path) -> list[str]:
        return ["rsync", "-r", f"--bwlimit={_SLOW_KIB}", *options, f"{source}/", f"{target}/"]

    return Client(
        name=" ".join(["rsync", *options]), needs="rsync", package="rsync", command=command
    )


def _plain(*words: str, package: str = "coreutils") -> Client:
    def command(source: Path, target: Path) -> list[str]:
        script = f'cd "$1" && for it in *; do {" ".join(words)} "$it" "$2"; done'
        return ["sh", "-ec", script, "sh", str(source), str(target)]

    return Client(name=" ".join(words), needs=words[0], package=package, command=command)


def _in_pieces() -> Client:
    # The file is closed between them: nobody but its own content says that there is more to come.
    piece = 'split -n 4 --filter=\'cat >> "$TO"; sleep 0.5\' "$it"'
    script = f'cd "$1"; cp *.yaml "$2"; for it in *.png; do TO="$2/$it" {piece}; done'

    def command(source: Path, target: Path) -> list[str]:
        return ["sh", "-ec", script, "sh", str(source), str(target)]

    return Client(name="cat >>, in pieces", needs="split", package="coreutils", command=command)


LOCAL = (
    _rsync(),
    _rsync("-a"),
    _rsync("-a", "--inplace"),
    _rsync("-a", "--inplace", "--preallocate"),
    _rsync("-a", "--delay-updates"),
    _rsync("-a", "--partial-dir=.rsync-partial"),
    _plain("cp"),
    _plain("cp", "-p"),
    _plain("mv"),
    _in_pieces(),
)
