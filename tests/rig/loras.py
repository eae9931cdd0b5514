"""LoRA files, sound and broken."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

Weights = dict[str, torch.Tensor]

LAYER = "transformer_blocks.1.attn.to_q"  # of the tiny model
KEY = f"transformer.{LAYER}"
SIZE = 96
RANK = 4


def factors() -> tuple[torch.Tensor, torch.Tensor]:
    """Down and up of one layer."""
    chance = torch.Generator().manual_seed(5)
    down = torch.randn(RANK, SIZE, generator=chance)
    return down, torch.randn(SIZE, RANK, generator=chance)


def plain() -> Weights:
    """One layer as diffusers names it."""
    down, up = factors()
    return {f"{KEY}.lora_A.weight": down, f"{KEY}.lora_B.weight": up}


def kohya() -> Weights:
    """The same with half the strength, in the names of kohya."""
    down, up = factors()
    return {
        f"{LAYER}.lora_down.weight": down,
        f"{LAYER}.lora_up.weight": up,
        f"{LAYER}.alpha": torch.tensor(RANK / 2),
    }


def write(path: Path, tensors: Weights, metadata: object = None) -> Path:
    """A LoRA file, with what diffusers writes beside the tensors."""
    said = {} if metadata is None else {"lora_adapter_metadata": json.dumps(metadata)}
    save_file(tensors, path, metadata={"format": "pt", **said})
    return path


def metadata(**differences: Any) -> dict[str, Any]:
    """What diffusers writes of a plain LoRA, but for these."""
    said = {"r": RANK, "lora_alpha": RANK, **differences}
    return {f"transformer.{key}": value for key, value in said.items()}


def spoil(path: Path) -> None:
    """Let the file hold other numbers, in a way that nobody can see who does not read it."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    for start in range(8 + int.from_bytes(data[:8], "little"), len(data)):
        data[start] ^= 0x05
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _header(tensors: Mapping[str, Any], data: bytes = b"") -> bytes:
    header = json.dumps(tensors).encode()
    return len(header).to_bytes(8, "little") + header + data


def write_broken(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files of each kind that cannot be used, by a name, each with why."""
    down, up = factors()
    a, b = plain()
    odd = {a: {"dtype": "F32", "shape": [True, 1], "data_offsets": [0, 4]}}
    short = {a: {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 4]}}
    of_tensors: dict[str, tuple[Weights, str]] = {
        "foreign": (
            {key.replace("to_q", "to_x"): value for key, value in plain().items()},
            "its layer transformer_blocks.1.attn.to_x is none of this model's",
        ),
        "wide": (
            {**plain(), a: torch.zeros(RANK, SIZE + 1)},
            f"its {LAYER} makes 96 numbers of 97, this model's 96 of 96",
        ),
        "text encoder": (
            {key.replace("transformer.", "text_encoder.", 1): it for key, it in plain().items()},
            f"its layer text_encoder.{LAYER} is none of this model's",
        ),
        "empty": ({}, "it changes no layer"),
        "flat": ({**plain(), b: torch.zeros(SIZE)}, f"its {b} is no matrix"),
        "no rank": ({a: torch.zeros(0, SIZE), b: torch.zeros(SIZE, 0)}, f"its {a} is no matrix"),
        "two ranks": (
            {**plain(), b: torch.zeros(SIZE, 2)},
            f"its {a} and {b} have different ranks",
        ),
        "half": ({a: down}, f"its {a} has no {b}"),
        "other half": ({b: up}, f"its {b} has no {a}"),
        "half of kohya": (
            {f"{LAYER}.lora_down.weight": down, f"{LAYER}.alpha": torch.tensor(1.0)},
            f"its {LAYER}.lora_down.weight has no {LAYER}.lora_up.weight",
        ),
        "half of each": (
            {a: down, f"{KEY}.lora_up.weight": up},
            f"its {a} has no {b}",
        ),
        "alpha alone": (
            {**plain(), f"{LAYER}.alpha": torch.tensor(1.0)},
            f"its {LAYER}.alpha has no {LAYER}.lora_A.weight",
        ),
        "twice": ({**plain(), **kohya()}, f"it changes {LAYER} twice"),
        "twice in flat names": (
            {
                **plain(),
                f"lora_unet_{LAYER.replace('.', '_')}.lora_down.weight": down.clone(),
                f"lora_unet_{LAYER.replace('.', '_')}.lora_up.weight": up.clone(),
            },
            f"it changes {LAYER} twice",
        ),
        "two alphas": (
            {**kohya(), f"{LAYER}.alpha": torch.tensor([1.0, 2.0])},
            f"its {LAYER}.alpha is no single number",
        ),
        "no alpha": (
            {**kohya(), f"{LAYER}.alpha": torch.tensor(0.0)},
            f"its {LAYER}.alpha is 0, and no positive number",
        ),
        "alpha of nothing": (
            {**kohya(), f"{LAYER}.alpha": torch.tensor(float("nan"), dtype=torch.bfloat16)},
            f"its {LAYER}.alpha is nan, and no positive number",
        ),
        "odd alpha": (
            {**kohya(), f"{LAYER}.alpha": torch.tensor(True)},
            f"its {LAYER}.alpha holds BOOL",
        ),
        "dora": (
            {**plain(), f"{KEY}.dora_scale": torch.ones(SIZE)},
            f"it is a DoRA ({KEY}.dora_scale), of which only a part would be used",
        ),
        "dora of peft": (
            {**plain(), f"{KEY}.lora_magnitude_vector": torch.ones(SIZE)},
            f"it is a DoRA ({KEY}.lora_magnitude_vector), of which only a part would be used",
        ),
        "lokr": (
            {f"{KEY}.lokr_w1": torch.ones(SIZE, 1)},
            f"it is a LoKr ({KEY}.lokr_w1), of which only a part would be used",
        ),
        "bias": (
            {**plain(), f"{KEY}.lora_B.bias": torch.zeros(SIZE)},
            f"its {KEY}.lora_B.bias is nothing that is understood",
        ),
        "difference": (
            {**plain(), f"{KEY}.diff_b": torch.zeros(SIZE)},
            f"its {KEY}.diff_b is nothing that is understood",
        ),
        "integers": (
            {key: value.to(torch.int8) for key, value in plain().items()},
            f"its {a} holds I8 without a scale",
        ),
        "peft": (
            {
                key.replace("transformer.", "base_model.model.", 1): it
                for key, it in plain().items()
            },
            "peft keeps its strength in a file adapter_config.json, which is not beside it",
        ),
    }
    endless = {a: {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, math.inf]}}
    of_bytes = {
        "broken": (b"broken", "it is cut off: 6 bytes"),
        "text": (b"so it goes, and so on", "it is no safetensors file"),
        "list": (_header([]), "it is no safetensors file: its header cannot be read"),  # type: ignore[arg-type] # broken
        "deep": (
            (100_000).to_bytes(8, "little") + b"[" * 100_000,
            "it is no safetensors file: its header cannot be read",
        ),
        "endless": (_header(endless), "it is no safetensors file: its header cannot be read"),
        "odd shape": (_header(odd, bytes(4)), f"its {a} is written in a way that is not known"),
        "no text": (
            _header({"__metadata__": {"lora_adapter_metadata": {}}}),
            "its metadata is no text",
        ),
        "unprintable": (
            _header({"\x1b[2J\n\ud800.alpha": odd[a]}, bytes(4)),
            r"its \x1b[2J\n\ud800.alpha is written in a way that is not known here",
        ),
        "long": (
            _header({"a" * 100_000: odd[a]}, bytes(4)),
            f"its {'a' * 496}...",
        ),
        "short": (
            _header({**short, b: short[a]}, bytes(4)),
            f"its {a} takes 4 bytes, and its shape another number",
        ),
    }
    found = {"gone": (folder / "gone.safetensors", "there is no such file")}
    for name, (tensors, why) in of_tensors.items():
        found[name] = (write(folder / f"{name}.safetensors", tensors), why)
    for name, (data, why) in of_bytes.items():
        found[name] = (folder / f"{name}.safetensors", why)
        found[name][0].write_bytes(data)
    for name, (said, why) in _odd_metadata().items():
        found[name] = (write(folder / f"{name}.safetensors", plain(), said), why)
    twice = write(folder / "said twice.safetensors", kohya(), {"r": RANK, "lora_alpha": 1})
    by = f"by its lora_adapter_metadata and by {LAYER}.alpha"
    found["said twice"] = (twice, f"its strength is said twice, {by}")
    (folder / "peft").mkdir()
    (folder / "peft" / "adapter_config.json").write_text(
        json.dumps({"r": RANK, "lora_alpha": 1, "use_dora": True})
    )
    saved = write(folder / "peft" / "adapter_model.safetensors", of_tensors["peft"][0])
    found["configured"] = (saved, "use_dora is true in its adapter_config.json, which is not")
    return found


def _odd_metadata() -> dict[str, tuple[object, str]]:
    name = "its lora_adapter_metadata"
    changing: dict[str, tuple[object, str]] = {
        "use_dora": (True, "true"),
        "lora_bias": (True, "true"),
        "modules_to_save": (["img_in"], '["img_in"]'),
        "fan_in_fan_out": (True, "true"),
        "bias": ("all", "all"),
        "init_lora_weights": ("pissa", "pissa"),
        "peft_type": ("ADALORA", "ADALORA"),
        "layer_replication": ([[0, 1]], "[[0, 1]]"),
        "something_new": (1, "1"),
    }
    found: dict[str, tuple[object, str]] = {
        f"metadata {key}": (
            metadata(**{key: value}),
            f"{key} is {shown} in {name}, which is not understood",
        )
        for key, (value, shown) in changing.items()
    }
    numbers: dict[str, tuple[dict[str, Any], str]] = {
        "no number": ({"lora_alpha": "4"}, "lora_alpha is 4 in the"),
        "no whole truth": ({"r": True}, "r is true in the"),
        "nothing": ({"lora_alpha": None}, "lora_alpha is null in the"),
        "negative": ({"lora_alpha": -1}, "lora_alpha is -1 in the"),
        "nan": ({"lora_alpha": float("nan")}, "lora_alpha is NaN in the"),
        "beyond numbers": ({"lora_alpha": 10**400}, "lora_alpha is 1000000000"),
        "patterned": ({"alpha_pattern": {"to_q": 0}}, f"to_q is 0 in the alpha_pattern of {name}"),
        "no patterns": ({"alpha_pattern": ["to_q"]}, 'alpha_pattern is ["to_q"] in'),
        "endless": ({"alpha_pattern": {"(a+)+": 1}}, "(a+)+ in the alpha_pattern of"),
        "doubling": ({"rank_pattern": {"(a|a)(a|a)": 1}}, "(a|a)(a|a) in the rank_pattern of"),
        "open": ({"rank_pattern": {"(a": 1}}, f"(a in the rank_pattern of {name} is no pattern"),
        "rooted": ({"use_rslora": 1}, f"use_rslora is 1 in {name}"),
        "another rank": ({"r": 8}, f"its {LAYER} has rank 4, and {name} says 8"),
    }
    found |= {f"metadata {it}": (metadata(**said), why) for it, (said, why) in numbers.items()}
    found["metadata list"] = ([], f"{name} is no JSON object")
    found["metadata of others"] = (
        {"text_encoder.r": 4, "text_encoder.lora_alpha": 8},
        f"{name} has no transformer.r",
    )
    found["metadata of nobody"] = ({"r": 4, "lora_alpha": 8}, f"{name} has no transformer.r")
    found["metadata without alpha"] = (
        {"transformer.r": 4},
        f"{name} has no transformer.lora_alpha",
    )
    return found
