import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from config.instruction_keys import Keys
from config.problems import UserError
from config.settings import FolderSettings, Limits, Lora
from config.values import (
    ExactSize,
    Format,
    Keep,
    MinConfidence,
    Off,
    OriginalSize,
    Region,
)
from pipeline.instruction import NONE, parse
from pipeline.recipe import Defaults, Recipe, RecipeRules, Resolved, resolve

LIGHTNING = Lora(path=Path("/loras/lightning.safetensors"), steps=8, cfg=1.0)
LARGEST = 2**63 - 1


def make(
    text: str | None = "prompt: red\n",
    *,
    folders: list[Keys] | None = None,
    presets: dict[str, Keys] | None = None,
    limits: Limits | None = None,
    drawn_seed: int = 7,
    defaults: Defaults = Defaults(),  # noqa: B008 - frozen
) -> Resolved:
    instruction = NONE if text is None else parse(text.encode(), "photo.yaml")
    return resolve(
        instruction,
        folder_presets=folders or [],
        rules=RecipeRules(
            presets=presets or {},
            loras={"lightning-8": LIGHTNING},
            limits=limits or Limits(),
            defaults=defaults,
        ),
        drawn_seed=drawn_seed,
    )


def problems(text: str | None, **given: object) -> str:
    with pytest.raises(UserError) as caught:
        make(text, **given)  # type: ignore[arg-type]  # passed on as they are
    return str(caught.value)


def test_a_prompt_alone_has_the_documented_defaults() -> None:
    assert make("prompt: red\n") == Resolved(
        recipe=Recipe(
            prompt="red",
            negative_prompt=" ",
            preset=None,
            steps=40,
            cfg=4.0,
            seed=7,
            lora=None,
            images=(),
            mask=None,
            region=None,
            variants=1,
            priority=5,
            megapixels=None,
            size=OriginalSize(),
            keep=Keep.AUTO,
            format=Format.SAME,
            quality=None,
            min_keep_psnr=Off.OFF,
            max_shift_px=Off.OFF,
            max_changed=Off.OFF,
            min_confidence=MinConfidence.OFF,
        ),
        notes=(),
    )


def test_the_nearer_word_wins_key_by_key() -> None:
    recipe = make(
        "prompt: sidecar\npreset: product\n",
        folders=[
            Keys(prompt="outer", steps=1, cfg=2.0, quality=10, priority=0),
            Keys(steps=2, cfg=3.0, quality=20),
        ],
        presets={"product": Keys(prompt="named", cfg=5.0, quality=30)},
    ).recipe
    found = (recipe.prompt, recipe.priority, recipe.steps, recipe.cfg, recipe.quality)
    assert found == ("sidecar", 0, 2, 5.0, 30)


def test_a_preset_named_by_a_folder_comes_after_all_folder_presets() -> None:
    recipe = make(
        folders=[Keys(preset="product"), Keys(steps=2)],
        presets={"product": Keys(steps=9)},
    ).recipe
    assert (recipe.preset, recipe.steps) == ("product", 9)


def test_the_preset_of_the_sidecar_replaces_that_of_the_folder() -> None:
    recipe = make(
        "prompt: red\npreset: b\n",
        folders=[Keys(preset="a")],
        presets={"a": Keys(steps=9, cfg=2.0), "b": Keys(steps=10)},
    ).recipe
    assert (recipe.preset, recipe.steps, recipe.cfg) == ("b", 10, 4.0)


def test_a_picture_runs_on_a_preset_alone() -> None:
    assert make(None, folders=[Keys(prompt="red")]).recipe.prompt == "red"


def test_the_gate_s_limits_are_resolved_like_any_key_beneath_them_the_folder_s() -> None:
    folder = FolderSettings(
        root=Path("/hot"), min_keep_psnr=30.0, max_changed=0.5, min_confidence=MinConfidence.HIGH
    )
    recipe = make(
        "prompt: red\npreset: product\nmin_keep_psnr: off\n",
        folders=[folder.keys, Keys(min_keep_psnr=40.0, max_shift_px=2.0)],
        presets={"product": Keys(max_shift_px=3.0, min_confidence=MinConfidence.OFF)},
    ).recipe
    found = (recipe.min_keep_psnr, recipe.max_shift_px, recipe.max_changed, recipe.min_confidence)
    assert found == (Off.OFF, 3.0, 0.5, MinConfidence.OFF)


def test_the_area_to_edit_at_comes_from_wherever_a_key_may_stand() -> None:
    presets = {"large": Keys(megapixels=1.75)}
    folders = [Keys(megapixels=0.5)]
    assert make(folders=folders).recipe.asked_pixels == 512 * 1024
    named = make("prompt: red\npreset: large\n", folders=folders, presets=presets).recipe
    assert named.asked_pixels == 1.75 * 1024 * 1024
    own = make("prompt: red\npreset: large\nmegapixels: 4\n", presets=presets).recipe
    assert own.asked_pixels == 2048 * 2048
    assert make().recipe.asked_pixels is None


def test_zero_is_a_value_and_not_a_gap() -> None:
    recipe = make("prompt: red\nseed: 0\npriority: 0\n", folders=[Keys(seed=5)]).recipe
    assert (recipe.seed, recipe.priority) == (0, 0)


@pytest.mark.parametrize(
    ("more", "steps", "cfg"), [("", 8, 1.0), ("steps: 4\n", 4, 1.0), ("cfg: 2\n", 8, 2.0)]
)
def test_a_lora_brings_its_steps_and_cfg(more: str, steps: int, cfg: float) -> None:
    recipe = make(f"prompt: red\nlora: lightning-8\n{more}").recipe
    assert (recipe.steps, recipe.cfg) == (steps, cfg)


@pytest.mark.parametrize(
    ("written", "steps", "cfg"),
    [
        ("", 12, 1.5),
        ("lora: lightning-8\n", 8, 1.0),
        ("preset: slow\n", 50, 1.5),
        ("preset: slow\nsteps: 3\n", 3, 1.5),
        ("cfg: 2\n", 12, 2.0),
    ],
)
def test_the_model_says_what_nobody_else_says(written: str, steps: int, cfg: float) -> None:
    usual, slow = Defaults(steps=12, cfg=1.5), {"slow": Keys(steps=50)}
    recipe = make(f"prompt: red\n{written}", presets=slow, defaults=usual).recipe
    assert (recipe.steps, recipe.cfg) == (steps, cfg)


def test_limits_win_over_everybody_and_say_so() -> None:
    resolved = make(
        "prompt: red\nvariants: 8\n",
        folders=[Keys(steps=90)],
        limits=Limits(max_steps=20, max_variants=3),
    )
    assert (resolved.recipe.steps, resolved.recipe.variants) == (20, 3)
    assert resolved.notes == (
        "90 steps were asked for; the settings allow 20.",
        "8 variants were asked for; the settings allow 3.",
    )


def test_an_unknown_preset_is_named_with_the_nearest_and_all_there_are() -> None:
    message = problems("preset: prodct\n", presets={"product": Keys(), "zoo": Keys()})
    assert message == (
        "photo.yaml, line 1: preset 'prodct' is not in the settings; "
        "did you mean 'product'? (there are: product, zoo)"
    )


def test_an_unknown_lora_of_a_preset_is_found() -> None:
    message = problems("prompt: red\n", folders=[Keys(lora="x")])
    assert message.startswith("the presets: lora 'x' is not in the settings; write another")


def test_a_job_without_any_prompt_is_told_to_add_one() -> None:
    assert "photo.yaml: there is no prompt; add a line `prompt: …`" in problems("steps: 4\n")
    assert "no instruction: there is no prompt" in problems(None)


def test_keeping_by_mask_needs_a_mask_or_a_region() -> None:
    assert "line 2: keep is mask, but there is no mask" in problems("prompt: a\nkeep: mask\n")
    assert make("prompt: a\nkeep: mask\nmask: m.png\n").notes == ()
    assert make("prompt: a\nkeep: mask\nregion: [0, 0, 9, 9]\n").notes == ()


def test_a_mask_that_nothing_keeps_is_said_to_have_no_effect() -> None:
    assert make("prompt: a\nkeep: none\nmask: m.png\n").notes == (
        "The mask has no effect, because keep is none.",
    )


def test_variants_must_not_pass_the_largest_seed() -> None:
    text = f"prompt: a\nseed: {LARGEST - 1}\nvariants: %d\n"
    assert make(text % 2).recipe.seed == LARGEST - 1
    assert f"write a seed of at most {LARGEST - 2}" in problems(text % 3)
    assert make("prompt: a\nvariants: 3\n", drawn_seed=LARGEST).recipe.seed == LARGEST - 2


def test_a_size_beyond_the_limit_is_refused() -> None:
    limits = Limits(max_megapixels=1)
    assert make("prompt: a\nsize: 1000x1000\n", limits=limits).recipe.size == ExactSize(1000, 1000)
    message = problems("prompt: a\nsize: 1001x1000\n", limits=limits)
    assert "line 2: size 1001x1000 has more than 1 megapixels" in message


def test_all_problems_of_a_job_come_at_once() -> None:
    message = problems("preset: x\nlora: y\nkeep: mask\nsize: 16384x16384\n")
    assert len(message.splitlines()) == 4


WHOLE = Recipe(
    prompt='把背景换成: "beach" # 1\nand more',
    negative_prompt=" ",
    preset=None,
    steps=10,
    cfg=4.5,
    seed=LARGEST - 1,
    lora="lightning-8",
    images=("a.png", "- b\n.png"),
    mask="m.png",
    region=Region(1, 2, 3, 4),
    variants=2,
    priority=0,
    megapixels=1.75,
    size=ExactSize(640, 480),
    keep=Keep.MASK,
    format=Format.WEBP,
    quality=80,
    min_keep_psnr=40.5,
    max_shift_px=3.0,
    max_changed=0.0,
    min_confidence=MinConfidence.HIGH,
)


@pytest.mark.parametrize("recipe", [WHOLE, make().recipe], ids=["all keys", "defaults"])
@pytest.mark.parametrize("write", [yaml.safe_dump, json.dumps], ids=["as YAML", "as JSON"])
def test_a_recipe_written_as_sidecar_gives_the_same_recipe(
    recipe: Recipe, write: Callable[[object], str]
) -> None:
    text = write(recipe.as_json())
    assert make(text, drawn_seed=99).recipe == recipe


def test_the_receipt_has_every_key_of_a_recipe() -> None:
    assert list(WHOLE.as_json()) == list(Recipe.__dataclass_fields__)
    assert json.loads(json.dumps(WHOLE.as_json())) == WHOLE.as_json()


def test_a_preset_of_unknown_name_does_not_also_ask_for_a_prompt() -> None:
    assert "no prompt" not in problems("preset: x\n")
