"""`hotfolder again`, `accept` and `reject`, as people call them."""

from collections.abc import Callable

import pytest
from harness import Daemon, HotFolder, wait_for
from reviewed import add_result, sha256_of

ECHO = ("--editor", "echo")


def put(hot: HotFolder, path: str) -> None:
    """A result of a picture that was filed."""
    name = path.rpartition("/")[2]
    original = hot.root / "done/2026-11-28" / name
    hot.drop(name).with_suffix(".yaml").unlink()
    original.parent.mkdir(exist_ok=True)
    (hot.inbox / name).rename(original)
    facts = {"name": name, "sha256": sha256_of(original.read_bytes())}
    add_result(hot.root, path, preview=False, receipt={"input": facts})


def said(hot: HotFolder, *words: object, code: int = 0) -> str:
    done = hot.call(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_by_the_daemon_that_runs(hot: HotFolder, start: Callable[..., Daemon]) -> None:
    for name in ("cat.png", "dog.png"):
        put(hot, f"review/{name}")
    daemon = start(*ECHO)
    wait_for(lambda: daemon.said("editor_ready"))
    accepted = said(hot, "accept", "cat")
    assert accepted == "review/cat.png was accepted: it is outbox/cat.png now.\n"
    rejected = said(hot, "reject", hot.root / "review/dog.png.json", "--reason", "no ears")
    assert "review/dog.png was rejected (no ears): it is failed/" in rejected
    assert hot.files("review") == set()
    assert hot.receipt("cat.png")["status"] == "done"
    assert "no ears" in said(hot, "why", "dog.png")
    again = said(hot, "again", "outbox/cat.png")
    assert again == "outbox/cat.png is edited anew: cat.png, cat.png.yaml are in the inbox.\n"
    wait_for(lambda: "cat_2.png.json" in hot.files("outbox"))
    assert daemon.said("result_handled", "outbox/cat.png is edited anew")
    assert hot.receipt("cat_2.png")["recipe"]["prompt"] == "make it blue"


def test_without_a_daemon(hot: HotFolder) -> None:
    for path in ("outbox/sub/cat.png", "outbox/cat.png", "review/cat_s8.png"):
        put(hot, path)
    several = said(hot, "again", "cat.png", "--root", hot.root, code=2)
    assert several.startswith("cat.png may be outbox/cat.png or outbox/sub/cat.png: name one")
    said(hot, "again", hot.root / "outbox/cat.png", "--prompt", "a hat", "--seed", 5)
    written = (hot.inbox / "cat.png.yaml").read_text()
    assert 'prompt: "a hat"\n' in written
    assert "seed: 5\n" in written
    assert "is no result in review" in said(hot, "accept", "cat.png", code=2)
    assert "is in outbox, not in review" in said(hot, "accept", "outbox/cat.png", code=2)
    assert "was accepted" in said(hot, "accept", "cat_s8.png")
    already = said(hot, "accept", "review/cat_s8.png")
    assert already == "review/cat_s8.png was accepted before: it is outbox/cat_s8.png now.\n"
    (log,) = hot.root.glob("logs/LOG-*.txt")
    assert "review/cat_s8.png was accepted: it is outbox/cat_s8.png now." in log.read_text()


@pytest.mark.parametrize(
    "words", [("again", "x", "--seed", "-1"), ("again", "x", "--seed", "1.5")]
)
def test_a_seed_that_is_none_is_said(hot: HotFolder, words: tuple[str, ...]) -> None:
    refused = hot.call(*words)
    assert refused.returncode == 2
    assert "seed" in refused.stderr
