"""Keys: as written, as sent, and hashed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.conf.clients import Keyring, conf_digest, normal_digest
from sftdyn.values.mistake import Mistake
from sftdyn.values.specs import Client
from sftdyn.web.request import decode


def ring(*keys: str) -> Keyring:
    return Keyring({conf_digest(key): Client((f"h{n}.example.",), 30) for n, key in enumerate(keys)})


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
