"""What the conf's `clients` mean: keys and names, and what is wrong with them."""

import re
from collections.abc import Collection, Container, Mapping
from typing import Any

from ..values.mistake import Mistake
from ..values.names import plain_name
from ..values.specs import Client, Own, Source
from ..web.request import decode
from . import own, parsers, proof, providers
from .constructors import Constructor, Parameter
from .doubts import HOST_NAME, SAFE_KEY, Doubts
from .keyring import Clients, Keyring, digest
from .providers import Resolver

HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
SAMPLE = "change-me"  # how the keys of sample confs begin
# Of a key about which there is no doubt: it is long, of one spelling, and no URL or host name.
PLAIN_KEY = re.compile(rf"(?!{SAMPLE})[0-9A-Za-z_-]{{{SAFE_KEY},}}")
MAX_NAMES = 100  # of one client: they change together, in one message of 64 KiB
MAX_LETTERS = 6000  # in all of them


class EntryMistake(Mistake):
    """The entry of `key` cannot be used, perhaps for this `name`; the message does not quote the key."""

    def __init__(self, key: object, reason: Mistake, name: str = "") -> None:
        super().__init__(str(reason))
        self.key = key
        self.name = name


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
    clients = Clients()
    escaped: set[bytes] = set()
    again = entries.again if isinstance(entries, Entries) else {}
    doubts = Doubts(again)
    for key, value in entries.items():
        try:
            text = key_text(key)
            if name := _plain_name(text, value, again, resolver):
                clients.add(digest_of_new(text, clients, escaped), name)
                continue
            known, client = digest_of_new(text, clients, escaped), resolver.settle(as_client(value))
        except parsers.NameMistake as mistake:
            # Where the key looks like a host name, the name may be the key.
            is_swapped = isinstance(key, str) and HOST_NAME.fullmatch(key)
            raise EntryMistake(key, mistake.reason if is_swapped else mistake, mistake.text) from None
        except Mistake as mistake:
            raise EntryMistake(key, mistake) from None
        clients.add(known, client)
        doubts.look_at(text, client)
    return Keyring(clients), doubts


def _plain_name(key: str, value: object, again: Collection[object], resolver: Resolver) -> str | None:
    """The name of a client of which there is nothing else to say, as of nearly all where there are a million."""
    if not isinstance(value, str) or not PLAIN_KEY.fullmatch(key) or key in again:
        return None
    name = plain_name(value)
    return name if name and resolver.is_served(name) else None


def as_client(value: object) -> Client:
    """What the conf, or its get_host, calls a client. Raises Mistake."""
    if isinstance(value, Client):
        return value
    if isinstance(value, Own):
        raise Mistake("address is for clients in own, which nobody calls for; leave it out, or move the client there")
    names = tuple(value) if isinstance(value, list | tuple | set) else (value,)
    return _bounded(_client(_hosts(names)))


def conf_digest(key: str) -> bytes:
    """The digest of a key as the conf writes it: plain, or `sha256:` and its digest. Raises Mistake."""
    if PLAIN_KEY.fullmatch(key):
        return digest(key.encode())
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
    if SAMPLE in key and key.lstrip("/").startswith(SAMPLE):
        raise Mistake("this is the sample's key, which everybody knows; make one with: sftdyn --new-key NAME")
    return key


def digest_of_new(key: str, known: Container[bytes], escaped: set[bytes]) -> bytes:
    """The digest of a key, which must mean the same as none of the `known` ones, nor of those in percent-encoding.

    Raises Mistake.
    """
    found = conf_digest(key)
    other = normal_digest(key) if "%" in key else found
    if found in known or other in escaped or (other != found and other in known):
        raise Mistake("this key is written twice (a slash in front and percent-encoding make no difference)")
    if other != found:
        escaped.add(other)
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
