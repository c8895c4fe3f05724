"""What the conf constructs: clients, listeners, name servers. Frozen, without sockets."""

from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

from .addresses import Network

DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Client:
    """What one key stands for. All host names are absolute."""

    names: tuple[str, ...]  # updated together
    ttl: int | None = None  # seconds; None: the conf's
    lan: tuple[tuple[str, IPv6Address], ...] = ()  # hosts behind the router: their name and host part
    prefix_length: int | None = None  # bits of the router's IPv6 address that its network has, too
    networks: tuple[Network, ...] = ()  # where its addresses must be; anywhere if empty


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to accept connections; without a host on every address, IPv4 and IPv6."""

    host: str | None
    port: int
    tls: bool

    def __str__(self) -> str:
        host = "*" if self.host is None else f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Primary:
    """Which name server to update, and with which key. Without `host` the local one, as nsupdate -l finds it."""

    host: str | None = None  # name or address
    port: int = DNS_PORT
    keyfile: Path | None = None

    def __str__(self) -> str:
        where = f"{self.host} port {self.port}" if self.host else "the local name server (nsupdate -l)"
        return f"{where}, key file {self.keyfile}" if self.keyfile else where
