"""A night at a NAS: both of its servers die and come back while files arrive and results leave.

It runs in the machine of machine.sh. Exit code 0: every job was done once. What was seen is told
on stdout.
"""

import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Daemon, HotFolder
from rig.crowd import PROMPT, fill

_WAVES = 3
_PAIRS = 4  # of each wave on each share
_PATIENCE_SECONDS = 400.0  # everything takes twenty times as long there
_AWAY_SECONDS = 25.0
_TEXT = "this is the whole of what somebody wrote slowly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One share: where it is mounted, where its server keeps it, how that is ended and begun."""

    name: str
    near: Path
    far: HotFolder
    end: str
    begin: str


def say(text: str) -> None:
    """Tell what was seen, with the second of the machine's life."""
    print(f"{time.monotonic():7.1f} {text}", flush=True)


def pause(seconds: float) -> None:
    """Let the others work."""
    time.sleep(seconds)  # noqa: TID251 - a night has its length


def until(what: str, condition: Callable[[], object]) -> None:
    """Wait until something is so, and tell it."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        pause(0.5)
    say(what)


def run(command: str) -> None:
    """Run a command of the shell."""
    subprocess.run(["bash", "-c", command], check=True, timeout=120)


def shares(base: HotFolder) -> Iterator[Share]:
    """Both, with a hot folder on each."""
    for name, far, end, begin in (
        ("nfs", "/srv/nas", "rpc.nfsd 0", "rpc.nfsd 4"),
        ("smb", "/srv/smb", "pkill -KILL -x smbd", "smbd -D"),
    ):
        hot = copy.copy(base)
        hot.root = Path(far)
        hot.inbox, hot.outbox = hot.root / "inbox", hot.root / "outbox"
        hot.make()
        yield Share(name=name, near=Path("/mnt") / name, far=hot, end=end, begin=begin)


class Night:
    """One daemon on both shares."""

    def __init__(self, base: Path) -> None:
        self.home = HotFolder(base)
        self.shares = tuple(shares(self.home))
        self.sent: dict[str, dict[str, str]] = {share.name: {} for share in self.shares}
        # Its disks are memory, and small.
        roots = [{"root": str(it.near), "min_free_gib": 0.1} for it in self.shares]
        self.home.settings.write_text(json.dumps({"folders": roots}))
        self.daemon = Daemon(self.home, "--editor", "echo")

    def drop(self, wave: int) -> None:
        """Drop pairs on each share, half of them as other machines do, half of them through us."""
        for share in self.shares:
            for way, inbox in (("far", share.far.inbox), ("near", share.near / "inbox")):
                self._drop(share, inbox, f"{way}{wave}")

    def _drop(self, share: Share, inbox: Path, folder: str) -> None:
        sent = fill(inbox / folder, _PAIRS // 2, 48)
        self.sent[share.name] |= {f"{folder}/{name}": sha256 for name, sha256 in sent.items()}

    def drop_far(self, wave: int) -> None:
        """Drop pairs at the servers alone, which may be dead."""
        for share in self.shares:
            self._drop(share, share.far.inbox, f"dead{wave}")

    def write_slowly(self) -> None:
        """Let a text grow at each server, never resting for as long as files have to."""
        for share in self.shares:
            sent = fill(share.far.inbox / "slow", 1, 48)
            (share.far.inbox / "slow" / "picture 0.yaml").unlink()
            self.sent[share.name] |= {f"slow/{name}": sha256 for name, sha256 in sent.items()}
        for word in _TEXT.split():
            for share in self.shares:
                with (share.far.inbox / "slow" / "picture 0.txt").open("a") as file:
                    file.write(f"{word} ")
            pause(1.5)

    def receipts(self, share: Share) -> dict[str, Any]:
        """All receipts, by their results."""
        paths = share.far.outbox.rglob("*.json")
        names = (str(it.relative_to(share.far.outbox)).removesuffix(".json") for it in paths)
        return {name: share.far.receipt(name) for name in names}

    def count(self) -> str:
        """How many results there are."""
        return ", ".join(
            f"{share.name} {len(self.receipts(share))} of {len(self.sent[share.name])}"
            for share in self.shares
        )

    def is_done(self) -> bool:
        """Whether nothing is left to do anywhere."""
        self.daemon.said("")
        return all(
            len(self.receipts(share)) >= len(self.sent[share.name])
            and not share.far.files("inbox")
            and not share.far.files(".hotfolder/work")
            for share in self.shares
        )

    def told(self, *words: str) -> int:
        """How many lines have these words."""
        self.daemon.said("")
        return sum(all(word in line for word in words) for line in self.daemon.lines)

    def outages(self, share: Share) -> int:
        """How often the daemon has said that a share is away."""
        return self.told("action=folder_offline", f"root={share.near}")

    def wrong(self) -> Iterator[str]:
        """What is not as it should be in the morning."""
        for share in self.shares:
            receipts = self.receipts(share)
            results = {file for name in receipts for file in (name, f"{name}.json")}
            if share.far.files("outbox") != results:
                yield f"{share.name}: in the outbox lies {share.far.files('outbox') ^ results}"
            if failed := share.far.files("failed"):
                yield f"{share.name}: failed are {failed}"
            yield from self._wrong_receipts(share, receipts)
        originals = sum(len(share.far.files("done")) for share in self.shares)
        sent = sum(len(names) for names in self.sent.values())
        if originals != 2 * sent:
            yield f"{originals} originals lie in done/, {2 * sent} were sent"

    def _wrong_receipts(self, share: Share, receipts: Mapping[str, Any]) -> Iterator[str]:
        hashes = {name: it["input"]["sha256"] for name, it in receipts.items()}
        if hashes != self.sent[share.name]:
            yield f"{share.name}: edited were {hashes}, not {self.sent[share.name]}"
        for name, receipt in receipts.items():
            said = receipt["recipe"]["prompt"].strip()
            if said != (_TEXT if name.startswith("slow/") else PROMPT):
                yield f"{share.name}: {name} was edited by '{said}'"
            if receipt["attempts"] != 1:
                say(f"{share.name}: {name} took {receipt['attempts']} attempts")


def main() -> int:
    """Live through the night; returns the exit code."""
    night = Night(Path("/var/tmp/night"))
    try:
        problems = [*live(night)]
    except TimeoutError as error:
        problems = [f"waited in vain until {error}"]
    for line in night.daemon.lines:
        if any(it in line for it in ("folder_", "level=error", "level=warning")):
            say(line.strip())
    if code := night.daemon.stop():
        problems.append(f"the daemon ended with {code}")
    for problem in problems:
        say(f"WRONG: {problem}")
    return 1 if problems else 0


def live(night: Night) -> Iterator[str]:
    """All waves, one after the other; gives what is wrong in the end."""
    until("the editor is ready", lambda: night.daemon.said("action=editor_ready"))
    for wave in range(_WAVES):
        live_through(night, wave)
    night.write_slowly()
    until("all is done", night.is_done)
    edits = night.told("action=job_running")
    say(f"{night.count()}; {edits} edits")
    yield from night.wrong()


def live_through(night: Night, wave: int) -> None:
    """Drop files, kill both servers in the middle of the work, and let them come back."""
    before = {share.name: len(night.receipts(share)) for share in night.shares}
    away = {it.name: night.outages(it) for it in night.shares}
    night.drop(wave)
    until(
        f"results of wave {wave} appear",
        lambda: all(len(night.receipts(it)) > before[it.name] for it in night.shares),
    )
    for share in night.shares:
        run(share.end)
    say(f"both servers are dead; {night.count()}")
    night.drop_far(wave)
    pause(_AWAY_SECONDS)
    until(
        "both shares are offline",
        lambda: all(night.outages(it) > away[it.name] for it in night.shares),
    )
    status = night.home.call("status")
    say(f"status answers: {status.stdout.splitlines()[:1]}")
    for share in night.shares:
        run(share.begin)
    say("both servers are back")
    until("all of it is done", night.is_done)


if __name__ == "__main__":
    sys.exit(main())
