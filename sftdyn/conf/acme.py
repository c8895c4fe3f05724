"""Whose key is good for which certificates, and through which provider their challenges are published."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ..values.mistake import Mistake
from ..values.specs import Client, Spec
from ..values.update import CHALLENGE
from . import parsers
from .clients import Entries, EntryMistake, digest_of_new, key_text
from .doubts import Doubts
from .keyring import Keyring, found, matched
from .providers import Resolver, writes_texts

Permit: TypeAlias = Mapping[str, Spec]  # host names, absolute, with the provider of each
MAX_NAMES = 100  # of one key
MIXED = (
    "clients with {name} have different providers; give this key to the one that publishes the challenge:"
    " Client({name}, acme=True)"
)


@dataclass(frozen=True, slots=True)
class Permits:
    """The setting `acme`: by the digest of a key, the names whose certificates its holder may get."""

    by_key: Mapping[bytes, Permit] = field(default_factory=dict, repr=False)
    of_others: bool = False  # whether keys of clients can be good for their own names

    @property
    def are_possible(self) -> bool:
        """Whether any key can be good for a certificate."""
        return bool(self.by_key) or self.of_others

    def find(self, target: bytes) -> Permit | None:
        """What the key `target` is good for, compared as those of clients are."""
        return found(self.by_key, target)

    def matched(self, target: bytes) -> bytes:
        """What of `target`, whose permit was found, is the key."""
        return matched(self.by_key, target)

    @property
    def providers(self) -> Iterable[Spec]:
        """What publishes for them."""
        return (spec for permit in self.by_key.values() for spec in permit.values())


def of_client(client: Client, default: Spec) -> Permit:
    """What a client's own key is good for; a wildcard's certificate is the name's."""
    names = [name for name in client.names if not name.startswith("*")] if client.acme else []
    return dict.fromkeys(names, client.provider or default)


def published(permits: Permits, clients: Iterable[Client], default: Spec) -> Mapping[tuple[str, str], Spec]:
    """What publishes each challenge that the conf knows, by its name and its place as the conf's owner knows it."""
    every = (*permits.by_key.values(), *(of_client(client, default) for client in clients))
    return {(CHALLENGE + name, str(spec)): spec for permit in every for name, spec in permit.items()}


def read_permits(
    entries: Mapping[str, object], keyring: Keyring, others: Iterable[Client], resolver: Resolver
) -> tuple[Permits, Doubts]:
    """The setting `acme` beside the conf's clients, and those that nobody calls for; and what is odd about it.

    Raises EntryMistake.
    """
    permits: dict[bytes, Permit] = {}
    escaped: set[bytes] = set()
    providers = _providers([*keyring.clients.values(), *others], resolver.default) if entries else {}
    doubts = Doubts(entries.again if isinstance(entries, Entries) else ())
    for key, value in entries.items():
        try:
            names, digest = _names(value), digest_of_new(key_text(key), permits, escaped)
            holder = keyring.clients.get(digest)
            permits[digest] = {name: _provider(name, holder, providers, resolver) for name in names}
        except Mistake as mistake:
            raise EntryMistake(key, mistake) from None
        doubts.look_at(key, Client(names))
    return Permits(permits, any(client.acme for client in keyring.clients.special)), doubts


def _names(value: object) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(map(parsers.host, parsers.several(value))))
    if not names or len(names) > MAX_NAMES:
        raise Mistake(f"a key is good for the certificates of 1 to {MAX_NAMES} host names")
    if any(name.startswith("*") for name in names):
        raise Mistake("a key for a name is good for its wildcard, too; write the name without `*.`")
    return names


def _providers(clients: Iterable[Client], default: Spec) -> Mapping[str, set[Spec]]:
    """Of each client's name, what publishes it."""
    found: dict[str, set[Spec]] = {}
    for client in clients:
        for name in _all_names(client):
            found.setdefault(name, set()).add(client.provider or default)
    return found


def _provider(name: str, holder: Client | None, known: Mapping[str, set[Spec]], resolver: Resolver) -> Spec:
    """Of the client with this key, if it has the name; else of the name's only client; else the conf's."""
    if holder and name in _all_names(holder):
        return writes_texts(holder.provider or resolver.default)
    specs = known.get(name) or {resolver.default}
    if len(specs) > 1:
        raise Mistake(MIXED.format(name=f'"{name.rstrip(".")}"'))
    [spec] = specs
    resolver.settle(Client((name,), provider=spec, acme=True))
    return spec


def _all_names(client: Client) -> tuple[str, ...]:
    return (*client.names, *(name for name, _ in client.lan))
