"""What a file says, as ExifTool reads it: the reader that photographers trust."""

import json
import subprocess
from pathlib import Path
from typing import Any


def said(path: Path) -> dict[str, Any]:
    """All tags of a file by group and name: {"XMP-iptcExt:DigitalSourceType": …}."""
    command = ["exiftool", "-json", "-a", "-G1", "-struct", "-n", "-api", "LargeFileSupport=1"]
    done = subprocess.run([*command, path], capture_output=True, check=True)
    (tags,) = json.loads(done.stdout)
    assert not {key for key in tags if key.endswith((":Warning", ":Error"))}, tags
    return dict(tags)


def write(path: Path, *tags: str) -> None:
    """Write tags into a file, in place: `-XMP-dc:Creator=Ann`."""
    command = ["exiftool", "-q", "-overwrite_original", "-codedcharacterset=utf8"]
    subprocess.run([*command, *tags, path], check=True)
