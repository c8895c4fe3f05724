"""What a primary makes of one message, by RFC 2136, 3.2 and 3.4, as BIND reads it. Pure.

TTLs are left out. Names are absolute and in lower case; data is as nsupdate's lines have it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from sftdyn.values.names import is_within

Place = tuple[str, str]  # name, type
Records = Mapping[Place, frozenset[str]]

LINE = re.compile(r"(prereq|update) (\w+) (\S+) ?(.*)")


class Reply(NamedTuple):
    """What came of a message: a status, the records afterwards, and the places that it wanted to change."""

    status: str
    records: Records
    touched: tuple[Place, ...] = ()


class Line(NamedTuple):
    """A command of nsupdate."""

    is_update: bool
    verb: str
    name: str
    type: str  # "" where the line has none
    data: str  # "" where the line has none


def carried_out(zone: str, records: Records, text: str, is_refused: Callable[[str], bool]) -> Reply:
    """One message. `is_refused`: whether policy forbids to change a name."""
    lines = [parsed(line) for line in text.splitlines() if LINE.match(line)]
    if any(not is_within(line.name, zone) for line in lines):
        return Reply("NOTZONE", records)
    updates = [line for line in lines if line.is_update]
    if any(is_refused(line.name) for line in updates):  # which BIND looks at first, since 9.16.37 and 9.18.11
        return Reply("REFUSED", records)
    if status := missed(records, [line for line in lines if not line.is_update]):
        return Reply(status, records)
    after = dict(records)
    for line in updates:
        apply(zone, after, line)
    touched = {place: None for place in (*records, *after) if records.get(place) != after.get(place)}
    return Reply("NOERROR", after, tuple(touched))


def parsed(text: str) -> Line:
    """A line of nsupdate's."""
    match = LINE.match(text)
    assert match
    what, verb, name, rest = match.groups()
    words = rest.split(" ", 1) if verb != "add" else rest.split(" ", 2)[1:]
    kind, data = (*words, "", "")[:2]
    return Line(what == "update", verb, name, kind, data.strip('"'))


def missed(records: Records, lines: Iterable[Line]) -> str:
    """The status of the first prerequisite that does not hold; those of values are looked at last (3.2.5)."""
    wanted: dict[Place, set[str]] = {}
    for line in lines:
        place = line.name, line.type
        is_there = bool(records.get(place))
        in_use = any(name == line.name and data for (name, _), data in records.items()) if not line.type else False
        if line.data:
            wanted.setdefault(place, set()).add(line.data)
        elif (line.verb == "nxrrset" and is_there) or (line.verb == "yxrrset" and not is_there):
            return "YXRRSET" if is_there else "NXRRSET"
        elif (line.verb == "nxdomain" and in_use) or (line.verb == "yxdomain" and not in_use):
            return "YXDOMAIN" if in_use else "NXDOMAIN"
    return "NXRRSET" if any(records.get(place, frozenset()) != data for place, data in wanted.items()) else ""


def apply(zone: str, records: dict[Place, frozenset[str]], line: Line) -> None:
    """One update, in place (3.4.2)."""
    place = line.name, line.type
    at_apex = ("SOA", "NS") if line.name == zone else ()
    if line.verb == "add":
        if _fits(records, line):
            old = frozenset() if line.type in ("CNAME", "DNAME") else records.get(place, frozenset())
            records[place] = old | {line.data}
    elif line.data:
        left = records.get(place, frozenset()) - {line.data}
        if left or line.type not in at_apex:
            _put(records, place, left)
    else:
        for other in [other for other in records if other[0] == line.name and line.type in ("", other[1])]:
            if other[1] not in at_apex:
                del records[other]


def _put(records: dict[Place, frozenset[str]], place: Place, data: frozenset[str]) -> None:
    if data:
        records[place] = data
    else:
        records.pop(place, None)


def _fits(records: Records, line: Line) -> bool:
    """An alias stands alone: what cannot stand beside it is passed over in silence (3.4.2.2)."""
    others = {kind for (name, kind), data in records.items() if name == line.name and data and kind != line.type}
    return not others if line.type == "CNAME" else "CNAME" not in others
