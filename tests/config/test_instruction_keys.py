import pytest

from config.instruction_keys import Keys, read_preset
from config.problems import UserError
from config.values import Keep


def test_a_folder_preset_may_leave_out_every_key_but_one() -> None:
    assert read_preset(b"steps: 8\nkeep: none\n", "_preset.yaml") == Keys(steps=8, keep=Keep.NONE)


def test_a_folder_preset_may_name_a_preset_of_the_settings() -> None:
    assert read_preset(b"preset: product\n", "_preset.yaml").preset == "product"


def test_every_problem_of_a_preset_is_named_with_its_line() -> None:
    with pytest.raises(UserError) as caught:
        read_preset(b"stepz: 8\ncfg: 100\n", "sub/_preset.yaml")
    assert [problem.where for problem in caught.value.problems] == [
        "sub/_preset.yaml, line 1",
        "sub/_preset.yaml, line 2",
    ]


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"prompt\n", b"[a]", b"\0"])
def test_a_file_without_keys_is_no_preset(content: bytes) -> None:
    with pytest.raises(UserError):
        read_preset(content, "_preset.yaml")
