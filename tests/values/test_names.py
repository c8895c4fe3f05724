"""Host names: values in, values out."""

import re
import time

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


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("straße.example", "xn--strae-oqa (IDNA 2008) or strasse (IDNA 2003)"),
        ("STRAẞE.example", "xn--strae-oqa (IDNA 2008) or strasse (IDNA 2003)"),
        ("βόλος.example", "xn--nxasmm1c (IDNA 2008) or xn--nxasmq6b (IDNA 2003)"),
    ],
)
def test_a_name_that_means_two_is_refused_with_both(text: str, forms: str) -> None:
    with pytest.raises(Mistake, match=re.escape(forms)):
        host_name(text)


def test_a_greek_capital_at_the_end_means_one_name() -> None:
    assert host_name("ΣΑΣ.example") == host_name("σασ.example")


LETTERS = "".join(map(chr, range(0x4E00, 0x4E00 + 5000)))


@pytest.mark.parametrize("text", [LETTERS + ".example", LETTERS[:240], ".".join(LETTERS), LETTERS[:63] + ".example"])
def test_a_long_name_costs_no_time(text: str) -> None:
    start = time.process_time()
    with pytest.raises(Mistake):
        host_name(text)
    assert time.process_time() - start < 0.05


def test_where_a_name_stands() -> None:
    assert is_within("a.dyn.example.", "dyn.example.")
    assert is_within("dyn.example.", "dyn.example.")
    assert not is_within("adyn.example.", "dyn.example.")
    assert ancestors("a.b.dyn.example.", "dyn.example.") == ["b.dyn.example.", "dyn.example."]
    assert ancestors("dyn.example.", "dyn.example.") == []
    assert ancestors("example.", ".") == ["."]
