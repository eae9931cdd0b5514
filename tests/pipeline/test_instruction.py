import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.instruction_keys import Keys
from config.problems import Problem, UserError
from config.values import (
    ExactSize,
    Format,
    Keep,
    MinConfidence,
    ModelSize,
    Off,
    OriginalSize,
    Region,
)
from pipeline.instruction import NONE, parse

WHOLE = """\
prompt: Replace the background with a beach at dawn
negative_prompt: " "
preset: product
steps: 10
cfg: 4
seed: 42
lora: lightning-8
images: [logo.png]
mask: photo.mask.png
region: [1, 2, 30, 40]
variants: 2
priority: 9
megapixels: 1.5
size: 1024x768
keep: mask
format: jpeg
quality: 90
min_keep_psnr: 38.5
max_shift_px: off
max_changed: 0.25
min_confidence: high
"""


def written(text: str) -> Keys:
    return parse(text.encode(), "photo.yaml").written


def problems(text: str) -> str:
    with pytest.raises(UserError) as caught:
        parse(text.encode(), "photo.yaml")
    return str(caught.value)


def test_every_key_is_read() -> None:
    assert written(WHOLE) == Keys(
        prompt="Replace the background with a beach at dawn",
        negative_prompt=" ",
        preset="product",
        steps=10,
        cfg=4.0,
        seed=42,
        lora="lightning-8",
        images=("logo.png",),
        mask="photo.mask.png",
        region=Region(1, 2, 30, 40),
        variants=2,
        priority=9,
        megapixels=1.5,
        size=ExactSize(1024, 768),
        keep=Keep.MASK,
        format=Format.JPG,
        quality=90,
        min_keep_psnr=38.5,
        max_shift_px=Off.OFF,
        max_changed=0.25,
        min_confidence=MinConfidence.HIGH,
    )


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("prompt: no", "prompt", "no"),
        ("prompt: 把背景换成海滩", "prompt", "把背景换成海滩"),
        ("prompt: '  red  '", "prompt", "red"),
        ("prompt: |\n  red\n  car: blue\n\n", "prompt", "red\ncar: blue"),
        ("prompt: '42'", "prompt", "42"),
        ("negative_prompt: ''", "negative_prompt", " "),
        ("negative_prompt: blurry ", "negative_prompt", "blurry"),
        ("steps: 0010", "steps", 10),
        ("steps: 100", "steps", 100),
        ("cfg: 1e0", "cfg", 1.0),
        ("cfg: 20", "cfg", 20.0),
        ("seed: 0", "seed", 0),
        ("seed: 9223372036854775807", "seed", 2**63 - 1),
        ("seed: null", "seed", None),
        ("images: []", "images", ()),
        ("images: [a.png, b 海.png]", "images", ("a.png", "b 海.png")),
        ('images: ["-a\\n.png"]', "images", ("-a\n.png",)),
        ("region: [0, 0, 1, 1]", "region", Region(0, 0, 1, 1)),
        ("megapixels: 0.25", "megapixels", 0.25),
        ("megapixels: 4", "megapixels", 4.0),
        ("megapixels: null", "megapixels", None),
        ("size: original", "size", OriginalSize()),
        ("size: Model", "size", ModelSize()),
        ("size: 640X480", "size", ExactSize(640, 480)),
        ("size: 640 \u00d7 480", "size", ExactSize(640, 480)),
        ("size: 16384x1", "size", ExactSize(16384, 1)),
        ("keep: none", "keep", Keep.NONE),
        ("format: PNG", "format", Format.PNG),
        ("format: same", "format", Format.SAME),
        ("quality: 1", "quality", 1),
        ("priority: 0", "priority", 0),
        ("min_keep_psnr: 100", "min_keep_psnr", 100.0),
        ("min_keep_psnr: Off", "min_keep_psnr", Off.OFF),
        ("max_shift_px: 0", "max_shift_px", 0.0),
        ("max_changed: 1", "max_changed", 1.0),
        ("max_changed: null", "max_changed", None),
        ("min_confidence: 'off'", "min_confidence", MinConfidence.OFF),
    ],
)
def test_what_people_may_write(line: str, key: str, value: object) -> None:
    assert getattr(written(line), key) == value
    assert type(getattr(written(line), key)) is type(value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("prompt: 42", 'prompt is 42, not a text; quote it: "42"'),
        ("prompt: true", 'quote it: "true"'),
        ("prompt: ' '", "prompt is empty"),
        ("prompt: [red]", "prompt is a list of 1; write a text"),
        ('prompt: "a\\0b"', "prompt holds a NUL character"),
        ("preset: ''", "preset is empty"),
        ("steps: 0", "steps is 0; write a whole number from 1 to 100"),
        ("steps: 101", "write a whole number from 1 to 100"),
        ("steps: 10.0", "steps is 10.0; write a whole number"),
        ("steps: '10'", 'steps is the text "10"; write a whole number'),
        ("steps: true", "steps is true; write a whole number"),
        ("steps: [1]", "steps is a list of 1"),
        ("steps: {a: 1}", "steps is a mapping"),
        ("cfg: 0.9", "cfg is 0.9; write a number from 1 to 20"),
        ("cfg: .nan", "cfg is .nan"),
        ("cfg: true", "cfg is true"),
        ("seed: -1", "or remove the line to have one drawn"),
        ("seed: 9223372036854775808", "seed is 9223372036854775808"),
        ("images: logo.png", "images is logo.png, not a list; write [logo.png]"),
        ("images: [a.png, b.png, c.png]", "images has 3 names; write at most 2"),
        ("images: [7]", "images is 7, not a text"),
        (
            "images: [sub/a.png]",
            "a path; put the picture into the same folder and write its name: a.png",
        ),
        ("images: ['C:\\a.png']", "a path"),
        ("images: ['..']", "not the name of a picture"),
        ("images: [.hidden.png]", "not the name of a picture"),
        ("mask: ''", "not the name of a picture"),
        ("mask: https://example.org/a.png", ", an address"),
        ("mask: /etc/passwd", "a path"),
        ("region: [1, 2, 3]", "region is a list of 3; write [x, y, width, height]"),
        ("region: [1, 2, 0, 4]", "width and height at least 1"),
        ("region: [-1, 2, 3, 4]", "write [x, y, width, height]"),
        ("region: [1, 2, 3, true]", "write [x, y, width, height]"),
        ("region: [1, 2, 3.5, 4]", "write [x, y, width, height]"),
        ("region: 1,2,3,4", "region is 1,2,3,4"),
        ("variants: 9", "write a whole number from 1 to 8"),
        ("priority: 10", "write a whole number from 0 to 9"),
        (
            "megapixels: 40",
            "is 40; write a number from 0.25 to 4, or remove the line for the model's",
        ),
        ('megapixels: "2MP"', 'is the text "2MP"; write a number from 0.25 to 4'),
        ("megapixels: 0", "megapixels is 0; write a number from 0.25 to 4"),
        ("megapixels: 1,5", "megapixels is 1,5; write a number"),
        ("megapixels: 1024x1024", "megapixels is 1024x1024; write a number"),
        ("megapixel: 2", "did you mean 'megapixels'?"),
        ("size: 0x10", "write original, model or WIDTHxHEIGHT"),
        ("size: 16385x10", "sides from 1 to 16384"),
        ("size: big", "size is big"),
        ("size: [10, 10]", "size is a list of 2"),
        ("keep: no", "keep is no; write one of auto, mask, none"),
        ("format: heic", "write one of same, png, jpg, webp"),
        ("quality: 0", "write a whole number from 1 to 100"),
        ("min_keep_psnr: 101", "is 101; write a number from 0 to 100, or off"),
        ("min_keep_psnr: no", "is no; write a number from 0 to 100, or off"),
        ("max_shift_px: -1", "is -1; write a number from 0 to 16384, or off"),
        ("max_changed: 20%", "is 20%; write a number from 0 to 1, or off"),
        ("min_confidence: 0.9", "is 0.9; write one of off, high"),
        ("max_change: 0.2", "'max_change' is no key; did you mean 'max_changed'?"),
        ("stepz: 4", "'stepz' is no key; did you mean 'steps'?"),
        ("Prompt: x", "did you mean 'prompt'?"),
        ("negative-prompt: x", "did you mean 'negative_prompt'?"),
        ("zzz: x", "'zzz' is no key; write one of prompt, negative_prompt,"),
        ("1: x", "'1' is no key"),
    ],
)
def test_what_nobody_may_write_is_explained(line: str, expected: str) -> None:
    message = problems(f"# first\n{line}\n")
    assert message.startswith("photo.yaml, line 2: ")
    assert expected in message


def test_all_problems_come_at_once_in_the_order_of_lines() -> None:
    lines = problems("steps: 0\nprompt: 4\nseed:\nstrenght: 1\nsteps: 4\n").splitlines()
    starts = [line.partition(" is")[0].partition(" has")[0] for line in lines]
    assert starts == [
        "photo.yaml, line 1: steps",
        "photo.yaml, line 2: prompt",
        "photo.yaml, line 3: 'seed'",
        "photo.yaml, line 4: 'strenght'",
        "photo.yaml, line 5: 'steps'",
    ]


def test_a_long_value_is_not_repeated_whole() -> None:
    assert len(problems(f"seed: {'9' * 5000}")) < 250


@pytest.mark.parametrize("content", [b"", b" \n", b"# only words\n"])
@pytest.mark.parametrize("name", ["photo.yaml", "photo.YML"])
def test_an_empty_sidecar_is_refused(content: bytes, name: str) -> None:
    with pytest.raises(UserError, match="is empty; write `prompt"):
        parse(content, name)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Make it red", '"Make it red" is no `key: value`'),
        ("- prompt: x", "the whole file is a list"),
        ("prompt\uff1a\u7ea2\u8272", "write: prompt: \u7ea2\u8272"),
        ("prompt:red", "write: prompt: red"),
    ],
)
def test_a_sidecar_without_keys_is_explained(content: str, expected: str) -> None:
    assert expected in problems(content)


def test_the_receipt_shows_exactly_the_written_keys() -> None:
    text = "prompt: |\n  red\nsize: 640X480\nformat: jpeg\ncfg: 4\nimages: [a.png]\n"
    assert parse(text.encode(), "photo.yaml").as_json() == {
        "prompt": "red\n",
        "size": "640X480",
        "format": "jpeg",
        "cfg": 4,
        "images": ["a.png"],
    }


def test_a_txt_is_the_prompt_whole_and_stripped() -> None:
    instruction = parse("\ufeff steps: 4\r\nmake it: red \n".encode(), "Photo.TXT")
    assert instruction.written == Keys(prompt="steps: 4\nmake it: red")
    assert instruction.as_json() == {"prompt": "steps: 4\nmake it: red"}


@pytest.mark.parametrize("content", [b"", b" \n\n", b"\xef\xbb\xbf"])
def test_an_empty_txt_is_refused(content: bytes) -> None:
    with pytest.raises(UserError, match=r"photo\.txt: is empty"):
        parse(content, "photo.txt")


@pytest.mark.parametrize("name", ["photo.txt", "photo.yaml"])
def test_a_sidecar_of_a_megabyte_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="longer than 64 KiB"):
        parse(b"prompt: " + b"a" * 2**20, name)


def test_only_known_extensions_are_instructions() -> None:
    with pytest.raises(UserError, match=r"end its name in \.yaml, \.yml or \.txt"):
        parse(b"prompt: a", "photo.json")


def test_a_key_knows_its_place() -> None:
    instruction = parse(b"prompt: a\npreset: b\n", "photo.yaml")
    assert instruction.where("preset") == "photo.yaml, line 2"
    assert instruction.where("lora") == "photo.yaml"


def test_no_sidecar_writes_nothing() -> None:
    assert NONE.written == Keys()
    assert NONE.as_json() == {}


def problems_of(content: bytes, name: str) -> tuple[Problem, ...]:
    try:
        parse(content, name)
    except UserError as error:
        return error.problems
    return ()


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=70 * 1024), st.sampled_from(["a.yaml", "a.txt"]))
def test_any_bytes_are_an_instruction_or_an_explained_error(content: bytes, name: str) -> None:
    assert all(problem.where.startswith(name) for problem in problems_of(content, name))


KEYS = st.sampled_from(["prompt", "steps", "images", "region", "size", "keep", "cfg", "x"])
VALUES = st.text(alphabet="abx01-.:[]{},'\" #\n", max_size=12)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(KEYS, VALUES), max_size=5))
def test_any_values_are_an_instruction_or_an_explained_error(
    pairs: list[tuple[str, str]],
) -> None:
    text = "".join(f"{key}: {value}\n" for key, value in pairs)
    assert all(problem.advice for problem in problems_of(text.encode(), "a.yaml"))


def test_a_thousand_sidecars_are_read_in_less_than_a_second() -> None:
    contents = [WHOLE.partition("lora")[0].replace("42", str(n)).encode() for n in range(1000)]
    parse(contents[0], "a.yaml")
    begin = time.process_time()
    for content in contents:
        parse(content, "a.yaml")
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    ("content", "asked_for"),
    [
        (b"prompt: paint it #ff0000\n", 'prompt: "paint it #ff0000"'),
        (b"prompt: blue\nnegative_prompt: sign #1, fog\n", 'negative_prompt: "sign #1, fog"'),
        (b"prompt: paint\n  it #blue\n", 'prompt: "paint it #blue"'),
    ],
)
def test_a_text_that_a_comment_cuts_off_is_noticed(content: bytes, asked_for: str) -> None:
    (note,) = parse(content, "photo.yaml").notes
    assert note.startswith("photo.yaml, line ")
    assert asked_for in note


@pytest.mark.parametrize(
    "content",
    [
        b"prompt: paint it blue # the sky\n",
        b'prompt: "paint it #ff0000" #1\n',
        b"prompt: |\n  paint it #ff0000\n",
        b"prompt: C#7 and #\nsteps: 4 #few\n",
    ],
)
def test_a_comment_that_is_one_is_not(content: bytes) -> None:
    assert parse(content, "photo.yaml").notes == ()
