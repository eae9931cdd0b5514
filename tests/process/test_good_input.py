"""What a studio really drops: odd names, odd encodings, odd pictures, all of them good."""

import os
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Daemon, HotFolder, wait_for
from PIL import Image

NAMES = [
    "two words.png",
    "line\nbreak.png",
    "海滩.png",
    "emoji 🏖️.png",
    "-rf.png",
    "'quote\".png",
    unicodedata.normalize("NFD", "Ärger é.png"),
    "UPPER.PNG",
    "many.dots.in.it.png",
    "n" * 251 + ".png",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_is_a_good_name(hot: HotFolder, name: str) -> None:
    drop_with_own_sidecar(hot, name)
    assert hot.once().returncode == 0
    (result,) = (path for path in hot.outbox.iterdir() if path.suffix != ".json")
    assert result.with_name(f"{result.name}.json").exists()
    if len(name) < 240:
        assert result.name == unicodedata.normalize("NFC", name)


def test_a_name_of_no_encoding_is_shown_in_percent(hot: HotFolder) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    drop_with_own_sidecar(hot, name)
    assert hot.once().returncode == 0
    assert hot.files("outbox") == {"caf%E9.png", "caf%E9.png.json"}
    assert hot.receipt("caf%E9.png")["input"]["name"] == "caf%E9.png"
    assert name in {Path(path).name for path in hot.files("done")}


def drop_with_own_sidecar(hot: HotFolder, name: str) -> None:
    """Drop a picture of any name; where the sidecar's name is too long, by a preset."""
    path = hot.inbox / name
    Image.effect_noise((96, 64), 60).convert("RGB").save(path, format="png")
    (hot.inbox / "_preset.yaml").write_text("prompt: Make it blue\n")


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffprompt: 把背景换成海滩\n".encode(),
        "prompt: 把背景换成海滩\n".encode("utf-16"),
        "prompt: 把背景换成海滩\n".encode("gb18030"),
    ],
    ids=["UTF-8 with BOM", "UTF-16", "GB18030"],
)
def test_sidecars_of_every_encoding_are_read(hot: HotFolder, content: bytes) -> None:
    hot.drop("海.png").with_suffix(".yaml").write_bytes(content)
    assert hot.once().returncode == 0
    assert hot.receipt("海.png")["recipe"]["prompt"] == "把背景换成海滩"


def test_a_text_file_is_the_prompt(hot: HotFolder) -> None:
    sidecar = hot.drop("cat.png").with_suffix(".yaml")
    sidecar.unlink()
    sidecar.with_suffix(".txt").write_bytes("把背景换成海滩\r\n".encode("gb18030"))
    assert hot.once().returncode == 0
    assert hot.receipt("cat.png")["instruction"] == {"prompt": "把背景换成海滩"}


def test_files_with_an_ending_that_was_hidden_are_what_was_meant(hot: HotFolder) -> None:
    image = hot.drop("cat.png", mask="cat.mask.png", seed=7)
    image.with_suffix(".yaml").rename(hot.inbox / "cat.yaml.txt")
    Image.new("L", (96, 64), 255).save(hot.inbox / "cat.mask.png.png")
    planned = hot.call("plan").stdout
    assert "(read as cat.yaml)" in planned
    assert "(read as cat.mask.png)" in planned
    assert hot.once().returncode == 0
    assert hot.receipt("cat.png")["recipe"]["seed"] == 7
    assert hot.files("inbox") == set()
    (log,) = hot.root.glob("logs/LOG-*.txt")
    assert "cat.yaml.txt is read as cat.yaml" in log.read_text()


def test_one_sidecar_serves_two_images_of_its_stem(hot: HotFolder) -> None:
    image = hot.drop("cat.png", seed=3)
    Image.open(image).save(image.with_suffix(".jpg"))
    assert hot.once().returncode == 0
    assert {"cat.png", "cat.jpg"} <= hot.files("outbox")
    assert {Path(name).name for name in hot.files("done")} == {"cat.png", "cat.jpg", "cat.yaml"}
    assert hot.files("inbox") == set()


def test_a_reference_leaves_with_the_last_job_that_names_it(hot: HotFolder) -> None:
    hot.drop("one.png", images=["logo.png"])
    hot.drop("two.png", images=["logo.png"])
    Image.new("RGB", (40, 30), "red").save(hot.inbox / "logo.png")
    assert hot.once().returncode == 0
    assert {"one.png", "two.png"} <= hot.files("outbox")
    assert hot.files("inbox") == set()
    assert "logo.png" in {Path(name).name for name in hot.files("done")}


def test_an_extension_that_lies_is_said(hot: HotFolder) -> None:
    image = hot.drop("cat.png")
    Image.effect_noise((96, 64), 60).convert("RGB").save(image, format="jpeg")
    assert hot.once().returncode == 0
    with Image.open(hot.outbox / "cat.png") as result:
        assert result.format == "JPEG"
    (log,) = hot.root.glob("logs/*/2*.log")
    assert "JPEG" in log.read_text()


def test_variants_have_their_own_seeds_and_receipts(hot: HotFolder) -> None:
    hot.drop("cat.png", variants=3, seed=10)
    assert hot.once().returncode == 0
    expected = {f"cat_s{seed}.png" for seed in (10, 11, 12)}
    assert hot.files("outbox") == expected | {f"{name}.json" for name in expected}
    assert hot.receipt("cat_s12.png")["recipe"]["seed"] == 12


def test_nothing_is_overwritten(hot: HotFolder) -> None:
    for _ in range(3):
        hot.drop("cat.png", seed=1)
        assert hot.once().returncode == 0
    assert {"cat.png", "cat_2.png", "cat_3.png"} <= hot.files("outbox")
    assert len(hot.files("done")) == 6


def test_a_duplicate_is_filed_where_the_settings_say_skip(hot: HotFolder) -> None:
    hot.write_settings("defaults: {settle_seconds: 0.2, on_duplicate: skip}")
    content = hot.drop("cat.png", seed=1).read_bytes()
    assert hot.call("run", "--once", "--editor", "echo").returncode == 0
    hot.drop("cat.png", seed=1).write_bytes(content)
    again = hot.call("run", "--once", "--editor", "echo")
    assert again.returncode == 0
    assert "duplicate" in again.stdout
    assert hot.files("outbox") == {"cat.png", "cat.png.json"}


def test_redo_replaces_the_result_that_nobody_has_touched(hot: HotFolder) -> None:
    hot.write_settings("defaults: {settle_seconds: 0.2, on_duplicate: redo}")
    content = hot.drop("cat.png", seed=1).read_bytes()
    assert hot.call("run", "--once", "--editor", "echo").returncode == 0
    first = hot.receipt("cat.png")["job_id"]
    hot.drop("cat.png", seed=1).write_bytes(content)
    assert hot.call("run", "--once", "--editor", "echo").returncode == 0
    assert hot.receipt("cat.png")["job_id"] != first
    (hot.outbox / "cat.png").write_bytes(b"retouched by hand")
    hot.drop("cat.png", seed=1).write_bytes(content)
    assert hot.call("run", "--once", "--editor", "echo").returncode == 0
    assert (hot.outbox / "cat.png").read_bytes() == b"retouched by hand"
    assert "cat_2.png" in hot.files("outbox")


def test_the_echo_of_a_picture_is_the_picture(hot: HotFolder) -> None:
    (hot.inbox / "_preset.yaml").write_text("megapixels: 2\n")
    image = hot.drop("cat.png")
    before = Image.open(image).tobytes()
    assert hot.once().returncode == 0
    assert Image.open(hot.outbox / "cat.png").tobytes() == before
    receipt = hot.receipt("cat.png")
    assert receipt["recipe"]["megapixels"] == 2.0
    assert receipt["model"]["canvas"] == {"width": 96, "height": 64}
    (log,) = hot.root.glob("logs/*/2*.log")
    assert (
        "megapixels has no effect: what edits here takes pictures of any size." in log.read_text()
    )


def test_once_leaves_a_lone_image_and_a_lone_sidecar(hot: HotFolder) -> None:
    hot.drop("lone.png").with_suffix(".yaml").rename(hot.inbox / "other.yaml")
    assert hot.once().returncode == 0
    assert hot.files("inbox") == {"lone.png", "other.yaml"}


def test_python_dash_m_daemon_is_the_command(hot: HotFolder) -> None:
    assert sys.executable
    assert "usage: hotfolder" in hot.call("--help").stdout


def test_a_picture_that_names_itself_as_reference_fails_once(hot: HotFolder) -> None:
    hot.drop("cat.png", images=["cat.png"])
    assert hot.once().returncode == 1
    assert "the picture to edit itself" in hot.why("cat")
    assert hot.files("inbox") == set()


def test_a_file_where_a_result_needs_a_folder_is_said(hot: HotFolder) -> None:
    (hot.outbox / "sub").write_text("in the way")
    hot.drop("sub/cat.png")
    assert hot.once().returncode == 1
    assert "outbox/sub" in hot.why("cat")


def test_once_ends_where_there_is_too_little_space(hot: HotFolder) -> None:
    hot.write_settings("defaults: {settle_seconds: 0.2, min_free_gib: 1000000}")
    hot.drop("cat.png")
    ran = hot.call("run", "--once", "--editor", "echo")
    assert ran.returncode == 1
    assert "folder_low_space" in ran.stderr
    assert hot.files("inbox") == {"cat.png", "cat.yaml"}


def test_once_leaves_a_folder_to_the_daemon_of_another_state_folder(
    hot: HotFolder, start: Callable[..., Daemon]
) -> None:
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=editor_ready"))
    hot.environment["XDG_STATE_HOME"] = str(hot.cwd / "state")
    second = hot.once()
    assert second.returncode == 1
    assert "is left to the other daemon that works on it" in second.stderr
    assert daemon.stop() == 0


def test_plan_and_log_notice_a_prompt_that_yaml_cuts_off(hot: HotFolder) -> None:
    hot.drop("cat.png").with_suffix(".yaml").write_text("prompt: paint it #ff0000\n")
    advice = 'quote it: prompt: "paint it #ff0000"'
    assert advice in hot.call("plan").stdout
    assert hot.once().returncode == 0
    (log,) = hot.root.glob("logs/LOG-*")
    assert advice in log.read_text()
