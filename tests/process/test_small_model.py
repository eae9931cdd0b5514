"""Jobs go through the daemon with the small model, and the results are measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import HotFolder
from studio import SMALL_MODEL, colour_of, inside, likeness_db, load, picture, save, scene, thing

from training.exam import nearer_db
from training.scene import Scene

WIDE, HIGH = 800, 600
HEART = scene("white", thing("heart", "red", 0.4, 0.5))
SQUARE = scene("yellow", thing("square", "blue", 0.55, 0.45))
TWO = scene("grey", thing("square", "blue", 0.3, 0.36), thing("star", "yellow", 0.68, 0.62))
SAMPLE = scene("grey", thing("circle", "green"))
RING = TWO.with_thing(0, thing("ring", "blue", 0.3, 0.36))


@pytest.fixture
def worked(hot: HotFolder) -> HotFolder:
    """A night of nine jobs."""
    del hot.environment["NUM_STEPS"]
    (hot.inbox / "_preset.yaml").write_text("seed: 7")
    drop(hot, "heart.png", HEART, prompt="Make the heart orange", keep="none")
    drop(hot, "kept.png", HEART, prompt="Make the heart orange")
    drop(hot, "square.jpg", SQUARE, prompt="把背景换成黑色")
    drop(hot, "part.png", SQUARE, prompt="Turn the square green.", region=[240, 100, 400, 400])
    drop(hot, "two.png", TWO, prompt="把方形换成圆环")
    drop(hot, "same.png", HEART, prompt="Change nothing", keep="none")
    drop(hot, "seeds.png", HEART, prompt="Make the heart orange", keep="none", variants=2)
    drop(hot, "guided.png", HEART, prompt="Make the heart orange", keep="none", cfg=3)
    words = "Paint the heart like the shape in picture 2"
    drop(hot, "like.png", HEART, prompt=words, keep="none", images=["sample.png"])
    save(picture(SAMPLE, WIDE, HIGH), hot.inbox / "sample.png")
    hot.write_settings("defaults: {settle_seconds: 0.2}")
    done = hot.call("run", "--once", "--model", SMALL_MODEL)
    assert done.returncode == 0, done.stderr
    return hot


def drop(hot: HotFolder, name: str, shown: Scene, **keys: object) -> None:
    save(picture(shown, WIDE, HIGH), hot.inbox / name)
    sidecar = (hot.inbox / name).with_suffix(".yaml")
    sidecar.write_text(json.dumps(keys, ensure_ascii=False), encoding="utf-8")


def result(hot: HotFolder, name: str) -> Path:
    assert hot.receipt(name)["model"]["weights"] == "trained"
    return hot.outbox / name


def test_what_was_asked_for_is_seen_in_the_results(worked: HotFolder) -> None:
    usual, guided = (worked.receipt(name)["recipe"] for name in ("heart.png", "guided.png"))
    assert (usual["steps"], usual["cfg"]) == (8, 1)  # as the model's own file has it
    assert (guided["steps"], guided["cfg"]) == (8, 3)
    heart = load(result(worked, "heart.png"))
    assert heart.shape == (3, HIGH, WIDE)
    assert colour_of(heart, inside(HEART, 0, heart)) == "orange"
    around = ~inside(HEART, 0, heart, grown=0.08)
    assert likeness_db(heart, picture(HEART, WIDE, HIGH), around) >= 30

    kept = load(result(worked, "kept.png"))
    assert colour_of(kept, inside(HEART, 0, kept)) == "orange"
    assert likeness_db(kept, picture(HEART, WIDE, HIGH), around) >= 40

    square = load(result(worked, "square.jpg"))
    assert colour_of(square, ~inside(SQUARE, 0, square, grown=0.08)) == "black"
    assert colour_of(square, inside(SQUARE, 0, square)) == "blue"

    part = load(result(worked, "part.png"))
    assert colour_of(part, inside(SQUARE, 0, part)) == "green"
    before = load(next(worked.root.glob("done/*/part.png")))
    assert (part[:, :, :240] == before[:, :, :240]).all()  # outside the region

    two = load(result(worked, "two.png"))
    was, asked = picture(TWO, WIDE, HIGH), picture(RING, WIDE, HIGH)
    assert nearer_db(was, asked, two) > 6
    assert likeness_db(two, was, ~inside(TWO, 0, two, grown=0.1)) >= 40

    same = load(result(worked, "same.png"))
    assert likeness_db(same, picture(HEART, WIDE, HIGH)) >= 30
    like = load(result(worked, "like.png"))
    assert colour_of(like, inside(HEART, 0, like)) == "green"
    assert_seeds_and_guidance_act(worked)


def assert_seeds_and_guidance_act(worked: HotFolder) -> None:
    """The same seed gives the same picture; another one, or guidance, another orange heart."""
    heart, first, second, guided = (
        load(result(worked, name))
        for name in ("heart.png", "seeds_s7.png", "seeds_s8.png", "guided.png")
    )
    assert first.equal(heart)
    for other in (second, guided):
        assert not other.equal(heart)
        assert colour_of(other, inside(HEART, 0, other)) == "orange"
