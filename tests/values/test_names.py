"""Host names: values in, values out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.values.mistake import Mistake
from sftdyn.values.names import ancestors, host_name, is_within


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("home.dyn.example", "home.dyn.example."),
        ("Home.DYN.example.", "home.dyn.example."),
        ("*.dyn.example", "*.dyn.example."),
        ("bücher.example", "xn--bcher-kva.example."),
        ("a" * 63 + ".example", "a" * 63 + ".example."),
        ("1.dyn.example", "1.dyn.example."),
    ],
)
def test_host_names(text: str, name: str) -> None:
    assert host_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "a..b", "-a.example", "a-.example", "a_b.example", "a b.example", "a*.example", "*", "x.*.example"),
        *("a/b.example", "a.example\n", "a.example\nsend", "192.0.2.1", "2001:db8::1", "a" * 64 + ".example"),
        *("ab." * 100 + "example", "a\0.example", "ü" * 63 + ".example", "\ud800.example"),
    ],
)
def test_texts_that_are_no_host_name(text: str) -> None:
    with pytest.raises(Mistake) as mistake:
        host_name(text)
    assert len(text) < 2 or text not in str(mistake.value)


@given(st.text())
def test_a_host_name_is_safe_for_nsupdate_whatever_the_text(text: str) -> None:
    try:
        name = host_name(text)
    except Mistake:
        return
    assert name.endswith(".")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.*")
    assert host_name(name) == name


def test_where_a_name_stands() -> None:
    assert is_within("a.dyn.example.", "dyn.example.")
    assert is_within("dyn.example.", "dyn.example.")
    assert not is_within("adyn.example.", "dyn.example.")
    assert ancestors("a.b.dyn.example.", "dyn.example.") == ["b.dyn.example.", "dyn.example."]
    assert ancestors("dyn.example.", "dyn.example.") == []
    assert ancestors("example.", ".") == ["."]
