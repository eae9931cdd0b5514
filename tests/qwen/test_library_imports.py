"""What an edit does not use is not imported for it, installed or not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.checkpoint import EDIT_PLUS

INSTALLED = ("pandas", "peft", "scipy", "sklearn", "torchaudio", "torchvision")
NOT_NEEDED = {
    *INSTALLED,
    "diffusers.models.transformers.transformer_flux",
    "diffusers.models.unets.unet_2d_condition",
    "sympy",
    "torch._dynamo",
    "torch._inductor",
    "torch.distributed.tensor",
}

EDIT = """
import sys
from pathlib import Path
from config.settings import ModelSettings
from pipeline.editor import EditRequest
from pipeline.editor_worker import open_editor

model, image, result = map(Path, sys.argv[1:])
request = EditRequest(request_id="a", images=(image,), prompt="Make it red", negative_prompt=" ",
                      steps=1, cfg=4.0, seed=1, lora=None, result=result)
editor = open_editor("qwen", ModelSettings(path=model))
editor.edit([request], lambda event: frozenset())
assert result.exists()
print(*(name for name, module in sys.modules.items() if module is not None))
"""
# What has to be there when it is asked for, after all.
ASK = """
from diffusers.models.transformers import FluxTransformer2DModel
from diffusers.models.unets import UNet2DModel
import torch
torch._dynamo.config
compiled = torch.compile(torch.nn.Linear(2, 2), backend="eager")
assert compiled(torch.ones(1, 2)).shape == (1, 2)
assert torch._dynamo is sys.modules["torch._dynamo"]
assert torch._dynamo.eval_frame.OptimizedModule is type(compiled)
"""


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A folder of packages that are installed and cannot be imported with this torch."""
    folder = tmp_path / "packages"
    for name in INSTALLED:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise OSError('built for another torch')")
        facts = folder / f"{name}-9.9.dist-info" / "METADATA"
        facts.parent.mkdir()
        facts.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    return folder


def _run(code: str, *arguments: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_edit_imports_neither_the_compiler_nor_what_else_is_installed(
    tiny_models: dict[str, Path], canvas: Callable[..., Path], tmp_path: Path, crowded: Path
) -> None:
    arguments = (tiny_models[EDIT_PLUS], canvas(), tmp_path / "result.png")
    ended = _run(EDIT + ASK, *arguments, path=crowded)
    assert ended.returncode == 0, ended.stderr
    assert not NOT_NEEDED & set(ended.stdout.split())


def test_a_model_that_is_compiled_sees_torch_whole(tmp_path: Path) -> None:
    code = "import gc, sys\nfrom importlib.metadata import packages_distributions as real\n"
    code += "from pipeline.qwen import library_imports\n"
    code += "with library_imports.limited(compiles=True):\n"
    code += (
        "    print('torch._dynamo.config' in sys.modules, gc.isenabled(), sys.modules['peft'])\n"
    )
    code += "import importlib.metadata\n"
    code += "print(gc.isenabled(), importlib.metadata.packages_distributions is real)"
    assert _run(code, path=tmp_path).stdout.split() == ["True", "False", "None", "True", "True"]
