"""Plans, applied to a model of a zone that knows nothing of how they are made."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.providers.cloudflare.plan import (
    Hindrance,
    Making,
    Nonsense,
    Operations,
    joined,
    plan,
    read_record,
)
from sftdyn.providers.texts import quoted, unquoted
from sftdyn.values.update import RRset, RRType, Text

ADDRESSES: dict[RRType, list[str]] = {
    "A": [f"192.0.2.{n}" for n in range(5)],
    "AAAA": [f"2001:db8::{n:x}" for n in range(1, 6)],
}
TEXTS = ['"one"', "two", "a b", '"a b"', '"with \\" and \\\\"', '"on" "e"']
KEPT = ("proxied", "ttl", "comment", "tags", "settings")


@dataclass
class Zone:
    """Records by id, and what a batch makes of them: all or nothing, as the API documents it."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def apply(self, operations: Operations) -> None:
        batch = operations.json()
        assert set(batch) <= {"deletes", "patches", "posts"}
        assert all(batch.values())
        for deleted in batch.get("deletes", ()):
            assert set(deleted) == {"id"}
            del self.records[deleted["id"]]
        for patched in batch.get("patches", ()):
            assert set(patched) == {"id", "content"}
            self._put({**self.records[patched["id"]], **patched})
        for number, posted in enumerate(batch.get("posts", ())):
            assert "id" not in posted
            self._put({"proxied": False, "comment": None, "tags": [], "settings": {}, **posted, "id": f"new{number}"})

    def _put(self, record: dict[str, Any]) -> None:
        same = ("name", "type", "content")
        others = [other for other in self.records.values() if other["id"] != record["id"]]
        assert not [other for other in others if all(other[key] == record[key] for key in same)], "81058"
        self.records[record["id"]] = record

    def plan(self, wanted: RRset, making: Making) -> Operations | Hindrance:
        there = [read_record(record) for record in self.records.values()]
        return plan(wanted, [record for record in there if record.name == wanted.name], making)

    def contents(self, name: str, kind: str) -> list[str]:
        return sorted(r["content"] for r in self.records.values() if (r["name"], r["type"]) == (name, kind))


def done(planned: Operations | Hindrance) -> Operations:
    """What can be done."""
    assert isinstance(planned, Operations)
    return planned


@st.composite
def zones(draw: st.DrawFn) -> Zone:
    """Some names with some records of some types, each with fields of its own."""
    zone = Zone()
    for name in ("home.example.org", "example.org"):
        for kind, addresses in ADDRESSES.items():
            for content in draw(st.lists(st.sampled_from(addresses), unique=True, max_size=4)):
                record: dict[str, Any] = {
                    "id": f"id{len(zone.records)}",
                    "name": name,
                    "type": kind,
                    "content": content,
                    "proxied": draw(st.booleans()),
                    "ttl": draw(st.sampled_from([1, 60, 300, 86400])),
                    "comment": draw(st.sampled_from([None, "", "by hand"])),
                    "tags": draw(st.sampled_from([[], ["a:b"]])),
                    "settings": draw(st.sampled_from([{}, {"ipv4_only": True}])),
                }
                zone.records[record["id"]] = record
    zone.records["mx"] = {"id": "mx", "name": "home.example.org", "type": "MX", "content": "mx.example.org"}
    return zone


@st.composite
def rrsets(draw: st.DrawFn) -> RRset:
    kind: RRType = draw(st.sampled_from(["A", "AAAA"]))
    addresses = draw(st.lists(st.sampled_from(ADDRESSES[kind]), unique=True, max_size=4))
    return RRset("home.example.org.", kind, tuple(sorted(addresses)), draw(st.integers(0, 100_000)))


@given(zones(), rrsets(), st.booleans(), st.sampled_from([None, False, True]))
def test_the_zone_is_as_wanted_afterwards(zone: Zone, wanted: RRset, create: bool, proxied: bool | None) -> None:
    name, before = "home.example.org", {key: dict(record) for key, record in zone.records.items()}
    there = zone.contents(name, wanted.type)
    planned = zone.plan(wanted, Making(create, proxied))
    if isinstance(planned, Operations):
        zone.apply(planned)
    if planned in (Hindrance.MISSING, Hindrance.UNWANTED):
        assert not there
        other = "A" if wanted.type == "AAAA" else "AAAA"
        assert bool(zone.contents(name, other)) is (planned is Hindrance.UNWANTED)
        assert not create
    elif planned is Hindrance.KEPT:
        assert there
        assert not wanted.addresses
        assert not create
    else:
        assert zone.contents(name, wanted.type) == sorted(wanted.addresses)
        assert (planned == Operations()) == (there == sorted(wanted.addresses))
    if isinstance(planned, Hindrance) or not planned.size():
        assert zone.records == before
    others = {key: record for key, record in before.items() if (record["name"], record["type"]) != (name, wanted.type)}
    assert {key: zone.records.get(key) for key in others} == others


@given(zones(), rrsets())
def test_as_many_records_as_can_be_keep_their_fields(zone: Zone, wanted: RRset) -> None:
    before = {key: dict(record) for key, record in zone.records.items()}
    there = [key for key, r in before.items() if (r["name"], r["type"]) == ("home.example.org", wanted.type)]
    zone.apply(done(zone.plan(wanted, Making(create=True))))
    stayed = [key for key in there if key in zone.records]
    assert len(stayed) == min(len(there), len(wanted.addresses))
    for key in stayed:
        assert {name: zone.records[key][name] for name in KEPT} == {name: before[key][name] for name in KEPT}
    for key in set(zone.records) - set(before):
        copied = zone.records[key]
        if there:
            model = before[there[0]]
            assert [copied[name] or None for name in KEPT] == [model[name] or None for name in KEPT]


@given(zones(), st.tuples(rrsets(), rrsets()))
def test_plans_for_different_record_sets_can_be_one_batch(zone: Zone, wanted: tuple[RRset, RRset]) -> None:
    several = {rrset.key: rrset for rrset in wanted}
    zone.apply(joined(done(zone.plan(rrset, Making(create=True))) for rrset in several.values()))
    for rrset in several.values():
        assert zone.contents("home.example.org", rrset.type) == sorted(rrset.addresses)


@pytest.mark.parametrize(
    ("ttl", "proxied", "made"),
    [
        (30, None, {"ttl": 60}),
        (300, None, {"ttl": 300}),
        (100_000, False, {"ttl": 86400, "proxied": False}),
        (300, True, {"ttl": 1, "proxied": True}),
    ],
)
def test_the_first_record_of_a_name_has_the_fields_of_the_conf(ttl: int, proxied: bool | None, made: Any) -> None:
    wanted = RRset("home.example.org.", "A", ("192.0.2.7",), ttl)
    operations = done(plan(wanted, [], Making(True, proxied)))
    new = {"type": "A", "name": "home.example.org", "content": "192.0.2.7"}
    assert operations.json() == {"posts": [new | made]}


def test_an_alias_hides_addresses_but_not_their_absence() -> None:
    alias = read_record({"id": "1", "name": "Home.Example.ORG", "type": "CNAME", "content": "www.example.org"})
    assert alias.name == "home.example.org."
    wanted = RRset("home.example.org.", "A", ("192.0.2.7",), 60)
    assert plan(wanted, [alias], Making(True)) is Hindrance.HIDDEN
    assert plan(wanted._replace(addresses=()), [alias], Making(True)) == Operations()


@given(zones(), st.lists(st.sampled_from(TEXTS), unique=True), st.sampled_from(TEXTS), st.booleans(), st.booleans())
def test_a_text_comes_and_goes_and_no_other_with_it(
    zone: Zone, there: list[str], value: str, is_there: bool, create: bool
) -> None:
    for number, text in enumerate(there):
        zone.records[f"t{number}"] = {"id": f"t{number}", "name": "home.example.org", "type": "TXT", "content": text}
    before, others = dict(zone.records), [text for text in there if unquoted(text) != unquoted(value)]
    wanted = Text("home.example.org.", unquoted(value), is_there, 30)
    zone.apply(done(plan(wanted, [read_record(record) for record in zone.records.values()], Making(create))))
    texts = zone.contents("home.example.org", "TXT")
    assert [text for text in texts if unquoted(text) != unquoted(value)] == sorted(others)
    assert (unquoted(value) in [unquoted(text) for text in texts]) == is_there
    made = [zone.records[key] for key in zone.records.keys() - before.keys()]
    assert [(record["ttl"], record["content"]) for record in made] in ([], [(60, quoted(unquoted(value)))])


def test_addresses_are_compared_as_addresses() -> None:
    long = read_record({"id": "1", "name": "a.example", "type": "AAAA", "content": "2001:0DB8:0:0:0:0:0:7"})
    wanted = RRset("a.example.", "AAAA", ("2001:db8::7",), 60)
    assert plan(wanted, [long], Making()) == Operations()


@pytest.mark.parametrize("json", [None, 1, [], {}, {"id": 1, "name": "a", "type": "A", "content": "x"}])
def test_what_is_no_record_is_refused(json: object) -> None:
    with pytest.raises(Nonsense):
        read_record(json)
