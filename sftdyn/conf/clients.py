"""Secret key → Client. Keys are kept, and looked up, as their SHA-256: none can be printed, or found by timing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeVar

from ..values.mistake import Mistake
from ..values.specs import Client, Own, Source
from ..web.request import decode
from . import own, parsers, proof, providers
from .constructors import Constructor, Parameter
from .doubts import Doubts
from .providers import Resolver

T = TypeVar("T")

HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
SAMPLE = "change-me"  # how the keys of sample confs begin
MAX_NAMES = 100  # of one client: they change together, in one message of 64 KiB
MAX_LETTERS = 6000  # in all of them


class EntryMistake(Mistake):
    """The entry of `key` cannot be used; the message does not quote the key."""

    def __init__(self, key: object, reason: Mistake) -> None:
        super().__init__(str(reason))
        self.key = key


@dataclass(frozen=True, slots=True)
class Keyring:
    """The clients of the conf by the digest of their key."""

    clients: Mapping[bytes, Client] = field(repr=False)

    def find(self, target: bytes) -> Client | None:
        """The client whose key is `target`, compared as sent and then percent-decoded."""
        return found(self.clients, target)

    def matched(self, target: bytes) -> bytes:
        """What of `target`, whose client was found, is the key."""
        return matched(self.clients, target)

    def held(self, target: bytes) -> tuple[bytes, Client] | None:
        """The client whose key is `target`, behind what is the same for all targets that mean this key."""
        for key in (target, decode(target)) if b"%" in target else (target,):
            if client := self.clients.get(known := digest(key)):
                return known, client
        return None


def found(holders: Mapping[bytes, T], target: bytes) -> T | None:
    """What belongs to the key `target`, compared as sent and then percent-decoded, among what belongs to digests."""
    holder = holders.get(digest(target))
    if holder is None and b"%" in target:
        holder = holders.get(digest(decode(target)))
    return holder


def matched(holders: Mapping[bytes, object], target: bytes) -> bytes:
    """What of `target`, which was found, is the key."""
    return target if digest(target) in holders else decode(target)


class Entries(dict[object, object]):
    """The conf's `clients`, which remembers the keys that were set again."""

    def __init__(self) -> None:
        super().__init__()
        self.again: dict[object, None] = {}

    def __setitem__(self, key: object, value: object) -> None:
        if key in self:
            self.again[key] = None
        super().__setitem__(key, value)


def read_clients(entries: Mapping[object, object], resolver: Resolver) -> tuple[Keyring, Doubts]:
    """The clients of the conf's entries, their providers resolved, and what is odd about them. Raises EntryMistake."""
    clients: dict[bytes, Client] = {}
    met: set[bytes] = set()
    doubts = Doubts(entries.again if isinstance(entries, Entries) else ())
    for key, value in entries.items():
        try:
            text = key_text(key)
            clients[digest_of_new(text, met)] = client = resolver.settle(as_client(value))
        except Mistake as mistake:
            raise EntryMistake(key, mistake) from None
        doubts.look_at(text, client)
    return Keyring(clients), doubts


def as_client(value: object) -> Client:
    """What the conf, or its get_host, calls a client. Raises Mistake."""
    if isinstance(value, Client):
        return value
    if isinstance(value, Own):
        raise Mistake("address is for clients in own, which nobody calls for; leave it out, or move the client there")
    names = tuple(value) if isinstance(value, list | tuple | set) else (value,)
    return _bounded(_client(_hosts(names)))


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


def key_text(key: object) -> str:
    """A key as the conf writes it. Raises Mistake."""
    if not isinstance(key, str):
        raise Mistake('a key that is no text; write it in quotes: "secret key"')
    if key.lstrip("/").startswith(SAMPLE):
        raise Mistake("this is the sample's key, which everybody knows; make one with: sftdyn --new-key NAME")
    return key


def digest_of_new(key: str, met: set[bytes]) -> bytes:
    """The digest of a key, which must not mean the same as one that was met before."""
    found = conf_digest(key)
    normal = normal_digest(key) if "%" in key else found
    if normal in met:
        raise Mistake("this key is written twice (a slash in front and percent-encoding make no difference)")
    met.add(normal)
    return found


def _hosts(names: tuple[object, ...]) -> tuple[str, ...]:
    if not names:
        raise Mistake('a client needs a host name: Client("home.dyn.example")')
    return tuple(dict.fromkeys(map(parsers.host, names)))


def _client(names: tuple[str, ...], **given: Any) -> Client:
    client = Client(names, **given)
    behind = [name for name, _ in client.lan]
    if len(set(behind)) < len(behind):
        raise Mistake("lan: the same name twice")
    if client.prove and not client.prove.name and any(name.startswith("*") for name in (*names, *behind)):
        raise Mistake('prove: nobody is asked for a name with `*.`; say for which: Proof(name="www.dyn.example")')
    if client.acme and all(name.startswith("*") for name in names):
        raise Mistake("acme: a name has its wildcard's certificates, too; write the name without `*.`")
    return client


def _bounded(client: Client) -> Client:
    """One whose names change together. Raises Mistake."""
    names = [*client.names, *dict(client.lan)]
    if len(names) > MAX_NAMES or sum(map(len, names)) > MAX_LETTERS:
        raise Mistake(f"a client has at most {MAX_NAMES} names of {MAX_LETTERS} letters, as they change in one message")
    return client


def _client_or_own(names: tuple[str, ...], address: Source | None, every: float | None, **given: Any) -> Client | Own:
    """A client, or with `address` one that is for `own`. Raises Mistake."""
    client = _client(names, **given)
    if address is None:
        if every is not None:
            raise Mistake('every: how often own looks at an address; say at which: address=Interface("ppp0")')
        return _bounded(client)
    if client.prove:
        raise Mistake("prove: for clients only; what sftdyn finds by itself is not proven, so leave it out")
    if client.acme:
        raise Mistake('acme: nobody calls for what sftdyn publishes by itself; write acme["secret key"] = "NAME"')
    return Own(client, address, own.EVERY if every is None else every)


CLIENT = Constructor(
    "Client",
    '"home.dyn.example"',
    _client_or_own,
    (
        Parameter("ttl", parsers.ttl),
        Parameter("lan", parsers.lan, ()),
        Parameter("prefix_length", parsers.prefix_length),
        Parameter("networks", parsers.networks, ()),
        Parameter("provider", providers.provider),
        Parameter("prove", proof.proof),
        Parameter("acme", parsers.yes_or_no, False),
        Parameter("expect", parsers.expect),
        Parameter("address", own.source),
        Parameter("every", own.every),
    ),
    nameless=_hosts,
)
