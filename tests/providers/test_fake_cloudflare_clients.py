"""The API that stands in for Cloudflare, used by clients of the real one that others have written and keep in step with it.

Each is told where the API is and which certificate to trust, and nothing else about it is changed.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.api import Budget
from tests.lab.cloudflare import EDIT_DNS, Cloudflare, Dialect, no, too_many
from tests.lab.machine import run

if TYPE_CHECKING:
    from cloudflare import Cloudflare as Official

pytestmark = pytest.mark.extra

HOME = "home.example.org"


@pytest.fixture
def zone(cloudflare: Cloudflare) -> str:
    """The id of example.org."""
    return cloudflare.zone_of("example.org").id


# `cloudflare`, by Cloudflare. It checks each answer against the schema that it was generated from.


@pytest.fixture
def official(cloudflare: Cloudflare) -> Iterator["Official"]:
    """With a token that may edit example.org."""
    with connect(cloudflare, api_token=cloudflare.add_token()) as client:
        yield client


def connect(cloudflare: Cloudflare, **options: Any) -> "Official":
    """The client, with these credentials."""
    import httpx
    from cloudflare import Cloudflare as Official

    return Official(
        base_url=cloudflare.url,
        http_client=httpx.Client(verify=ssl.create_default_context(cafile=cloudflare.ca)),
        _strict_response_validation=True,
        **({"max_retries": 0} | options),
    )


def test_the_official_client_finds_zones_and_verifies_its_token(cloudflare: Cloudflare, official: "Official") -> None:
    for name in ("other.example", "sub.example.org"):
        cloudflare.add_zone(name)
    assert official.user.tokens.verify().status == "active"
    assert [zone.name for zone in official.zones.list(name="example.org")] == ["example.org"]
    assert [zone.name for zone in official.zones.list(per_page=1)] == [
        "example.org",
        "other.example",
        "sub.example.org",
    ]
    zone = official.zones.list(name="other.example").result[0]
    assert official.zones.get(zone_id=zone.id).name == "other.example"
    assert not official.zones.list(name="unknown.example").result


def test_the_official_client_creates_reads_changes_and_deletes(
    cloudflare: Cloudflare, official: "Official", zone: str
) -> None:
    records = official.dns.records
    made = records.create(zone_id=zone, type="A", name=HOME, content="192.0.2.1", ttl=120, comment="router")
    records.create(zone_id=zone, type="AAAA", name=HOME, content="2001:DB8:0::1", ttl=1, proxied=True)
    assert cloudflare.addresses(HOME) == ["192.0.2.1"]
    assert cloudflare.addresses(HOME, "AAAA") == ["2001:db8::1"]

    seen = records.get(made.id, zone_id=zone)
    assert (seen.content, seen.ttl, seen.proxied, seen.comment) == ("192.0.2.1", 120, False, "router")
    found = records.list(zone_id=zone, name={"exact": HOME.upper()}, type="AAAA").result
    assert [(one.content, one.ttl, one.proxied) for one in found] == [("2001:db8::1", 1, True)]

    records.edit(made.id, zone_id=zone, type="A", name=HOME, ttl=120, content="192.0.2.2", proxied=True)
    assert (records.get(made.id, zone_id=zone).comment, records.get(made.id, zone_id=zone).ttl) == ("router", 1)
    records.update(made.id, zone_id=zone, type="A", name=HOME, content="192.0.2.3", ttl=300)
    seen = records.get(made.id, zone_id=zone)
    assert (seen.content, seen.ttl, seen.proxied, seen.comment) == ("192.0.2.3", 300, False, None)

    assert records.delete(made.id, zone_id=zone).id == made.id
    assert cloudflare.addresses(HOME) == []


def test_the_official_client_walks_through_pages(cloudflare: Cloudflare, official: "Official", zone: str) -> None:
    contents = [f"192.0.2.{n}" for n in range(1, 24)]
    for content in contents:
        cloudflare.add(HOME, "A", content)
    cloudflare.add("other.example.org", "A", "192.0.2.99")
    found = official.dns.records.list(zone_id=zone, name={"exact": HOME}, per_page=5, order="content", direction="desc")
    assert [record.content for record in found] == sorted(contents, reverse=True)
    assert cloudflare.counts()["GET /zones/{}/dns_records"] == 6  # it stops at a page that is empty


def test_the_official_client_changes_many_records_in_one_batch(
    cloudflare: Cloudflare, official: "Official", zone: str
) -> None:
    old, kept, anew = (cloudflare.add(HOME, "A", f"192.0.2.{n}", comment="router") for n in (1, 2, 3))
    done = official.dns.records.batch(
        zone_id=zone,
        posts=[{"type": "AAAA", "name": HOME, "content": "2001:db8::7", "ttl": 60}],
        puts=[{"id": anew, "type": "A", "name": HOME, "content": "192.0.2.8", "ttl": 60}],
        patches=[{"id": kept, "type": "A", "name": HOME, "ttl": 60, "content": "192.0.2.7"}],
        deletes=[{"id": old}],
    )
    assert done is not None
    assert [len(part or ()) for part in (done.deletes, done.patches, done.puts, done.posts)] == [1, 1, 1, 1]
    assert cloudflare.addresses(HOME) == ["192.0.2.7", "192.0.2.8"]
    assert cloudflare.addresses(HOME, "AAAA") == ["2001:db8::7"]
    assert {record.content: record.comment for record in cloudflare.records(HOME)} == {
        "192.0.2.7": "router",
        "192.0.2.8": None,
        "2001:db8::7": None,
    }


def test_the_official_client_sees_what_is_stored_and_not_served(
    cloudflare: Cloudflare, official: "Official", zone: str
) -> None:
    delegation = cloudflare.add("lab.example.org", "NS", "ns.lab.example.org")
    cloudflare.add("ns.lab.example.org", "A", "192.0.2.53")
    cloudflare.add("home.lab.example.org", "A", "192.0.2.1")
    cloudflare.add(HOME, "A", "192.0.2.2")
    records = official.dns.records
    seen = {
        (one.name, one.type): (one.meta.shadowed_by, one.meta.is_glue)
        for one in records.list(zone_id=zone, include_shadow_metadata=True)
    }
    assert seen == {
        ("lab.example.org", "NS"): (None, None),
        ("ns.lab.example.org", "A"): (None, True),
        ("home.lab.example.org", "A"): ([delegation], None),
        (HOME, "A"): (None, None),
    }
    for name, found in (("new.lab.example.org", [delegation]), ("lab.example.org", [delegation]), (HOME, [])):
        assert [one.id for one in records.list(zone_id=zone, shadowing_name=name)] == found


def test_the_official_client_reads_every_error(cloudflare: Cloudflare, official: "Official", zone: str) -> None:
    import cloudflare as package

    records = official.dns.records
    alias = cloudflare.add("alias.example.org", "CNAME", "target.example")
    cloudflare.add(HOME, "A", "192.0.2.1")

    def codes(kind: type["package.APIStatusError"], **fields: Any) -> list[int]:
        with pytest.raises(kind) as error:
            records.create(**({"zone_id": zone, "type": "A", "name": HOME, "content": "192.0.2.9", "ttl": 60} | fields))
        return [one.code for one in error.value.errors]

    bad = package.BadRequestError
    assert codes(bad, content="192.0.2.1") == [81058]
    assert codes(bad, name="alias.example.org") == [81054]
    assert codes(bad, type="CNAME", content="target.example") == [81053]
    assert codes(bad, content="192.0.2.256") == [9005]
    assert codes(bad, type="AAAA", content="192.0.2.1") == [9006]
    assert codes(bad, ttl=59) == codes(bad, ttl=86401) == codes(bad, ttl=0) == [9021]
    assert codes(bad, tags=["owner:lab"]) == [9300]
    assert codes(bad, proxied=True, content="192.168.0.1") == [9003]
    assert codes(package.NotFoundError, zone_id="0" * 32) == [1001]
    with pytest.raises(package.NotFoundError) as error:
        records.get("0" * 32, zone_id=zone)
    assert [one.code for one in error.value.errors] == [81044]
    cloudflare.dialect = Dialect(identical=81057, chained=True)
    assert codes(bad, content="192.0.2.1") == [81057]
    assert codes(bad, content="192.0.2.256") == [1004]
    assert records.get(alias, zone_id=zone).content == "target.example"


def test_the_official_client_is_kept_out(cloudflare: Cloudflare, zone: str) -> None:
    import cloudflare as package

    def codes(kind: type["package.APIStatusError"], **credentials: str) -> list[int]:
        with connect(cloudflare, **credentials) as client, pytest.raises(kind) as error:
            client.dns.records.list(zone_id=zone)
        return [one.code for one in error.value.errors]

    assert codes(package.PermissionDeniedError, api_token="unknown") == [9109]
    assert codes(package.BadRequestError, api_token="two words") == [6003]
    revoked = cloudflare.add_token()
    cloudflare.revoke(revoked)
    assert codes(package.PermissionDeniedError, api_token=revoked) == [9109]
    cloudflare.wrong_token = no(401, 10000, "Authentication error")
    assert codes(package.AuthenticationError, api_token=revoked) == [10000]
    elsewhere = cloudflare.add_token([cloudflare.add_zone("other.example")])
    assert codes(package.PermissionDeniedError, api_token=elsewhere) == [10000]
    key = cloudflare.add_global_key("me@example.org")
    assert codes(package.PermissionDeniedError, api_email="you@example.org", api_key=key) == [9103]
    with connect(cloudflare, api_email="me@example.org", api_key=key) as client:
        assert client.dns.records.list(zone_id=zone).result == []


def test_the_official_client_sees_the_zones_of_its_token_only(cloudflare: Cloudflare, zone: str) -> None:
    cloudflare.add_zone("other.example")
    with connect(cloudflare, api_token=cloudflare.add_token([zone])) as client:
        assert [one.name for one in client.zones.list()] == ["example.org"]
    with connect(cloudflare, api_token=cloudflare.add_token([zone], may=[EDIT_DNS])) as client:
        assert list(client.zones.list()) == []
        assert client.dns.records.create(zone_id=zone, type="A", name=HOME, content="192.0.2.1", ttl=60).id


def test_the_official_client_waits_as_it_is_told(cloudflare: Cloudflare, zone: str) -> None:
    with connect(cloudflare, max_retries=2, api_token=cloudflare.add_token()) as client:
        cloudflare.fail(too_many(1), times=1)
        assert client.dns.records.list(zone_id=zone).result == []
        first, second = cloudflare.requests
        assert second.at - first.at >= 1
    cloudflare.budget = Budget(1, 3.0)
    with connect(cloudflare, max_retries=2, api_token=cloudflare.add_token()) as client:
        for _ in range(2):
            assert client.dns.records.list(zone_id=zone).result == []
    assert len(cloudflare.requests) == 2 + 3
    refused, again = cloudflare.requests[3:]
    assert again.at - refused.at >= 3


# ddclient finds the record by the names of zone and host, and changes its content alone.


def test_ddclient_changes_the_address_and_nothing_else(cloudflare: Cloudflare, tmp_path: Path) -> None:
    zone = cloudflare.zone_of("example.org").id
    cloudflare.add(HOME, "A", "192.0.2.1", proxied=True, comment="router")
    cloudflare.add(HOME, "AAAA", "2001:db8::1", ttl=300)
    conf, cache = tmp_path / "ddclient.conf", tmp_path / "ddclient.cache"
    conf.touch(0o600)
    conf.write_text(
        f"ssl=yes\nssl_ca_file={cloudflare.ca}\nusev4=ipv4, ipv4=192.0.2.7\nusev6=ipv6, ipv6=2001:db8::7\n"
        f"protocol=cloudflare, zone=example.org, server=127.0.0.1:{cloudflare.port}{cloudflare.base}\n"
        f"login=token, password={cloudflare.add_token([zone])}\n{HOME}\n"
    )
    said = run("ddclient", "ddclient", "-daemon=0", "-noquiet", "-file", str(conf), "-cache", str(cache))
    assert said.count("SUCCESS:") == 2
    assert [(one.content, one.ttl, one.proxied, one.comment) for one in cloudflare.records(HOME)] == [
        ("192.0.2.7", 1, True, "router"),
        ("2001:db8::7", 300, False, None),
    ]
    assert [request.json for request in cloudflare.requests if request.method == "PATCH"] == [
        {"content": "192.0.2.7"},
        {"content": "2001:db8::7"},
    ]


# octodns plans: it reads a zone, compares it with what is wanted, and changes it with POST, PUT and DELETE.


@pytest.fixture
def trusted(cloudflare: Cloudflare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that use `requests` trust the certificate."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cloudflare.ca))


def record(*values: str, ttl: int = 120, kind: str = "A", **more: Any) -> dict[str, Any]:
    """A record set as octodns has it in its files."""
    cloudflare = {name.replace("_", "-"): value for name, value in more.items()}
    return {"ttl": ttl, "type": kind, "values": list(values), "octodns": {"cloudflare": cloudflare}}


def octodns_makes_it(cloudflare: Cloudflare, token: str, wanted: dict[str, list[dict[str, Any]]]) -> int:
    """The number of changes after which the zone is as wanted: a second look finds none left."""
    from octodns.record import Record
    from octodns.zone import Zone
    from octodns_cloudflare import Alone

    def plan() -> Any:
        provider = Alone("lab", token=token, pagerules=False, min_ttl=60, api_url=cloudflare.url)
        zone = Zone("example.org.", [])
        for name, sets in wanted.items():
            for data in sets:
                zone.add_record(Record.new(zone, name, data))
        return provider, provider.plan(zone)

    provider, todo = plan()
    done = provider.apply(todo) if todo else 0
    assert plan()[1] is None
    return int(done)


@pytest.mark.usefixtures("trusted")
def test_octodns_creates_reads_changes_and_deletes(cloudflare: Cloudflare) -> None:
    token = cloudflare.add_token()
    both = {
        "home": [
            record("192.0.2.1", "192.0.2.2", comment="router"),
            record("2001:db8::1", kind="AAAA"),
        ]
    }
    assert octodns_makes_it(cloudflare, token, both) == 2
    assert cloudflare.addresses(HOME) == ["192.0.2.1", "192.0.2.2"]
    assert octodns_makes_it(cloudflare, token, both) == 0

    assert octodns_makes_it(cloudflare, token, {"home": [record("192.0.2.2", "192.0.2.7", ttl=300)]}) == 2
    assert [(one.content, one.ttl, one.comment) for one in cloudflare.records(HOME)] == [
        ("192.0.2.7", 300, None),
        ("192.0.2.2", 300, None),
    ]
    assert octodns_makes_it(cloudflare, token, {"home": [record("198.51.100.7", proxied=True)]}) == 1
    assert [(one.content, one.ttl, one.proxied) for one in cloudflare.records(HOME)] == [("198.51.100.7", 1, True)]
    auto = {"home": [record("198.51.100.7", auto_ttl=True)]}
    assert octodns_makes_it(cloudflare, token, auto) == 1
    assert [(one.ttl, one.proxied) for one in cloudflare.records(HOME)] == [(1, False)]
    assert (
        octodns_makes_it(cloudflare, token, {"www": [{"ttl": 120, "type": "CNAME", "value": "home.example.org."}]}) == 2
    )
    assert [(one.name, one.content) for one in cloudflare.records()] == [("www.example.org", HOME)]


@pytest.mark.usefixtures("trusted")
def test_octodns_reads_a_large_zone_and_many_zones(cloudflare: Cloudflare) -> None:
    for n in range(60):
        cloudflare.add_zone(f"zone{n}.example")
    many = {f"host{n}": [record(f"10.0.{n // 200}.{n % 200}")] for n in range(250)}
    for name, (data,) in many.items():
        cloudflare.add(f"{name}.example.org", "A", data["values"][0], ttl=120)
    assert octodns_makes_it(cloudflare, cloudflare.add_token(), many) == 0
    assert cloudflare.counts() == {"GET /zones": 2 * 2, "GET /zones/{}/dns_records": 2 * 3}


@pytest.mark.usefixtures("trusted")
def test_octodns_tells_a_wrong_token_from_a_wrong_request(cloudflare: Cloudflare) -> None:
    from octodns_cloudflare import CloudflareAuthenticationError, CloudflareError

    with pytest.raises(CloudflareAuthenticationError, match="Invalid access token"):
        octodns_makes_it(cloudflare, "unknown", {})
    cloudflare.add("home.example.org", "CNAME", "elsewhere.example")
    with pytest.raises(CloudflareError, match="quota of 0"):
        octodns_makes_it(cloudflare, cloudflare.add_token(), {"home": [record("192.0.2.1", tags=["owner:lab"])]})


# lexicon sends a body with each request, and takes the codes of identical records for success.


@pytest.fixture
def lexicon(cloudflare: Cloudflare, trusted: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Signed in for example.org."""
    from lexicon._private.providers.cloudflare import Provider
    from lexicon.config import ConfigResolver

    here = property(lambda self: cloudflare.url, lambda self, url: None)
    monkeypatch.setattr(Provider, "api_endpoint", here, raising=False)
    options = {"domain": "example.org", "ttl": 300, "cloudflare": {"auth_token": cloudflare.add_token()}}
    provider = Provider(ConfigResolver().with_dict({"provider_name": "cloudflare", **options}))
    provider.authenticate()
    return provider


def test_lexicon_creates_reads_changes_and_deletes(cloudflare: Cloudflare, lexicon: Any) -> None:
    assert lexicon.create_record("A", "home", "192.0.2.1")
    assert lexicon.create_record("A", "home", "192.0.2.1")  # 81058
    cloudflare.dialect = Dialect(identical=81057, chained=True)
    assert lexicon.create_record("A", "home", "192.0.2.1")
    assert lexicon.create_record("AAAA", HOME, "2001:db8::1")
    assert [(one["name"], one["type"], one["content"], one["ttl"]) for one in lexicon.list_records(name="home")] == [
        (HOME, "A", "192.0.2.1", 300),
        (HOME, "AAAA", "2001:db8::1", 300),
    ]
    identity = lexicon.list_records("A", "home", "192.0.2.1")[0]["id"]
    cloudflare.change(identity, proxied=True)
    assert lexicon.update_record(None, "A", "home", "192.0.2.7")
    [changed] = cloudflare.records(HOME, "A")
    assert (changed.id, changed.content, changed.proxied) == (identity, "192.0.2.7", False)  # it uses PUT
    assert lexicon.delete_record(None, "AAAA", "home")
    assert [one.type for one in cloudflare.records(HOME)] == ["A"]


def test_lexicon_walks_through_pages(cloudflare: Cloudflare, lexicon: Any) -> None:
    for n in range(201):
        cloudflare.add(f"host{n}.example.org", "A", f"10.0.0.{n}")
    assert len(lexicon.list_records("A")) == 201
    assert lexicon.list_records("TXT") == []


def test_lexicon_is_kept_out(cloudflare: Cloudflare, lexicon: Any) -> None:
    import requests

    cloudflare.add("alias.example.org", "CNAME", "elsewhere.example")
    with pytest.raises(requests.HTTPError, match="400"):
        lexicon.create_record("A", "alias", "192.0.2.1")
    with pytest.raises(requests.HTTPError, match="404"):
        lexicon.delete_record("0" * 32)
