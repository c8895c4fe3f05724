"""deSEC's record sets, and what its answers mean. Pure.

Sources: deSEC's documentation, "Domain Management", "Retrieving and Creating DNS Records", "Pagination", "Rate Limits".
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from ..fetch.answer import Answer, read_json
from ..values.names import is_within
from ..values.update import TXT, Record, Text
from .desk.backend import Fact, Interrupted, Settlement, Verdict
from .rest import retry_after
from .texts import unquoted

THROTTLED, LONGEST_REST = 1, 600  # seconds, where a 429 does not say how long, and the most that is believed
MINIMUM_TTL = 3600  # seconds; where the domain does not say
FIELDS = ("subname", "type", "ttl", "records", "non_field_errors")  # that errors are about
CNAME = Settlement(Verdict.HIDDEN, reason="a CNAME at the name hides it; delete it, or choose another name")

Spot: TypeAlias = tuple[str, str]  # of a record set: its name, absolute, and its type
Contents: TypeAlias = frozenset[str]  # addresses as the ipaddress module writes them, TXT without quotes
Shown: TypeAlias = Mapping[Spot, Contents]


class Errors(list[Any]):
    """What is wrong with the items of a PATCH, in their order; empty where that is not told."""

    def by_spot(self, spots: Sequence[Spot]) -> Mapping[Spot, Sequence[str]]:
        """The fields that are wrong of each that is to blame."""
        if len(self) != len(spots):
            return {}
        fields = [[field for field in FIELDS if field in error] if isinstance(error, dict) else [] for error in self]
        return {spot: wrong for spot, wrong, error in zip(spots, fields, self, strict=True) if error}


def read(answer: Answer, changes: bool) -> Any:
    """What it says, or what is wrong with a change (Errors). Raises Interrupted."""
    status, wait = answer.status, retry_after(answer.headers.get("retry-after", ""))
    if status == 429:  # writes are counted for each domain: others go on
        verdict = Verdict.AGAIN if changes else Verdict.AWAY
        rest = min(THROTTLED if wait is None else wait, LONGEST_REST)
        raise Interrupted(Settlement(verdict, reason="deSEC wants fewer requests (429)", wait=rest))
    if status >= 500:
        raise unanswered(f"deSEC is in trouble (status {status})", changes, maybe_done=True)
    if 300 <= status < 400:
        raise unanswered(f"deSEC answers with a redirect (status {status}), which is not followed", changes, False)
    try:
        said = read_json(answer.body)
    except ValueError:
        raise not_its_own(changes and status < 300) from None
    if status < 300:
        return said
    if status == 400 and changes:
        return Errors(said if isinstance(said, list) else [])
    if status == 404:
        raise Interrupted(Settlement(Verdict.ELSEWHERE, reason="deSEC knows no such domain (status 404)", moved=True))
    who = "let this token do that" if status in (401, 403) else "take this"
    raise Interrupted(Settlement(Verdict.REFUSED, reason=f"deSEC does not {who} (status {status})"))


def unanswered(reason: str, changes: bool, maybe_done: bool) -> Interrupted:
    """Nobody knows, or at least nothing is changed."""
    is_unsent = changes and not maybe_done
    return Interrupted(Settlement(Verdict.AGAIN if is_unsent else Verdict.UNKNOWN, changes and maybe_done, reason))


def not_its_own(maybe_done: bool) -> Interrupted:
    """Something else may sit at its address."""
    return Interrupted(Settlement(Verdict.UNKNOWN, maybe_done, "the answer is none of deSEC's"))


def next_cursor(link: str) -> str | None:
    """Where the next page begins (RFC 8288), if there is one."""
    match = re.search('<([^<>]*)> *; *rel="?next"?', link)
    try:
        return parse_qs(urlsplit(match[1]).query).get("cursor", [None])[0] if match else None
    except ValueError:
        return None


def read_domains(said: object) -> dict[str, int]:
    """The apexes of domains, with their least ttl. Raises Interrupted."""
    try:
        return dict(map(_read_domain, said if isinstance(said, list) else [None]))
    except (TypeError, KeyError):
        raise not_its_own(maybe_done=False) from None


def _read_domain(said: Any) -> tuple[str, int]:
    """Raises TypeError, KeyError."""
    name, least = said["name"], said.get("minimum_ttl") if isinstance(said, dict) else None
    if not isinstance(name, str):
        raise TypeError
    return name.lower().removesuffix(".") + ".", least if isinstance(least, int) else MINIMUM_TTL


def may_be_domain(place: str) -> bool:
    """Whether a name is worth a question."""
    return "." in place.removesuffix(".") and not place.startswith("*.")


def facts(places: Iterable[str], name: str, domain: str | None) -> Iterable[Fact]:
    """What is known of these names where this is the nearest domain of `name`: of what is above it, nothing."""
    for place in places:
        is_above = domain is not None and is_within(domain, place)
        if not may_be_domain(place) or (is_within(name, place) and not is_above):
            yield Fact(place, None)
    if domain:
        yield Fact(domain, domain)


def read_rrsets(said: object, maybe_done: bool) -> dict[Spot, Contents]:
    """Raises Interrupted."""
    try:
        return dict(map(_read_rrset, said if isinstance(said, list) else [None]))
    except (TypeError, KeyError, ValueError):
        raise not_its_own(maybe_done) from None


def _read_rrset(said: Any) -> tuple[Spot, Contents]:
    """Raises TypeError, KeyError, ValueError."""
    name, kind, records = said["name"], said["type"], said["records"]
    if not (isinstance(name, str) and isinstance(kind, str) and isinstance(records, list)):
        raise TypeError
    usual: Callable[[str], str] = {"A": _address, "AAAA": _address, TXT: unquoted}.get(kind, str)
    return (name.lower(), kind), frozenset(usual(record) for record in records if isinstance(record, str))


def _address(content: str) -> str:
    return str(ip_address(content))


def contents_of(item: Record, there: Shown) -> Contents:
    """What stands in its place."""
    shown = there.get((item.name, item.type), frozenset())
    return shown & {item.value} if isinstance(item, Text) else shown


def as_shown(update: Sequence[Record], there: Shown, ask_only: bool) -> Settlement | None:
    """What became of an update for which nothing is to be changed."""
    if any(item.addresses and (item.name, "CNAME") in there for item in update):
        return CNAME
    changed = any(contents_of(item, there) != set(item.addresses) for item in update)
    return Settlement(Verdict.DONE, changed) if ask_only or not changed else None


def merged(items: Iterable[Record], there: Shown) -> dict[Spot, Contents]:
    """The record sets that shall be, with those TXT values that nobody speaks of."""
    sets: dict[Spot, Contents] = {}
    for item in items:
        spot = item.name, item.type
        kept = sets.get(spot, there.get(spot, frozenset())) - {item.value} if isinstance(item, Text) else frozenset()
        sets[spot] = kept | set(item.addresses)
    return sets


def refusal(errors: Iterable[Sequence[str]]) -> Settlement:
    """A ttl that is too low now is asked for anew, with its domain."""
    fields = sorted({field for error in errors for field in error} - {"non_field_errors"})
    about = f": {', '.join(fields)}" if fields else ""
    return Settlement(Verdict.REFUSED, reason=f"deSEC does not take this (status 400{about})", moved="ttl" in fields)


def subname(name: str, zone: str) -> str:
    """A name within its domain."""
    return name.removesuffix(zone).removesuffix(".")
