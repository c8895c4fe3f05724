"""What is odd about entries of `clients` that work: warnings, which never show a key. Pure.

A host name is shown only if it has a dot: one without could be a key that was written in the wrong place.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping

from ..values.specs import Client

SAFE_KEY = 16  # characters
SHOWN = 5  # entries in a sentence about many

HOST_NAME = re.compile(r"([a-z0-9*-]+\.)+[a-z][a-z0-9-]*\.?", re.I)
URL = re.compile(r"https?:/", re.I)

WEAK = f"keys shorter than {SAFE_KEY} characters can be guessed: those of {{}}"
SWAPPED = 'keys that look like host names: those of {}; write clients["secret key"] = "home.dyn.example"'
WHOLE_URL = "keys that are whole URLs: those of {}; write only what stands behind the server's name and the slash"
DOTLESS = "host names without a dot, which are in nobody's zone: those of {}; write them like home.dyn.example"
TWICE = "keys that are written twice, so that the last entry counts: those of {}"

LinesOf = Callable[[Collection[object]], Mapping[object, list[int]]]  # keys → the lines where they are written


class Doubts:
    """Collects the first entries of each kind. `again` are the keys that the conf has set more than once."""

    def __init__(self, again: Collection[object]) -> None:
        self._again = again
        self._found: dict[str, list[tuple[str, Client]]] = {
            sentence: [] for sentence in (WEAK, SWAPPED, WHOLE_URL, DOTLESS, TWICE)
        }

    def look_at(self, key: str, client: Client) -> None:
        """Take note of one entry."""
        for sentence in self._about(key, client):
            if len(self._found[sentence]) <= SHOWN:
                self._found[sentence].append((key, client))

    def sentences(self, lines_of: LinesOf) -> list[str]:
        """What was found, a sentence for each kind."""
        return [_filled_in(sentence, entries, lines_of) for sentence, entries in self._found.items() if entries]

    def _about(self, key: str, client: Client) -> Iterator[str]:
        if len(key) < SAFE_KEY:
            yield WEAK
        if "." in key and HOST_NAME.fullmatch(key):
            yield SWAPPED
        if URL.match(key.lstrip("/")):
            yield WHOLE_URL
        if not all(map(_has_dot, client.names)):
            yield DOTLESS
        if key in self._again:
            yield TWICE


def _filled_in(sentence: str, entries: list[tuple[str, Client]], lines_of: LinesOf) -> str:
    """The sentence with the names of its first entries, and the lines where those would not do."""
    # Where the key looks like a host name, the host's name may be the key.
    names = {key: "" if HOST_NAME.fullmatch(key) else _shown_name(client) for key, client in entries[:SHOWN]}
    unclear = [key for key, name in names.items() if not name or sentence == TWICE]
    lines = lines_of(unclear) if unclear else {}
    shown = ", ".join(_entry(name, lines.get(key, [])) for key, name in names.items())
    return sentence.format(shown + " and others" * (len(entries) > SHOWN))


def _entry(name: str, lines: list[int]) -> str:
    """Whose entry it is, by name, or by the lines where its key is written, or both."""
    where = ("line " if len(lines) == 1 else "lines ") + " and ".join(map(str, lines))
    if not lines:
        return name or "one that has no line of its own"
    return f"{name} ({where})" if name else where


def _shown_name(client: Client) -> str:
    return client.names[0].rstrip(".") if _has_dot(client.names[0]) else ""


def _has_dot(name: str) -> bool:
    """Whether an absolute name has more than one label."""
    return name.find(".") < len(name) - 1
