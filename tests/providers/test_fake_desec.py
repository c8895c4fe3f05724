"""The API that stands in for deSEC: its rules, by plain HTTP, and by a client of the real one."""

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.api import Budget
from tests.lab.desec import Desec, seconds_to_wait

DOMAIN = "example.org"

Json = Any


@pytest.fixture
def desec(certificate: Path) -> Iterator[Desec]:
    """With example.org."""
    with Desec(certificate) as api:
        api.add_domain(DOMAIN)
        api.limits = ()
        yield api
    assert not api.complaints


def ask(desec: Desec, method: str, path: str, body: Json = None, token: str | None = None) -> tuple[int, Json, Json]:
    """Status, body and headers of an answer."""
    context = ssl.create_default_context(cafile=desec.ca)
    connection = http.client.HTTPSConnection("localhost", desec.port, context=context, timeout=20)
    headers = {"User-Agent": "lab", "Content-Type": "application/json"}
    headers["Authorization"] = f"Token {token or desec.add_token()}"
    try:
        connection.request(method, Desec.base + path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read()), dict(response.headers)
    finally:
        connection.close()


def patch(desec: Desec, *items: Json) -> tuple[int, Json]:
    """A bulk PATCH."""
    return ask(desec, "PATCH", f"/domains/{DOMAIN}/rrsets/", list(items))[:2]


def item(*records: str, subname: str = "home", kind: str = "A", **more: Json) -> Json:
    """One of it."""
    return {"subname": subname, "type": kind, "ttl": 3600, "records": list(records)} | more


def test_rrsets_are_made_changed_and_removed_in_one_request(desec: Desec) -> None:
    status, made = patch(desec, item("192.0.2.1"), item("2001:DB8::0:1", kind="AAAA"), item("192.0.2.9", subname=""))
    assert (status, [rrset["name"] for rrset in made]) == (200, ["home.example.org."] * 2 + ["example.org."])
    assert desec.addresses(DOMAIN, "home", "AAAA") == ["2001:db8::1"]
    changed = {"subname": "home", "type": "A", "records": ["192.0.2.2", "192.0.2.3"]}
    status, left = patch(desec, changed, item(kind="AAAA"), item(subname="unknown"))
    assert (status, [(rrset["type"], rrset["ttl"]) for rrset in left]) == (200, [("A", 3600)])
    assert desec.addresses(DOMAIN, "home") == ["192.0.2.2", "192.0.2.3"]
    assert desec.addresses(DOMAIN, "home", "AAAA") == []
    assert desec.addresses(DOMAIN, "") == ["192.0.2.9"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (item("192.0.2.1", ttl=3599), "ttl"),
        (item("192.0.2.1", ttl=604_801), "ttl"),
        (item("2001:db8::1"), "non_field_errors"),
        (item("192.0.2.1", "192.0.2.1"), "non_field_errors"),
        (item("192.0.2.1", kind="a"), "type"),
        (item("192.0.2.1", subname="Home"), "subname"),
        (item("192.0.2.1", records="192.0.2.1"), "records"),
        (item("without quotes", kind="TXT"), "non_field_errors"),
        (item(f'"{"x" * 256}"', kind="TXT"), "non_field_errors"),
        ({"subname": "home", "type": "A", "records": ["192.0.2.1"]}, "ttl"),
        ({"subname": "home", "type": "A", "ttl": 3600}, "records"),
        (item("target.example.", subname="good", kind="CNAME"), "non_field_errors"),
        (item("192.0.2.8", subname="good"), "non_field_errors"),
        (item("target.example.", subname="", kind="CNAME"), "non_field_errors"),
    ],
)
def test_one_error_undoes_all_and_is_told_for_its_item(desec: Desec, wrong: Json, field: str) -> None:
    status, errors = patch(desec, item("192.0.2.7", subname="good"), wrong)
    assert (status, list(errors[1])) == (400, [field])
    assert desec.addresses(DOMAIN, "good") == []


def test_rrsets_can_be_read(desec: Desec) -> None:
    desec.add_domain("dyn.example.org", minimum_ttl=60)
    desec.set(DOMAIN, "home", "A", ["192.0.2.1"])
    desec.set(DOMAIN, "", "A", ["192.0.2.2"])
    rrsets = f"/domains/{DOMAIN}/rrsets/"
    assert [rrset["type"] + rrset["subname"] for rrset in ask(desec, "GET", rrsets)[1]] == ["A", "Ahome", "NS"]
    assert [rrset["records"] for rrset in ask(desec, "GET", rrsets + "?subname=&type=A")[1]] == [["192.0.2.2"]]
    assert ask(desec, "GET", rrsets + "@/A/")[1]["name"] == "example.org."
    assert ask(desec, "GET", rrsets + "home/AAAA/")[:2] == (404, {"detail": "Not found."})
    assert ask(desec, "GET", f"/domains/{DOMAIN}/")[1]["minimum_ttl"] == 3600
    owner = ask(desec, "GET", "/domains/?owns_qname=home.dyn.example.org")[1]
    assert [domain["name"] for domain in owner] == ["dyn.example.org"]


def test_a_list_that_is_longer_than_a_page_is_read_by_its_links(desec: Desec) -> None:
    desec.page_size = 2
    patch(desec, *(item("192.0.2.1", subname=f"h{n}") for n in range(4)))
    rrsets = f"/domains/{DOMAIN}/rrsets/"
    status, why, headers = ask(desec, "GET", rrsets)
    assert (status, "Pagination required" in why["detail"]) == (400, True)
    assert headers["Link"] == f'<{desec.url}{rrsets}?cursor=>; rel="first"'
    found, path = [], rrsets + "?cursor=&type=A"
    while path:
        status, some, headers = ask(desec, "GET", path)
        found += [rrset["subname"] for rrset in some]
        links = [link for link in headers["Link"].split(", ") if 'rel="next"' in link]
        path = links[0].partition(desec.url)[2].partition(">")[0] if links else ""
    assert (status, found) == (200, ["h3", "h2", "h1", "h0"])
    assert ask(desec, "GET", rrsets + "?subname=h1")[1][0]["subname"] == "h1"


def test_who_may_not_is_told_so(desec: Desec) -> None:
    token = desec.add_token()
    desec.revoke(token)
    assert ask(desec, "GET", "/domains/", token=token)[:2] == (401, {"detail": "Invalid token."})
    assert ask(desec, "PATCH", "/domains/unknown.example/rrsets/", [])[:2] == (404, {"detail": "Not found."})


def test_who_writes_too_often_has_to_wait(desec: Desec) -> None:
    desec.limits = (Budget(2, 60.0),)
    assert [patch(desec, item(f"192.0.2.{n}"))[0] for n in (1, 2)] == [200, 200]
    status, why, headers = ask(desec, "PATCH", f"/domains/{DOMAIN}/rrsets/", [item("192.0.2.3")])
    assert (status, headers["Retry-After"]) == (429, "60")
    assert why == {"detail": "Request was throttled. Expected available in 60 seconds."}
    assert desec.addresses(DOMAIN, "home") == ["192.0.2.2"]
    assert ask(desec, "GET", f"/domains/{DOMAIN}/")[0] == 200


def test_all_limits_hold_at_the_same_time_and_slide() -> None:
    """The example of the documentation: 10 in a minute, one a second; the 11th has to wait for 50 seconds."""
    limits = (Budget(10, 60.0), Budget(2, 1.0))
    assert seconds_to_wait(list(map(float, range(10))), limits, 10.0) == 50
    assert seconds_to_wait(list(map(float, range(10))), limits, 60.1) == 0
    assert seconds_to_wait([59.2, 59.6], limits, 60.0) == pytest.approx(0.2)


def test_nonsense_is_noted(desec: Desec) -> None:
    assert patch(desec, item("192.0.2.1", content="192.0.2.1"))[0] == 400
    assert "unknown fields: content" in desec.complaints.pop()
    assert ask(desec, "PATCH", f"/domains/{DOMAIN}/rrsets", [])[0] == 400
    assert "slash" in desec.complaints.pop()
    assert ask(desec, "PATCH", f"/domains/{DOMAIN}/rrsets/", item("192.0.2.1"))[0] == 400
    assert ask(desec, "DELETE", f"/domains/{DOMAIN}/")[0] == 400
    assert "DELETE" in desec.complaints.pop()


@pytest.mark.extra
@pytest.mark.filterwarnings("ignore:`Record.rrs` is DEPRECATED")  # octodns tells its own octodns-desec
def test_octodns_creates_reads_changes_and_deletes(desec: Desec, monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses bulk PATCH alone."""
    from octodns.record import Record
    from octodns.zone import Zone
    from octodns_desec import DesecAPI, DesecAPIBadRequest, DesecAPIUnauthorized, DesecProvider

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(desec.ca))
    monkeypatch.setattr(DesecAPI, "API_DOMAINS_URL", f"{desec.url}/domains")

    def make(token: str, wanted: dict[str, list[Json]]) -> int:
        def plan() -> Any:
            provider, zone = DesecProvider("lab", token), Zone(f"{DOMAIN}.", [])
            for name, sets in wanted.items():
                for data in sets:
                    zone.add_record(Record.new(zone, name, data))
            return provider, provider.plan(zone)

        provider, todo = plan()
        done = provider.apply(todo) if todo else 0
        assert plan()[1] is None
        return int(done)

    def data(*values: str, kind: str = "A", ttl: int = 3600) -> Json:
        return {"type": kind, "ttl": ttl, "values": list(values)}

    token = desec.add_token()
    both = {"home": [data("192.0.2.1", "192.0.2.2"), data("2001:db8::1", kind="AAAA")], "": [data("192.0.2.9")]}
    both["_acme-challenge.home"] = [data("one", "two x", "y" * 300, kind="TXT")]
    assert (make(token, both), make(token, both)) == (4, 0)
    assert desec.addresses(DOMAIN, "home") == ["192.0.2.1", "192.0.2.2"]
    assert make(token, {"home": [data("192.0.2.7", ttl=7200)]}) == 4
    assert desec.addresses(DOMAIN, "") == desec.addresses(DOMAIN, "home", "AAAA") == []
    assert desec.counts()[f"PATCH /domains/{DOMAIN}/rrsets/"] == 2
    with pytest.raises(DesecAPIBadRequest):
        make(token, {"home": [data("192.0.2.7", ttl=60)]})
    with pytest.raises(DesecAPIUnauthorized):
        make("unknown", {})
    desec.limits = (Budget(1, 1.0),)
    assert (make(token, {"home": [data("192.0.2.8")]}), make(token, {"home": [data("192.0.2.9")]})) == (1, 1)
