from __future__ import annotations

from pipeline.qwen import offline

# Before any test module imports a model library.
offline.enforce()
