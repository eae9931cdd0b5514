"""Whatever a LoRA is spelled like, each layer gives what diffusers and peft make of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from diffusers import QwenImageEditPlusPipeline, QwenImageTransformer2DModel
from diffusers.training_utils import _collate_lora_metadata
from safetensors.torch import save_file

from config.settings import Lora
from pipeline.qwen.lora import Loras, linear_layers

Weights = dict[str, torch.Tensor]
Outputs = dict[str, torch.Tensor]

CPU = torch.device("cpu")
PLENTY = 2**40
RANK = 4
BLOCK = "transformer_blocks.1"
# One layer of each kind, at the ends of blocks and outside of them.
LAYERS = (
    "img_in",
    "norm_out.linear",
    "time_text_embed.timestep_embedder.linear_1",
    "transformer_blocks.0.attn.to_q",
    f"{BLOCK}.attn.to_q",
    f"{BLOCK}.attn.to_out.0",
    f"{BLOCK}.attn.to_add_out",
    f"{BLOCK}.attn.add_k_proj",
    f"{BLOCK}.img_mlp.net.0.proj",
    f"{BLOCK}.txt_mlp.net.2",
    f"{BLOCK}.img_mod.1",
)
MIXED = {f"{BLOCK}.attn.to_q": 2, f"{BLOCK}.img_mod.1": 2, "img_in": 8}


@pytest.fixture(scope="module")
def transformer() -> Any:
    torch.manual_seed(0)
    return QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(4, 6, 6),
    ).eval()


def factors(
    transformer: Any, ranks: Mapping[str, int] | None = None
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Down and up of each layer, of rank `RANK` unless `ranks` says another."""
    chance = torch.Generator().manual_seed(5)
    found = {}
    for name in LAYERS:
        layer, rank = transformer.get_submodule(name), (ranks or {}).get(name, RANK)
        down = torch.randn(rank, layer.in_features, generator=chance)
        found[name] = (down, torch.randn(layer.out_features, rank, generator=chance))
    return found


def outputs(transformer: Any) -> Outputs:
    """What each linear layer makes of the same numbers."""
    found = {}
    for name, layer in transformer.named_modules():
        if hasattr(layer, "in_features") and "lora_" not in name and "base_layer" not in name:
            given = torch.randn(
                2, 3, layer.in_features, generator=torch.Generator().manual_seed(1)
            )
            with torch.no_grad():
                found[name] = layer(given)
    return found


def ours(transformer: Any, path: Path) -> Outputs:
    lora = Lora(path=path, steps=4, cfg=4.0)
    loras = Loras(
        {"it": lora},
        linear_layers(transformer),
        dtype=torch.float32,
        available_bytes=lambda: PLENTY,
    )
    with loras.applied(loras.find("it"), CPU):
        return outputs(transformer)


def theirs(transformer: Any, path: Path) -> Outputs:
    """As a pipeline of diffusers loads it."""

    parts = dict.fromkeys(("scheduler", "vae", "text_encoder", "tokenizer", "processor"))
    pipe = QwenImageEditPlusPipeline(transformer=copy.deepcopy(transformer), **parts)
    pipe.load_lora_weights(str(path.parent), weight_name=path.name, local_files_only=True)
    return outputs(pipe.transformer)


def as_one_part(transformer: Any, path: Path) -> Outputs:
    """As a transformer of diffusers that is no part of a pipeline loads it."""
    loaded = copy.deepcopy(transformer)
    loaded.load_lora_adapter(
        str(path.parent), weight_name=path.name, prefix=None, local_files_only=True
    )
    return outputs(loaded)


def as_peft(transformer: Any, path: Path) -> Outputs:
    """As peft itself loads a folder that it saved."""
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(transformer), str(path.parent))
    return outputs(loaded.base_model.model)


def assert_same(found: Outputs, expected: Outputs, plain: Outputs) -> None:
    assert found.keys() == expected.keys() == plain.keys()
    assert set(LAYERS) == {it for it in plain if not torch.equal(expected[it], plain[it])}
    for name, output in expected.items():
        assert torch.allclose(found[name], output, rtol=1e-4, atol=1e-4), name


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """How a layer's tensors are named."""

    prefix: str = ""
    names: tuple[str, str] = ("lora_A.weight", "lora_B.weight")  # of down and up
    is_flat: bool = False
    alpha: float | None = None

    def write(
        self,
        path: Path,
        of_layers: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
        metadata: Mapping[str, Any] | None = None,
    ) -> Path:
        tensors: Weights = {}
        for number, (layer, (down, up)) in enumerate(of_layers.items()):
            name = self.prefix + (layer.replace(".", "_") if self.is_flat else layer)
            tensors |= zip([f"{name}.{it}" for it in self.names], [down, up], strict=True)
            if self.alpha is not None:
                tensors[f"{name}.alpha"] = torch.tensor(self.alpha * (1 + number % 2))
        said = {} if metadata is None else {"lora_adapter_metadata": json.dumps(metadata)}
        save_file(tensors, path, metadata={"format": "pt", **said})
        return path


KOHYA = ("lora_down.weight", "lora_up.weight")
DIFFSYNTH = ("lora_A.default.weight", "lora_B.default.weight")
DIFFUSERS = Spelling(prefix="transformer.")
COMFY = Spelling(prefix="diffusion_model.")
SPELLINGS = {
    "diffusers": DIFFUSERS,
    "comfy": COMFY,
    "comfy with alpha": Spelling(prefix="diffusion_model.", alpha=2.0),
    "comfy in kohya's names": Spelling(prefix="diffusion_model.", names=KOHYA),
    "comfy in kohya's names with alpha": Spelling(
        prefix="diffusion_model.", alpha=1.0, names=KOHYA
    ),
    "kohya": Spelling(prefix="lora_unet_", is_flat=True, alpha=3.0, names=KOHYA),
    "kohya without alpha": Spelling(prefix="lora_unet_", is_flat=True, names=KOHYA),
    "lightning": Spelling(alpha=8.0, names=KOHYA),
    "bare with alpha": Spelling(alpha=8.0),
    "diffsynth": Spelling(names=DIFFSYNTH),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_spelling_of_diffusers_means_what_diffusers_makes_of_it(
    spelling: Spelling, transformer: Any, tmp_path: Path
) -> None:
    path = spelling.write(tmp_path / "it.safetensors", factors(transformer))
    assert_same(ours(transformer, path), theirs(transformer, path), outputs(transformer))


@pytest.mark.parametrize("name", ["diffusers", "comfy with alpha", "diffsynth"])
def test_layers_of_several_ranks_mean_what_diffusers_makes_of_them(
    name: str, transformer: Any, tmp_path: Path
) -> None:
    path = SPELLINGS[name].write(tmp_path / "it.safetensors", factors(transformer, MIXED))
    assert_same(ours(transformer, path), theirs(transformer, path), outputs(transformer))


# Of each a spelling that diffusers knows, which says the same.
RENAMED = {
    "transformer with alpha": (
        Spelling(prefix="transformer.", alpha=2.0),
        Spelling(prefix="diffusion_model.", alpha=2.0),
    ),
    "transformer in kohya's names": (
        Spelling(prefix="transformer.", alpha=2.0, names=KOHYA),
        Spelling(prefix="diffusion_model.", alpha=2.0, names=KOHYA),
    ),
    "older diffsynth": (Spelling(prefix="pipe.dit.", names=DIFFSYNTH), DIFFUSERS),
    "older diffsynth without adapter": (Spelling(prefix="pipe.dit."), DIFFUSERS),
    "bare": (Spelling(), DIFFUSERS),
    "kohya's names alone": (Spelling(names=KOHYA), DIFFUSERS),
    "peft with alpha": (
        Spelling(prefix="base_model.model.", alpha=2.0),
        Spelling(prefix="diffusion_model.", alpha=2.0),
    ),
}


@pytest.mark.parametrize(("spelling", "known"), RENAMED.values(), ids=RENAMED.keys())
def test_a_spelling_beyond_diffusers_means_what_it_means_renamed(
    spelling: Spelling, known: Spelling, transformer: Any, tmp_path: Path
) -> None:
    path = spelling.write(tmp_path / "it.safetensors", factors(transformer))
    renamed = known.write(tmp_path / "renamed.safetensors", factors(transformer))
    assert_same(ours(transformer, path), theirs(transformer, renamed), outputs(transformer))


TARGETS = {"target_modules": [*LAYERS]}  # which diffusers cannot do without
SAID: dict[str, dict[str, Any]] = {
    "twice the rank": {"lora_alpha": 2 * RANK},
    "a quarter of the rank": {"lora_alpha": RANK / 4},
    "rslora": {"lora_alpha": RANK, "use_rslora": True},
    "alpha_pattern": {
        "lora_alpha": RANK,
        "alpha_pattern": {
            "o_add_out": 99,  # is no whole word
            "attn.to_q": 1,  # of both blocks
            "to_out.0": 2,
            "linear": 16,  # not norm_out.linear_1
            f"^{BLOCK}.img_mod.1": 8,
            r"transformer_blocks\.\d+\.txt_mlp\.net\.2": 0.5,
            r".*\.(to_add_out|add_k_proj)": 12,
            f"{BLOCK}.attn.to_q": 99,  # comes too late
        },
    },
}


@pytest.mark.filterwarnings("ignore:The following alpha_pattern keys did not match")
@pytest.mark.parametrize("spelling", [DIFFUSERS, COMFY], ids=["diffusers", "comfy"])
@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
def test_metadata_means_what_peft_makes_of_it(
    said: dict[str, Any], spelling: Spelling, transformer: Any, tmp_path: Path
) -> None:
    metadata = {
        f"transformer.{key}": value for key, value in {"r": RANK, **TARGETS, **said}.items()
    }
    metadata["text_encoder.use_dora"] = True  # of another part
    path = spelling.write(tmp_path / "it.safetensors", factors(transformer), metadata)
    assert_same(ours(transformer, path), theirs(transformer, path), outputs(transformer))


@pytest.mark.parametrize("uses_root", [False, True], ids=["plain", "rslora"])
def test_a_pattern_of_ranks_divides_each_by_its_own(
    uses_root: bool, transformer: Any, tmp_path: Path
) -> None:
    said = {"r": RANK, "lora_alpha": 3, "rank_pattern": MIXED, "use_rslora": uses_root, **TARGETS}
    metadata = {f"transformer.{key}": value for key, value in said.items()}
    path = DIFFUSERS.write(tmp_path / "it.safetensors", factors(transformer, MIXED), metadata)
    assert_same(ours(transformer, path), theirs(transformer, path), outputs(transformer))


def trained(transformer: Any) -> Any:
    """With an adapter as the training scripts add one, that has learnt something."""
    config = peft.LoraConfig(
        r=RANK,
        lora_alpha=2 * RANK,
        target_modules=[*LAYERS],
        rank_pattern={"to_add_out": 2},
        alpha_pattern={"to_q": 1},
        init_lora_weights="gaussian",
    )
    learner = copy.deepcopy(transformer)
    learner.add_adapter(config)
    chance = torch.Generator().manual_seed(3)
    for name, parameter in learner.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=chance)
    return learner.eval()


def save_as_pipeline(learner: Any, path: Path) -> None:
    QwenImageEditPlusPipeline.save_lora_weights(
        str(path.parent),
        weight_name=path.name,
        transformer_lora_layers=peft.get_peft_model_state_dict(learner),
        **_collate_lora_metadata({"transformer": learner}),
    )


def save_as_one_part(learner: Any, path: Path) -> None:
    learner.save_lora_adapter(str(path.parent), weight_name=path.name)


@pytest.mark.parametrize(
    ("save", "load"),
    [(save_as_pipeline, theirs), (save_as_one_part, as_one_part)],
    ids=["as a pipeline", "as one part"],
)
def test_what_diffusers_saves_after_training_acts_as_it_was_trained(
    save: Callable[[Any, Path], None],
    load: Callable[[Any, Path], Outputs],
    transformer: Any,
    tmp_path: Path,
) -> None:
    learner, path = trained(transformer), tmp_path / "it.safetensors"
    save(learner, path)
    found = ours(transformer, path)
    assert_same(found, outputs(learner), outputs(transformer))
    assert_same(found, load(transformer, path), outputs(transformer))


def test_what_peft_saves_after_training_acts_as_peft_loads_it(
    transformer: Any, tmp_path: Path
) -> None:
    config = peft.LoraConfig(
        r=RANK, lora_alpha=3 * RANK, use_rslora=True, target_modules=[*LAYERS]
    )
    learner = peft.get_peft_model(copy.deepcopy(transformer), config)
    for name, parameter in learner.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    learner.save_pretrained(str(tmp_path))
    path = tmp_path / "adapter_model.safetensors"
    assert_same(ours(transformer, path), as_peft(transformer, path), outputs(transformer))
