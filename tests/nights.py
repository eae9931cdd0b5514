"""Nights: what people drop into a hot folder, and what must have become of it by the morning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from harness import HotFolder
from PIL import Image

from daemon.fs.hot_folder import make_hot_folder

ONCE = ("run", "--once", "--editor", "echo")
FOR_EVER = ("run", "--editor", "echo")
SCRIPTED = {"pipeline.editor_worker": "scripted"}


class Hot(HotFolder):
    """A hot folder where files settle at once and any space is enough."""

    def make(self) -> None:
        """Make the folders, and something beside them."""
        make_hot_folder(self.root, "the-id")
        (self.root.parent / "neighbour").write_text("keep out")
        self.set()

    def set(self, *settings: str) -> None:
        """Write the settings."""
        usual = ("settle_seconds: 0", "sidecar_grace_seconds: 0", "min_free_gib: 0")
        defaults = ", ".join((*usual, *settings))
        self.write_settings(f"defaults: {{{defaults}}}", "model: {hang_seconds: 3}")

    def picture(self, name: str, mode: str = "RGB") -> None:
        """Drop a picture like no other of another name."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = hashlib.shake_128(name.encode()).digest(24 * 16)
        Image.frombytes("L", (24, 16), noise).convert(mode).save(path)

    def pair(self, name: str, prompt: str = "Make it blue", **keys: object) -> None:
        """Drop a picture and its sidecar."""
        self.picture(name)
        keys = {"prompt": prompt, "seed": 7, **keys}
        text = f"# of {name}\n{json.dumps(keys, ensure_ascii=False)}\n"
        (self.inbox / name).with_suffix(".yaml").write_text(text, encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One job, or a few, from the inbox to where they belong."""

    name: str
    drop: Callable[[Hot], None]
    results: tuple[str, ...]  # what is new in the outbox in the end
    home: str = "done"  # where all originals lie in the end
    earlier: Callable[[Hot], None] | None = None  # dropped and worked the night before
    replaces: bool = False  # the results of the night before
    is_stopped: bool = False  # by somebody, in the middle
    is_scripted: bool = False  # the prompts say what the editor does
    attempts: tuple[int, ...] = ()  # that the first result may have taken; any number if empty

    def __str__(self) -> str:
        return self.name


def _pair(hot: Hot) -> None:
    hot.pair("cat.png")


def _pair_below(hot: Hot) -> None:
    hot.pair("a/b/ca\u0301t.png")


def _shared(hot: Hot) -> None:
    for name in ("cat.png", "dog.png"):
        hot.pair(name, images=["logo.png"], mask="mask.png")
    hot.picture("logo.png")
    hot.picture("mask.png", "L")


def _variants(hot: Hot) -> None:
    hot.pair("cat.png", variants=2)


def _broken(hot: Hot) -> None:
    hot.pair("s/cat.png", stepps=4)


def _preset(hot: Hot) -> None:
    hot.picture("s/cat.png")
    (hot.inbox / "s/_preset.yaml").write_text("prompt: Make it blue\n")


def _three(hot: Hot) -> None:
    for name in ("ape.png", "bee.png", "cat.png"):
        hot.pair(name)


def _again(policy: str) -> Callable[[Hot], None]:
    def drop(hot: Hot) -> None:
        hot.set(f"on_duplicate: {policy}")
        hot.pair("cat.png")

    return drop


def _taken(hot: Hot) -> None:
    hot.pair("cat.png")
    (hot.outbox / "cat.png").write_bytes(b"theirs")


def _prompt(prompt: str) -> Callable[[Hot], None]:
    return lambda hot: hot.pair("cat.png", prompt)


NIGHTS = (
    Night(name="a pair", drop=_pair, results=("cat.png",)),
    Night(name="a pair below", drop=_pair_below, results=("a/b/c\u00e1t.png",)),
    Night(name="a shared reference", drop=_shared, results=("cat.png", "dog.png")),
    Night(name="two variants", drop=_variants, results=("cat_s7.png", "cat_s8.png")),
    Night(name="a broken sidecar", drop=_broken, results=(), home="failed"),
    Night(name="three pairs", drop=_three, results=("ape.png", "bee.png", "cat.png")),
    Night(name="a version", drop=_pair, results=("cat_2.png",), earlier=_pair),
    Night(name="a duplicate", drop=_again("skip"), results=(), earlier=_pair),
    Night(name="a redo", drop=_again("redo"), results=("cat.png",), earlier=_pair, replaces=True),
    Night(name="a name taken", drop=_taken, results=("cat_2.png",)),
    Night(
        name="a stop",
        drop=_prompt("stop @stage *1"),
        results=("cat.png",),
        is_stopped=True,
        is_scripted=True,
    ),
    Night(name="a strike", drop=_prompt("die @step *1"), results=("cat.png",), is_scripted=True),
    Night(name="a poison", drop=_prompt("die @step"), results=(), home="failed", is_scripted=True),
)
