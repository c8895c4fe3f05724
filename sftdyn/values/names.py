"""Host names: what the conf, a hook or a router calls a host, and what DNS calls it. Pure."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from unicodedata import normalize

from .mistake import Mistake

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Most of what confs write: lower case, at least two labels, and no number at the end.
PLAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\.?")
LABEL_AS_TYPED = re.compile(r"[^\x00-,./:-@\[-`{-\x7f]{1,63}")  # not ASCII: without blanks and signs
MAX_LABEL = 63  # characters (RFC 1035, 2.3.4)
MAX_LENGTH = 253  # characters without the last dot: 255 octets on the wire
PREFIX = "xn--"  # of a label that was encoded (RFC 3490, 5)
CACHED = 4096  # names; dyndns2 clients send theirs each time
# What IDNA 2003 writes as ss and σ, and IDNA 2008 as itself (RFC 5894, 7.2): two names, and both may exist.
DEVIATIONS = frozenset("ßς")
# What counts for nothing in a name (RFC 3454, B.1).
IGNORED = dict.fromkeys([0xAD, 0x34F, 0x1806, *range(0x180B, 0x180E), *range(0x200B, 0x200E), 0x2060, 0xFEFF])
IGNORED |= dict.fromkeys(range(0xFE00, 0xFE10))
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


def plain_name(text: str) -> str | None:
    """The same for a text that is as most are, in a fifth of the time; None: ask `host_name`."""
    if len(text) > MAX_LENGTH or not PLAIN.fullmatch(text):
        return None
    return text if text[-1] == "." else text + "."


def among(text: str, names: tuple[str, ...]) -> str | None:
    """Which of the absolute `names` a text means; None: another one. Raises Mistake if it is no host name.

    For what a stranger sends: it costs what the text is long, whereas to encode a name costs 0.1 ms for each letter.
    """
    if text.isascii():
        name = host_name(text)
        return name if name in names else None
    if len(text) > MAX_LENGTH:
        raise Mistake(f"longer than {MAX_LENGTH} characters")
    lower = _lower(text.removesuffix("."))
    if DEVIATIONS & set(lower):
        raise Mistake("ß and ς have two ASCII forms; write one of them")
    labels = _folded(lower).split(".")
    if not all(map(LABEL_AS_TYPED.fullmatch, labels[labels[0] == "*" :])):
        raise Mistake(f"a label of more than {MAX_LABEL} characters, of none, or of other signs than letters")
    return _as_typed(names).get(".".join(labels))


@lru_cache(CACHED)
def _as_typed(names: tuple[str, ...]) -> Mapping[str, str]:
    """Absolute names by what they are without IDNA, folded."""
    return {".".join(_folded(_decoded(label)) for label in name[:-1].split(".")): name for name in names}


def _decoded(label: str) -> str:
    """What a label of the conf was encoded from."""
    try:
        return label.removeprefix(PREFIX).encode().decode("punycode") if label.startswith(PREFIX) else label
    except UnicodeError:
        return label


def _folded(text: str) -> str:
    """The same for all ways to write a name (RFC 3491)."""
    return normalize("NFKC", normalize("NFKC", text.translate(IGNORED)).casefold())


def _lower(text: str) -> str:
    """Letter by letter: a Σ in the last place is no ς."""
    return "".join(map(str.lower, text))


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
    if len(normalize("NFKC", label)) > MAX_LABEL:  # one letter can stand for 18, and encoding is quadratic
        raise Mistake(f"a label longer than {MAX_LABEL} characters")
    try:
        encoded = label.encode("idna").decode("ascii")
    except UnicodeError:
        raise Mistake("a label that IDNA cannot encode; write its ASCII form (xn--…)") from None
    lower = _lower(label)
    if DEVIATIONS & set(lower):
        other = PREFIX + normalize("NFC", lower).encode("punycode").decode("ascii")
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
