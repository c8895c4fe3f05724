"""deSEC's API as far as a dynamic name needs it, as a server in this process: domains, RRsets and their bulk PATCH.

By deSEC's documentation ("Retrieving and Creating DNS Records", "Pagination", "Rate Limits",
"Domain Management").
"""

import base64
import ipaddress
import math
import re
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .api import Answer, Api, Budget, Headers, Json, Request, json_answer, timestamp

# For what changes a domain, all at the same time.
LIMITS = (Budget(2, 1.0), Budget(15, 60.0), Budget(100, 3600.0), Budget(300, 86_400.0))
LONGEST_TTL = 604_800  # seconds
SUBNAME = r"(\*|(\*\.)?[a-z0-9_.-]*)"

Key = tuple[str, str]  # subname and type


@dataclass(frozen=True)
class RRset:
    """All records of a name and a type."""

    subname: str
    type: str
    ttl: int
    records: tuple[str, ...]
    created: str
    touched: str

    def json(self, domain: str) -> dict[str, Any]:
        """As the API shows it."""
        name = f"{self.subname}.{domain}." if self.subname else f"{domain}."
        return {**vars(self), "records": list(self.records), "domain": domain, "name": name}


@dataclass(frozen=True)
class Domain:
    """A zone."""

    name: str
    minimum_ttl: int
    rrsets: Mapping[Key, RRset] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As the API shows it, without its keys."""
        since = "2020-01-02T03:04:05.678901Z"
        times = {"created": since, "published": since, "touched": since}
        return {"name": self.name, "minimum_ttl": self.minimum_ttl, **times}


class Refused(Exception):
    """The API says no: a status and a body."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(str(body))
        self.answer = json_answer(status, body)


# The rules of a bulk PATCH. Pure.


def host(content: str) -> str:
    """A name as the content of a record."""
    if not content.endswith("."):
        raise ValueError("Hostname must be fully-qualified (i.e., end with a dot).")
    return content.lower()


def strings(content: str) -> str:
    """What a TXT record says: strings in quotes, of at most 255 octets each."""
    if not re.fullmatch(r'"([^"\\]|\\.){0,255}"( "([^"\\]|\\.){0,255}")*', content):
        raise ValueError("Text must be in quotes, in strings of at most 255 octets.")
    return content


CANONICAL: Mapping[str, Callable[[str], str]] = {
    "A": lambda content: str(ipaddress.IPv4Address(content)),
    "AAAA": lambda content: str(ipaddress.IPv6Address(content)),
    "CNAME": host,
    "NS": host,
    "TXT": strings,
}
READ_ONLY = {"created", "touched", "domain", "name"}
FIELDS = {"subname", "type", "ttl", "records"} | READ_ONLY


def bulk_patch(domain: Domain, items: Any) -> Domain:
    """All or nothing. Raises Refused with an error object for each item, empty where an item is good."""
    if not isinstance(items, list):
        raise Refused(400, {"non_field_errors": [f'Expected a list of items but got type "{type(items).__name__}".']})
    errors = [errors_of(domain, item) for item in items]
    twice = Counter((str(item.get("subname", "")), str(item.get("type"))) for item in items if isinstance(item, dict))
    for item, found in zip(items, errors, strict=True):
        if not found and twice[item.get("subname", ""), item["type"]] > 1:
            found["non_field_errors"] = ["Same subname and type as in another position, but must be unique."]
    if any(errors):
        raise Refused(400, errors)
    after = domain
    for item in items:
        after = replace(after, rrsets=patched(after.rrsets, item))
    if any(conflicts := [alone_errors(after, item) for item in items]):
        raise Refused(400, conflicts)
    return after


def errors_of(domain: Domain, item: Any) -> dict[str, list[str]]:
    """What is wrong with one item."""
    if not isinstance(item, dict):
        return {"non_field_errors": [f"Invalid data. Expected a dictionary, but got {type(item).__name__}."]}
    kind, subname = item.get("type"), item.get("subname", "")
    found = {
        "type": type_error(item),
        "subname": "" if isinstance(subname, str) and re.fullmatch(SUBNAME, subname) else "Subname is invalid.",
    }
    old = domain.rrsets.get((str(subname), str(kind)))
    missing = old is None and item.get("records") != []
    found["ttl"] = ttl_error(item["ttl"], domain.minimum_ttl) if "ttl" in item else REQUIRED * missing
    found["records"] = list_error(item["records"]) if "records" in item else REQUIRED * missing
    if not found["records"] and not found["type"]:
        found["non_field_errors"] = content_error(str(kind), item.get("records", []))
    return {name: [why] for name, why in found.items() if why}


REQUIRED = "This field is required."


def type_error(item: Mapping[str, Any]) -> str:
    """What is wrong with the type."""
    if "type" not in item:
        return REQUIRED
    return "" if str(item["type"]) in CANONICAL else "This RR set type is currently unsupported."


def ttl_error(ttl: Any, minimum: int) -> str:
    """What is wrong with a ttl; a number may be a text, as everywhere in this API."""
    if isinstance(ttl, bool) or not re.fullmatch(r"\d+", str(ttl)):
        return "A valid integer is required."
    if int(ttl) < minimum:
        return f"Ensure this value is greater than or equal to {minimum}."
    return "" if int(ttl) <= LONGEST_TTL else f"Ensure this value is less than or equal to {LONGEST_TTL}."


def list_error(records: Any) -> str:
    """What is wrong with the list of records."""
    if not isinstance(records, list):
        return f'Expected a list of items but got type "{type(records).__name__}".'
    return "" if all(isinstance(content, str) and content for content in records) else "Not a valid string."


def content_error(kind: str, records: Sequence[str]) -> str:
    """What is wrong with what records say."""
    try:
        contents = [CANONICAL[kind](content) for content in records]
    except ValueError as why:
        return f"Cannot parse record contents for {kind}: {why}"
    return "" if len(set(contents)) == len(contents) else "Duplicate records."


def alone_errors(after: Domain, item: Mapping[str, Any]) -> dict[str, list[str]]:
    """An alias stands alone."""
    types = {kind for subname, kind in after.rrsets if subname == item.get("subname", "")}
    if "CNAME" in types and len(types) > 1:
        return {"non_field_errors": ["RRset with conflicting type present: CNAME."]}
    return {}


def patched(rrsets: Mapping[Key, RRset], item: Mapping[str, Any]) -> Mapping[Key, RRset]:
    """With one item, which is good."""
    key = (item.get("subname", ""), item["type"])
    if item.get("records") == []:
        return {other: rrset for other, rrset in rrsets.items() if other != key}
    moment = timestamp()
    old = rrsets.get(key) or RRset(*key, 0, (), moment, moment)
    records = tuple(CANONICAL[old.type](content) for content in item.get("records", old.records))
    return {**rrsets, key: replace(old, records=records, ttl=int(item.get("ttl", old.ttl)), touched=moment)}


def seconds_to_wait(sent: Sequence[float], limits: Sequence[Budget], moment: float) -> float:
    """Until every limit allows one more, in a window that slides; 0 if that is now."""
    full = [(limit, [at for at in sent if at > moment - limit.seconds]) for limit in limits]
    return max(
        (times[-limit.requests] + limit.seconds - moment for limit, times in full if len(times) >= limit.requests),
        default=0,
    )


class Desec(Api):
    """The server. `limits` and `page_size` may be set at any time. Helpers that change RRsets are its owner's hand."""

    base = "/api/v1"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.limits: Sequence[Budget] = LIMITS
        self.page_size = 500  # items
        self._domains: dict[str, Domain] = {}
        self._tokens: set[str] = set()
        self._writes: dict[str, list[float]] = {}

    def add_domain(self, name: str, minimum_ttl: int = 3600) -> None:
        """A domain with the NS records that each has."""
        with self.news:
            self._domains[name] = Domain(name, minimum_ttl)
            self.set(name, "", "NS", ["ns1.desec.io.", "ns2.desec.org."])

    def add_token(self, text: str = "") -> str:
        """One that may do everything."""
        token = text or secrets.token_urlsafe(21)
        with self.news:
            self._tokens.add(token)
        return token

    def revoke(self, token: str) -> None:
        """It is no longer good for anything."""
        with self.news:
            self._tokens.discard(token)

    def set(self, domain: str, subname: str, kind: str, records: Sequence[str], ttl: int = 3600) -> None:
        """An RRset; without records it goes. Raises Refused."""
        with self.news:
            item = {"subname": subname, "type": kind, "ttl": ttl, "records": list(records)}
            self._domains[domain] = bulk_patch(self._domains[domain], [item])
            self.news.notify_all()

    def rrset(self, domain: str, subname: str, kind: str = "A") -> RRset | None:
        """One, if it is there."""
        with self.news:
            return self._domains[domain].rrsets.get((subname, kind))

    def rrsets(self, domain: str) -> Mapping[Key, RRset]:
        """All of a domain."""
        with self.news:
            return self._domains[domain].rrsets

    def addresses(self, domain: str, subname: str, kind: str = "A") -> list[str]:
        """The records of a name, sorted as text."""
        found = self.rrset(domain, subname, kind)
        return sorted(found.records) if found else []

    # A request

    def answer(self, request: Request, headers: Headers) -> Answer:
        try:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            if not scheme:
                raise Refused(401, {"detail": "Authentication credentials were not provided."})
            if scheme.lower() != "token" or token not in self._tokens:
                raise Refused(401, {"detail": "Invalid token."})
            return self._route(request)
        except Refused as why:
            return why.answer

    def bad_request(self, why: str) -> Answer:
        return json_answer(400, {"detail": why})

    def _route(self, request: Request) -> Answer:
        """Raises Refused."""
        if not request.path.endswith("/"):
            return self.complain(request, "a path without the slash at its end")
        match request.method, *request.path.strip("/").split("/"):
            case "GET", "domains":
                return self._page(request, [one.json() for one in self._owning(request.query.get("owns_qname"))])
            case "GET", "domains", name:
                return json_answer(200, self._domain(name).json())
            case "GET", "domains", name, "rrsets":
                return self._page(request, self._list(self._domain(name), request.query))
            case "GET", "domains", name, "rrsets", subname, kind:
                return self._show(self._domain(name), subname, kind)
            case "PATCH", "domains", name, "rrsets":
                return self._patch(self._domain(name), request)
        return self.complain(request, f'Method "{request.method}" not allowed here.')

    def _domain(self, name: str) -> Domain:
        if name not in self._domains:
            raise Refused(404, {"detail": "Not found."})
        return self._domains[name]

    def _owning(self, name: str | None) -> list[Domain]:
        every = sorted(self._domains.values(), key=lambda domain: -len(domain.name))
        if name is None:
            return every
        return [domain for domain in every if f".{name}".endswith(f".{domain.name}")][:1]

    def _page(self, request: Request, items: Sequence[Json]) -> Answer:
        """A part of a list, which is asked for by its cursor as soon as the list is longer than a page."""
        cursor = request.query.get("cursor")
        size, base = self.page_size, f"{self.url}{request.path}"
        if cursor is None and len(items) > size:
            why = {"detail": f"Pagination required. You can query up to {size} items at a time."}
            return json_answer(400, why, {"Link": f'<{base}?cursor=>; rel="first"'})
        start = int(base64.urlsafe_b64decode(cursor)) if cursor else 0
        links = [f'<{base}?cursor=>; rel="first"'] if cursor is not None else []
        for name, at, is_there in (("prev", start - size, start), ("next", start + size, start + size < len(items))):
            if is_there and links:
                others = {**request.query, "cursor": base64.urlsafe_b64encode(str(max(at, 0)).encode()).decode()}
                links.append(f'<{base}?{urlencode(others)}>; rel="{name}"')
        return json_answer(200, items[start : start + size], {"Link": ", ".join(links)} if links else {})

    def _list(self, domain: Domain, query: Mapping[str, str]) -> list[Json]:
        found = list(domain.rrsets.values())
        for name in ("subname", "type"):
            found = [rrset for rrset in found if query.get(name, getattr(rrset, name)) == getattr(rrset, name)]
        return [rrset.json(domain.name) for rrset in reversed(found)]

    def _show(self, domain: Domain, subname: str, kind: str) -> Answer:
        found = domain.rrsets.get(("" if subname == "@" else subname.removesuffix("..."), kind))
        if found is None:
            raise Refused(404, {"detail": "Not found."})
        return json_answer(200, found.json(domain.name))

    def _patch(self, domain: Domain, request: Request) -> Answer:
        self._charge(domain, request.at)
        items = request.json
        after = bulk_patch(domain, items)
        if unknown := {name for item in items for name in item} - FIELDS:
            return self.complain(request, f"unknown fields: {', '.join(sorted(unknown))}")
        self._domains[domain.name] = after
        keys = [(item.get("subname", ""), item["type"]) for item in items]
        return json_answer(200, [after.rrsets[key].json(domain.name) for key in keys if key in after.rrsets])

    def _charge(self, domain: Domain, moment: float) -> None:
        """Raises Refused."""
        sent = self._writes.setdefault(domain.name, [])
        if wait := math.ceil(seconds_to_wait(sent, self.limits, moment)):
            why = {"detail": f"Request was throttled. Expected available in {wait} second{'s' * (wait != 1)}."}
            refused = Refused(429, why)
            refused.answer = replace(refused.answer, headers={**refused.answer.headers, "Retry-After": str(wait)})
            raise refused
        sent.append(moment)
