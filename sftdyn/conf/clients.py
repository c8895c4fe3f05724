"""Secret key → Client. Keys are kept, and looked up, as their SHA-256: none can be printed, or found by timing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from ..values.mistake import Mistake
from ..values.specs import Client
from ..web.request import decode

HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")


def digest(key: bytes) -> bytes:
    """What a key is known by."""
    return sha256(key).digest()


def conf_digest(key: str) -> bytes:
    """The digest of a key as the conf writes it: plain, or `sha256:` and its digest. Raises Mistake."""
    if hashed := HASHED.fullmatch(key):
        return bytes.fromhex(hashed[1])
    if key.startswith("sha256:"):
        raise Mistake("sha256: wants 64 hexadecimal digits behind it")
    plain = _octets(key)
    if not plain:
        raise Mistake("the empty key would be everybody's; write a secret of 16 characters or more")
    return digest(plain)


def normal_digest(key: str) -> bytes:
    """Equal for two keys of the conf that one request could mean both. Raises Mistake."""
    if "%" not in key or HASHED.fullmatch(key):
        return conf_digest(key)
    return digest(decode(_octets(key)))


def _octets(key: str) -> bytes:
    """The target that means `key`, as a request without percent-encoding would send it."""
    try:
        return key.lstrip("/").encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise Mistake("a key with half a character (a lone surrogate), which no request can send") from None


@dataclass(frozen=True, slots=True)
class Keyring:
    """The clients of the conf by the digest of their key."""

    clients: Mapping[bytes, Client] = field(repr=False)

    def find(self, target: bytes) -> Client | None:
        """The client whose key is `target`, compared as sent and then percent-decoded."""
        client = self.clients.get(digest(target))
        if client is None and b"%" in target:
            client = self.clients.get(digest(decode(target)))
        return client
