"""Whether the attention kernel of the settings is on this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from daemon.commands.finding import Finding, problem

# How the names of kernels begin that torch alone does not bring, and the module that does.
_MODULES = {
    "flash": "flash_attn",
    "_flash_": "flash_attn_interface",
    "sage": "sageattention",
    "_sage_": "sageattention",
    "xformers": "xformers",
}


def look_at_attention(name: str) -> Iterator[Finding]:
    """Look for the package of a kernel, without importing it; nothing to say where it is there."""
    module = next((_MODULES[start] for start in _MODULES if name.startswith(start)), None)
    if module is not None and importlib.util.find_spec(module) is None:
        what = f"model.attention is {name}, and its package ({module}) is not installed"
        yield problem("model", what, "install it, or write native")
