"""Host names: what the conf, a hook or a router calls a host, and what DNS calls it. Pure."""

import re
from collections.abc import Iterable
from functools import lru_cache
from unicodedata import normalize

from .mistake import Mistake

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MAX_LABEL = 63  # characters (RFC 1035, 2.3.4)
MAX_LENGTH = 253  # characters without the last dot: 255 octets on the wire
# What IDNA 2003 writes as ss and σ, and IDNA 2008 as itself (RFC 5894, 7.2): two names, and both may exist.
CACHED = 4096  # names; dyndns2 clients send theirs each time
DEVIATIONS = frozenset("ßς")
FEW = 8  # names that are called by name in a sentence


@lru_cache(CACHED)
def host_name(text: str) -> str:
    """The absolute name that `text` means: lower case, IDNA-encoded, with the last dot.

    A leading `*.` (RFC 4592) is allowed. Raises Mistake.
    """
    text = text.removesuffix(".")
    if len(text) > MAX_LENGTH:  # before it is encoded, which takes time by the square of the length
        raise Mistake(f"longer than {MAX_LENGTH} characters")
    labels = text.split(".")
    wildcard = labels[:1] == ["*"] and len(labels) > 1
    encoded = [_label(label) for label in labels[wildcard:]]
    if encoded[-1].isdigit():
        raise Mistake("this is an address or a number; write the host's name")
    name = ".".join(["*"] * wildcard + encoded)
    if len(name) > MAX_LENGTH:
        raise Mistake(f"longer than {MAX_LENGTH} characters")
    return name + "."


def _label(label: str) -> str:
    if not label:
        raise Mistake("two dots in a row, or a dot at the start; write it like home.dyn.example")
    if len(label) <= MAX_LABEL:
        label = (label if label.isascii() else _a_label(label)).lower()
    if len(label) > MAX_LABEL:
        raise Mistake(f"a label longer than {MAX_LABEL} characters")
    if not LABEL.fullmatch(label):
        raise Mistake("a host name has letters, digits, inner hyphens and dots only, and may start with `*.`")
    return label


def _a_label(label: str) -> str:
    """The ASCII form of a label that has one only (RFC 3490). Raises Mistake."""
    try:
        encoded = label.encode("idna").decode("ascii")
    except UnicodeError:
        raise Mistake("a label that IDNA cannot encode; write its ASCII form (xn--…)") from None
    lower = "".join(map(str.lower, label))  # letter by letter: a Σ in the last place is no ς
    if DEVIATIONS & set(lower):
        other = "xn--" + normalize("NFC", lower).encode("punycode").decode("ascii")
        raise Mistake(f"ß and ς have two ASCII forms; write {other} (IDNA 2008) or {encoded} (IDNA 2003)")
    return encoded


def is_within(name: str, zone: str) -> bool:
    """Whether the absolute `name` is `zone` itself or below it."""
    return name == zone or zone == "." or name.endswith("." + zone)


def ancestors(name: str, zone: str) -> list[str]:
    """The names above `name` up to and with `zone`, nearest first; none for the zone itself."""
    above = []
    while name != zone:
        name = name.partition(".")[2] or "."
        above.append(name)
    return above


def listed(names: Iterable[str]) -> str:
    """Absolute names, or what else a sentence is about: each once, and of many the first ones."""
    each = list(dict.fromkeys(name.removesuffix(".") for name in names))
    return ", ".join(each[:FEW]) + (" and others" if len(each) > FEW else "")
