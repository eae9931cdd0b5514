"""What a job is given when it is claimed: its id, its seed, its times."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from daemon.spool import Ticket

_SEED_BITS = 31  # short enough to be copied by hand from a receipt into a sidecar


def draw(unix_now: float, *, waited_seconds: float) -> Ticket:
    """A ticket for a job whose image was first seen `waited_seconds` ago; ids sort by time."""
    moment = datetime.fromtimestamp(unix_now, UTC).astimezone()
    return Ticket(
        job_id=f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
        drawn_seed=secrets.randbits(_SEED_BITS),
        arrived_at=unix_now - max(0.0, waited_seconds),
        claimed_at=unix_now,
    )
