"""The switches that keep the model libraries off the network."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import MutableMapping
from pathlib import Path

SWITCHES = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_XET": "1",
    "DO_NOT_TRACK": "1",
    "DIFFUSERS_DISABLE_REMOTE_CODE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # Some kernels would be fetched; the settings choose among the others.
    "DIFFUSERS_ATTN_BACKEND": "native",
}
_READS_THEM_AT_IMPORT = ("huggingface_hub", "transformers", "diffusers")


def enforce(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set every switch, and a cache of our own, where nothing that others fetched is found.

    Raises RuntimeError if it comes too late: a library that reads the switches when it is
    imported is there already, and was not told.
    """
    told = all(environment.get(name) == value for name, value in SWITCHES.items())
    too_late = [name for name in _READS_THEM_AT_IMPORT if name in sys.modules]
    if too_late and not told:
        message = f"set the offline switches before importing {', '.join(too_late)}"
        raise RuntimeError(message)
    environment.update(SWITCHES)
    # urllib3, when it is imported, would bind a socket to find out whether there is IPv6.
    socket.has_ipv6 = False
    environment["HF_HOME"] = str(_cache(environment) / "huggingface")


def _cache(environment: MutableMapping[str, str]) -> Path:
    if managed := environment.get("CACHE_DIRECTORY"):  # set by systemd
        return Path(managed)
    if base := environment.get("XDG_CACHE_HOME"):
        return Path(base) / "hotfolder"
    return Path(environment.get("HOME", "/nonexistent")) / ".cache" / "hotfolder"
