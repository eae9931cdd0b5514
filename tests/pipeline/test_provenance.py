import json
import re
from dataclasses import replace

import pytest
from sample import FACTS, RECIPE

from pipeline.provenance import Provenance, SourceType, parameters, source_type

TOLD = Provenance(
    job_id="20261122-120000-aaaaaaaa",
    recipe=replace(RECIPE, seed=43),
    model=FACTS,
    software="Hotfolder 0.1.0",
    made_at=0.0,
    source_name="cat.png",
    source_sha256="aa",
    embeds_prompt=True,
)
SETTING = re.compile(r'([^:,]+): ("(?:\\.|[^"\\])*"|[^,]*)(?:, |$)')


def settings(text: str) -> dict[str, str]:
    """The last line as its readers take it apart."""
    found = dict(SETTING.findall(text.splitlines()[-1]))
    return {
        key: json.loads(value) if value.startswith('"') else value for key, value in found.items()
    }


def test_the_parameters_begin_with_what_was_asked_for() -> None:
    recipe = replace(RECIPE, prompt="one\ntwo", negative_prompt="blurry, dark")
    lines = parameters(replace(TOLD, recipe=recipe), 1184, 896).splitlines()
    assert lines[:3] == ["one", "two", "Negative prompt: blurry, dark"]
    assert lines[3].startswith("Steps: 4, ")
    assert len(lines) == 4


def test_a_negative_prompt_that_says_nothing_is_not_said() -> None:
    assert "Negative" not in parameters(TOLD, 64, 48).splitlines()[1]


@pytest.mark.parametrize("name", ["plain", "with, a comma", 'with "quotes": and more'])
def test_every_setting_can_be_read_back(name: str) -> None:
    recipe = replace(TOLD.recipe, lora=name, prompt=f"make it {name}\nnow")
    model = replace(FACTS, path=f"/models/{name}", fingerprint="0123456789abcdef")
    read = settings(parameters(replace(TOLD, recipe=recipe, model=model), 1184, 896))
    assert json.loads(read.pop("Hotfolder")) == recipe.as_json()
    assert read == {
        "Steps": "4",
        "Sampler": "Euler",
        "CFG scale": "4",
        "Seed": "43",
        "Size": "1184x896",
        "Model hash": "0123456789",
        "Model": name,
        "Lora": name,
        "Version": "Hotfolder 0.1.0",
    }


def test_what_somebody_wrote_can_be_left_out() -> None:
    text = parameters(replace(TOLD, embeds_prompt=False), 64, 48)
    assert RECIPE.prompt not in text
    assert text.startswith("Steps: 4, ")
    assert settings(text)["Seed"] == "43"


def test_only_what_a_model_made_is_marked() -> None:
    assert source_type(TOLD, shows_original=True) is SourceType.COMPOSITE
    assert source_type(TOLD, shows_original=False) is SourceType.GENERATED
    echo = replace(TOLD, model=replace(FACTS, weights="none"))
    assert source_type(echo, shows_original=True) is None
