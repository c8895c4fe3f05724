"""Host names: what the conf, a hook or a router calls a host, and what DNS calls it. Pure."""

import re

from .mistake import Mistake

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MAX_LENGTH = 253  # characters without the last dot: 255 octets on the wire (RFC 1035, 2.3.4)


def host_name(text: str) -> str:
    """The absolute name that `text` means: lower case, IDNA-encoded, with the last dot.

    A leading `*.` (RFC 4592) is allowed. Raises Mistake.
    """
    labels = text.removesuffix(".").split(".")
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
    if not label.isascii():
        try:
            label = label.encode("idna").decode("ascii")
        except UnicodeError:
            raise Mistake("a label that IDNA cannot encode; write its ASCII form (xn--…)") from None
    label = label.lower()
    if len(label) > 63:
        raise Mistake("a label longer than 63 characters")
    if not LABEL.fullmatch(label):
        raise Mistake("a host name has letters, digits, inner hyphens and dots only, and may start with `*.`")
    return label


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
