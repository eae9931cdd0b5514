"""Who pairs with whom in an inbox that has settled, and in what words it says so."""

import pytest
from paper import PART, PROMPT, TEXT, WHOLE, PaperInbox, about, names, states

from daemon.job import State

READY, WAITS, HELD = State.READY, State.WAITING_SIDECAR, State.HELD
REFERENCE, SETTLING, SEEN = State.REFERENCE, State.SETTLING, State.SEEN
NAMES_LOGO = b"prompt: add the logo\nimages: [logo.png]\n"
BROKEN = b"promt: red\n"

# Contents of a settled inbox, then the state of each file.
TABLE: dict[str, tuple[dict[str, bytes], dict[str, State]]] = {
    "nothing": ({}, {}),
    "a pair": ({"a.jpg": WHOLE, "a.yaml": PROMPT}, {"a.jpg": READY, "a.yaml": READY}),
    "a bare prompt": ({"a.jpg": WHOLE, "a.txt": TEXT}, {"a.jpg": READY, "a.txt": READY}),
    "any case": ({"A.JPG": WHOLE, "a.YML": PROMPT}, {"A.JPG": READY, "a.YML": READY}),
    "NFC and NFD": (
        {"\u00e9.jpg": WHOLE, "e\u0301.yaml": PROMPT},
        {"\u00e9.jpg": READY, "e\u0301.yaml": READY},
    ),
    "no UTF-8": (
        {"\udce9.jpg": WHOLE, "\udce9.txt": TEXT},
        {"\udce9.jpg": READY, "\udce9.txt": READY},
    ),
    "a subfolder": ({"s/a.jpg": WHOLE, "s/a.yaml": PROMPT}, {"s/a.jpg": READY, "s/a.yaml": READY}),
    "different folders": (
        {"a.jpg": WHOLE, "s/a.yaml": PROMPT},
        {"a.jpg": WAITS, "s/a.yaml": WAITS},
    ),
    "a lone image": ({"a.jpg": WHOLE}, {"a.jpg": WAITS}),
    "a lone sidecar": ({"a.yaml": PROMPT}, {"a.yaml": WAITS}),
    "a lone text": ({"README.txt": TEXT}, {"README.txt": WAITS}),
    "one sidecar for two images": (
        {"a.jpg": WHOLE, "a.png": WHOLE, "a.yaml": PROMPT},
        {"a.jpg": READY, "a.png": READY, "a.yaml": READY},
    ),
    "the full name goes before the stem": (
        {"a.jpg": WHOLE, "a.jpg.yml": PROMPT, "a.yaml": PROMPT},
        {"a.jpg": READY, "a.jpg.yml": READY, "a.yaml": WAITS},
    ),
    "the stem's keys go before the full name's prompt": (
        {"a.jpg": WHOLE, "a.jpg.txt": TEXT, "a.yaml": PROMPT},
        {"a.jpg": READY, "a.yaml": READY, "a.jpg.txt": WAITS},
    ),
    "the full name's prompt goes before the stem's": (
        {"a.jpg": WHOLE, "a.jpg.txt": TEXT, "a.txt": TEXT},
        {"a.jpg": READY, "a.jpg.txt": READY, "a.txt": WAITS},
    ),
    "an outranked sidecar serves the other image": (
        {"a.jpg": WHOLE, "a.png": WHOLE, "a.jpg.yaml": PROMPT, "a.yaml": PROMPT},
        {"a.jpg": READY, "a.png": READY, "a.jpg.yaml": READY, "a.yaml": READY},
    ),
    "twins of one rank": (
        {"a.jpg": WHOLE, "a.yaml": PROMPT, "a.YML": PROMPT},
        {"a.jpg": HELD, "a.yaml": HELD, "a.YML": HELD},
    ),
    "twins to people, not to the disk": (
        {"\u00e9.jpg": WHOLE, "\u00e9.txt": TEXT, "e\u0301.txt": TEXT},
        {"\u00e9.jpg": HELD, "\u00e9.txt": HELD, "e\u0301.txt": HELD},
    ),
    "a sidecar with mistakes": (
        {"a.jpg": WHOLE, "a.yaml": BROKEN},
        {"a.jpg": READY, "a.yaml": READY},
    ),
    "a letter named .jpg": ({"a.jpg": TEXT, "a.yaml": PROMPT}, {"a.jpg": READY, "a.yaml": READY}),
    "a lone letter named .jpg": ({"a.jpg": TEXT}, {"a.jpg": WAITS}),
    "half an image": ({"a.jpg": PART, "a.yaml": PROMPT}, {"a.jpg": HELD, "a.yaml": HELD}),
    "an empty image": ({"a.jpg": b"", "a.yaml": PROMPT}, {"a.jpg": SETTLING, "a.yaml": SETTLING}),
    "an empty sidecar": ({"a.jpg": WHOLE, "a.yaml": b""}, {"a.jpg": SETTLING, "a.yaml": SETTLING}),
    "a reference": (
        {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO, "Logo.PNG": WHOLE},
        {"a.jpg": READY, "a.yaml": READY, "Logo.PNG": REFERENCE},
    ),
    "a missing reference": (
        {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO},
        {"a.jpg": HELD, "a.yaml": HELD},
    ),
    "half a reference": (
        {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO, "logo.png": PART},
        {"a.jpg": HELD, "a.yaml": HELD, "logo.png": REFERENCE},
    ),
    "a reference of an instruction without its image": (
        {"a.yaml": NAMES_LOGO, "logo.png": WHOLE},
        {"a.yaml": WAITS, "logo.png": REFERENCE},
    ),
    "a reference that is a job too": (
        {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO, "logo.png": WHOLE, "logo.txt": TEXT},
        {"a.jpg": READY, "a.yaml": READY, "logo.png": READY, "logo.txt": READY},
    ),
    "a reference that two files answer to": (
        {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO, "Logo.png": WHOLE, "LOGO.png": WHOLE},
        {"a.jpg": HELD, "a.yaml": HELD, "Logo.png": REFERENCE, "LOGO.png": REFERENCE},
    ),
    "a reference that one file is spelled as": (
        {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO, "logo.png": WHOLE, "LOGO.png": WHOLE},
        {"a.jpg": READY, "a.yaml": READY, "logo.png": REFERENCE, "LOGO.png": WAITS},
    ),
    "a reference to itself": (
        {"logo.png": WHOLE, "logo.yaml": NAMES_LOGO},
        {"logo.png": READY, "logo.yaml": READY},
    ),
    "a preset without a prompt": (
        {"a.jpg": WHOLE, "_preset.yaml": b"steps: 9\n"},
        {"a.jpg": WAITS, "_preset.yaml": SEEN},
    ),
    "a preset that gives the sidecar its prompt": (
        {"a.jpg": WHOLE, "a.yaml": b"steps: 9\n", "_preset.yaml": PROMPT},
        {"a.jpg": READY, "a.yaml": READY, "_preset.yaml": SEEN},
    ),
    "a broken preset": (
        {"s/a.jpg": WHOLE, "s/a.yaml": PROMPT, "b.jpg": WHOLE, "s/_preset.yml": BROKEN},
        {"s/a.jpg": HELD, "s/a.yaml": HELD, "b.jpg": WAITS, "s/_preset.yml": HELD},
    ),
    "two presets": (
        {"a.jpg": WHOLE, "a.yaml": PROMPT, "_preset.yaml": PROMPT, "_preset.yml": PROMPT},
        {"a.jpg": HELD, "a.yaml": HELD, "_preset.yaml": HELD, "_preset.yml": HELD},
    ),
    "keys with an ending too many": (
        {"a.jpg": WHOLE, "a.yaml.txt": PROMPT, "s/B.JPG": WHOLE, "s/b.jpg.YML.Txt": PROMPT},
        {"a.jpg": READY, "a.yaml.txt": READY, "s/B.JPG": READY, "s/b.jpg.YML.Txt": READY},
    ),
    "a prompt with an ending too many": (
        {"a.jpg": WHOLE, "a.txt.txt": TEXT},
        {"a.jpg": READY, "a.txt.txt": READY},
    ),
    "the rightly named keys go before those with an ending too many": (
        {"a.jpg": WHOLE, "a.jpg.yaml.txt": PROMPT, "a.yml": PROMPT},
        {"a.jpg": READY, "a.yml": READY, "a.jpg.yaml.txt": WAITS},
    ),
    "keys with an ending too many go before a prompt": (
        {"a.jpg": WHOLE, "a.yaml.txt": PROMPT, "a.txt": TEXT},
        {"a.jpg": READY, "a.yaml.txt": READY, "a.txt": WAITS},
    ),
    "two with an ending too many": (
        {"a.jpg": WHOLE, "a.yaml.txt": PROMPT, "a.yml.txt": PROMPT},
        {"a.jpg": HELD, "a.yaml.txt": HELD, "a.yml.txt": HELD},
    ),
    "the prompt of an image whose name looks like an instruction": (
        {"a.yaml.jpg": WHOLE, "a.jpg": WHOLE, "a.yaml.txt": TEXT},
        {"a.yaml.jpg": READY, "a.jpg": WAITS, "a.yaml.txt": READY},
    ),
    "an image with an ending too many": (
        {"a.jpg.jpg": WHOLE, "a.yaml": PROMPT, "b.jpg.jpg": WHOLE, "b.jpg.txt": TEXT},
        {"a.jpg.jpg": READY, "a.yaml": READY, "b.jpg.jpg": READY, "b.jpg.txt": READY},
    ),
    "one beside the image of that name": (
        {"a.jpg.jpg": WHOLE, "a.png": WHOLE, "a.yaml": PROMPT},
        {"a.jpg.jpg": WAITS, "a.png": READY, "a.yaml": READY},
    ),
    "a reference with an ending too many": (
        {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO, "logo.png.PNG": WHOLE},
        {"a.jpg": READY, "a.yaml": READY, "logo.png.PNG": REFERENCE},
    ),
    "a reference beside one with an ending too many": (
        {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO, "logo.png": WHOLE, "logo.png.png": WHOLE},
        {"a.jpg": READY, "a.yaml": READY, "logo.png": REFERENCE, "logo.png.png": WAITS},
    ),
    "a preset with an ending too many": (
        {"a.jpg": WHOLE, "a.yaml": b"steps: 9\n", "_preset.yaml.txt": PROMPT},
        {"a.jpg": READY, "a.yaml": READY, "_preset.yaml.txt": SEEN},
    ),
    "a preset beside one with an ending too many": (
        {"a.jpg": WHOLE, "a.yaml": PROMPT, "_preset.yaml": PROMPT, "_preset.yaml.txt": PROMPT},
        {"a.jpg": HELD, "a.yaml": HELD, "_preset.yaml": HELD, "_preset.yaml.txt": HELD},
    ),
    "a preset's own reference": (
        {"_preset.yaml": NAMES_LOGO, "logo.png": WHOLE, "a.jpg": WHOLE, "a.yaml": b"steps: 9\n"},
        {"_preset.yaml": SEEN, "logo.png": REFERENCE, "a.jpg": READY, "a.yaml": READY},
    ),
}


@pytest.mark.parametrize(("contents", "expected"), TABLE.values(), ids=TABLE)
def test_a_settled_inbox_stands_so(contents: dict[str, bytes], expected: dict[str, State]) -> None:
    plan = PaperInbox(contents).settled()
    assert states(plan) == expected
    images = {path for path in expected if not path.lower().endswith(("yaml", "yml", "txt"))}
    assert set(names(plan.ready)) == {path for path in images if expected[path] is READY}


# Contents, then the words in the state of a.jpg.
REASONS: dict[str, tuple[dict[str, bytes], str]] = {
    "alone": ({"a.jpg": WHOLE}, "waits for a.yaml, a.txt or another instruction since "),
    "twins": (
        {"a.jpg": WHOLE, "a.yaml": PROMPT, "a.YML": PROMPT},
        "a.YML and a.yaml both belong to it: remove one",
    ),
    "half": ({"a.jpg": PART, "a.yaml": PROMPT}, "incomplete: "),
    "a missing reference": ({"a.jpg": WHOLE, "a.yaml": NAMES_LOGO}, "waits for logo.png"),
    "half a reference": (
        {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO, "logo.png": PART},
        "waits for logo.png: incomplete: ",
    ),
    "an ambiguous reference": (
        {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO, "LOGO.png": WHOLE, "Logo.png": WHOLE},
        "LOGO.png and Logo.png both answer to logo.png: remove one",
    ),
    "a broken preset": (
        {"a.jpg": WHOLE, "a.yaml": PROMPT, "_preset.yaml": BROKEN},
        "waits for somebody to mend _preset.yaml, line 1",
    ),
    "two presets": (
        {"a.jpg": WHOLE, "_preset.yaml": PROMPT, "_preset.yml": PROMPT},
        "waits for somebody to mend _preset.yml",
    ),
    "ready": ({"a.jpg": WHOLE, "a.yaml": PROMPT}, "ready"),
    "hopeless": ({"a.jpg": TEXT, "a.yaml": BROKEN}, "ready, but it will fail"),
}


@pytest.mark.parametrize(("contents", "words"), REASONS.values(), ids=REASONS)
def test_an_image_says_what_it_waits_for(contents: dict[str, bytes], words: str) -> None:
    assert words in about(PaperInbox(contents).settled(), "a.jpg").reason


# Contents, then the names as which some of them are read.
READ_AS: dict[str, tuple[dict[str, bytes], dict[str, str]]] = {
    "an instruction": ({"a.jpg": WHOLE, "a.yaml.txt": PROMPT}, {"a.yaml.txt": "a.yaml"}),
    "a lone one": ({"a.jpg.yml.txt": PROMPT}, {"a.jpg.yml.txt": "a.jpg.yml"}),
    "a prompt": ({"a.jpg": WHOLE, "a.TXT.txt": TEXT}, {"a.TXT.txt": "a.TXT"}),
    "a right one": ({"a.jpg": WHOLE, "a.jpg.txt": TEXT}, {}),
    "one of an odd image": ({"a.yaml.jpg": WHOLE, "a.yaml.txt": TEXT}, {}),
    "an image": ({"a.jpg.jpg": WHOLE, "a.yaml": PROMPT}, {"a.jpg.jpg": "a.jpg"}),
    "an image by its own name": ({"a.jpg.jpg": WHOLE, "a.jpg.yaml": PROMPT}, {}),
    "a reference": (
        {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO, "logo.png.png": WHOLE},
        {"logo.png.png": "logo.png"},
    ),
    "a preset": ({"_preset.yml.txt": PROMPT}, {"_preset.yml.txt": "_preset.yml"}),
    "a cancel file": ({"a.jpg": WHOLE, "a.cancel.txt": b""}, {"a.cancel.txt": "a.cancel"}),
}


@pytest.mark.parametrize(("contents", "expected"), READ_AS.values(), ids=READ_AS)
def test_what_is_read_by_another_name_says_so(
    contents: dict[str, bytes], expected: dict[str, str]
) -> None:
    plan = PaperInbox(contents).settled()
    assert {it.path: it.read_as for it in plan.states if it.read_as} == expected
    for path, name in expected.items():
        assert about(plan, path).reason.endswith(f" (read as {name})")


def test_an_instruction_is_read_anew_when_an_image_of_its_whole_name_comes() -> None:
    inbox = PaperInbox({"a.yaml.txt": TEXT})
    assert about(inbox.settled(), "a.yaml.txt").problems  # it is no YAML
    inbox.write({"a.yaml.jpg": WHOLE})
    plan = inbox.settled()
    assert about(plan, "a.yaml.txt").problems == ()
    assert names(plan.ready) == ["a.yaml.jpg"]
    inbox.remove("a.yaml.jpg")
    assert about(inbox.settled(), "a.yaml.txt").problems


# Contents, then the words of the problems of the only candidate.
HOPELESS: dict[str, tuple[dict[str, bytes], list[str]]] = {
    "a mistake": ({"a.jpg": WHOLE, "a.yaml": BROKEN}, ["a.yaml, line 1: 'promt' is no key"]),
    "two mistakes": (
        {"a.jpg": WHOLE, "a.yaml": b"prompt: red\nstep: 1\nseed: many\n"},
        ["a.yaml, line 2: 'step' is no key", "a.yaml, line 3: seed"],
    ),
    "no prompt": ({"a.jpg": WHOLE, "a.yaml": b"steps: 9\n"}, ["a.yaml: there is no prompt"]),
    "a letter": ({"a.jpg": TEXT, "a.yaml": PROMPT}, ["a.jpg: is a text, whatever its name says"]),
    "all at once": (
        {"a.jpg": TEXT, "a.yaml": BROKEN},
        ["a.jpg: is a text", "a.yaml, line 1: 'promt' is no key"],
    ),
    "a letter as reference": (
        {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO, "logo.png": TEXT},
        ["logo.png: is a text"],
    ),
    "itself as reference": (
        {"a.jpg": WHOLE, "a.yaml": b"prompt: red\nmask: A.JPG\n"},
        ["a.yaml, line 2: 'A.JPG' is the picture to edit itself"],
    ),
    "a reference in a foreign format": (
        {"a.jpg": WHOLE, "a.yaml": b"prompt: red\nimages: [logo.heic]\n"},
        ["a.yaml, line 2: 'logo.heic' cannot be read; a HEIC picture: save it as JPEG"],
    ),
    "a preset that is not in the settings": (
        {"a.jpg": WHOLE, "a.yaml": b"prompt: red\npreset: x\nimages: [logo.png]\n"},
        ["a.yaml, line 2: preset 'x' is not in the settings"],
    ),
}


@pytest.mark.parametrize(("contents", "words"), HOPELESS.values(), ids=HOPELESS)
def test_a_job_that_cannot_succeed_is_ready_to_fail_with_every_problem(
    contents: dict[str, bytes], words: list[str]
) -> None:
    plan = PaperInbox(contents).settled()
    (candidate,) = plan.ready
    assert len(candidate.problems) == len(words)
    for problem, expected in zip(candidate.problems, words, strict=True):
        assert str(problem).startswith(expected)
    assert about(plan, "a.jpg").problems == candidate.problems


def test_what_will_fail_is_known_before_it_does() -> None:
    contents = {"a.jpg": TEXT, "b.jpg": PART, "s/_preset.yml": BROKEN, "s/c.jpg": WHOLE}
    plan = PaperInbox(contents).settled()
    assert about(plan, "a.jpg").problems[0].what.startswith("is a text")
    assert about(plan, "b.jpg").problems == ()  # the rest of it may come
    assert about(plan, "s/c.jpg").problems == about(plan, "s/_preset.yml").problems
    assert "'promt' is no key" in about(plan, "s/c.jpg").problems[0].what
