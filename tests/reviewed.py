"""Results with their receipts and previews, as a daemon publishes them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from sample import RECIPE

RESULT, PREVIEW = b"the result", b"the preview"


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def add_result(
    root: Path,
    path: str,
    *,
    content: bytes = RESULT,
    preview: bool = True,
    receipt: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Put a result at a path relative to the root, with further keys of its receipt."""
    result = root / path
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_bytes(content)
    whole: Mapping[str, object] = {
        "schema": 1,
        "job_id": "20261122-120000-aaaaaaaa",
        "status": "review" if path.startswith("review/") else "done",
        "input": {"name": "cat.png", "sha256": sha256_of(b"the picture"), "width": 9, "height": 9},
        "output": {"name": result.name, "sha256": sha256_of(content), "width": 9, "height": 9},
        "recipe": {**RECIPE.as_json(), "variants": 1},
        **receipt,
    }
    if preview:
        beside = result.with_name(f"{result.name}.preview.jpg")
        beside.write_bytes(PREVIEW)
        shown = {"name": beside.name, "sha256": sha256_of(PREVIEW)}
        whole = {**whole, "preview": shown}
    result.with_name(f"{result.name}.json").write_text(json.dumps(whole))
