"""How a hot folder is watched: what its file system asks for, where the settings leave it open."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import FolderSettings, Watch
from daemon.inbox.mounts import Mount, look
from daemon.inbox.settling import Rules

_LOCAL_SETTLE_SECONDS = 2.0
# Longer than an NFS client believes its attribute cache (acregmin 3 s): there a growing file's
# size seems to rest.
_SHARE_SETTLE_SECONDS = 10.0
_POLL_BESIDE_EVENTS_SECONDS = 30.0
_POLL_ALONE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How one hot folder is watched."""

    watch: Watch  # EVENTS or POLL
    why: str  # "ext4 is a local disk"
    is_share: bool
    settle_seconds: float
    poll_seconds: float


def manner_of(folder: FolderSettings) -> Manner:
    """Ask the file system of a hot folder; touches it."""
    return choose(folder, look(folder.root))


def choose(folder: FolderSettings, mount: Mount | None) -> Manner:
    """The settings' manner, and the file system's where they say auto; an unknown one polls."""
    is_share = mount is None or mount.is_share
    kind = "an unknown file system" if mount is None else mount.type
    why = f"{kind} is {'a share' if is_share else 'a local disk'}"
    match folder.watch:
        case Watch.AUTO:
            watch = Watch.POLL if is_share else Watch.EVENTS
        case chosen:
            watch, why = chosen, "the settings say so"
    poll = _POLL_ALONE_SECONDS if watch is Watch.POLL else _POLL_BESIDE_EVENTS_SECONDS
    settle = _SHARE_SETTLE_SECONDS if is_share else _LOCAL_SETTLE_SECONDS
    return Manner(
        watch=watch,
        why=why,
        is_share=is_share,
        settle_seconds=settle if folder.settle_seconds is None else folder.settle_seconds,
        poll_seconds=poll if folder.poll_seconds is None else folder.poll_seconds,
    )


def rules_of(folder: FolderSettings, manner: Manner, *, final: bool) -> Rules:
    """The rules by which the inbox is planned; `final`: what has settled will not change."""
    return Rules(
        settle_seconds=manner.settle_seconds,
        settle_max_seconds=folder.settle_max_seconds,
        sidecar_wait_seconds=folder.sidecar_wait_hours * 3600,
        sidecar_grace_seconds=folder.sidecar_grace_seconds,
        final=final,
    )
