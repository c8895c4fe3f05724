"""Cloudflare's API v4 with zones, DNS records, tokens and a request budget, as a server in this process.

    with Cloudflare(folder) as cloudflare:
        zone = cloudflare.add_zone("example.org")
        token = cloudflare.add_token([zone])
        cloudflare.add("home.example.org", "A", "192.0.2.1", proxied=True)
        ...                                      # a client with cloudflare.url, cloudflare.ca and the token
        assert cloudflare.addresses("home.example.org") == ["192.0.2.7"]
        assert not cloudflare.complaints

Its rules are in `cloudflare_zone`; `tests/providers/test_fake_cloudflare.py` holds it against clients of the real API.
"""

import math
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from . import cloudflare_zone as rules
from .api import Answer, Api, Budget, Fault, Headers, Json, Meter, Request, json_answer
from .cloudflare_zone import Nonsense, Record, Refusal, Refused, Zone, new_id, refuse

READ_ZONE, EDIT_DNS, READ_DNS = "zone:read", "dns:edit", "dns:read"
USUAL = frozenset({READ_ZONE, EDIT_DNS})
BUDGET = Budget(1200, 300.0)  # for each token or key, by the documented limits
ZONES_A_PAGE, MOST_ZONES_A_PAGE = 20, 50


def no(status: int, code: int, message: str) -> Refusal:
    """One error."""
    return Refusal(status, ((code, message),))


MISSING = no(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
MALFORMED_TOKEN = no(400, 6111, "Invalid format for Authorization header")
MALFORMED_KEY = no(400, 6103, "Invalid format for X-Auth-Key header")
WRONG_TOKEN = no(403, 9109, "Invalid access token")
UNVERIFIED_TOKEN = no(401, 1000, "Invalid API Token")
WRONG_KEY = no(403, 9103, "Unknown X-Auth-Key or X-Auth-Email")
WRONG_PLACE = no(403, 9109, "Cannot use the access token from location: 192.0.2.9")
NOT_LISTED = no(200, 0, 'Actor requires permission "com.cloudflare.api.account.zone.list" to list zones')
FORBIDDEN = no(403, 10000, "Authentication error")
FORBIDDEN_ZONE = no(403, 9109, "Unauthorized to access requested resource")
NO_SUCH_ZONE = no(404, 1001, "Invalid zone identifier")
NO_METHOD = no(405, 10405, "Method not allowed")
HEADER_ERRORS = {6103, 6111}  # are told in the chain of another error
BUSY = "More than {} requests per {} seconds reached. Please wait and consider throttling your request speed"


@dataclass(frozen=True)
class Who:
    """A token or a global key, and what it may."""

    id: str
    zones: frozenset[str] | None = None  # ids; None: all of the account
    may: frozenset[str] = USUAL
    revoked: bool = False

    def can(self, what: str, zone: str) -> bool:
        """Whether it may do this to a zone; who edits records reads them."""
        wanted = {what, EDIT_DNS} if what == READ_DNS else {what}
        return (self.zones is None or zone in self.zones) and bool(wanted & self.may)


@dataclass(frozen=True)
class Dialect:
    """Where sources disagree about an error: a client must hold with each."""

    identical: int = 81058  # or 81057
    chained: bool = False  # until October 2024, what is wrong with a field was told in a chain under 1004


class Call(NamedTuple):
    """A request of somebody known."""

    who: Who
    zone: Zone | None
    record: str  # id, "" where the path has none
    request: Request


class Cloudflare(Api):
    """The server. What may be set at any time: `budget`, `dialect`, `wrong_token`, `list_without_read`, `no_such_name`.

    Helpers that change records do it as its owner would in the dashboard: at once, and unseen by clients. Their names
    are found in the zone with the longest name that they end in.
    """

    base = "/client/v4"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.budget = BUDGET
        self.dialect = Dialect()
        self.wrong_token = WRONG_TOKEN  # or no(401, 10000, "Authentication error")
        self.list_without_read: Refusal | None = None  # None: the list of zones is empty for who may not read them
        self.no_such_name: Refusal | None = None  # None: the list is empty for a name that is no zone of the token's
        self._zones: dict[str, Zone] = {}
        self._tokens: dict[str, Who] = {}
        self._keys: dict[tuple[str, str], Who] = {}
        self._meters: dict[str, Meter] = {}

    # Zones and those who may change them

    def add_zone(self, name: str, plan: str = "free", quota: int = 3500) -> str:
        """A zone without records; its id."""
        zone = Zone(new_id(), name.encode("idna").decode().lower(), plan, quota)
        with self.news:
            self._zones[zone.id] = zone
        return zone.id

    def remove_zone(self, identity: str) -> None:
        """It moves to another account."""
        with self.news:
            del self._zones[identity]

    def add_token(self, zones: Iterable[str] | None = None, may: Iterable[str] = USUAL, text: str = "") -> str:
        """A token for these zones (ids; None: all)."""
        text = text or secrets.token_urlsafe(30)  # 40 characters, as the real ones
        with self.news:
            self._tokens[text] = Who(new_id(), None if zones is None else frozenset(zones), frozenset(may))
        return text

    def revoke(self, token: str) -> None:
        """It is no longer good for anything."""
        with self.news:
            self._tokens[token] = replace(self._tokens[token], revoked=True)

    def add_global_key(self, email: str) -> str:
        """A key that may do everything."""
        key = secrets.token_hex(19)[:37]
        with self.news:
            self._keys[email, key] = Who(new_id())
        return key

    def budget_left(self) -> float:
        """What the busiest token or key has left."""
        with self.news:
            return self.budget.requests - max((len(meter.sent) for meter in self._meters.values()), default=0)

    # The owner's hand

    def add(self, name: str, kind: str, content: str, **fields: Any) -> str:
        """A new record; its id. Raises Refused."""
        with self.news:
            zone = self.zone_of(name)
            records, record = rules.post(zone.records, {"name": name, "type": kind, "content": content, **fields}, zone)
            self._store(zone, records)
            return record.id

    def change(self, identity: str, **fields: Any) -> None:
        """A record's fields. Raises Refused."""
        with self.news:
            zone = self._zone_with(identity)
            self._store(zone, rules.patch(zone.records, identity, fields, zone)[0])

    def remove(self, identity: str) -> None:
        """A record. Raises Refused."""
        with self.news:
            zone = self._zone_with(identity)
            self._store(zone, rules.delete(zone.records, identity)[0])

    def records(self, name: str = "", kind: str = "") -> list[Record]:
        """The records of a name and a type, or of all, in the order in which they were made."""
        with self.news:
            found = [record for zone in self._zones.values() for record in zone.records.values()]
        return [one for one in found if name.lower() in ("", one.name) and kind in ("", one.type)]

    def addresses(self, name: str, kind: str = "A") -> list[str]:
        """What the name stands for, sorted as text."""
        return sorted(record.content for record in self.records(name, kind))

    def zone_of(self, name: str) -> Zone:
        """The zone of a name. Raises Refused."""
        found = [zone for zone in self._zones.values() if ("." + name.lower()).endswith("." + zone.name)]
        if not found:
            raise Refused(NO_SUCH_ZONE)
        return max(found, key=lambda zone: len(zone.name))

    def _zone_with(self, identity: str) -> Zone:
        for zone in self._zones.values():
            if identity in zone.records:
                return zone
        raise refuse(81044, "Record does not exist.", 404)

    def _store(self, zone: Zone, records: rules.Records) -> None:
        self._zones[zone.id] = replace(zone, records=records)
        self.news.notify_all()

    # A request

    def answer(self, request: Request, headers: Headers) -> Answer:
        """The true answer."""
        try:
            who = self._who(request, headers)
        except Refused as why:
            return refusal(why.refusal)
        if wait := self._meters.setdefault(who.id, Meter()).charge(self.budget, request.at):
            return self._too_many(wait)
        return with_headers(self._outcome(who, request), self._rate(who))

    def _outcome(self, who: Who, request: Request) -> Answer:
        try:
            return self._route(who, request)
        except Nonsense as why:
            self.complain(request, why.refusal.errors[0][1])
            return refusal(why.refusal, self.dialect)
        except Refused as why:
            return refusal(why.refusal, self.dialect)

    def bad_request(self, why: str) -> Answer:
        return refusal(no(400, 6003, f"Invalid request: {why}"))

    def _who(self, request: Request, headers: Headers) -> Who:
        """Raises Refused."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer" or not re.fullmatch(r"[A-Za-z0-9._~+/-]{2,}=*", token):
                raise Refused(MALFORMED_TOKEN)
            who = self._tokens.get(token)
            if who is None or who.revoked:
                raise Refused(UNVERIFIED_TOKEN if request.path == "/user/tokens/verify" else self.wrong_token)
            return who
        email, key = headers.get("x-auth-email"), headers.get("x-auth-key")
        if not email or not key:
            raise Refused(MISSING)
        if not re.fullmatch(r"[0-9a-f]{37}", key):
            raise Refused(MALFORMED_KEY)
        if (email, key) not in self._keys:
            raise Refused(WRONG_KEY)
        return self._keys[email, key]

    def _too_many(self, wait: float) -> Answer:
        why = no(429, 10013, BUSY.format(self.budget.requests, round(self.budget.seconds)))
        return with_headers(refusal(why), {"Retry-After": str(math.ceil(wait))})

    def _rate(self, who: Who) -> Headers:
        left, seconds = self.budget.requests - len(self._meters[who.id].sent), round(self.budget.seconds)
        policy = f'"default";q={self.budget.requests};w={seconds}'
        return {"Ratelimit": f'"default";r={left};t={seconds}', "Ratelimit-Policy": policy}

    def _route(self, who: Who, request: Request) -> Answer:
        """Raises Refused."""
        for path, methods in ROUTES.items():
            if match := re.fullmatch(path + "/?", request.path):
                if request.method not in methods:
                    raise Nonsense(NO_METHOD)
                named = match.groupdict()
                needs, do = methods[request.method]
                zone = self._reach(who, named["zone"], needs) if "zone" in named else None
                return do(self, Call(who, zone, named.get("record", ""), request))
        raise no_route(request.path)

    def _reach(self, who: Who, identity: str, needs: str) -> Zone:
        """The zone of that id, for somebody who may do that to it. Raises Refused."""
        if identity not in self._zones and who.zones is None:
            raise Refused(NO_SUCH_ZONE)
        if identity not in self._zones or not who.can(needs, identity):
            raise Refused(FORBIDDEN_ZONE if needs == READ_ZONE else FORBIDDEN)
        return self._zones[identity]

    # What each path does

    def verify(self, call: Call) -> Answer:
        """Whether the token is good."""
        note = {"code": 10000, "message": "This API Token is valid and active", "type": None}
        return success({"id": call.who.id, "status": "active"}, messages=[note])

    def list_zones(self, call: Call) -> Answer:
        """Those that the token may read."""
        if READ_ZONE not in call.who.may and self.list_without_read:
            raise Refused(self.list_without_read)
        found = [zone for zone in self._zones.values() if call.who.can(READ_ZONE, zone.id)]
        query = call.request.query
        for name, value in query.items():
            found = [zone for zone in found if zone_filter(zone, name, value)]
        if "name" in query and not found and self.no_such_name:
            raise Refused(self.no_such_name)
        found.sort(key=lambda zone: zone.name)
        shown, info = rules.page_of(found, query, ZONES_A_PAGE, MOST_ZONES_A_PAGE)
        return success([zone.json() for zone in shown], info=info)

    def show_zone(self, call: Call) -> Answer:
        """One."""
        return success(the(call.zone).json())

    def list_records(self, call: Call) -> Answer:
        """A page of what the filters leave."""
        zone, query = the(call.zone), call.request.query
        shown, info = rules.page_of(rules.select(zone, query), query)
        if query.get("include_shadow_metadata") != "true":
            return success([record.json() for record in shown], info=info)
        return success([one.json() | {"meta": rules.shadow_metadata(zone, one)} for one in shown], info=info)

    def show_record(self, call: Call) -> Answer:
        """One."""
        return success(rules.find(the(call.zone).records, call.record).json())

    def post(self, call: Call) -> Answer:
        """A new record."""
        zone = the(call.zone)
        return self._done(zone, rules.post(zone.records, call.request.json, zone))

    def patch(self, call: Call) -> Answer:
        """Some fields of a record."""
        zone = the(call.zone)
        return self._done(zone, rules.patch(zone.records, call.record, call.request.json, zone))

    def put(self, call: Call) -> Answer:
        """A record written anew."""
        zone = the(call.zone)
        return self._done(zone, rules.put(zone.records, call.record, call.request.json, zone))

    def delete(self, call: Call) -> Answer:
        """A record goes."""
        zone = the(call.zone)
        records, record = rules.delete(zone.records, call.record)
        self._store(zone, records)
        return success({"id": record.id})

    def batch(self, call: Call) -> Answer:
        """All or nothing."""
        zone = the(call.zone)
        records, done = rules.batch(zone.records, call.request.json, zone)
        self._store(zone, records)
        return success(done)

    def _done(self, zone: Zone, outcome: rules.Outcome) -> Answer:
        records, record = outcome
        self._store(zone, records)
        return success(record.json())


Do = Callable[[Cloudflare, Call], Answer]
ID = "[0-9a-f]{32}"
ZONE, RECORD = f"/zones/(?P<zone>{ID})", f"/dns_records/(?P<record>{ID})"

# By path and method: what one must be allowed to do, and what happens.
ROUTES: Mapping[str, Mapping[str, tuple[str, Do]]] = {
    "/user/tokens/verify": {"GET": ("", Cloudflare.verify)},
    "/zones": {"GET": ("", Cloudflare.list_zones)},
    ZONE: {"GET": (READ_ZONE, Cloudflare.show_zone)},
    f"{ZONE}/dns_records": {"GET": (READ_DNS, Cloudflare.list_records), "POST": (EDIT_DNS, Cloudflare.post)},
    f"{ZONE}/dns_records/batch": {"POST": (EDIT_DNS, Cloudflare.batch)},
    f"{ZONE}{RECORD}": {
        "GET": (READ_DNS, Cloudflare.show_record),
        "PATCH": (EDIT_DNS, Cloudflare.patch),
        "PUT": (EDIT_DNS, Cloudflare.put),
        "DELETE": (EDIT_DNS, Cloudflare.delete),
    },
}


def the(zone: Zone | None) -> Zone:
    """The zone of a path that has one."""
    assert zone is not None
    return zone


def zone_filter(zone: Zone, name: str, value: str) -> bool:
    """Whether a filter of the list leaves this zone. Raises Refused."""
    if name in ("page", "per_page", "order", "direction", "match"):
        return True
    if name == "name":
        return zone.name == value.lower().removeprefix("equal:")
    if name == "status":
        return value == "active"
    if name in ("account.id", "account.name"):
        return str(zone.json()["account"][name.removeprefix("account.")]) == value
    raise rules.nonsense(f"no such filter: {name}")


def envelope(ok: bool, result: Json, errors: Sequence[Json] = (), messages: Sequence[Json] = ()) -> dict[str, Any]:
    """What is around every answer."""
    return {"result": result, "success": ok, "errors": list(errors), "messages": list(messages)}


def success(result: Json, info: Json = None, messages: Sequence[Json] = ()) -> Answer:
    """It is done; also a POST answers 200."""
    return json_answer(200, envelope(True, result, messages=messages) | ({"result_info": info} if info else {}))


def refusal(why: Refusal, dialect: Dialect = Dialect()) -> Answer:
    """It is not done."""
    return json_answer(why.status, envelope(False, None, [error_json(*error, dialect) for error in why.errors]))


def error_json(code: int, message: str, dialect: Dialect) -> Json:
    """An error, perhaps with its chain."""
    cause = {"code": dialect.identical if code == rules.IDENTICAL else code, "message": message}
    if code in HEADER_ERRORS:
        return {"code": 6003, "message": "Invalid request headers", "error_chain": [cause]}
    if code in rules.INVALID and dialect.chained:
        return {"code": 1004, "message": "DNS Validation Error", "error_chain": [cause]}
    return cause


def no_route(path: str) -> Refused:
    """No such path, or an id that cannot be one."""
    why = f"Could not route to {path}, perhaps your object identifier is invalid?"
    return Nonsense(Refusal(404, ((7003, why), (7000, "No route for that URI"))))


def with_headers(answer: Answer, more: Headers) -> Answer:
    """With more of them."""
    return replace(answer, headers={**answer.headers, **more})


# Faults in Cloudflare's own words; the others are in `api`


def too_many(retry_after: int | str | None) -> Fault:
    """429, whatever the budget says."""
    answer = refusal(no(429, 10013, BUSY.format(1200, 300)))
    return Fault(answer if retry_after is None else with_headers(answer, {"Retry-After": str(retry_after)}))


def broken(status: int = 500, *, made: bool = False) -> Fault:
    """The API itself has failed, and says so in JSON."""
    return Fault(refusal(no(status, 10001, "Internal server error")), made)
