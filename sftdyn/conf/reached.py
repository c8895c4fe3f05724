"""Where clients reach this server, and what makes them believe it: as the conf says, or its owner."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from ..values.mistake import Mistake
from ..values.names import host_name
from ..values.specs import Listener
from ..web.tls import server_context, shown_certificate
from .config import Config

PORTS = {"http": 80, "https": 443}  # that no URL names
URL_EXAMPLE = "--url: write it like https://dyn.example or http://dyn.example:8080"


@dataclass(frozen=True, slots=True)
class Reached:
    """A server, as its clients see it."""

    scheme: str
    host: str
    port: int
    own: Path | None = None  # its certificate, where no public authority vouches for it

    @property
    def place(self) -> str:
        """Host, and port where it is not the usual one."""
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"{self.scheme}://{self.place}"


class OwnCertificate(NamedTuple):
    """The certificate of a conf."""

    path: Path
    names: tuple[str, ...]
    is_own: bool  # no public authority vouches for it


def reached(name: str, config: Config | None = None, url: str | None = None) -> Reached:
    """Where clients reach the server that publishes `name`: at `url`, or where the conf listens. Raises Mistake.

    Without both: over HTTPS at the name's domain.
    """
    shown = _shown(config) if config else None
    if url:
        server = _given(url)
    else:
        domain = name.partition(".")[2]
        server = _listening(domain if "." in domain else name, config.listeners if config else (), shown)
        if config and config.trusted_proxies and server.scheme == "http":  # who calls, calls the proxy
            server = Reached("https", server.host, PORTS["https"])
    if server.scheme == "https" and shown and shown.is_own and _is_good_for(shown.names, server.host):
        return Reached(server.scheme, server.host, server.port, shown.path)
    return server


def _given(url: str) -> Reached:
    """Raises Mistake."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", PORTS.get(parts.scheme) if parts.port is None else parts.port
        host = _literal(host) or host_name(host).rstrip(".")
    except ValueError:  # Mistake is one
        raise Mistake(URL_EXAMPLE) from None
    if parts.scheme not in PORTS or not port:
        raise Mistake(URL_EXAMPLE)
    if _has_more(parts):
        raise Mistake(f"{URL_EXAMPLE}, without a path or user: the lines have their own")
    return Reached(parts.scheme, host, port)


def _has_more(parts: SplitResult) -> bool:
    """Whether a URL is more than scheme, host and port."""
    return "@" in parts.netloc or parts.path not in ("", "/") or bool(parts.query or parts.fragment)


def _literal(host: str) -> str:
    """An address as URLs write it; empty if it is a name."""
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    return f"[{address}]" if address.version == 6 else str(address)


def _listening(domain: str, listeners: Sequence[Listener], shown: OwnCertificate | None) -> Reached:
    """By the first listener that others can reach, one with TLS before one without."""
    usable = [one for one in listeners if one.port and not (one.host and ip_address(one.host).is_loopback)]
    if not usable:
        return Reached("https", domain, PORTS["https"])
    first = max(usable, key=lambda one: one.tls)
    if not first.tls:
        return Reached("http", domain, first.port)
    names = shown.names if shown else ()
    host = domain if _is_good_for(names, domain) else next(_host_names(names), domain)
    return Reached("https", host, first.port)


def _host_names(names: Sequence[str]) -> Iterator[str]:
    """Those of a certificate that others may call a server by."""
    return (name for name in names if "." in name and "*" not in name and not _literal(name))


def _is_good_for(names: Sequence[str], host: str) -> bool:
    """Whether a certificate with these names is for this host (RFC 9525, 6.3)."""
    return bool({host.strip("[]"), f"*.{host.partition('.')[2]}"} & {name.lower() for name in names})


def _shown(config: Config) -> OwnCertificate | None:
    """The conf's certificate; None if there is none, or none that can be read."""
    if not config.cert or not config.key:
        return None
    try:
        context = server_context(config.cert, config.key)
        names = shown_certificate(context, config.cert).names
    except Mistake:
        return None
    try:
        shown_certificate(context)
    except Mistake:
        return OwnCertificate(config.cert, names, is_own=True)
    return OwnCertificate(config.cert, names, is_own=False)
