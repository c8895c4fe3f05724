"""What a value in the conf may look like: each function takes it as written, and returns what it means. Pure.

All raise Mistake, which says what to write instead.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from ipaddress import AddressValueError, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from ..values.addresses import Network
from ..values.mistake import Mistake
from ..values.names import MAX_LENGTH, host_name
from ..values.specs import DNS_PORT, TOKEN, Listener

MAX_TTL = 2**31 - 1  # seconds (RFC 2181, 8)
MAX_TIMEOUT = 3600  # seconds
MAX_HISTORY = 1000
MAX_EXPECT = 10 * 366 * 86400  # seconds
MAX_CHANGES = 1_000_000  # in an hour
MAX_PORT = 65535
LOOPBACK = "127.0.0.1"
INTERFACE = re.compile(r"[\w.@-]*")  # its name (RFC 4007, 11), as Linux has them


def several(value: object) -> list[Any]:
    """A list or tuple as it is, anything else as the only item."""
    return list(value) if isinstance(value, list | tuple) else [value]


class NameMistake(Mistake):
    """A `text` that is no host name, and why. It is shown if it has a dot: one without may be a key in its place."""

    def __init__(self, text: str, reason: Mistake) -> None:
        is_shown = "." in text.strip(".") and text.isprintable() and len(text) <= MAX_LENGTH
        super().__init__(f'"{text}": {reason}' if is_shown else str(reason))
        self.text = text
        self.reason = reason


def host(value: object) -> str:
    """An absolute host name."""
    if not isinstance(value, str):
        raise Mistake('not a host name; write it like "home.dyn.example"')
    try:
        return host_name(value)
    except Mistake as mistake:
        raise NameMistake(value, mistake) from None


def zones(value: object) -> tuple[str, ...]:
    """One zone or several, as absolute names."""
    return tuple(map(host, several(value)))


def ttl(value: object) -> int:
    """Seconds that a record may be remembered."""
    if not _is_whole(value) or not 0 <= value <= MAX_TTL:
        raise Mistake(f"a TTL is a whole number of seconds from 0 to {MAX_TTL}")
    return value


def timeout(value: object) -> float:
    """Seconds that a request may wait."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= MAX_TIMEOUT:
        raise Mistake(f"a number of seconds above 0, at most {MAX_TIMEOUT}")
    return float(value)


def expect(value: object) -> float:
    """Seconds within which a client should be heard from."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value <= MAX_EXPECT:
        raise Mistake("a number of seconds, 1 or more: a little more than the client's own interval, such as 3600")
    return float(value)


def max_changes(value: object) -> int:
    """Changes in an hour; 0: no limit."""
    if not _is_whole(value) or not 0 <= value <= MAX_CHANGES:
        raise Mistake(f"a whole number of changes in an hour, at most {MAX_CHANGES}; 0 means no limit")
    return value


def prefix_length(value: object) -> int:
    """Bits of a network's prefix."""
    if not _is_whole(value) or not 1 <= value <= 127:
        raise Mistake("a number of bits from 1 to 127, usually 64 or 56")
    return value


def lan(value: object) -> tuple[tuple[str, IPv6Address], ...]:
    """Hosts behind the router: absolute name and host part."""
    if not value:
        return ()
    if not isinstance(value, dict):
        raise Mistake('write {"nas.dyn.example": "::21f:3bff:fe12:3456"}')
    try:
        return tuple((host(name), IPv6Address(str(suffix))) for name, suffix in value.items())
    except AddressValueError:
        raise Mistake('write the part of the address behind the prefix, such as "::21f:3bff:fe12:3456"') from None


def networks(value: object) -> tuple[Network, ...]:
    """Addresses and networks."""
    try:
        return tuple(ip_network(str(item)) for item in several(value))
    except ValueError:
        raise Mistake('addresses or networks in a list, such as ["127.0.0.1", "2001:db8::/32"]') from None


def peer_only(value: object) -> bool:
    """Whether addresses given in a request do not count."""
    if value not in ("connection", "request"):
        raise Mistake(
            'write "connection" (the client\'s own address, always) or "request" (one that it gives goes first)'
        )
    return value == "connection"


def yes_or_no(value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise Mistake("write True or False")
    return value


def port(value: object) -> int:
    """Where a server can be asked."""
    if not _is_whole(value) or not 1 <= value <= MAX_PORT:
        raise Mistake(f"a port is a number from 1 to {MAX_PORT}")
    return value


def function(value: object) -> Callable[..., Any]:
    """A function of the conf."""
    if not callable(value):
        raise Mistake("not a function; write it with def")
    return value


def entries(value: object) -> dict[object, object]:
    """Secret keys with what they stand for; anything empty is none."""
    if not value:
        return {}
    if not isinstance(value, dict):
        raise Mistake('not a dict; write {"secret key": "home.dyn.example"}')
    return value


def texts(value: object) -> dict[str, Any]:
    """Secret keys with a text or several each; anything else is an old conf's own variable."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in _texts_of(value)):
        raise Mistake('not a dict of texts; write acme["secret key"] = "home.dyn.example"')
    return value


def _texts_of(value: dict[object, object]) -> list[object]:
    return [*value, *(text for one in value.values() for text in (one if isinstance(one, list | tuple) else [one]))]


def is_url(value: object, schemes: Collection[str]) -> TypeGuard[str]:
    """Whether it is a whole URL with one of these schemes, without user or fragment, that a request can hold."""
    if not isinstance(value, str) or not TOKEN.fullmatch(value):
        return False
    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        return False
    return bool(good) and "@" not in parts.netloc and not parts.fragment


def seconds(value: object) -> float:
    """Seconds, also none."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= MAX_EXPECT:
        raise Mistake("a number of seconds, 0 or more")
    return float(value)


def history(value: object) -> int:
    """Addresses that are kept."""
    if not _is_whole(value) or not 0 <= value <= MAX_HISTORY:
        raise Mistake(f"a whole number of addresses, at most {MAX_HISTORY}; 0 keeps none")
    return value


def state(value: object) -> Path | bool:
    """A file, or False for none."""
    return False if value is False else path(value)


def path(value: object) -> Path:
    """The path of a file; whether there is one is not looked at."""
    if not isinstance(value, str | Path) or not str(value):
        raise Mistake('not a path; write it like "server.key"')
    if "\0" in str(value):
        raise Mistake("not a path; it holds a null character")
    return Path(value)


def http(value: object) -> tuple[Listener, ...]:
    """Where to listen for plain HTTP."""
    return tuple(_listener(item, tls=False) for item in several(value))


def https(value: object) -> tuple[Listener, ...]:
    """Where to listen for HTTPS."""
    return tuple(_listener(item, tls=True) for item in several(value))


def status(value: object) -> tuple[Listener, ...]:
    """Where to listen for the status; a bare port on the loopback."""
    return tuple(replace(one, host=one.host or LOOPBACK) for one in http(value))


def servers(value: object) -> tuple[tuple[str, int], ...]:
    """Name servers with the same data, the best first: each as host and port."""
    listed = several(value)
    if not listed:
        raise Mistake("an empty list; leave it out for the local name server")
    return tuple(dict.fromkeys(map(_server, listed)))


def _server(value: object) -> tuple[str, int]:
    """`HOST`, `HOST:PORT`, `IP6` or `[IP6]:PORT` as host and port."""
    if not isinstance(value, str):
        raise Mistake('write the name server like "ns.example", "192.0.2.1:53" or "[2001:db8::1]:53", or several')
    if address := _address(value[1:-1] if value.startswith("[") and value.endswith("]") else value):
        return address, DNS_PORT
    name, text = _host_and_port(value) if ":" in value else (value, str(DNS_PORT))
    return _address(name) or host_name(name).rstrip("."), port(_port(text))


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _listener(value: object, tls: bool) -> Listener:
    """`PORT`, `IP:PORT` or `[IP6]:PORT`; a number is a port."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Mistake('write a port or an address with one: 8080, "192.0.2.1:8080" or "[2001:db8::1]:8080"')
    text = value if isinstance(value, str) else f"{min(max(value, -1), MAX_PORT + 1)}"
    if ":" not in text:
        return Listener(None, _port(text), tls)
    name, port = _host_and_port(text)
    address = _address(name)
    if address is None:
        raise Mistake("not an address; write IP:PORT, or [IP6]:PORT with the brackets")
    return Listener(address, _port(port), tls)


def _host_and_port(text: str) -> tuple[str, str]:
    bracketed = re.fullmatch(r"\[([^\]]*)\]:(.*)", text)
    name, _, port = text.rpartition(":")
    return (bracketed[1], bracketed[2]) if bracketed else (name, port)


def _address(text: str) -> str | None:
    """`text` as the ipaddress module writes it, if it is an address; with the interface of a link-local one."""
    if not INTERFACE.fullmatch(text.partition("%")[2]):
        return None
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > MAX_PORT:
        raise Mistake("a port is a number from 0 to 65535")
    return int(text)
