"""What must be done to a zone's records so that a record set, or a TXT value, is as wanted. Pure.

A record is changed by its content alone: whether it is proxied, its ttl, comment, tags and settings stay. So the
existing records of the type are changed first; only what is too many is deleted, and what is missing is made with the
fields of those that are there. Of TXT records, those with the value count, and no other is touched.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from ipaddress import ip_address
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from ...values.names import MAX_LABEL, MAX_LENGTH, PREFIX
from ...values.update import TXT, Record, Text
from ..texts import quoted, unquoted

Fields: TypeAlias = Mapping[str, Any]  # of a record, as the API's JSON has them

COPIED = ("ttl", "proxied", "comment", "tags", "settings")  # to another record of the same name and type
FAMILIES = ("A", "AAAA")
AUTOMATIC = 1  # as a ttl; a proxied record has no other
TTLS = (60, 86_400)  # seconds; the least and the most that every plan takes


class Nonsense(ValueError):
    """This is no record of the API."""


class Listed(NamedTuple):
    """A record as the API shows it."""

    id: str
    name: str  # absolute, lower case
    type: str
    content: str  # addresses as the ipaddress module writes them, TXT without quotes
    fields: Fields
    is_shadowed: bool = False  # stored, and not served: an NS record above it hides it


class Making(NamedTuple):
    """Whether records may be made where there are none, and removed; and how they are made."""

    create: bool = False
    proxied: bool | None = None
    comment: str | None = None


class Hindrance(Enum):
    """Why it cannot be as wanted."""

    HIDDEN = auto()  # a CNAME is there
    SHADOWED = auto()  # an NS record is there, or above
    MISSING = auto()  # there is no record, and none may be made
    UNWANTED = auto()  # there is a record, but of the other family: the owner does not want this one
    KEPT = auto()  # the records may not be removed


class Operations(NamedTuple):
    """The parts of a batch, which are carried out in this order. None at all: it is as wanted."""

    deletes: tuple[Fields, ...] = ()
    patches: tuple[Fields, ...] = ()
    posts: tuple[Fields, ...] = ()

    def size(self) -> int:
        """How many the API counts."""
        return len(self.deletes) + len(self.patches) + len(self.posts)

    def json(self) -> Fields:
        """As the API wants them."""
        return {kind: list(items) for kind, items in self._asdict().items() if items}


def read_record(json: object) -> Listed:
    """A record from the API's JSON. Raises Nonsense."""
    fields = json if isinstance(json, dict) else {}
    identity, name, kind, content = (fields.get(key) for key in ("id", "name", "type", "content"))
    if not isinstance(identity, str) or not isinstance(name, str) or not isinstance(kind, str):
        raise Nonsense
    usual = unquoted if kind == TXT else _usual
    content = usual(content if isinstance(content, str) else "")
    copied = {key: fields[key] for key in COPIED if fields.get(key)}
    meta = fields.get("meta")
    is_shadowed = isinstance(meta, dict) and bool(meta.get("shadowed_by") or meta.get("dead_glue"))
    return Listed(identity, absolute(name), kind, content, copied, is_shadowed)


def absolute(name: str) -> str:
    """A name of the API as the package writes it. Cloudflare shows the names of zones decoded, those of records not."""
    name = name.lower().removesuffix(".")
    if not name.isascii() and len(name) <= MAX_LENGTH:
        name = ".".join(map(_encoded, name.split(".")))
    return name + "."


def _encoded(label: str) -> str:
    """What a label was decoded from (RFC 3492); what is longer is no label, and would take long."""
    return label if label.isascii() or len(label) > MAX_LABEL else PREFIX + label.encode("punycode").decode()


def shown(wanted: Record, there: Iterable[Listed]) -> list[Listed]:
    """What stands in the place of a record set or of a TXT value, among the records of its name."""
    records = [record for record in there if record.type == wanted.type]
    return [record for record in records if record.content == wanted.value] if isinstance(wanted, Text) else records


def plan(wanted: Record, there: Sequence[Listed], making: Making) -> Operations | Hindrance:
    """What makes it as wanted, where the zone has these records of its name."""
    if wanted.addresses and any(record.type == "CNAME" for record in there):
        return Hindrance.HIDDEN
    if wanted.addresses and any(record.is_shadowed for record in there):
        return Hindrance.SHADOWED
    if isinstance(wanted, Text):
        making = Making(create=True, comment=making.comment)
    records = shown(wanted, there)
    contents = {record.content for record in records}
    missing = [content for content in wanted.addresses if content not in contents]
    surplus = _surplus(records, wanted.addresses)
    if not making.create and (missing or surplus) and not (records and wanted.addresses):
        others = any(record.type in FAMILIES for record in there)
        return Hindrance.KEPT if records else Hindrance.UNWANTED if others else Hindrance.MISSING
    fields = records[0].fields if records else _fields(wanted.ttl, making)
    named = {"type": wanted.type, "name": wanted.name.removesuffix(".")}
    write = quoted if wanted.type == TXT else str
    return Operations(
        deletes=tuple({"id": record.id} for record in surplus[len(missing) :]),
        patches=tuple({"id": record.id, "content": content} for record, content in zip(surplus, missing, strict=False)),
        posts=tuple(named | {"content": write(content), **fields} for content in missing[len(surplus) :]),
    )


def joined(parts: Iterable[Operations]) -> Operations:
    """All of them as one."""
    kinds = zip(*parts, strict=True)
    return Operations(*(tuple(chain.from_iterable(kind)) for kind in kinds))


def _surplus(records: Sequence[Listed], wanted: Sequence[str]) -> list[Listed]:
    """Those that do not hold a wanted content, or hold the same as another one."""
    kept: set[str] = set()
    surplus = []
    for record in records:
        if record.content in wanted and record.content not in kept:
            kept.add(record.content)
        else:
            surplus.append(record)
    return surplus


def _fields(ttl: int, making: Making) -> Fields:
    """Of a record that is the first of its kind."""
    least, most = TTLS
    seconds = AUTOMATIC if making.proxied or ttl == AUTOMATIC else min(max(ttl, least), most)
    chosen = {"proxied": making.proxied, "comment": making.comment}
    return {"ttl": seconds, **{name: value for name, value in chosen.items() if value is not None}}


def _usual(content: str) -> str:
    try:
        return str(ip_address(content))
    except ValueError:
        return content
