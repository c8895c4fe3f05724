"""The rules of DNS records at Cloudflare, as its API v4 has them: a zone's records, and what each operation makes of them.

Pure. Sources: the API reference of DNS records and of the batch; "Records with same name"; "Record attributes" (comments,
tags, plans). The error codes are those that clients of the real API have reported; 9207 stands where none is known.
"""

import ipaddress
import itertools
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from .api import timestamp

AUTOMATIC = 1  # as a ttl
TTLS = range(60, 86_401)  # seconds
IDENTICAL = 81058  # the code of the error
INVALID = {9000, 9003, 9004, 9005, 9006, 9007, 9021, 9101, 9300, 9313}  # the codes of fields that are wrong
BATCH_LIMIT = {"free": 200, "pro": 3500}  # operations
COMMENT_LIMIT = {"free": 100, "pro": 500}  # characters
TAG_LIMIT = {"free": 0, "pro": 20}
DEFAULT_PAGE, LARGEST_PAGE = 100, 100  # records; a longer page is cut to this, and result_info says so
PROXIABLE = {"A", "AAAA", "CNAME"}
SETTINGS = {"A": {"ipv4_only", "ipv6_only"}, "CNAME": {"flatten_cname", "ipv4_only", "ipv6_only"}}
SETTINGS["AAAA"] = SETTINGS["A"]

Json = Mapping[str, Any]
Records = Mapping[str, "Record"]  # by id, in the order in which they were made


class Refusal(NamedTuple):
    """What the API says no with: an HTTP status and its errors, each (code, message)."""

    status: int
    errors: tuple[tuple[int, str], ...]


class Refused(Exception):
    """The API says no."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Nonsense(Refused):
    """It says no to what no careful client sends."""


def refuse(code: int, message: str, status: int = 400) -> Refused:
    """One error."""
    return Refused(Refusal(status, ((code, message),)))


def nonsense(message: str) -> Nonsense:
    """The body is not of the documented shape."""
    return Nonsense(Refusal(400, ((9207, message),)))


@dataclass(frozen=True)
class Record:
    """One record, with all its fields."""

    id: str
    type: str
    name: str  # lower case, A-labels
    content: str
    ttl: int
    proxied: bool
    comment: str | None
    tags: tuple[str, ...]
    settings: Json
    created_on: str
    modified_on: str

    def json(self) -> dict[str, Any]:
        """As the API shows it."""
        shown = {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "content": self.content,
            "proxiable": self.type in PROXIABLE,
            "proxied": self.proxied,
            "ttl": self.ttl,
            "settings": dict(self.settings),
            "meta": {},
            "comment": self.comment,
            "tags": list(self.tags),
            "created_on": self.created_on,
            "modified_on": self.modified_on,
        }
        noted = {"comment_modified_on": self.comment, "tags_modified_on": self.tags}
        return shown | {name: self.modified_on for name, there in noted.items() if there}


@dataclass(frozen=True)
class Zone:
    """A zone and what its plan allows."""

    id: str
    name: str
    plan: str = "free"
    quota: int = 3500  # records
    records: Records = field(default_factory=lambda: MappingProxyType({}))

    def json(self) -> dict[str, Any]:
        """As the API shows it, to somebody who may read the zone: its name decoded, unlike those of records."""
        since = "2020-01-02T03:04:05.678901Z"
        return {
            "id": self.id,
            "name": self.name.encode().decode("idna"),
            "status": "active",
            "paused": False,
            "type": "full",
            "development_mode": 0,
            "name_servers": ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"],
            "original_name_servers": None,
            "original_registrar": None,
            "original_dnshost": None,
            "modified_on": since,
            "created_on": since,
            "activated_on": since,
            "meta": {"step": 2, "custom_certificate_quota": 0, "page_rule_quota": 3, "phishing_detected": False},
            "owner": {"id": None, "type": "user", "email": None},
            "account": {"id": "a" * 32, "name": "lab"},
            "tenant": {"id": None, "name": None},
            "tenant_unit": {"id": None},
            "permissions": ["#dns_records:edit", "#dns_records:read", "#zone:read"],
            "plan": {"id": "0" * 32, "name": f"{self.plan.title()} Website", "legacy_id": self.plan, "currency": "USD"},
        }


def new_id() -> str:
    """Of a zone, a record or a token."""
    return secrets.token_hex(16)


# Fields: each has a reader that returns its value or raises Refused.


def read_name(value: Any, zone: Zone) -> str:
    """The whole name in A-labels. "@" is the apex; what does not end in the zone is below it."""
    name = text(value, "name").lower()
    try:
        name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        raise refuse(9000, "DNS name is invalid.") from None
    if name == "@":
        return zone.name
    if name != zone.name and not name.endswith("." + zone.name):
        name = f"{name}.{zone.name}"
    labels = name.split(".")
    if len(name) > 253 or not all(0 < len(label) < 64 for label in labels):
        raise refuse(9000, "DNS name is invalid.")
    return name


def text(value: Any, what: str) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise nonsense(f"{what} must be a string.")
    return value


def read_type(value: Any, zone: Zone) -> str:
    """A type that this zone can hold."""
    if value not in CONTENT:
        raise nonsense("DNS record type is invalid.")
    return str(value)


def read_ttl(value: Any, zone: Zone) -> int:
    """Seconds."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise nonsense("ttl must be a number.")
    if value != AUTOMATIC and value not in TTLS:
        raise refuse(9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")
    return value


def read_proxied(value: Any, zone: Zone) -> bool:
    """Whether Cloudflare's own addresses answer for it."""
    if not isinstance(value, bool):
        raise nonsense("proxied must be a boolean.")
    return value


def read_comment(value: Any, zone: Zone) -> str | None:
    """Kept with the record; none and an empty one are the same."""
    if value is not None and not isinstance(value, str):
        raise nonsense("comment must be a string.")
    if value and len(value) > COMMENT_LIMIT[zone.plan]:
        raise refuse(9313, f"DNS record comment has {len(value)} characters, exceeding the limit of the zone.")
    return value or None


def read_tags(value: Any, zone: Zone) -> tuple[str, ...]:
    """Kept with the record, on plans that are paid for."""
    if value is not None and (not isinstance(value, list) or not all(isinstance(tag, str) for tag in value)):
        raise nonsense("tags must be an array of strings.")
    tags = tuple(value or ())
    if len(tags) > TAG_LIMIT[zone.plan]:
        raise refuse(9300, f"DNS record has {len(tags)} tags, exceeding the quota of {TAG_LIMIT[zone.plan]}.")
    return tags


def read_settings(value: Any, zone: Zone) -> Json:
    """Switches of the record."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(switch, bool) for switch in value.values()):
        raise nonsense("settings must be an object of booleans.")
    return dict(value)


def read_nothing(value: Any, zone: Zone) -> None:
    """A field of other types of record."""
    if value is not None:
        raise nonsense("this type of record has no such field.")


def address(version: type[ipaddress.IPv4Address | ipaddress.IPv6Address], code: int, kind: str) -> Callable[[str], str]:
    """A reader of addresses, which come back in their usual form."""

    def read(content: str) -> str:
        try:
            return str(version(content))
        except ValueError:
            raise refuse(code, f"Content for {kind} record must be a valid IPv{code - 9001} address.") from None

    return read


def host(content: str) -> str:
    """The target of an alias."""
    if not all(content.rstrip(".").split(".")):
        raise refuse(9007, "Content for CNAME record is invalid.")
    return content.rstrip(".").lower()


CONTENT: Mapping[str, Callable[[str], str]] = {
    "A": address(ipaddress.IPv4Address, 9005, "A"),
    "AAAA": address(ipaddress.IPv6Address, 9006, "AAAA"),
    "CNAME": host,
    "NS": host,
    "TXT": str,
}

FIELDS: Mapping[str, Callable[[Any, Zone], Any]] = {
    "type": read_type,
    "name": read_name,
    "content": lambda value, zone: text(value, "content"),
    "ttl": read_ttl,
    "proxied": read_proxied,
    "comment": read_comment,
    "tags": read_tags,
    "settings": read_settings,
    "data": read_nothing,
    "priority": read_nothing,
}

READ_ONLY = {"id", "created_on", "modified_on", "comment_modified_on", "tags_modified_on", "proxiable", "meta"}


def read_fields(body: Any, zone: Zone, known: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The fields of a record that a body names. Raises Refused."""
    if not isinstance(body, dict):
        raise nonsense("Failed to parse request body: an object is wanted.")
    if unknown := sorted(set(body) - set(FIELDS) - known):
        raise nonsense(f"unknown fields: {', '.join(unknown)}")
    return {name: FIELDS[name](value, zone) for name, value in body.items() if name in FIELDS}


def whole(record: Record, zone: Zone) -> Record:
    """A record whose fields fit each other. Raises Refused."""
    content = CONTENT[record.type](record.content)
    if record.proxied and record.type not in PROXIABLE:
        raise refuse(9004, "This record type cannot be proxied.")
    if record.proxied and record.type != "CNAME" and not can_be_behind_the_proxy(content):
        raise refuse(9003, f"Target {content} is not allowed for a proxied record.")
    if unknown := sorted(set(record.settings) - SETTINGS.get(record.type, set())):
        raise nonsense(f"settings of this type of record have no {', '.join(unknown)}")
    return replace(record, content=content, ttl=AUTOMATIC if record.proxied else record.ttl)


def can_be_behind_the_proxy(content: str) -> bool:
    """Whether the proxy connects to such an address."""
    target = ipaddress.ip_address(content)
    return not (
        target.is_loopback
        or target.is_link_local
        or target.is_multicast
        or target.is_unspecified
        or (isinstance(target, ipaddress.IPv4Address) and any(target in net for net in PRIVATE))
    )


PRIVATE = [ipaddress.ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


# Operations: each takes the records and returns what they are afterwards, and the record in question.

Outcome = tuple[Records, Record]


def find(records: Records, identity: Any) -> Record:
    """The record of that id. Raises Refused."""
    if not isinstance(identity, str) or identity not in records:
        raise refuse(81044, "Record does not exist.", 404)
    return records[identity]


def guard(records: Records, record: Record) -> None:
    """What may not stand beside each other. Raises Refused."""
    for other in records.values():
        if other.name != record.name or other.id == record.id:
            continue
        if (other.type, other.content) == (record.type, record.content) and record.type != "CNAME":
            raise refuse(IDENTICAL, "An identical record already exists.")
        if record.type == "CNAME" and other.type in PROXIABLE:
            raise refuse(81053, "An A, AAAA, or CNAME record with that host already exists.")
        if record.type in PROXIABLE and other.type == "CNAME":
            raise refuse(81054, "A CNAME record with that host already exists.")


def put_in(records: Records, record: Record, zone: Zone) -> Outcome:
    """Store it, if it fits. Raises Refused."""
    record = whole(record, zone)
    guard(records, record)
    return {**records, record.id: record}, record


def need(fields: Json, *names: str) -> None:
    """Raises Refused if one is missing."""
    if missing := [name for name in names if name not in fields]:
        raise refuse(9101, f"{missing[0]} is a required field.")


def bare(identity: str, created_on: str, fields: Json) -> Record:
    """A record with what is named; the rest has its defaults."""
    named = {name: value for name, value in fields.items() if name not in ("data", "priority")}
    start: dict[str, Any] = {"ttl": AUTOMATIC, "proxied": False, "comment": None, "tags": (), "settings": {}}
    return Record(id=identity, created_on=created_on, modified_on=timestamp(), **(start | named))


def post(records: Records, body: Any, zone: Zone) -> Outcome:
    """A new one. Raises Refused."""
    fields = read_fields(body, zone)
    need(fields, "type", "name", "content")
    if len(records) >= zone.quota:
        raise refuse(81045, "Record quota exceeded.")
    return put_in(records, bare(new_id(), timestamp(), fields), zone)


def patch(records: Records, identity: Any, body: Any, zone: Zone) -> Outcome:
    """What is named is changed, the rest stays. Raises Refused."""
    old = find(records, identity)
    fields = read_fields(body, zone, frozenset({"id"}))
    keep_type(old, fields)
    named = {name: value for name, value in fields.items() if name not in ("data", "priority")}
    return put_in(records, replace(old, modified_on=timestamp(), **named), zone)


def put(records: Records, identity: Any, body: Any, zone: Zone) -> Outcome:
    """Written anew: what is not named has its default, `proxied` too. Raises Refused."""
    old = find(records, identity)
    fields = read_fields(body, zone, frozenset({"id"}))
    need(fields, "type", "name", "content")
    keep_type(old, fields)
    return put_in(records, bare(old.id, old.created_on, fields), zone)


def keep_type(old: Record, fields: Json) -> None:
    """Raises Refused where a record shall become one of another type."""
    if fields.get("type", old.type) != old.type:
        raise nonsense("The type of a record cannot be changed.")


def delete(records: Records, identity: Any) -> Outcome:
    """Without it. Raises Refused."""
    old = find(records, identity)
    return {key: record for key, record in records.items() if key != old.id}, old


KINDS = ("deletes", "patches", "puts", "posts")  # the order is documented


def batch(records: Records, body: Any, zone: Zone) -> tuple[Records, dict[str, list[Any]]]:
    """All or nothing, in the order of KINDS. Raises Refused with the first error."""
    operations = read_batch(body)
    if sum(map(len, operations.values())) > BATCH_LIMIT[zone.plan]:
        raise nonsense(f"A batch has at most {BATCH_LIMIT[zone.plan]} operations.")
    done: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for kind in KINDS:
        for item in operations[kind]:
            records, record = operate(kind, records, item, zone)
            done[kind].append(record.json())
    return records, done


def operate(kind: str, records: Records, item: Json, zone: Zone) -> Outcome:
    """One operation of a batch. Raises Refused."""
    if kind == "posts":
        return post(records, item, zone)
    need(item, "id")
    if kind == "deletes":
        if set(item) != {"id"}:
            raise nonsense("unknown fields: a delete has an id only")
        return delete(records, item["id"])
    return (patch if kind == "patches" else put)(records, item["id"], item, zone)


def read_batch(body: Any) -> dict[str, list[Any]]:
    """The operations of a batch, by kind. Raises Refused."""
    if not isinstance(body, dict) or set(body) - set(KINDS):
        raise nonsense(f"a batch is an object with {', '.join(KINDS)}")
    operations = {kind: body.get(kind) or [] for kind in KINDS}
    for items in operations.values():
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise nonsense("each kind of operation is an array of objects")
    if not any(operations.values()):
        raise nonsense("a batch without operations")
    return operations


# Shadows: what is stored and not served, as "Shadowed records" has it. The API knows no DNAME records.


def shadows_of(records: Records, name: str, apex: str) -> list[Record]:
    """The NS records at the name or above it, below the apex."""
    return [one for one in records.values() if one.type == "NS" and one.name != apex and is_at_or_below(name, one.name)]


def is_at_or_below(name: str, other: str) -> bool:
    """Whether a name is another one, or below it."""
    return name == other or name.endswith("." + other)


def shadow_metadata(zone: Zone, record: Record) -> dict[str, Any]:
    """What `include_shadow_metadata` adds to a record's `meta`."""
    shadows = shadows_of(zone.records, record.name, zone.name)
    if record.type == "NS":
        own = [one for one in shadows if one.name != record.name]
        below = [r for r in zone.records.values() if record in shadows_of(zone.records, r.name, zone.name)]
        count = sum(one.type != "NS" or one.name != record.name for one in below)
        return {"shadowed_by": [one.id for one in own]} if own else {"shadowed_records_count": count}
    glue = [one for one in zone.records.values() if one.type == "NS" and one.content == record.name]
    if record.type in ("A", "AAAA") and any(one in shadows for one in glue):
        return {"is_glue": True}
    return {"shadowed_by": [one.id for one in shadows]} if shadows else {}


# Questions

PAGING = {"page", "per_page", "order", "direction", "match", "include_shadow_metadata"}
SORTED_BY = ("type", "name", "content", "ttl", "proxied")
COMPARE: Mapping[str, Callable[[str, str], bool]] = {
    "exact": lambda has, wanted: has == wanted,
    "contains": lambda has, wanted: wanted in has,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


def select(zone: Zone, query: Mapping[str, str]) -> list[Record]:
    """The records that a list's filters leave, in its order. Raises Refused."""
    shadowed = query.get("shadowing_name")
    if shadowed is not None and not shadowed.endswith("." + zone.name):
        raise refuse(9207, "shadowing_name must be a subdomain of the zone.")
    tests = [filter_of(name, value) for name, value in query.items() if name not in PAGING | {"shadowing_name"}]
    if shadowed is not None:
        shadows = shadows_of(zone.records, shadowed, zone.name)
        tests.append(lambda record: record in shadows)
    combine = any if tests and query.get("match") == "any" else all
    found = [record for record in zone.records.values() if combine(test(record) for test in tests)]
    order = query.get("order", "type")
    if order not in SORTED_BY:
        raise nonsense(f"no such order: {order}")
    found.sort(key=lambda record: (getattr(record, order), record.name, record.created_on))
    return found[::-1] if query.get("direction") == "desc" else found


def filter_of(name: str, value: str) -> Callable[[Record], bool]:
    """A filter of a list. Raises Refused."""
    what, _, how = name.partition(".")
    wanted = value.lower()
    if what in ("name", "content") and (how or "exact") in COMPARE:
        if what == "name" and not value.isascii():
            wanted = wanted.encode("idna").decode()
        return lambda record: COMPARE[how or "exact"](getattr(record, what).lower(), wanted)
    if name == "type" and value in CONTENT:
        return lambda record: record.type == value
    if name == "proxied" and value in ("true", "false"):
        return lambda record: record.proxied == (value == "true")
    raise nonsense(f"no such filter: {name}={value}")


def page_of(
    found: Sequence[Any], query: Mapping[str, str], default: int = DEFAULT_PAGE, largest: int = LARGEST_PAGE
) -> tuple[list[Any], dict[str, int]]:
    """The page that is asked for, and `result_info`. Raises Refused."""
    page, wanted = (number(query, name, other) for name, other in (("page", 1), ("per_page", default)))
    size = min(wanted, largest)
    shown = list(itertools.islice(found, (page - 1) * size, page * size))
    pages = -(-len(found) // size)
    info = {"page": page, "per_page": size, "count": len(shown), "total_count": len(found), "total_pages": pages}
    return shown, info


def number(query: Mapping[str, str], name: str, default: int) -> int:
    """A whole number from 1 on. Raises Refused."""
    value = query.get(name, str(default))
    if not value.isdecimal() or int(value) < 1:
        raise nonsense(f"{name} must be a positive number")
    return int(value)
