"""What the conf and the command line mean: one frozen Config, checked, or a ConfigError that says what to write."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv6Address, ip_address, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..values.addresses import Network
from ..values.mistake import Mistake
from ..values.names import host_name, is_within
from ..values.specs import DNS_PORT, Client, Listener, Primary
from .clients import Keyring, conf_digest, normal_digest
from .source import ConfigError, Source

MAX_TTL = 2**31 - 1  # seconds (RFC 2181, 8)
MAX_TIMEOUT = 3600  # seconds
MAX_NAMES = 100  # of one client: they change together, in one message of 64 KiB
MAX_LETTERS = 6000  # in all of them
SAFE_KEY = 16  # characters
DEFAULT_TTL = 30  # seconds
DEFAULT_TIMEOUT = 10  # seconds
DEFAULT_MAX_CHANGES = 60

HOOKS = ("get_ip", "get_host", "nsupdatecommands")
SETTINGS = (
    *("http", "https", "key", "cert", "clients", "CLIENTS", "nskeyfile", "server", "zone"),
    *("ttl", "timeout", "trusted_proxies", "addresses", "dyndns2", "max_changes", "reuse_port"),
    *HOOKS,
)


@dataclass(frozen=True, slots=True)
class Hooks:
    """The functions of the conf that sftdyn 0.10 called, where the conf defines them."""

    get_ip: Callable[..., Any] | None = None
    get_host: Callable[..., Any] | None = None
    nsupdatecommands: Callable[..., Any] | None = None

    @property
    def can_delay(self) -> bool:
        """Whether there is one that could let a later request overtake an earlier one."""
        return bool(self.get_ip or self.get_host or self.nsupdatecommands)


@dataclass(frozen=True, slots=True)
class Config:
    """All that the conf and the command line say."""

    path: Path
    listeners: tuple[Listener, ...]
    cert: Path | None
    key: Path | None
    keyring: Keyring
    weak: tuple[str, ...]  # names behind keys that could be guessed
    primary: Primary
    zones: tuple[str, ...]  # absolute names; empty: found by asking
    ttl: int  # seconds
    timeout: float  # seconds
    trusted_proxies: tuple[Network, ...]
    peer_only: bool  # addresses given in a request do not count
    dyndns2: bool
    max_changes: int  # of one client in an hour; 0: no limit
    reuse_port: bool  # other processes may listen on the same addresses
    hooks: Hooks


def load(path: Path, options: Mapping[str, object] = MappingProxyType({})) -> Config:
    """Run the conf at `path`; `options`, from the command line, beat its settings. Raises ConfigError."""
    return _Reader(Source(path), options).config()


def client(
    *names: object, ttl: object = None, lan: object = None, prefix_length: object = None, networks: object = ()
) -> Client:
    """`Client("home.dyn.example", …, ttl=60)` of the conf. Raises Mistake."""
    if not names:
        raise Mistake('a client needs a host name: Client("home.dyn.example")')
    hosts = tuple(dict.fromkeys(map(_host, names)))
    behind = _lan(lan or {})
    if len({name for name, _ in behind}) < len(behind):
        raise Mistake("lan: the same name twice")
    if {name for name, _ in behind} & set(hosts):
        raise Mistake("lan: a name that is the client's own, too; give the hosts behind the router other names")
    if len(hosts) + len(behind) > MAX_NAMES or sum(map(len, [*hosts, *dict(behind)])) > MAX_LETTERS:
        raise Mistake(f"a client has at most {MAX_NAMES} names of {MAX_LETTERS} letters, as they change in one message")
    return Client(
        hosts,
        None if ttl is None else _ttl(ttl),
        behind,
        None if prefix_length is None else _prefix_length(prefix_length),
        _networks(networks),
    )


def as_client(value: object) -> Client:
    """What the conf, or its get_host, calls a client. Raises Mistake."""
    if isinstance(value, Client):
        return value
    return client(*value) if isinstance(value, list | tuple | set) else client(value)


class _Reader:
    """Turns the names that a conf leaves behind into a Config."""

    def __init__(self, source: Source, options: Mapping[str, object]) -> None:
        self._source = source
        self._options = options
        self._names = source.run({"clients": {}, "Client": client}, SETTINGS) | dict(options)
        self._folder = source.path.absolute().parent

    def config(self) -> Config:
        hooks = Hooks(*(self._read(name, _function) for name in HOOKS))
        zones = self._read("zone", _zones, ())
        ttl = self._read("ttl", _ttl, DEFAULT_TTL)
        keyring, weak = (Keyring({}), ()) if hooks.get_host else self._clients(zones, ttl)
        cert, key = self._certificate()
        return Config(
            path=self._source.path,
            listeners=self._listeners(has_certificate=cert is not None),
            cert=cert,
            key=key,
            keyring=keyring,
            weak=weak,
            primary=self._primary(),
            zones=zones,
            ttl=ttl,
            timeout=self._read("timeout", _timeout, DEFAULT_TIMEOUT),
            trusted_proxies=self._read("trusted_proxies", _networks, ()),
            peer_only=self._read("addresses", _peer_only, False),
            dyndns2=self._read("dyndns2", _yes_or_no, True),
            max_changes=self._read("max_changes", _count, DEFAULT_MAX_CHANGES),
            reuse_port=self._read("reuse_port", _yes_or_no, False),
            hooks=hooks,
        )

    def _read(self, name: str, parse: Callable[[Any], Any], default: Any = None) -> Any:
        value = self._names.get(name)
        if value is None:
            return default
        try:
            return parse(value)
        except Mistake as mistake:
            raise self._error(name, mistake) from None

    def _error(self, name: str, reason: object) -> ConfigError:
        if name in self._options:
            return ConfigError(f"--{name}: {reason}")
        return self._source.error(name, reason)

    def _path(self, value: Any) -> Path:
        """A file, relative to the conf; an option's too, as in 0.10."""
        if not isinstance(value, str | Path) or not str(value):
            raise Mistake('not a path; write it like "server.key"')
        path = self._folder / value
        if "\0" in str(value):
            raise Mistake("not a path; it holds a null character")
        try:
            path.open("rb").close()
        except OSError as error:
            raise Mistake(f"cannot read the file: {error.strerror}; name a file that this user may read") from None
        return path

    def _certificate(self) -> tuple[Path | None, Path | None]:
        cert, key = self._read("cert", self._path), self._read("key", self._path)
        if cert and not key:
            raise self._error("cert", 'a certificate needs its private key; add key = "server.key"')
        if key and not cert:
            raise self._error("key", 'a private key needs its certificate; add cert = "server.crt"')
        return cert, key

    def _listeners(self, has_certificate: bool) -> tuple[Listener, ...]:
        plain = self._read("http", lambda value: _listeners(value, tls=False), ())
        tls = self._read("https", lambda value: _listeners(value, tls=True), ())
        if not plain and not tls:
            raise ConfigError(f"{self._source.path}: nothing to listen on; add http = 8080, or https with key and cert")
        if tls and not has_certificate:
            raise self._error("https", 'needs a certificate; add key = "server.key" and cert = "server.crt"')
        return (*plain, *tls)

    def _primary(self) -> Primary:
        keyfile = self._read("nskeyfile", self._path)
        host, port = self._read("server", _server, (None, DNS_PORT))
        if host and not keyfile:
            raise self._error("server", 'another name server wants signed updates; add nskeyfile = "sftdyn.key"')
        return Primary(host, port, keyfile)

    def _clients(self, zones: tuple[str, ...], ttl: int) -> tuple[Keyring, tuple[str, ...]]:
        setting = "CLIENTS" if self._names.get("CLIENTS") else "clients"
        entries = self._names.get(setting) or {}
        if setting == "CLIENTS" and self._names.get("clients"):
            raise self._error("CLIENTS", "clients is set, too; keep all entries in one of them")
        if not isinstance(entries, dict):
            raise self._error(setting, 'not a dict; write {"secret key": "home.dyn.example"}')
        clients: dict[bytes, Client] = {}
        normal: set[bytes] = set()
        weak: list[str] = []
        for key, value in entries.items():
            try:
                clients[_key(key, normal)] = member = _with_ttl(_in_zones(as_client(value), zones), ttl)
            except Mistake as mistake:
                raise self._source.error(setting, mistake, self._source.line_of_key(key)) from None
            if len(key) < SAFE_KEY:
                weak.append(member.names[0].rstrip("."))
        return Keyring(clients), tuple(weak)


def _key(key: object, normal: set[bytes]) -> bytes:
    """The digest of a key, which must not mean the same as one that was met before."""
    if not isinstance(key, str):
        raise Mistake('a key that is no text; write it in quotes: "secret key"')
    digest = conf_digest(key)
    if normal_digest(key) in normal:
        raise Mistake("this key is written twice (a slash in front and percent-encoding make no difference)")
    normal.add(normal_digest(key))
    return digest


def _in_zones(member: Client, zones: tuple[str, ...]) -> Client:
    names = [*member.names, *(name for name, _ in member.lan)]
    if zones and not all(any(is_within(name, zone) for zone in zones) for name in names):
        raise Mistake("the host name is in none of the zones of the setting zone; add its zone there")
    return member


def _with_ttl(member: Client, ttl: int) -> Client:
    return member if member.ttl is not None else replace(member, ttl=ttl)


def _host(value: object) -> str:
    if not isinstance(value, str):
        raise Mistake('not a host name; write it like "home.dyn.example"')
    return host_name(value)


def _lan(value: object) -> tuple[tuple[str, IPv6Address], ...]:
    if not isinstance(value, dict):
        raise Mistake('lan: write {"nas.dyn.example": "::21f:3bff:fe12:3456"}')
    try:
        return tuple((_host(name), IPv6Address(str(suffix))) for name, suffix in value.items())
    except AddressValueError:
        raise Mistake('lan: write the part of the address behind the prefix, such as "::21f:3bff:fe12:3456"') from None


def _prefix_length(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 127:
        raise Mistake("prefix_length: a number of bits from 1 to 127, usually 64 or 56")
    return value


def _function(value: object) -> Callable[..., Any]:
    if not callable(value):
        raise Mistake("not a function; write it with def")
    return value


def _zones(value: object) -> tuple[str, ...]:
    return tuple(_host(zone) for zone in (value if isinstance(value, list | tuple) else [value]))


def _ttl(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_TTL:
        raise Mistake(f"a TTL is a whole number of seconds from 0 to {MAX_TTL}")
    return value


def _timeout(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= MAX_TIMEOUT:
        raise Mistake(f"a number of seconds above 0, at most {MAX_TIMEOUT}")
    return float(value)


def _peer_only(value: object) -> bool:
    if value not in ("connection", "request"):
        raise Mistake(
            'write "connection" (the client\'s own address, always) or "request" (one that it gives goes first)'
        )
    return value == "connection"


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Mistake("a whole number of changes in an hour; 0 means no limit")
    return value


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise Mistake("write True or False")
    return value


def _networks(value: object) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(str(item)) for item in (value if isinstance(value, list | tuple) else [value]))
    except ValueError:
        raise Mistake('addresses or networks in a list, such as ["127.0.0.1", "2001:db8::/32"]') from None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise Mistake("a port is a number from 0 to 65535")
    return int(text)


def _listeners(value: object, tls: bool) -> tuple[Listener, ...]:
    return tuple(_listener(item, tls) for item in (value if isinstance(value, list | tuple) else [value]))


def _listener(value: object, tls: bool) -> Listener:
    """`PORT`, `IP:PORT` or `[IP6]:PORT`; a number is a port."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Mistake('write a port or an address with one: 8080, "192.0.2.1:8080" or "[2001:db8::1]:8080"')
    text = str(value)
    if ":" not in text:
        return Listener(None, _port(text), tls)
    host, port = _host_and_port(text)
    try:
        return Listener(str(ip_address(host)), _port(port), tls)
    except ValueError as error:
        if isinstance(error, Mistake):
            raise
        raise Mistake("not an address; write IP:PORT, or [IP6]:PORT with the brackets") from None


def _host_and_port(text: str) -> tuple[str, str]:
    bracketed = re.fullmatch(r"\[([^\]]*)\]:(.*)", text)
    host, _, port = text.rpartition(":")
    return (bracketed[1], bracketed[2]) if bracketed else (host, port)


def _server(value: object) -> tuple[str, int]:
    """`HOST`, `HOST:PORT`, `IP6` or `[IP6]:PORT`."""
    if not isinstance(value, str):
        raise Mistake('write the name server like "ns.example", "192.0.2.1:53" or "[2001:db8::1]:53"')
    try:
        return str(ip_address(value.strip("[]"))), DNS_PORT
    except ValueError:
        host, port = _host_and_port(value) if ":" in value else (value, str(DNS_PORT))
    try:
        return str(ip_address(host)), _port(port)
    except Mistake:
        raise
    except ValueError:
        return host_name(host).rstrip("."), _port(port)
