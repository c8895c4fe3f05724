"""What the conf constructs: clients, listeners, providers. Frozen, without sockets; secrets hidden in `repr`."""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from .addresses import Network

DNS_PORT = 53
HTTPS_PORT = 443
CLOUDFLARE = "https://api.cloudflare.com/client/v4"
DESEC = "https://desec.io/api/v1"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CREDENTIALS = ("token", "token_file", "key", "key_file")
TOKEN = re.compile("[!-~]+")  # what can be a secret in a header


class Endpoint(NamedTuple):
    """Where a name server is; without `host` on this machine."""

    host: str | None  # name or address
    port: int

    @classmethod
    def of(cls, host: str, port: int) -> "Endpoint":
        """All names of this machine are one."""
        return cls(None if host in LOOPBACK else host, port)


@dataclass(frozen=True, slots=True)
class Primary:
    """Which name server to update, and with which key. Without `host` the local one, as nsupdate -l finds it."""

    host: str | None = None  # name or address
    port: int = DNS_PORT
    keyfile: Path | None = None
    others: tuple[tuple[str, int], ...] = ()  # host and port of more that have the same data

    @property
    def servers(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each, the best first; none: the local one."""
        return ((self.host, self.port), *self.others) if self.host else ()

    @property
    def where(self) -> str:
        """As its owner knows it."""
        return ", ".join(f"{host} port {port}" for host, port in self.servers) or "the local name server"

    def __str__(self) -> str:
        where = self.where if self.host else f"{self.where} (nsupdate -l)"
        return f"{where}, key file {self.keyfile}" if self.keyfile else where


@dataclass(frozen=True, slots=True)
class Bind:
    """A provider: a primary that takes updates by RFC 2136."""

    primary: Primary = Primary()
    zones: tuple[str, ...] = ()  # absolute names; empty: found by asking
    passes_secret = False

    @property
    def places(self) -> Sequence[Hashable]:
        """Who has one of these in common writes to the same data."""
        return [Endpoint.of(*server) for server in self.primary.servers] or [LOCAL]

    def takes(self, secret: str) -> bool:
        """Whether a request with this secret can be for a client of this provider."""
        return True

    @property
    def where(self) -> str:
        """As its owner knows it."""
        return f"the name server {self.primary.where}" if self.primary.servers else self.primary.where

    def __str__(self) -> str:
        return str(self.primary)


LOCAL = Endpoint(None, DNS_PORT)


class AtAnApi:
    """What providers have in common that are asked over HTTP, with a token."""

    __slots__ = ()
    url: str

    @property
    def passes_secret(self) -> bool:
        """Whether the secret of each request is the token."""
        return not any(getattr(self, name, None) for name in CREDENTIALS)

    @property
    def places(self) -> Sequence[Hashable]:
        """Who has one of these in common writes to the same data."""
        return [(type(self), self.url)]

    def takes(self, secret: str) -> bool:
        """Whether a request with this secret can be for a client of this provider."""
        return not self.passes_secret or TOKEN.fullmatch(secret) is not None

    @property
    def where(self) -> str:
        """As its owner knows it."""
        return urlsplit(self.url).netloc

    def __str__(self) -> str:
        return f"{self.url}, " + ("with the token of each request" if self.passes_secret else "with credentials")


@dataclass(frozen=True, slots=True)
class Cloudflare(AtAnApi):
    """A provider: zones at Cloudflare, or behind an API like its own.

    Without `token` and `key`, the secret of each request is the token.
    """

    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    email: str | None = None
    key: str | None = field(default=None, repr=False)  # the account's global one, with `email`
    key_file: Path | None = None
    zone: str | None = None  # name or id; None: found by asking
    create: bool = False  # whether records may be made, and removed for `offline`
    proxied: bool | None = None  # of records that are made
    comment: str | None = None  # the same
    url: str = CLOUDFLARE
    ca: Path | None = None  # PEM file, instead of the system's


@dataclass(frozen=True, slots=True)
class Desec(AtAnApi):
    """A provider: domains at deSEC. Without `token`, the secret of each request is the token."""

    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    url: str = DESEC
    ca: Path | None = None  # PEM file, instead of the system's


@dataclass(frozen=True, slots=True)
class Function:
    """A provider: a function of the conf."""

    function: Callable[..., Any]
    passes_secret = True

    @property
    def name(self) -> str:
        """As the conf calls it."""
        return name_of(self.function)

    @property
    def takes_texts(self) -> bool:
        """Whether it is called for TXT records, too: it says so itself."""
        return "TXT" in getattr(self.function, "types", ())

    @property
    def places(self) -> Sequence[Hashable]:
        """Each function writes elsewhere, as far as anybody knows."""
        return [(Function, self.function)]

    def takes(self, secret: str) -> bool:
        """Whether a request with this secret can be for a client of this provider."""
        return True

    @property
    def where(self) -> str:
        """As its owner knows it."""
        return str(self)

    def __str__(self) -> str:
        return f"the conf's function {self.name}"


Spec: TypeAlias = Bind | Cloudflare | Desec | Function


@dataclass(frozen=True, slots=True)
class Proof:
    """What must be at a new address before it is published: a TLS server with a valid certificate for the name."""

    port: int = HTTPS_PORT
    ca: Path | None = None  # PEM file of the certificates that are believed, instead of the system's
    name: str | None = None  # absolute; None: the name that is updated
    expired_ok: bool = False  # the certificate's dates are not looked at


@dataclass(frozen=True, slots=True)
class Client:
    """What one key stands for. All host names are absolute."""

    names: tuple[str, ...]  # updated together
    ttl: int | None = None  # seconds; None: the conf's
    lan: tuple[tuple[str, IPv6Address], ...] = ()  # hosts behind the router: their name and host part
    prefix_length: int | None = None  # bits of the router's IPv6 address that its network has, too
    networks: tuple[Network, ...] = ()  # where its addresses must be; anywhere if empty
    provider: Spec | None = None  # None: the conf's
    prove: Proof | None = None  # None: new addresses are published unproven
    acme: bool = False  # whether its key is good for certificates of its names, too
    expect: float | None = None  # seconds within which it should be heard from; None: the conf's


@dataclass(frozen=True, slots=True)
class Interface:
    """Where own addresses come from: an interface of this machine."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Web:
    """Where own addresses come from: servers that say who asks them. Of several, two must agree."""

    urls: tuple[str, ...] = field(repr=False)  # http or https; a query may be secret

    def __str__(self) -> str:
        return ", ".join(urlsplit(url).netloc for url in self.urls)


@dataclass(frozen=True, slots=True, eq=False)
class AddressFunction:
    """Where own addresses come from: a function of the conf, called without arguments."""

    function: Callable[..., Any]

    def __str__(self) -> str:
        return name_of(self.function)


Source: TypeAlias = Interface | Web | AddressFunction


@dataclass(frozen=True, slots=True)
class Own:
    """A client that sftdyn publishes by itself."""

    client: Client
    source: Source
    every: float  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to accept connections; without a host on every address, IPv4 and IPv6."""

    host: str | None
    port: int
    tls: bool

    def __str__(self) -> str:
        host = "*" if self.host is None else f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def name_of(function: Callable[..., Any]) -> str:
    """As the conf calls it."""
    return str(getattr(function, "__qualname__", type(function).__qualname__))
