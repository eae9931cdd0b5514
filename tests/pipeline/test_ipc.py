"""Messages arrive as they were sent; what is none raises one error, and blocks nobody."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import wait_for
from sample import FACTS, FIDELITY, PLACEMENT, RECIPE

from config import codec
from config.problems import Problem
from config.settings import Attention, Gps, Lora, ModelSettings
from config.text import LIMIT_BYTES
from config.values import ExactSize, Region
from pipeline import ipc
from pipeline.editor import (
    Done,
    EditError,
    EditRequest,
    EditResult,
    Failed,
    Failure,
    Stage,
    StageName,
    Step,
)
from pipeline.ipc import Connection
from pipeline.pixel_requests import Compose, Composed, Prepare, Prepared, Preview
from pipeline.provenance import Provenance

NAME = "\udcff\udcfe.png"
SCRATCH = Path("/scratch") / NAME
WHOLE_RECIPE = replace(
    RECIPE, images=(NAME,), region=Region(1, 2, 3, 4), size=ExactSize(5, 6), max_changed=0.5
)
REQUEST = EditRequest(
    request_id="20261122-120000-aaaaaaaa.0",
    images=(SCRATCH, Path("/scratch/b.png")),
    prompt="make it blue",
    negative_prompt=" ",
    steps=4,
    cfg=1,
    seed=2**63 - 1,
    lora=None,
    result=SCRATCH,
)
RESULT = EditResult(
    path=SCRATCH, encode_seconds=0.5, denoise_seconds=1e-9, decode_seconds=2.0, peak_vram_gib=0.0
)
PREPARED = Prepared(
    canvases=(SCRATCH,),
    width=64,
    height=48,
    placement=PLACEMENT,
    notes=("It is small.",),
)
COMPOSED = Composed(
    path=SCRATCH,
    format_changed=False,
    width=64,
    height=48,
    sha256="aa",
    preview=Preview(path=SCRATCH, sha256="bb"),
    notes=(),
    fidelity=FIDELITY,
)
TO_EDITOR = (
    ipc.OpenEditor(
        "qwen",
        ModelSettings(
            path=SCRATCH,
            ram_gib=20,
            attention=Attention.SAGE,
            loras={"fast": Lora(path=SCRATCH, steps=4, cfg=1.0)},
        ),
        needs_gpu=True,
    ),
    ipc.EditBatch((REQUEST, replace(REQUEST, lora="fast"))),
    ipc.ImportLibraries(compiles=True),
    ipc.Drop(frozenset(("a.0", "a.1"))),
)
FROM_EDITOR = (
    ipc.Ready(replace(FACTS, device="cuda"), 12.5),
    ipc.Unusable((Problem("/models", "it is gone", "mount it"),)),
    Stage("a.0", StageName.DENOISE),
    Step("a.0", 1, 4),
    Done("a.0", RESULT),
    ipc.BatchDone(),
    ipc.Remark(30, f"{NAME} is odd\0"),
)
TO_PIXELS = (
    Prepare(
        image=SCRATCH,
        name=NAME,
        references=((NAME, SCRATCH),),
        mask=(NAME, SCRATCH),
        recipe=WHOLE_RECIPE,
        working_pixels=None,
        multiple=32,
        max_megapixels=70.0,
        into=SCRATCH,
    ),
    Compose(
        image=SCRATCH,
        name=NAME,
        mask=None,
        recipe=RECIPE,
        prepared=PREPARED,
        edited=SCRATCH,
        told=Provenance(
            job_id="a",
            recipe=RECIPE,
            model=FACTS,
            software="Hotfolder 1",
            made_at=1.5,
            source_name="cat.png",
            source_sha256="aa",
            embeds_prompt=True,
        ),
        gps=Gps.STRIP,
        wants_preview=True,
        allow_flat=False,
        result=SCRATCH,
    ),
)
FROM_PIXELS = (
    ipc.PixelsReady(),
    PREPARED,
    COMPOSED,
    replace(COMPOSED, preview=None, fidelity=replace(FIDELITY, before=None, shift_px=None)),
    ipc.Refused("It is broken.", "Save it again."),
    ipc.MachineFault("The disk is full.", "Make room."),
)


class Pair:
    """The two ends of a line; the first speaks, the second hears messages of a type."""

    def __init__(self, hears: Any) -> None:
        self.raw, theirs = socket.socketpair()
        self.near, self.far = Connection(self.raw, hears), Connection(theirs, hears)

    def hear(self, message: object) -> object:
        """What comes of a message."""
        speaker = threading.Thread(target=self.near.send, args=(message,))
        speaker.start()
        try:
            assert wait_for(self.far.has_more)
            return self.far.receive()
        finally:
            speaker.join()

    def hear_bytes(self, content: bytes) -> object:
        """What comes of a message that is not made by us."""
        self.raw.sendall(len(content).to_bytes(4, "big") + content)
        return self.far.receive()

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    one = Pair(getattr(request, "param", ipc.FromEditor))
    yield one
    one.close()


@pytest.mark.parametrize(
    ("pair", "messages"),
    [
        (ipc.ToEditor, TO_EDITOR),
        (ipc.FromEditor, FROM_EDITOR),
        (ipc.ToPixels, TO_PIXELS),
        (ipc.PixelsReady | ipc.FromPixels, FROM_PIXELS),
    ],
    ids=["to editor", "from editor", "to pixels", "from pixels"],
    indirect=["pair"],
)
def test_every_message_arrives_as_it_was_sent(pair: Pair, messages: tuple[object, ...]) -> None:
    for message in messages:
        assert pair.hear(message) == message


def test_a_failure_arrives_with_all_that_it_says(pair: Pair) -> None:
    heard = pair.hear(Failed("a.0", EditError("It would not.", "Ask again.", Failure.TRANSIENT)))
    assert isinstance(heard, Failed)
    error = heard.error
    assert (str(error), error.cause) == ("It would not.", "It would not.")
    assert (error.advice, error.failure) == ("Ask again.", Failure.TRANSIENT)


@pytest.mark.parametrize("pair", [ipc.ToEditor], indirect=True)
def test_a_batch_of_the_longest_prompts_arrives(pair: Pair) -> None:
    prompt = "\N{CJK UNIFIED IDEOGRAPH-84DD}" * (LIMIT_BYTES // 2)
    batch = ipc.EditBatch((replace(REQUEST, prompt=prompt),) * 32)
    assert pair.hear(batch) == batch


def test_thousands_of_problems_arrive(pair: Pair) -> None:
    one = Problem("/models/it" * 20, "it cannot be read" * 10, "look at its disk" * 10)
    assert pair.hear(ipc.Unusable((one,) * 5000)) == ipc.Unusable((one,) * 5000)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"null",
        b"{}",
        b"[]",
        b"[" * 200_000,
        b'{"is a": ' * 3000,
        b'{"is a": "Step", "request_id": "a.0", "step": 1, "steps": 2}'[:-1],
        b'{"is a": "Step", "request_id": "a.0", "step": 1}',
        b'{"is a": "Step", "request_id": "a.0", "step": 1, "steps": 2, "more": 3}',
        b'{"is a": "Step", "request_id": "a.0", "step": true, "steps": 2}',
        b'{"is a": "Step", "request_id": "a.0", "step": 1.0, "steps": 2}',
        b'{"is a": "Step", "request_id": "a.0", "step": ' + b"9" * 5000 + b', "steps": 2}',
        b'{"is a": "Step", "request_id": "a.0", "step": 9223372036854775808, "steps": 2}',
        b'{"is a": "Step", "request_id": "\\ud800", "step": 1, "steps": 2}',
        b'{"is a": "Stage", "request_id": "a.0", "stage": "perhaps"}',
        b'{"is a": "EditBatch", "requests": []}',
        b'{"is a": "os.system", "command": "true"}',
        b'{"is a": ["BatchDone"]}',
        b'{"is a": "Remark", "level": 1e999, "text": ""}',
        b'{"is a": "Remark", "level": NaN, "text": ""}',
    ],
)
def test_what_is_no_message_raises_one_error_and_the_next_is_heard(
    pair: Pair, content: bytes
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what is wrong with it is all the same
        pair.hear_bytes(content)
    assert pair.hear(ipc.BatchDone()) == ipc.BatchDone()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e999", "9" * 400, "true", '"1"', "null"])
def test_seconds_are_a_number_with_an_end(pair: Pair, number: str) -> None:
    said = codec.dump(ipc.Ready(FACTS, 12.5)).replace("12.5", number)
    with pytest.raises(ValueError, match="none of those"):
        pair.hear_bytes(said.encode())


def test_a_message_that_is_too_long_is_not_read(pair: Pair) -> None:
    pair.raw.sendall((ipc.MOST_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(ValueError, match="too long"):
        pair.far.receive()


@pytest.mark.parametrize("said", [b"", b"\0\0", (1000).to_bytes(4, "big"), b"\0\0\0\x09few"])
def test_a_line_that_ends_in_a_message_has_ended(pair: Pair, said: bytes) -> None:
    pair.raw.sendall(said)
    pair.near.close()
    assert pair.far.has_more()
    with pytest.raises(EOFError):
        pair.far.receive()


def test_whether_something_waits_can_be_asked(pair: Pair) -> None:
    assert not pair.far.has_more()
    pair.near.send(ipc.BatchDone())
    assert pair.far.has_more()
    pair.far.receive()
    assert not pair.far.has_more()


def test_threads_that_speak_at_once_do_not_mix_their_messages(pair: Pair) -> None:
    text = "x" * 300_000  # more than a socket takes at once
    speakers = [
        threading.Thread(target=pair.near.send, args=(ipc.Remark(level, text),))
        for level in range(4)
    ]
    for speaker in speakers:
        speaker.start()
    heard = [pair.far.receive() for _ in speakers]
    for speaker in speakers:
        speaker.join()
    assert sorted(it.level for it in heard) == [0, 1, 2, 3]
    assert {it.text for it in heard} == {text}
