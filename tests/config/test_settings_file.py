import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from config.instruction_keys import Keys
from config.problems import UserError
from config.settings import (
    Attention,
    FolderSettings,
    Limits,
    Lora,
    ModelSettings,
    OnDuplicate,
    Pack,
    Settings,
    Watch,
    folder_settings,
    settings_without_file,
)
from config.settings_file import SHIPPED_FILE, default_text, find, load, read_settings
from config.values import MinConfidence, Off


def read(text: str) -> Settings:
    return read_settings(text.encode(), "hotfolder.yaml")


def problems(text: str) -> str:
    with pytest.raises(UserError) as caught:
        read(text)
    return str(caught.value)


def test_the_shipped_file_says_the_defaults() -> None:
    assert load(SHIPPED_FILE) == settings_without_file()


def test_the_examples_in_the_shipped_file_are_good_settings() -> None:
    text = SHIPPED_FILE.read_text(encoding="utf-8")
    text = re.sub(r"^( *)#  ", r"\1   ", text, flags=re.MULTILINE)
    found = read(text.replace(": {}\n", ":\n").replace("folders: []\n", "folders:\n"))
    assert (list(found.model.loras), list(found.presets)) == (["lightning-8"], ["product"])
    assert [entry.settle_seconds for entry in found.folders] == [5.0]


WHOLE = """\
model:
  path: /models/Qwen
  pack: lossless
  ram_gib: 30.5
  vram_gib: 16
  batch: 2
  compile: true
  attention: _flash_3
  loras:
    lightning-8: {path: /loras/l8.safetensors, steps: 8, cfg: 1}
  hang_seconds: 60
defaults: {settle_seconds: 1, on_duplicate: skip, min_free_gib: 0.5, min_keep_psnr: 40}
folders:
  - root: /srv/a
  - root: /srv/b/
    settle_seconds: auto
    poll_seconds: 0.5
    settle_max_seconds: 10
    sidecar_wait_hours: 1
    sidecar_grace_seconds: 0
    min_free_gib: 3
    on_duplicate: redo
    watch: poll
    min_keep_psnr: off
    min_confidence: high
presets:
  product: {prompt: red, steps: 20, lora: lightning-8, max_changed: off}
limits: {max_megapixels: 1.5, max_steps: 9, max_variants: 2, max_file_mib: 3}
"""


PRODUCT = Keys(prompt="red", steps=20, lora="lightning-8", max_changed=Off.OFF)


def test_every_key_is_read_and_folders_inherit_the_defaults() -> None:
    defaults = {
        "settle_seconds": 1.0,
        "on_duplicate": OnDuplicate.SKIP,
        "min_free_gib": 0.5,
        "min_keep_psnr": 40.0,
    }
    assert read(WHOLE) == Settings(
        model=ModelSettings(
            path=Path("/models/Qwen"),
            pack=Pack.LOSSLESS,
            ram_gib=30.5,
            vram_gib=16.0,
            batch=2,
            compile=True,
            attention=Attention.FLASH_3,
            loras={"lightning-8": Lora(path=Path("/loras/l8.safetensors"), steps=8, cfg=1.0)},
            hang_seconds=60.0,
        ),
        folders=(
            FolderSettings(root=Path("/srv/a"), **defaults),  # type: ignore[arg-type]  # typed above
            FolderSettings(
                root=Path("/srv/b"),
                poll_seconds=0.5,
                settle_max_seconds=10.0,
                sidecar_wait_hours=1.0,
                sidecar_grace_seconds=0.0,
                min_free_gib=3.0,
                on_duplicate=OnDuplicate.REDO,
                watch=Watch.POLL,
                min_keep_psnr=Off.OFF,
                min_confidence=MinConfidence.HIGH,
            ),
        ),
        defaults=FolderSettings(root=Path(), **defaults),  # type: ignore[arg-type]  # typed above
        presets={"product": PRODUCT},
        limits=Limits(max_megapixels=1.5, max_steps=9, max_variants=2, max_file_mib=3.0),
    )


@pytest.mark.parametrize("text", ["", "# all of it\n", "{}", "model: {}\nfolders: []\n"])
def test_settings_without_keys_are_the_defaults(text: str) -> None:
    assert read(text) == settings_without_file()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("modell: {}", "line 1: 'modell' is no key; did you mean 'model'?"),
        ("model: {paht: /m}", "'model.paht' is no key; did you mean 'path'?"),
        ("model: []", "model is not a mapping"),
        ("model: {path: models/Qwen}", 'model.path is "models/Qwen", not an absolute path'),
        ("model: {path: ~}\nlimits: {max_steps: 0}", "line 2: limits.max_steps is 0"),
        ("model: {path: '~/Qwen'}", "not an absolute path"),
        ("model: {path: /models/../etc}", "write the path without .."),
        ("model: {pack: true}", "model.pack is true; write one of auto, none, lossless"),
        ("model: {pack: zip}", "model.pack is zip; write one of auto, none, lossless"),
        ("model: {ram_gib: 0}", "model.ram_gib is 0; write a number from 0.001 to 65536, or auto"),
        ("model: {ram_gib: all}", "model.ram_gib is all; write a number from 0.001 to 65536"),
        ("model: {ram_gb: 30}", "'model.ram_gb' is no key; did you mean 'ram_gib'?"),
        ("model: {vram_gib: 0}", "write a number from 1 to 4096, or auto"),
        ("model: {batch: 1.5}", "model.batch is 1.5; write a whole number"),
        ("model: {compile: yes}", "model.compile is yes; write true or false"),
        ("model: {attention: flash_hub}", "model.attention is flash_hub; write one of native"),
        ("model: {loras: {a: {path: /l}}}", "model.loras.a.steps is missing; write steps: …"),
        ("model: {loras: {a: /l}}", "model.loras.a is not a mapping"),
        ("defaults: {root: /srv}", "'defaults.root' is no key"),
        ("defaults: {settle_seconds: -1}", "write a number from 0 to 86400, or auto"),
        ("defaults: {settle_seconds: 2s}", "defaults.settle_seconds is 2s"),
        ("defaults: {poll_seconds: 0}", "defaults.poll_seconds is 0"),
        ("defaults: {on_duplicate: no}", "write one of version, redo, skip"),
        ("defaults: {watch: inotify}", "write one of auto, events, poll"),
        ("defaults: {min_confidence: low}", "min_confidence is low; write one of off, high"),
        ("presets: {a: {max_changed: 2}}", "presets.a.max_changed is 2; write a number from 0 to"),
        ("presets: {a: {megapixels: 40}}", "presets.a.megapixels is 40; write a number from 0.25"),
        ("folders: /srv/hot", "folders is not a list of mappings"),
        ("folders: [/srv/hot]", "folders is not a list of mappings"),
        ("folders:\n- settle_seconds: 1", "line 2: folders[0].root is missing"),
        ("folders:\n- root: hot", 'line 2: folders[0].root is "hot", not an absolute path'),
        ("folders:\n- root: /a\n- root: /a/", "line 3: folders[1].root /a is listed already"),
        ("folders:\n- root: /a\n- root: /a/b", "/a/b and /a lie inside each other"),
        ("folders:\n- root: /a/b\n- root: /a", "/a and /a/b lie inside each other"),
        ("folders:\n- root: /a\n  settle: 1", "line 3: 'folders[0].settle' is no key"),
        ("presets: {a: {stepz: 1}}", "'presets.a.stepz' is no key; did you mean 'steps'?"),
        ("presets: {a: {preset: b}, b: {}}", "presets.a.preset has no place here"),
        ("presets: {a: {lora: b}}", "presets.a.lora is 'b', which model.loras lacks"),
        ("limits: {max_megapixels: 0}", "limits.max_megapixels is 0"),
        ("limits: {max_variants: 9}", "write a whole number from 1 to 8"),
        ("folders:\n", "'folders' has no value"),
    ],
)
def test_what_nobody_may_write_is_explained(text: str, expected: str) -> None:
    message = problems(text)
    assert message.startswith("hotfolder.yaml, line ")
    assert expected in message


def test_folders_beside_each_other_may_share_the_start_of_a_name() -> None:
    assert len(read("folders:\n- root: /srv/hot\n- root: /srv/hot2\n").folders) == 2


def test_all_problems_come_at_once_in_the_order_of_lines() -> None:
    text = "limits: {max_steps: 0}\nmodel: {batch: 0}\npresets: {a: {cfg: 0}}\nx: 1\n"
    wheres = [line.split(":")[0] for line in problems(text).splitlines()]
    assert wheres == [f"hotfolder.yaml, line {line}" for line in (1, 2, 3, 4)]


def test_the_named_file_comes_before_that_of_the_folder_and_of_the_system(tmp_path: Path) -> None:
    here = tmp_path / "hotfolder.yaml"
    assert find(Path("/named.yaml"), tmp_path) == Path("/named.yaml")
    assert find(None, tmp_path) != here
    here.touch()
    assert find(None, tmp_path) == here


def test_a_file_that_everybody_can_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hotfolder.yaml"
    path.write_text("{}")
    path.chmod(0o646)
    with pytest.raises(UserError, match=r"run: chmod o-w .*hotfolder\.yaml"):
        load(path)
    path.chmod(0o664)
    assert load(path) == settings_without_file()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.yaml: cannot be read \(No such file"):
        load(tmp_path / "gone.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path)


def test_the_problems_of_a_file_name_its_path_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "hotfolder.yaml"
    path.write_text("model:\n  batch: 0\n")
    with pytest.raises(UserError, match=rf"{path}, line 2: model.batch is 0"):
        load(path)


def test_a_folder_is_found_by_any_path_to_it(tmp_path: Path) -> None:
    root, link = tmp_path / "hot", tmp_path / "link"
    root.mkdir()
    link.symlink_to(root)
    found = read(f"folders:\n- root: {root}\n  settle_seconds: 7\n")
    assert folder_settings(found, link) == found.folders[0]
    assert folder_settings(found, root / ".." / "hot") == found.folders[0]


def test_an_unlisted_folder_has_the_defaults(tmp_path: Path) -> None:
    found = read("defaults: {settle_seconds: 7}\n")
    assert folder_settings(found, tmp_path) == FolderSettings(root=tmp_path, settle_seconds=7.0)
    assert folder_settings(found, Path("hot")).root.is_absolute()


ROOTS = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20)


@hypothesis_settings(deadline=None)
@given(ROOTS.filter(lambda name: name not in {".", ".."}))
def test_the_settings_that_init_writes_are_the_defaults_with_that_root(name: str) -> None:
    root = Path("/srv") / name
    found = read(default_text(root))
    assert found.folders == (FolderSettings(root=root),)
    assert found.model == ModelSettings()


def test_a_root_that_is_no_utf_8_cannot_be_written_into_settings() -> None:
    with pytest.raises(UserError, match="not UTF-8"):
        default_text(Path("/srv/\udcff"))
