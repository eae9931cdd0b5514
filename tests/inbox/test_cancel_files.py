import pytest
from paper import PROMPT, TEXT, WHOLE, PaperInbox, about

from daemon.inbox.cancel_files import WaitingJob, matches, targets
from daemon.job import State

LOGO = b"prompt: add the logo\nimages: [logo.png]\n"


def taken(contents: dict[str, bytes], cancel: str) -> tuple[WaitingJob, ...]:
    """What a cancel file takes out of a settled inbox."""
    inbox = PaperInbox({**contents, cancel: b""})
    plan = inbox.settled()
    return targets(inbox.files[cancel], plan)


@pytest.mark.parametrize(
    ("cancel", "name"),
    [
        ("a.cancel", "a.jpg"),
        ("a.jpg.cancel", "a.jpg"),
        ("A.JPG.CANCEL", "a.jpg"),
        ("e\u0301.cancel", "\u00e9.png"),
        ("a.cancel", "a.yaml"),
        ("a.cancel", "a.jpg.yaml"),
        ("a.jpg.cancel", "a.jpg.yaml"),
        ("\udce9.cancel", "\udce9.jpg"),
        ("a.cancel.txt", "a.jpg"),
        ("a.jpg.Cancel.TXT", "a.jpg"),
        ("a.cancel", "a.yaml.txt"),
        ("a.jpg.cancel", "a.jpg.yaml.txt"),
        ("a.cancel", "a.jpg.jpg"),
    ],
)
def test_a_cancel_file_means_what_an_instruction_of_its_name_would(cancel: str, name: str) -> None:
    assert matches(cancel, name)


@pytest.mark.parametrize(
    ("cancel", "name"),
    [("a.cancel", "ab.jpg"), ("a.png.cancel", "a.jpg"), ("a.b.cancel", "a.jpg")],
)
def test_and_nothing_else(cancel: str, name: str) -> None:
    assert not matches(cancel, name)


def test_it_takes_what_belongs_to_its_picture_alone() -> None:
    contents = {"a.jpg": WHOLE, "a.yaml": LOGO, "b.jpg": WHOLE, "b.yaml": LOGO, "logo.png": WHOLE}
    (one,) = taken(contents, "a.cancel")
    assert (one.image, one.others, one.kept) == (
        "a.jpg",
        ("a.yaml", "logo.png"),
        frozenset({"logo.png"}),
    )


def test_of_two_pictures_the_second_takes_their_instruction() -> None:
    first, second = taken({"a.jpg": WHOLE, "a.png": WHOLE, "a.yaml": PROMPT}, "a.cancel")
    assert (first.image, first.others, first.kept) == ("a.jpg", ("a.yaml",), frozenset({"a.yaml"}))
    assert (second.image, second.others, second.kept) == ("a.png", ("a.yaml",), frozenset())


def test_an_outranked_instruction_goes_along() -> None:
    (one,) = taken({"a.jpg": WHOLE, "a.yaml": PROMPT, "a.txt": TEXT}, "a.cancel")
    assert set(one.others) == {"a.yaml", "a.txt"}


def test_an_instruction_without_picture_goes_alone() -> None:
    (one,) = taken({"a.yaml": PROMPT}, "a.cancel")
    assert (one.image, one.others) == ("a.yaml", ())


def test_it_leaves_references_and_other_folders_alone() -> None:
    contents = {"a.jpg": WHOLE, "a.yaml": LOGO, "logo.png": WHOLE, "s/logo.png": WHOLE}
    assert taken(contents, "logo.cancel") == ()
    assert taken(contents, "s/a.cancel") == ()


def test_half_a_picture_can_be_cancelled() -> None:
    inbox = PaperInbox({"a.jpg": b"", "a.cancel": b""})
    plan = inbox.look()
    assert [it.image for it in targets(inbox.files["a.cancel"], plan)] == ["a.jpg"]
    said = about(plan, "a.cancel")
    assert (said.state, said.reason) == (State.SEEN, "cancels a.jpg")
