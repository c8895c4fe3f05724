"""Host names: values in, values out."""

import re
import time
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.values.mistake import Mistake
from sftdyn.values.names import among, ancestors, host_name, is_within, plain_name
from tests.watchdog import watching


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


FOREIGN = st.text(st.characters(min_codepoint=0x80, max_codepoint=0x3000) | st.sampled_from("aZ3-ﷺ\xad。"), max_size=20)


@given(FOREIGN)
def test_a_name_means_the_same_in_the_conf_and_in_a_request(label: str) -> None:
    text = f"{label}.example"
    try:
        name = host_name(text)
    except Mistake:
        return
    assert among(text, ("other.example.", name)) == name
    assert among(text, ("other.example.", "xn--bcher-kva.example.")) in (None, name)


@pytest.mark.parametrize("text", ["BÜCHER.example", "bücher.example.", "bu\u0308cher.example", "bü\xadcher.example"])
def test_a_request_may_write_a_name_as_people_do(text: str) -> None:
    names = ("xn--bcher-kva.example.", "home.example.", "xn--9.example.")
    assert among(text, names) == names[0]
    assert among("ｈｏｍｅ.example", names) == names[1]


@pytest.mark.parametrize("text", ["straße.example", "ü..example", "ü_.example", "ü" * 64 + ".example"])
def test_a_request_hears_that_it_is_no_name(text: str) -> None:
    with pytest.raises(Mistake):
        among(text, ("home.example.",))


IDEOGRAPHS = "".join(map(chr, range(0x4E00, 0x4E00 + 60)))


@pytest.mark.parametrize(
    "label", ["ﷺ" * 51, IDEOGRAPHS[:51], ".".join("αβγδε" * 10), "\u0390" * 50, "e" + "\u0301\u0316" * 20]
)
def test_a_hundred_names_of_a_request_cost_what_they_are_long(label: str) -> None:
    """A letter may stand for 18, and what encodes them takes time by the square."""
    own = tuple(host_name(f"{IDEOGRAPHS[n:][:20]}.example") for n in range(40))
    texts = [f"{label}.a{number}.example" for number in range(100)]
    with watching() as watch:
        watch.timed(label, lambda: [is_taken(lambda text: among(text, own), text) for text in texts])
        for text in texts[:10]:  # of hooks, one for each request
            watch.timed(text, partial(is_taken, host_name, text))


def is_taken(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except Mistake:
        return False
    return True


@given(
    st.text("aB0-.*ß", max_size=12) | st.sampled_from(["a." * 127, "a." * 126 + "b", "a" * 64 + ".b", "1.2", "a.b\n"])
)
def test_a_plain_name_is_what_every_other_means(text: str) -> None:
    name = plain_name(text)
    assert name is None or name == host_name(text)


def test_where_a_name_stands() -> None:
    assert is_within("a.dyn.example.", "dyn.example.")
    assert is_within("dyn.example.", "dyn.example.")
    assert not is_within("adyn.example.", "dyn.example.")
    assert ancestors("a.b.dyn.example.", "dyn.example.") == ["b.dyn.example.", "dyn.example."]
    assert ancestors("dyn.example.", "dyn.example.") == []
    assert ancestors("example.", ".") == ["."]
