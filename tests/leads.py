"""The lease of a daemon that is not there: on another machine, or ended."""

import json
from pathlib import Path

from daemon.lease import owner
from daemon.lease.owner import LeaseRecord


def lead_from_afar(root: Path, counter: int = 41, **facts: object) -> None:
    """Write the lease of a daemon on another machine; `facts` change what it says."""
    mine = LeaseRecord(owner=owner.this_process("x"), counter=0, is_released=False)
    said = json.loads(mine.text()) | {"counter": counter, "host": "nas1", "pid": 4711}
    said |= {"machine_id": "another", "boot_id": "another", **facts}
    folder = root / ".hotfolder/lease/00000007"
    folder.mkdir(exist_ok=True)
    (folder / "new").write_text(json.dumps(said))
    (folder / "new").replace(folder / "owner.json")
