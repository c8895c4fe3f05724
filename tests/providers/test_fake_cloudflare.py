"""The API that stands in for Cloudflare: the rules that our provider relies on, and the faults that it must survive."""

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.lab import api
from tests.lab.api import Budget, Fault
from tests.lab.cloudflare import EDIT_DNS, READ_DNS, READ_ZONE, Cloudflare, broken, no, too_many

HOME = "home.example.org"
UNKNOWN = "0" * 32

Json = Any


class Reply(NamedTuple):
    """What came back."""

    status: int
    json: Json
    headers: http.client.HTTPMessage

    @property
    def codes(self) -> list[int]:
        """Of the errors."""
        return [error["code"] for error in self.json["errors"]]


class Client:
    """Plain HTTP, with a token; one connection for all requests until it breaks."""

    def __init__(self, cloudflare: Cloudflare, token: str = "") -> None:
        context = ssl.create_default_context(cafile=cloudflare.ca)
        self.connection = http.client.HTTPSConnection("localhost", cloudflare.port, context=context, timeout=20)
        self.token = token or cloudflare.add_token()
        self.headers = {"User-Agent": "lab", "Content-Type": "application/json"}
        self.zone = f"/zones/{cloudflare.zone_of('example.org').id}"

    def ask(self, method: str, path: str, body: Json = None, **headers: str | None) -> Reply:
        """A request below the base; headers with _ for -, None leaves one out."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        every = {"Authorization": f"Bearer {self.token}"} | self.headers | named
        text = None if body is None else json.dumps(body)
        sent = {name: value for name, value in every.items() if value is not None}
        try:
            self.connection.request(method, Cloudflare.base + path, text, sent)
            response = self.connection.getresponse()
            return Reply(response.status, json.loads(response.read()), response.headers)
        except BaseException:
            self.connection.close()
            raise

    def records(self, query: str = "", **headers: str | None) -> Reply:
        """The list of the zone's records."""
        return self.ask("GET", f"{self.zone}/dns_records{query}", **headers)

    def post(self, **fields: Json) -> Reply:
        """A new record."""
        return self.ask("POST", f"{self.zone}/dns_records", {"type": "A", "name": HOME, "ttl": 60} | fields)

    def batch(self, **operations: Json) -> Reply:
        """A batch."""
        return self.ask("POST", f"{self.zone}/dns_records/batch", operations)


@pytest.fixture
def client(cloudflare: Cloudflare) -> Iterator[Client]:
    """Somebody who may edit all zones."""
    client = Client(cloudflare)
    yield client
    client.connection.close()


def new(content: str, name: str = HOME, kind: str = "A") -> Json:
    """A post of a batch."""
    return {"type": kind, "name": name, "content": content, "ttl": 60}


# The envelope


def test_an_answer_says_whether_it_worked_and_a_list_how_long_it_is(cloudflare: Cloudflare, client: Client) -> None:
    identity = cloudflare.add(HOME, "A", "192.0.2.1", ttl=300, comment="router")
    reply = client.records()
    assert (reply.status, list(reply.json)) == (200, ["result", "success", "errors", "messages", "result_info"])
    assert reply.json["result_info"] == {"page": 1, "per_page": 100, "count": 1, "total_count": 1, "total_pages": 1}
    [record] = reply.json["result"]
    assert record.pop("created_on") <= record.pop("modified_on") == record.pop("comment_modified_on")
    assert record == {
        "id": identity,
        "name": HOME,
        "type": "A",
        "content": "192.0.2.1",
        "proxiable": True,
        "proxied": False,
        "ttl": 300,
        "settings": {},
        "meta": {},
        "comment": "router",
        "tags": [],
    }
    reply = client.post(content="nonsense")
    assert (reply.status, reply.json["success"], reply.json["result"], reply.codes) == (400, False, None, [9005])


def test_pages_are_at_most_a_hundred_long(cloudflare: Cloudflare, client: Client) -> None:
    for n in range(205):
        cloudflare.add(f"host{n}.example.org", "A", f"10.0.0.{n}")
    pages = [client.records(f"?per_page=5000&page={page}").json for page in (1, 2, 3, 4)]
    assert [len(page["result"]) for page in pages] == [100, 100, 5, 0]
    assert [page["result_info"]["count"] for page in pages] == [100, 100, 5, 0]
    assert {page["result_info"]["total_pages"] for page in pages} == {3}
    assert len({record["id"] for page in pages for record in page["result"]}) == 205


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=HOME.example.ORG", 2),
        ("name.exact=home.example.org&type=A", 1),
        ("name=home.example.org&type=AAAA&content=2001:db8::1", 1),
        ("name=home", 0),
        ("name=xn--mnchen-3ya.example.org", 1),
        ("name.endswith=.example.org", 3),
        ("content.exact=192.0.2.1", 1),
        ("name=home.example.org&content=198.51.100.1&match=any", 3),
        ("proxied=true", 1),
    ],
)
def test_a_list_can_be_filtered(cloudflare: Cloudflare, client: Client, query: str, found: int) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1", proxied=True)
    cloudflare.add(HOME, "AAAA", "2001:db8::1")
    cloudflare.add("münchen.example.org", "A", "198.51.100.1")
    assert len(client.records("?" + query).json["result"]) == found


# Records


def test_patch_leaves_what_it_does_not_name_and_put_resets_it(cloudflare: Cloudflare, client: Client) -> None:
    cloudflare.add_zone("paid.example", plan="pro")
    fields = {"comment": "router", "settings": {"ipv4_only": True}}
    identity = cloudflare.add(HOME, "A", "192.0.2.1", proxied=True, **fields)
    path = f"{client.zone}/dns_records/{identity}"
    patched = client.ask("PATCH", path, {"content": "192.0.2.2"}).json["result"]
    assert (patched["content"], patched["proxied"], patched["comment"]) == ("192.0.2.2", True, "router")
    assert (patched["settings"], patched["ttl"]) == ({"ipv4_only": True}, 1)
    written = client.ask("PUT", path, {"type": "A", "name": HOME, "content": "192.0.2.3"}).json["result"]
    assert (written["content"], written["proxied"], written["comment"]) == ("192.0.2.3", False, None)
    assert (written["settings"], written["created_on"]) == ({}, patched["created_on"])


def test_tags_are_kept_where_they_are_paid_for(cloudflare: Cloudflare, client: Client) -> None:
    paid = cloudflare.add_zone("paid.example", plan="pro")
    identity = cloudflare.add("www.paid.example", "A", "192.0.2.1", tags=["owner:lab"])
    patched = client.ask("PATCH", f"/zones/{paid}/dns_records/{identity}", {"content": "192.0.2.2"})
    assert patched.json["result"]["tags"] == ["owner:lab"]
    assert client.post(content="192.0.2.1", tags=["owner:lab"]).codes == [9300]


@pytest.mark.parametrize(
    ("ttl", "codes"), [(1, []), (60, []), (86400, []), (0, [9021]), (2, [9021]), (59, [9021]), (86401, [9021])]
)
def test_a_ttl_is_automatic_or_between_a_minute_and_a_day(client: Client, ttl: int, codes: list[int]) -> None:
    assert client.post(content="192.0.2.1", ttl=ttl).codes == codes


def test_the_ttl_of_a_proxied_record_is_automatic(client: Client) -> None:
    assert client.post(content="192.0.2.1", ttl=300, proxied=True).json["result"]["ttl"] == 1


def test_names_are_compared_in_lower_case_and_a_labels(client: Client) -> None:
    assert (
        client.post(content="192.0.2.1", name="München.Example.ORG").json["result"]["name"]
        == "xn--mnchen-3ya.example.org"
    )
    assert client.post(content="192.0.2.1", name="XN--MNCHEN-3YA.example.org").codes == [81058]
    assert client.post(content="192.0.2.1", name="@").json["result"]["name"] == "example.org"
    assert client.post(content="2001:DB8::0:1", type="AAAA").json["result"]["content"] == "2001:db8::1"
    assert client.post(content="2001:db8:0::1", type="AAAA").codes == [81058]


def test_an_alias_stands_alone(cloudflare: Cloudflare, client: Client) -> None:
    cloudflare.add("alias.example.org", "CNAME", "target.example")
    cloudflare.add(HOME, "A", "192.0.2.1")
    assert client.post(name="alias.example.org", content="192.0.2.1").codes == [81054]
    assert client.post(name="alias.example.org", type="AAAA", content="2001:db8::1").codes == [81054]
    assert client.post(type="CNAME", content="target.example").codes == [81053]
    assert client.batch(posts=[new("192.0.2.1", "alias.example.org")]).codes == [81054]


def test_a_zone_that_is_full_says_so(cloudflare: Cloudflare, client: Client) -> None:
    small = cloudflare.add_zone("small.example", quota=1)
    cloudflare.add("www.small.example", "A", "192.0.2.1")
    full = client.ask("POST", f"/zones/{small}/dns_records", new("192.0.2.2", "www.small.example"))
    assert full.codes == [81045]


# Batches


def test_a_batch_deletes_then_patches_then_puts_then_posts(cloudflare: Cloudflare, client: Client) -> None:
    first, second, third = (cloudflare.add(HOME, "A", f"192.0.2.{n}") for n in (1, 2, 3))
    reply = client.batch(  # in any other order each step would meet an identical record
        posts=[new("192.0.2.3")],
        puts=[{"id": third} | new("192.0.2.2")],
        patches=[{"id": second, "content": "192.0.2.1"}],
        deletes=[{"id": first}],
    )
    assert reply.codes == []
    assert list(reply.json["result"]) == ["deletes", "patches", "puts", "posts"]
    assert [record["content"] for part in reply.json["result"].values() for record in part] == [
        "192.0.2.1",
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
    ]
    posted = reply.json["result"]["posts"][0]["id"]
    contents = {record.id: record.content for record in cloudflare.records(HOME)}
    assert contents == {second: "192.0.2.1", third: "192.0.2.2", posted: "192.0.2.3"}


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ({"posts": [new("192.0.2.9"), new("192.0.2.8"), new("192.0.2.8")]}, 81058),
        ({"posts": [new("192.0.2.9"), new("2001:db8::1")]}, 9005),
        ({"posts": [new("192.0.2.9"), new("192.0.2.9", "alias.example.org")]}, 81054),
        ({"patches": [{"id": UNKNOWN, "content": "192.0.2.9"}]}, 81044),
        ({"deletes": [{"id": UNKNOWN}]}, 81044),
    ],
)
def test_one_error_undoes_the_whole_batch(
    cloudflare: Cloudflare, client: Client, operations: dict[str, list[Json]], code: int
) -> None:
    cloudflare.add("alias.example.org", "CNAME", "target.example")
    first, second = (cloudflare.add(HOME, "A", f"192.0.2.{n}") for n in (1, 2))
    before = cloudflare.records()
    good = {
        "deletes": [{"id": first}],
        "patches": [{"id": second, "content": "192.0.2.7"}],
        "posts": [new("192.0.2.6")],
    }
    reply = client.batch(**{kind: good.get(kind, []) + operations.get(kind, []) for kind in good})
    assert reply.codes == [code]
    assert cloudflare.records() == before


def test_a_batch_cannot_change_what_it_deletes(cloudflare: Cloudflare, client: Client) -> None:
    identity = cloudflare.add(HOME, "A", "192.0.2.1")
    assert client.batch(deletes=[{"id": identity}], patches=[{"id": identity, "content": "192.0.2.2"}]).codes == [81044]
    assert cloudflare.addresses(HOME) == ["192.0.2.1"]


def test_a_batch_has_at_most_two_hundred_operations(cloudflare: Cloudflare, client: Client) -> None:
    kept = [{"id": cloudflare.add(f"old{n}.example.org", "A", "192.0.2.1")} for n in range(100)]
    posts = [new("192.0.2.1", f"host{n}.example.org") for n in range(101)]
    assert client.batch(deletes=kept, posts=posts).status == 400
    assert cloudflare.complaints.pop()
    assert len(cloudflare.records()) == 100
    assert client.batch(deletes=kept, posts=posts[:100]).status == 200
    assert len(cloudflare.records()) == 100


def test_batches_run_one_after_another(cloudflare: Cloudflare) -> None:
    identity = cloudflare.add(HOME, "A", "192.0.2.1")

    def replace(n: int) -> list[int]:
        client = Client(cloudflare, token)
        try:
            return client.batch(deletes=[{"id": identity}], posts=[new(f"192.0.2.{n}")]).codes
        finally:
            client.connection.close()

    token = cloudflare.add_token()
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(replace, range(100, 116)))
    assert sorted(outcomes) == [[]] + [[81044]] * 15
    assert len(cloudflare.addresses(HOME)) == 1


# Who may


def test_a_token_does_what_it_may_in_its_zones(cloudflare: Cloudflare, client: Client) -> None:
    mine = cloudflare.zone_of("example.org").id
    identity = cloudflare.add(HOME, "A", "192.0.2.1")
    record = f"/zones/{mine}/dns_records/{identity}"

    def statuses(*may: str, zones: list[str] | None = None) -> list[tuple[int, list[int]]]:
        client.token = cloudflare.add_token([mine] if zones is None else zones, may)
        replies = [
            client.ask("GET", f"/zones/{mine}"),
            client.ask("GET", record),
            client.ask("PATCH", record, {"ttl": 60}),
        ]
        return [(reply.status, reply.codes) for reply in replies]

    good, unseen, forbidden = (200, []), (403, [9109]), (403, [10000])  # type: ignore[var-annotated]
    assert statuses(READ_ZONE, EDIT_DNS) == [good, good, good]
    assert statuses(READ_ZONE, READ_DNS) == [good, good, forbidden]
    assert statuses(EDIT_DNS) == [unseen, good, good]
    assert statuses(READ_ZONE) == [good, forbidden, forbidden]
    assert statuses(READ_ZONE, EDIT_DNS, zones=[cloudflare.add_zone("other.example")]) == [unseen, forbidden, forbidden]


def test_the_list_of_zones_is_empty_or_refused_without_the_permission(cloudflare: Cloudflare, client: Client) -> None:
    client.token = cloudflare.add_token([cloudflare.zone_of("example.org").id], [EDIT_DNS])
    reply = client.ask("GET", "/zones?name=example.org")
    assert (reply.status, reply.json["result"], reply.json["result_info"]["total_count"]) == (200, [], 0)
    cloudflare.list_without_read = no(403, 9109, "Unauthorized to access requested resource")
    reply = client.ask("GET", "/zones?name=example.org")
    assert (reply.status, reply.codes) == (403, [9109])


def test_a_zone_that_has_gone_is_no_longer_known(cloudflare: Cloudflare, client: Client) -> None:
    mine = cloudflare.zone_of("example.org").id
    cloudflare.remove_zone(mine)
    assert (client.records().status, client.records().codes) == (404, [1001])
    client.token = cloudflare.add_token([mine])
    assert (client.records().status, client.records().codes) == (403, [10000])


@pytest.mark.parametrize("header", ["Bearer", "Bearer two words", "Basic eDp5", "Bearer schlüssel", "nonsense"])
def test_a_malformed_header_is_told_from_a_wrong_token(client: Client, header: str) -> None:
    reply = client.records(Authorization=header.encode().decode("latin-1"))
    assert (reply.status, reply.codes) == (400, [6003])
    assert [error["code"] for error in reply.json["errors"][0]["error_chain"]] == [6111]
    assert client.records(Authorization="Bearer unknown").codes == [9109]
    assert client.records(Authorization=None).codes == [9106]


def test_a_token_can_be_verified(cloudflare: Cloudflare, client: Client) -> None:
    assert client.ask("GET", "/user/tokens/verify").json["result"]["status"] == "active"
    cloudflare.revoke(client.token)
    reply = client.ask("GET", "/user/tokens/verify")
    assert (reply.status, reply.codes) == (401, [1000])


# How often


def test_who_asks_too_often_is_blocked_for_the_whole_window(cloudflare: Cloudflare, client: Client) -> None:
    cloudflare.budget = Budget(3, 2.0)
    replies = [client.post(content=content) for content in ("nonsense", "192.0.2.1", "192.0.2.2", "192.0.2.3")]
    assert [reply.status for reply in replies] == [400, 200, 200, 429]
    assert (replies[-1].codes, replies[-1].headers["Retry-After"]) == ([10013], "2")
    assert replies[-2].headers["Ratelimit"] == '"default";r=0;t=2'
    blocked = cloudflare.requests[-1].at
    while (reply := client.records()).status == 429:
        time.sleep(0.05)
    assert cloudflare.requests[-1].at - blocked >= 2
    assert len(reply.json["result"]) == 2


def test_each_token_has_a_budget_of_its_own(cloudflare: Cloudflare, client: Client) -> None:
    cloudflare.budget = Budget(1, 60.0)
    assert [client.records().status for _ in range(2)] == [200, 429]
    client.token = cloudflare.add_token()
    assert client.records().status == 200


# What goes wrong on command

CLOSED = http.client.RemoteDisconnected
CUT = http.client.IncompleteRead
NO_JSON = ValueError


@pytest.mark.parametrize(
    ("fault", "seen", "made"),
    [
        (broken(), 500, False),
        (broken(503, made=True), 503, True),
        (too_many(7), 429, False),
        (api.error(502), NO_JSON, False),
        (api.error(502, made=True), NO_JSON, True),
        (api.garbage(), NO_JSON, False),
        (api.garbage(b"[]", made=True), 200, True),
        (api.closed(made=False), CLOSED, False),
        (api.closed(made=True), CLOSED, True),
        (api.closed(made=True, octets=200), CUT, True),
        (api.redirect("https://localhost:1/"), NO_JSON, False),
        (api.slow(0.1), 200, True),
        (api.slow(0.1, made=False), 200, True),
        (api.dripping(0.0001), 200, True),
    ],
)
def test_faults_change_what_they_say_they_change(
    cloudflare: Cloudflare, client: Client, fault: Fault, seen: int | type[Exception], made: bool
) -> None:
    cloudflare.fail(fault, times=1)
    if isinstance(seen, int):
        assert client.post(content="192.0.2.1").status == seen
    else:
        with pytest.raises(seen):
            client.post(content="192.0.2.1")
    assert cloudflare.addresses(HOME) == ["192.0.2.1"] * made
    assert client.records().status == 200
    assert cloudflare.counts() == {"POST /zones/{}/dns_records": 1, "GET /zones/{}/dns_records": 1}


@pytest.mark.parametrize("made", [True, False])
def test_a_slow_request_is_carried_out_before_the_wait_or_after_it(
    cloudflare: Cloudflare, client: Client, made: bool
) -> None:
    """Also where the client has long gone: that is a write that comes late."""
    assert client.records().status == 200
    cloudflare.fail(api.slow(1.0, made=made), times=1)
    client.connection.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.post(content="192.0.2.1")
    assert cloudflare.addresses(HOME) == ["192.0.2.1"] * made
    cloudflare.wait_for(lambda: cloudflare.addresses(HOME))


def test_a_silent_server_never_answers(cloudflare: Cloudflare, client: Client) -> None:
    cloudflare.fail(api.silent())
    client.connection.timeout = 0.2
    for _ in range(2):
        with pytest.raises(TimeoutError):
            client.post(content="192.0.2.1")
    cloudflare.heal()
    assert client.post(content="192.0.2.1").status == 200


def test_an_enormous_answer_goes_on_and_on(cloudflare: Cloudflare, client: Client) -> None:
    cloudflare.fail(api.enormous(10_000_000), times=1)
    client.connection.request("GET", "/client/v4/zones", headers={"User-Agent": "lab"})
    assert len(client.connection.getresponse().read()) > 10_000_000


def test_faults_are_for_the_requests_that_they_name(cloudflare: Cloudflare, client: Client) -> None:
    cloudflare.fail(broken(), times=2, method="POST", path="/batch$")
    cloudflare.fail(too_many(None), times=1, method="GET")
    batches = [client.batch(posts=[new(f"192.0.2.{n}")]).status for n in range(3)]
    assert batches == [500, 500, 200]
    reply = client.records()
    assert (reply.status, reply.headers["Retry-After"]) == (429, None)
    assert client.records().status == client.post(content="192.0.2.9").status == 200


def test_it_goes_away_and_comes_back_with_all_it_knows(cloudflare: Cloudflare, client: Client) -> None:
    idle = Client(cloudflare)
    assert (client.post(content="192.0.2.1").status, idle.records().status) == (200, 200)
    cloudflare.fail(api.silent(), times=1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.post, content="192.0.2.2")
        cloudflare.wait_for(lambda: len(cloudflare.requests) == 3)
        with cloudflare.away():
            for ask in (waiting.result, idle.records):
                with pytest.raises((CLOSED, BrokenPipeError)):  # the latter from Python 3.13's TLS
                    ask()
            with pytest.raises(ConnectionRefusedError):
                client.records()
    assert [record["content"] for record in client.records().json["result"]] == ["192.0.2.1"]


def test_the_owner_edits_by_hand(cloudflare: Cloudflare, client: Client) -> None:
    cloudflare.add_zone("sub.example.org")
    identity = cloudflare.add("WWW.sub.example.org", "A", "192.0.2.1", ttl=300)
    cloudflare.change(identity, content="192.0.2.2")
    assert cloudflare.addresses("www.SUB.example.org") == ["192.0.2.2"]
    assert cloudflare.records("www.sub.example.org")[0].ttl == 300
    assert client.records().json["result"] == []
    cloudflare.remove(identity)
    assert cloudflare.addresses("www.sub.example.org") == []


# What no client of ours may send


@pytest.mark.parametrize(
    ("method", "path", "body", "why"),
    [
        ("POST", "/dns_records", new("192.0.2.1") | {"contents": "192.0.2.1"}, "unknown fields: contents"),
        ("POST", "/dns_records", new("192.0.2.1") | {"id": UNKNOWN}, "unknown fields: id"),
        ("POST", "/dns_records", new("192.0.2.1") | {"ttl": "60"}, "ttl must be a number"),
        ("POST", "/dns_records", new("192.0.2.1") | {"proxied": 1}, "proxied must be a boolean"),
        ("POST", "/dns_records", [], "an object is wanted"),
        ("POST", "/dns_records/batch", {"post": []}, "a batch is an object"),
        ("POST", "/dns_records/batch", {"posts": []}, "without operations"),
        ("POST", "/dns_records/batch", {"deletes": [UNKNOWN]}, "an array of objects"),
        ("GET", "/dns_records?names=home", None, "no such filter: names"),
        ("GET", "/dns_records?page=0", None, "page must be a positive number"),
        ("PATCH", "/dns_records", {}, "Method not allowed"),
        ("GET", "/dns_record", None, "Could not route"),
        ("GET", "/dns_records", {"type": "A"}, "a GET with a body"),
    ],
)
def test_nonsense_is_refused_and_noted(
    cloudflare: Cloudflare, client: Client, method: str, path: str, body: Json, why: str
) -> None:
    assert client.ask(method, client.zone + path, body).status in (400, 404, 405)
    assert why in cloudflare.complaints.pop()


@pytest.mark.parametrize(
    ("name", "why"), [("User-Agent", "no User-Agent"), ("Content-Type", "without the Content-Type")]
)
def test_missing_headers_are_noted(cloudflare: Cloudflare, client: Client, name: str, why: str) -> None:
    del client.headers[name]
    reply = client.post(content="192.0.2.1")
    assert (reply.status, cloudflare.addresses(HOME)) == (400, [])
    assert why in cloudflare.complaints.pop()


def test_what_was_sent_is_kept_without_secrets(cloudflare: Cloudflare, client: Client) -> None:
    key = cloudflare.add_global_key("me@example.org")
    client.post(content="192.0.2.1")
    client.records("?name=home.example.org", Authorization=None, X_Auth_Email="me@example.org", X_Auth_Key=key)
    posted, listed = cloudflare.requests
    assert (posted.method, posted.json, posted.headers["user-agent"]) == ("POST", new("192.0.2.1"), "lab")
    assert (listed.kind, listed.query) == ("GET /zones/{}/dns_records", {"name": HOME})
    assert listed.at > posted.at
    for secret in (client.token, key, "me@example.org"):
        assert secret not in repr(cloudflare.requests)
