"""What must be done to a zone's records so that a record set is as wanted. Pure.

A record is changed by its content alone: whether it is proxied, its ttl, comment, tags and settings stay. So the
existing records of the type are changed first; only what is too many is deleted, and what is missing is made with the
fields of those that are there.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from ipaddress import ip_address
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from ...values.names import MAX_LENGTH
from ...values.update import RRset

Fields: TypeAlias = Mapping[str, Any]  # of a record, as the API's JSON has them

COPIED = ("ttl", "proxied", "comment", "tags", "settings")  # to another record of the same name and type
AUTOMATIC = 1  # as a ttl; a proxied record has no other
TTLS = (60, 86_400)  # seconds; the least and the most that every plan takes


class Nonsense(ValueError):
    """This is no record of the API."""


class Record(NamedTuple):
    """A record as the API shows it."""

    id: str
    name: str  # absolute, lower case
    type: str
    content: str  # addresses as the ipaddress module writes them
    fields: Fields


class Making(NamedTuple):
    """Whether records may be made where there are none, and removed; and how they are made."""

    create: bool = False
    proxied: bool | None = None


class Verdict(Enum):
    """What is to be done."""

    NOTHING = auto()
    CHANGE = auto()
    HIDDEN = auto()  # a CNAME is there
    MISSING = auto()  # there is no record of the type, and none may be made
    KEPT = auto()  # the records may not be removed


class Operations(NamedTuple):
    """The parts of a batch, which are carried out in this order."""

    deletes: tuple[Fields, ...] = ()
    patches: tuple[Fields, ...] = ()
    posts: tuple[Fields, ...] = ()

    def size(self) -> int:
        """How many the API counts."""
        return len(self.deletes) + len(self.patches) + len(self.posts)

    def json(self) -> Fields:
        """As the API wants them."""
        return {kind: list(items) for kind, items in self._asdict().items() if items}


class Plan(NamedTuple):
    """What is to be done, and by which operations."""

    verdict: Verdict
    operations: Operations = Operations()


def read_record(json: object) -> Record:
    """A record from the API's JSON. Raises Nonsense."""
    if not isinstance(json, dict):
        raise Nonsense
    texts = [json.get(key) for key in ("id", "name", "type", "content")]
    if not all(isinstance(text, str) for text in texts[:3]):
        raise Nonsense
    identity, name, kind, content = (text if isinstance(text, str) else "" for text in texts)
    return Record(identity, absolute(name), kind, _usual(content), {key: json[key] for key in COPIED if json.get(key)})


def absolute(name: str) -> str:
    """A name of the API as the package writes it. Cloudflare shows the names of zones decoded, those of records not."""
    name = name.lower().removesuffix(".")
    if not name.isascii() and len(name) <= MAX_LENGTH:  # what is longer is no name, and would take long
        name = ".".join(label if label.isascii() else _encoded(label) for label in name.split("."))
    return name + "."


def _encoded(label: str) -> str:
    """What a label was decoded from (RFC 3492)."""
    return "xn--" + label.encode("punycode").decode()


def plan(wanted: RRset, there: Sequence[Record], making: Making) -> Plan:
    """What makes a record set as wanted, where the zone has these records of its name."""
    records = [record for record in there if record.type == wanted.type]
    if wanted.addresses and any(record.type == "CNAME" for record in there):
        return Plan(Verdict.HIDDEN)
    contents = {record.content for record in records}
    missing = [address for address in wanted.addresses if address not in contents]
    surplus = _surplus(records, wanted.addresses)
    if not missing and not surplus:
        return Plan(Verdict.NOTHING)
    if not making.create and not records:
        return Plan(Verdict.MISSING)
    if not making.create and not wanted.addresses:
        return Plan(Verdict.KEPT)
    fields = records[0].fields if records else _fields(wanted.ttl, making.proxied)
    named = {"type": wanted.type, "name": wanted.name.removesuffix(".")}
    return Plan(
        Verdict.CHANGE,
        Operations(
            deletes=tuple({"id": record.id} for record in surplus[len(missing) :]),
            patches=tuple(
                {"id": record.id, "content": address} for record, address in zip(surplus, missing, strict=False)
            ),
            posts=tuple(named | {"content": address, **fields} for address in missing[len(surplus) :]),
        ),
    )


def joined(parts: Iterable[Operations]) -> Operations:
    """All of them as one."""
    kinds = zip(*parts, strict=True)
    return Operations(*(tuple(chain.from_iterable(kind)) for kind in kinds))


def _surplus(records: Sequence[Record], wanted: Sequence[str]) -> list[Record]:
    """Those that do not hold a wanted address, or hold the same as another one."""
    kept: set[str] = set()
    surplus = []
    for record in records:
        if record.content in wanted and record.content not in kept:
            kept.add(record.content)
        else:
            surplus.append(record)
    return surplus


def _fields(ttl: int, proxied: bool | None) -> Fields:
    """Of a record that is the first of its kind."""
    least, most = TTLS
    seconds = AUTOMATIC if proxied else min(max(ttl, least), most)
    return {"ttl": seconds} if proxied is None else {"ttl": seconds, "proxied": proxied}


def _usual(content: str) -> str:
    try:
        return str(ip_address(content))
    except ValueError:
        return content
