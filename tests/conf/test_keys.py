"""Keys: as written, as sent, and hashed."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.conf.clients import CLIENT, EntryMistake, conf_digest, normal_digest, read_clients
from sftdyn.conf.keyring import Clients, Keyring
from sftdyn.conf.providers import Resolver
from sftdyn.values.mistake import Mistake
from sftdyn.values.specs import Bind, Client
from sftdyn.web.request import decode


def ring(*keys: str) -> Keyring:
    clients = Clients()
    for number, key in enumerate(keys):
        clients.add(conf_digest(key), Client((f"h{number}.example.",), 30))
    return Keyring(clients)


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ("plain", b"plain"),
        ("/plain", b"plain"),
        ("?host=a&key=b", b"?host=a&key=b"),
        ("host=a,key=b", b"host=a%2ckey=b"),
        ("with blank", b"with%20blank"),
        ("with blank", b"with blank"),
        ("a%20b", b"a%20b"),
        ("a%20b", b"a%2520b"),
        ("schlüssel", b"schl%C3%BCssel"),
        ("schlüssel", "schlüssel".encode()),
        ("a/b//c", b"a/b//c"),
        ("100%", b"100%"),
        ("100%", b"100%25"),
        ("sha256:" + conf_digest("hidden").hex(), b"hidden"),
        ("sha256:" + conf_digest("hidden").hex().upper(), b"hidden"),
    ],
)
def test_a_key_is_found_as_sent_and_decoded(key: str, target: bytes) -> None:
    assert ring(key).find(target)


def test_a_hash_is_no_key() -> None:
    hashed = "sha256:" + conf_digest("hidden").hex()
    assert ring(hashed).find(hashed.encode()) is None
    assert ring("hidden").find(hashed.encode()) is None


@pytest.mark.parametrize("key", ["", "/", "sha256:", "sha256:abc"])
def test_texts_that_are_no_key(key: str) -> None:
    with pytest.raises(Mistake):
        conf_digest(key)


@pytest.mark.parametrize(("one", "other"), [("a b", "a%20b"), ("/a", "a"), ("x", "sha256:" + conf_digest("x").hex())])
def test_keys_that_mean_the_same(one: str, other: str) -> None:
    assert normal_digest(one) == normal_digest(other)


@given(st.text(min_size=1).filter(lambda key: key.strip("/") and not key.startswith("sha256:")))
def test_every_character_is_allowed_in_a_key(key: str) -> None:
    try:
        octets = key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return  # a lone surrogate: no request can mean it
    sent = "".join(f"%{octet:02x}" for octet in octets.lstrip(b"/"))
    assert decode(sent.encode()) == octets.lstrip(b"/")
    assert ring(key).find(sent.encode())


LONG = "a" * 16


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (LONG, "sha256:" + conf_digest(LONG).hex()),
        (LONG, "%61" + LONG[1:]),
        ("%61" + LONG[1:], LONG),
        ("%61" + LONG[1:], LONG[1:] + "%61"),
        ("sha256:" + conf_digest(LONG).hex(), "/" + LONG),
        ("%61" + LONG[1:], "sha256:" + conf_digest("%61" + LONG[1:]).hex()),
    ],
)
def test_a_key_that_is_written_twice_is_refused_whatever_the_way(tmp_path: Path, first: str, second: str) -> None:
    entries: dict[object, object] = {first: "one.dyn.example", second: "two.dyn.example"}
    with pytest.raises(EntryMistake, match="written twice"):
        read_clients(entries, Resolver(tmp_path, Bind(), Bind()))


@given(st.text("aZ-_%.:/h", min_size=14, max_size=18), st.sampled_from(["a.b", "A.b", "a", "a.c", "*.a.b", "a.1"]))
def test_a_client_that_is_but_a_name_is_read_as_every_other(key: str, name: str) -> None:
    """One that is written as a Client is read the long way."""
    settings = Bind(zones=("b.",))
    long: dict[object, object] | None = {key: CLIENT(name)} if name != "a.1" else None
    try:
        ring, doubts = read_clients({key: name}, Resolver(Path("/"), settings, Bind()))
    except EntryMistake as mistake:
        if long:
            with pytest.raises(EntryMistake, match=re.escape(str(mistake))):
                read_clients(long, Resolver(Path("/"), settings, Bind()))
        return
    assert long
    expected, others = read_clients(long, Resolver(Path("/"), settings, Bind()))
    assert dict(ring.clients) == dict(expected.clients)
    assert doubts.sentences(lambda keys: {}) == others.sentences(lambda keys: {})
