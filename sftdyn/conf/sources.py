"""What the conf writes as the source of its own addresses, `Interface(…)`, `Web(…)` or a function. Pure."""

import re
from urllib.parse import urlsplit

from ..values.mistake import Mistake
from ..values.specs import TOKEN, AddressFunction, Interface, Source, Web

INTERFACE = re.compile(r"(?!\.{1,2}$)[^\s/:%@]{1,15}")  # as Linux has it: IFNAMSIZ is 16 with the null at the end
USUAL_PORTS = (80, 443)
MAX_URLS = 8  # that are asked at once
MAX_EVERY = 2**31 - 1  # seconds
EXAMPLES = 'Interface("ppp0"), Web("https://ip.example/") or a function that returns addresses'


def make_interface(*names: object, **unknown: object) -> Interface:
    """`Interface("ppp0")` of the conf. Raises Mistake."""
    [name] = names if len(names) == 1 else [None]
    front = name.partition("@")[0] if isinstance(name, str) and "@" in name else ""
    if INTERFACE.fullmatch(front):
        raise Mistake(
            f'Interface: behind the @ is what it lies on; write the part in front of it: Interface("{front}")'
        )
    if unknown or not isinstance(name, str) or not INTERFACE.fullmatch(name):
        raise Mistake('Interface: write the name of one interface, as `ip address` shows it: Interface("ppp0")')
    return Interface(name)


def make_web(*urls: object, **unknown: object) -> Web:
    """`Web("https://ip.example/", …)` of the conf. Raises Mistake."""
    if unknown or not 1 <= len(urls) <= MAX_URLS:
        raise Mistake(f'Web: write from 1 to {MAX_URLS} URLs: Web("https://ip.example/", "https://ip2.example/")')
    good = tuple(map(_url, urls))
    if len(set(map(_server, good))) < len(good):
        raise Mistake("Web: the same server twice, which always agrees with itself; name different ones")
    return Web(good)


def source(value: object) -> Source:
    """What may stand for an address. Raises Mistake."""
    if isinstance(value, Interface | Web | AddressFunction):
        return value
    if value in (make_interface, make_web):
        raise Mistake(f"address: the brackets are missing; write {EXAMPLES}")
    if callable(value):
        return AddressFunction(value)
    raise Mistake(f"address: write {EXAMPLES}")


def every(value: object) -> float:
    """Seconds between two looks at a source. Raises Mistake."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value <= MAX_EVERY:
        raise Mistake("every: write a number of seconds, 1 or more")
    return float(value)


def _server(url: str) -> tuple[str, int | None]:
    """Whom a URL asks, however it is written."""
    parts = urlsplit(url)
    return (parts.hostname or "").rstrip("."), None if parts.port in USUAL_PORTS else parts.port


def _url(value: object) -> str:
    """Raises Mistake."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else urlsplit("")
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        good = False
    if not isinstance(value, str) or not good or parts.fragment or not TOKEN.fullmatch(value):
        raise Mistake('Web: write whole URLs, without user or fragment: Web("https://ip.example/")')
    return value
