"""Nothing is ever fetched: not by accident, not by a wrong path."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.problems import UserError
from config.settings import ModelSettings
from pipeline.checkpoint import EDIT_PLUS
from pipeline.qwen import offline
from pipeline.qwen.engine import open_editor as opening

# Loads and edits in a process in which every step towards the network ends it.
EDIT_WITHOUT_A_NETWORK = """
import os, sys
from pathlib import Path

def no_network(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        os.write(2, f"network: {event} {args}".encode())
        os._exit(7)

sys.addaudithook(no_network)
from pipeline.qwen import offline
offline.enforce()
from config.settings import ModelSettings
from pipeline.editor import EditRequest
from pipeline.qwen.engine import open_editor

model, image, result = map(Path, sys.argv[1:])
request = EditRequest(request_id="a", images=(image,), prompt="Make it red", negative_prompt=" ",
                      steps=1, cfg=4.0, seed=1, lora=None, result=result)
editor = open_editor(ModelSettings(path=model))
editor.edit([request], lambda event: frozenset())
editor.close()
assert result.exists()
assert "torchvision" not in sys.modules
"""


def _run(code: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    names = {*offline.SWITCHES, "HF_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-W", "error::UserWarning:pipeline", "-c", code]
    return subprocess.run(
        [*command, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_loading_and_editing_never_turn_to_the_network(
    tiny_models: dict[str, Path], canvas: Callable[..., Path], tmp_path: Path
) -> None:
    ended = _run(EDIT_WITHOUT_A_NETWORK, tiny_models[EDIT_PLUS], canvas(), tmp_path / "result.png")
    assert ended.returncode == 0, ended.stderr


def test_the_audit_would_notice_a_connection() -> None:
    code = EDIT_WITHOUT_A_NETWORK.partition("from pipeline.qwen")[0]
    code += "import socket; socket.getaddrinfo('localhost', 80)"
    assert _run(code).returncode == 7


def test_the_switches_are_set_and_the_cache_is_our_own(tmp_path: Path) -> None:
    environment = {"CACHE_DIRECTORY": str(tmp_path), **offline.SWITCHES}
    offline.enforce(environment)
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["HF_HOME"] == str(tmp_path / "huggingface")


@pytest.mark.parametrize(
    ("environment", "home"),
    [
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/hotfolder/huggingface"),
        ({"HOME": "/h"}, "/h/.cache/hotfolder/huggingface"),
    ],
)
def test_without_systemd_the_cache_is_the_users(environment: dict[str, str], home: str) -> None:
    environment |= offline.SWITCHES
    offline.enforce(environment)
    assert environment["HF_HOME"] == home


def test_switches_that_come_too_late_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="before importing"):
        offline.enforce({"HOME": "/h"})


def test_a_model_is_not_loaded_by_libraries_that_may_use_the_network(
    tiny_models: dict[str, Path],
) -> None:
    code = "import sys; from pathlib import Path; from config.settings import ModelSettings\n"
    code += "from pipeline.qwen.engine import open_editor\n"
    code += "open_editor(ModelSettings(path=Path(sys.argv[1])))"
    assert (
        "RuntimeError: call pipeline.qwen.offline.enforce()"
        in _run(code, tiny_models[EDIT_PLUS]).stderr
    )


def test_no_variable_but_the_settings_choose_the_attention_kernel() -> None:
    code = "import os; os.environ['DIFFUSERS_ATTN_BACKEND'] = 'flash_hub'\n"
    code += "from pipeline.qwen import offline; offline.enforce()\n"
    code += "from diffusers.utils import constants; print(constants.DIFFUSERS_ATTN_BACKEND)"
    assert _run(code).stdout.split() == ["native"]


@pytest.mark.parametrize("path", ["Qwen/Qwen-Image-Edit", "/no/such/model"])
def test_a_name_that_is_no_local_folder_is_refused(path: str) -> None:
    with pytest.raises(UserError, match=path):
        opening(ModelSettings(path=Path(path)), {})


def test_a_missing_setting_a_wrong_dtype_and_a_fetched_kernel_are_told(
    tiny_models: dict[str, Path],
) -> None:
    wrong: list[tuple[ModelSettings, dict[str, str], str]] = [
        (ModelSettings(), {}, "model.path"),
        (ModelSettings(path=tiny_models[EDIT_PLUS]), {"DTYPE": "int4"}, "DTYPE"),
        (ModelSettings(path=tiny_models[EDIT_PLUS], attention="flash_hub"), {}, "model.attention"),
        (ModelSettings(path=tiny_models[EDIT_PLUS], attention="warp"), {}, "model.attention"),
    ]
    for settings, environment, place in wrong:
        with pytest.raises(UserError, match=place):
            opening(settings, environment)


def test_bf16_is_what_an_empty_environment_means(open_editor: Callable[..., Any]) -> None:
    import torch

    from pipeline.qwen import precision

    assert precision.from_environment({}) is precision.Precision.BF16
    assert open_editor(EDIT_PLUS, "bf16")._pipe.dtype is torch.bfloat16


def test_fp16_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    from pipeline.qwen import precision

    assert precision.from_environment({"DTYPE": "fp16"}) is precision.Precision.FP16
    assert "black pictures" in caplog.text
