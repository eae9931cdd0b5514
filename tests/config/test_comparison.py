import pytest

from config.comparison import told_apart


@pytest.mark.parametrize(
    ("value", "limit", "shown"),
    [
        (1.2, 2, "1.2"),
        (1.96, 2, "1.96"),  # 2.0 would not be less than 2
        (1.99999, 2, "1.99999"),
        (2.04, 2.03, "2.04"),  # 2.0 would be less than 2.03
        (2.0, 2, "2.0"),  # nothing to tell apart
        (2.5, 2, "2.5"),
    ],
)
def test_a_rounded_number_is_on_its_own_side_of_the_limit(
    value: float, limit: float, shown: str
) -> None:
    assert told_apart(value, limit, 1) == shown


def test_numbers_that_no_sentence_can_tell_apart_are_whole() -> None:
    assert told_apart(2 + 1e-15, 2, 1) == repr(2 + 1e-15)
