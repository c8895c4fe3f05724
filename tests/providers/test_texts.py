"""TXT values, as records show them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.providers.texts import quoted, unquoted


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=600))
def test_what_is_quoted_is_read_as_it_was(value: str) -> None:
    assert unquoted(quoted(value)) == value
    assert quoted(value).isascii()


@given(st.text())
def test_whatever_a_record_shows_is_some_value(content: str) -> None:
    assert isinstance(unquoted(content), str)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ('"a" "b"', "ab"),
        ("v=spf1 -all", "v=spf1 -all"),
        (r'"\097\"\\"', r"a\"".replace("\\", "", 1) + "\\"),
        ('"ü"', "ü"),
        ('"', '"'),
        ("", ""),
        ('""', ""),
    ],
)
def test_quotes_may_be_there_or_not(content: str, value: str) -> None:
    assert unquoted(content) == value


def test_a_string_has_at_most_255_octets() -> None:
    assert quoted("x" * 256) == f'"{"x" * 255}" "x"'
