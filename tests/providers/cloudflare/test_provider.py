"""The provider against the API: each promise, one update after the other or some at once."""

import asyncio
import gc
import time
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

from sftdyn.providers.cloudflare.backend import MANNER
from sftdyn.providers.desk.backend import Fact, Listing
from sftdyn.providers.desk.zones import Zones
from sftdyn.values.outcome import Outcome, Result
from sftdyn.values.update import Place, RRset
from tests.lab.api import Fault, silent, slow
from tests.lab.cloudflare import (
    EDIT_DNS,
    FORBIDDEN,
    FORBIDDEN_ZONE,
    MISSING,
    NOT_LISTED,
    READ_ZONE,
    UNVERIFIED_TOKEN,
    WRONG_PLACE,
    WRONG_TOKEN,
    Cloudflare,
    Dialect,
    no,
    refusal,
    success,
)
from tests.lab.cloudflare_zone import Refusal
from tests.providers.alone import Alone
from tests.providers.cloudflare.conftest import HOME, outcomes, publish, publishing, spec, wanted

OK, UPTODATE = Outcome.OK, Outcome.UPTODATE
LIST, BATCH, ZONES = "GET /zones/{}/dns_records", "POST /zones/{}/dns_records/batch", "GET /zones"


def only(results: list[Result]) -> Result:
    [result] = results
    return result


# What is changed


def test_only_the_address_changes(cloudflare: Cloudflare) -> None:
    pro = cloudflare.add_zone("example.com", plan="pro")
    fields = {"proxied": True, "comment": "the router", "tags": ["place:home"], "settings": {"ipv4_only": True}}
    cloudflare.add("home.example.com", "A", "192.0.2.1", **fields)
    cloudflare.add(HOME, "A", "192.0.2.1", ttl=120)
    both = [wanted("192.0.2.7", name="home.example.com"), wanted("192.0.2.7")]
    assert outcomes(publish(cloudflare, both)) == [OK]
    [proxied], [plain] = cloudflare.records("home.example.com"), cloudflare.records(HOME)
    assert proxied.content == plain.content == "192.0.2.7"
    assert (proxied.proxied, proxied.comment, proxied.tags, proxied.settings) == (
        True,
        "the router",
        ("place:home",),
        {"ipv4_only": True},
    )
    assert (plain.proxied, plain.ttl) == (False, 120)
    assert pro


def test_up_to_date_is_asked_for_each_time(cloudflare: Cloudflare) -> None:
    """And what somebody changed by hand is put right."""
    record = cloudflare.add(HOME, "A", "192.0.2.7")

    async def work(provider: Alone) -> list[Outcome]:
        first = await provider.publish([wanted("192.0.2.7")])
        asked = len(cloudflare.requests)
        second = await provider.publish([wanted("192.0.2.7")])
        assert cloudflare.counts(asked) == {LIST: 1}
        cloudflare.change(record, content="192.0.2.66", comment="by hand")
        third = await provider.publish([wanted("192.0.2.7")])
        return outcomes([first, second, third])

    assert publishing(cloudflare, work) == [UPTODATE, UPTODATE, OK]
    [home] = cloudflare.records(HOME)
    assert (home.content, home.comment) == ("192.0.2.7", "by hand")


def test_several_records_of_a_type_become_those_that_are_wanted(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1", ttl=120, comment="first")
    cloudflare.add(HOME, "A", "192.0.2.2", ttl=240)
    cloudflare.add(HOME, "TXT", "stays")
    updates = [
        wanted("192.0.2.2", "192.0.2.3", "192.0.2.4"),
        wanted("192.0.2.4"),
        wanted("192.0.2.4"),
    ]
    assert outcomes(publish(cloudflare, *updates)) == [OK, OK, UPTODATE]
    [home] = cloudflare.records(HOME, "A")
    assert home.content == "192.0.2.4"
    assert cloudflare.addresses(HOME, "TXT") == ["stays"]


def test_a_record_beside_others_is_made_like_them(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1", proxied=True, comment="the router")
    assert outcomes(publish(cloudflare, wanted("192.0.2.1", "192.0.2.2"))) == [OK]
    assert [(r.proxied, r.comment) for r in cloudflare.records(HOME)] == [(True, "the router")] * 2


def test_both_families_are_one_transaction(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    cloudflare.add(HOME, "AAAA", "2001:db8::1")
    both = [wanted("192.0.2.7"), wanted("2001:db8::7")]
    assert outcomes(publish(cloudflare, both)) == [OK]
    assert cloudflare.counts()[BATCH] == 1
    assert cloudflare.addresses(HOME, "AAAA") == ["2001:db8::7"]


def test_what_is_missing_is_not_made_without_create(cloudflare: Cloudflare) -> None:
    cloudflare.add("www.example.org", "A", "192.0.2.1")
    failed = only(publish(cloudflare, [wanted("192.0.2.7", name="www.example.org"), wanted("2001:db8::7")]))
    assert failed.outcome is Outcome.REFUSED
    assert "create=True" in failed.reason
    assert cloudflare.addresses("www.example.org") == ["192.0.2.1"]  # all of it or nothing


def each(cloudflare: Cloudflare, update: list[RRset], ask_only: bool = False, **said: Any) -> list[Result]:
    """The results of the items of one update."""

    async def work(provider: Alone) -> list[Result]:
        return list(await provider.providers.publish(provider.spec, update, ask_only))

    return publishing(cloudflare, work, **said)


@pytest.mark.parametrize("ask_only", [False, True])
def test_the_family_that_the_owner_has_no_record_for_is_left_out_and_the_other_goes_on(
    cloudflare: Cloudflare, ask_only: bool
) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    first, second = each(cloudflare, [wanted("192.0.2.7"), wanted("2001:db8::7")], ask_only)
    assert first.outcome is (Outcome.WOULD_CHANGE if ask_only else OK)
    assert second.is_left_out
    assert second.outcome is UPTODATE
    assert "AAAA" in second.reason
    assert cloudflare.addresses(HOME) == ["192.0.2.1" if ask_only else "192.0.2.7"]
    assert not cloudflare.addresses(HOME, "AAAA")


def test_a_name_of_which_nothing_remains_cannot_be_published_and_others_beside_it_can(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    cloudflare.add("www.example.org", "AAAA", "2001:db8::1")
    alone = only(publish(cloudflare, wanted("2001:db8::7")))
    assert alone.outcome is Outcome.UNPUBLISHABLE
    assert "create=True" in alone.reason
    results = each(cloudflare, [wanted("2001:db8::7"), wanted("2001:db8::7", name="www.example.org")])
    assert outcomes(results) == [Outcome.UNPUBLISHABLE, OK]
    assert cloudflare.addresses("www.example.org", "AAAA") == ["2001:db8::7"]


def test_what_is_left_out_is_left_out_also_where_the_rest_fails(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    cloudflare.fail(Fault(refusal(no(400, 9005, "no"))), method="POST")
    first, second = each(cloudflare, [wanted("192.0.2.7"), wanted("2001:db8::7")])
    assert first.outcome is Outcome.REFUSED
    assert second.is_left_out


def test_the_family_that_was_left_out_is_published_as_soon_as_there_is_a_record(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    both = [wanted("192.0.2.7"), wanted("2001:db8::7")]

    async def work(provider: Alone) -> list[Result]:
        await provider.publish(both)
        cloudflare.add(HOME, "AAAA", "2001:db8::1")
        return list(await provider.providers.publish(provider.spec, both))

    assert outcomes(publishing(cloudflare, work)) == [OK, OK]
    assert cloudflare.addresses(HOME, "AAAA") == ["2001:db8::7"]


@pytest.mark.parametrize("others", [0, 3])  # asked for by their names, or with the whole zone
@pytest.mark.parametrize("ask_only", [False, True])
def test_what_would_be_stored_and_not_served_is_not_published(
    cloudflare: Cloudflare, others: int, ask_only: bool
) -> None:
    cloudflare.add("lab.example.org", "NS", "ns.lab.example.org")
    cloudflare.add("ns.lab.example.org", "A", "192.0.2.53")
    cloudflare.add("old.lab.example.org", "A", "192.0.2.1")
    names = ["new.lab.example.org", "old.lab.example.org", "lab.example.org", "ns.lab.example.org", HOME]
    names += [f"other{n}.example.org" for n in range(others)]
    expected = [Outcome.UNPUBLISHABLE] * 3 + [Outcome.WOULD_CHANGE if ask_only else OK] * (2 + others)

    async def work(provider: Alone) -> list[Result]:
        updates = [[wanted("192.0.2.7", name=name)] for name in names]
        if others:
            return list(await asyncio.gather(*(provider.publish(update, ask_only) for update in updates)))
        return [await provider.publish(update, ask_only) for update in updates]

    results = publishing(cloudflare, work, create=True)
    assert outcomes(results) == expected
    assert "NS record" in results[0].reason
    assert cloudflare.addresses("old.lab.example.org") == ["192.0.2.1"]
    assert not cloudflare.addresses("new.lab.example.org")
    assert not cloudflare.complaints


def test_a_zone_that_appears_below_another_one_is_noticed_within_a_minute() -> None:
    for heard in (False, True):
        zones = Zones((), MANNER)
        if heard:
            zones.learn_all(Listing({"example.org.": "example.org."}), 0.0)
        else:
            zones.learn(Fact("example.org.", "example.org."), 0.0)
            zones.learn(Fact(HOME + ".", None), 0.0)
        assert zones.zone_of(HOME + ".", 29.0, 29.0) == "example.org."
        assert zones.zone_of(HOME + ".", 61.0, 61.0) is None
        assert zones.unknown(HOME + ".", 61.0, 61.0) == [HOME + "."]


@pytest.mark.parametrize(
    ("ttl", "proxied", "made"),
    [
        (30, None, (60, False)),
        (300, False, (300, False)),
        (99_999, None, (86_400, False)),
        (300, True, (1, True)),
        (1, None, (1, False)),
    ],
)
def test_what_is_missing_is_made_with_create(
    cloudflare: Cloudflare, ttl: int, proxied: bool | None, made: tuple[int, bool]
) -> None:
    update = wanted("192.0.2.7", ttl=ttl)
    assert outcomes(publish(cloudflare, update, update, create=True, proxied=proxied)) == [OK, UPTODATE]
    [home] = cloudflare.records(HOME)
    assert (home.ttl, home.proxied) == made


def test_a_record_that_is_made_has_the_comment_and_others_keep_theirs(cloudflare: Cloudflare) -> None:
    cloudflare.add("www.example.org", "A", "192.0.2.1", comment="by hand")
    updates = [wanted("192.0.2.7"), wanted("192.0.2.7", name="www.example.org")]
    assert outcomes(publish(cloudflare, *updates, create=True, comment="dynamic: über sftdyn")) == [OK, OK]
    assert [one.comment for one in cloudflare.records()] == ["by hand", "dynamic: über sftdyn"]


def test_nothing_is_removed_without_create(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    gone = [wanted(), wanted(kind="AAAA")]
    failed = only(publish(cloudflare, gone))
    assert failed.outcome is Outcome.REFUSED
    assert "create=True" in failed.reason
    assert outcomes(publish(cloudflare, gone, gone, create=True)) == [OK, UPTODATE]
    assert not cloudflare.records(HOME)


def test_where_an_alias_is_no_address_can_be(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "CNAME", "www.example.org")
    assert outcomes(publish(cloudflare, wanted("192.0.2.7"), create=True)) == [Outcome.UNPUBLISHABLE]


def test_names_are_compared_without_their_case(cloudflare: Cloudflare) -> None:
    """And in A-labels."""
    cloudflare.add("Bücher.Example.ORG", "A", "192.0.2.1")
    name = "xn--bcher-kva.example.org"
    assert outcomes(publish(cloudflare, wanted("192.0.2.7", name=name))) == [OK]
    assert cloudflare.addresses(name) == ["192.0.2.7"]


@pytest.mark.parametrize("zone", [None, "xn--bcher-kva.example"])
def test_a_zone_whose_name_is_shown_decoded_is_found(cloudflare: Cloudflare, zone: str | None) -> None:
    cloudflare.add_zone("bücher.example")
    names = [f"h{n}.xn--bcher-kva.example" for n in range(9)]
    for name in names:
        cloudflare.add(name, "A", "192.0.2.1")
    assert outcomes(publish(cloudflare, [wanted("192.0.2.7", name=name) for name in names], zone=zone)) == [OK]
    assert [cloudflare.addresses(name) for name in names] == [["192.0.2.7"]] * 9


def test_who_may_only_ask_changes_nothing(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")

    async def work(provider: Alone) -> list[Outcome]:
        asked = [await provider.publish([wanted(address)], ask_only=True) for address in ("192.0.2.1", "192.0.2.7")]
        return outcomes([*asked, await provider.publish([wanted("192.0.2.7", name="no.example.org")], ask_only=True)])

    assert publishing(cloudflare, work) == [UPTODATE, Outcome.WOULD_CHANGE, Outcome.REFUSED]
    assert cloudflare.counts()[BATCH] == 0


# In which zone


def test_the_nearest_zone_has_the_name(cloudflare: Cloudflare) -> None:
    cloudflare.add_zone("dyn.example.org")
    for name in ("a.b.dyn.example.org", "dyn.example.org", "example.org", "a.b.example.org"):
        cloudflare.add(name, "A", "192.0.2.1")
        assert outcomes(publish(cloudflare, wanted("192.0.2.7", name=name))) == [OK]
        assert cloudflare.addresses(name) == ["192.0.2.7"]


def test_a_wildcard_is_a_name_like_others(cloudflare: Cloudflare) -> None:
    cloudflare.add("*.dyn.example.org", "A", "192.0.2.1")
    assert outcomes(publish(cloudflare, wanted("192.0.2.7", name="*.dyn.example.org"))) == [OK]
    assert cloudflare.counts()[ZONES] == 2


def test_an_update_of_several_zones_is_a_batch_for_each(cloudflare: Cloudflare) -> None:
    cloudflare.add_zone("example.com")
    names = [HOME, "home.example.com", "two.example.com"]
    for name in names:
        cloudflare.add(name, "A", "192.0.2.1")
    assert outcomes(publish(cloudflare, [wanted("192.0.2.7", name=name) for name in names])) == [OK]
    assert cloudflare.counts()[BATCH] == 2


@pytest.mark.parametrize("zone", [None, "example.net"])
def test_a_name_in_no_zone_says_so_until_there_is_one(
    cloudflare: Cloudflare, monkeypatch: pytest.MonkeyPatch, zone: str | None
) -> None:
    from sftdyn.providers.cloudflare import backend as b

    monkeypatch.setattr(b.CloudflareBackend, "manner", b.MANNER._replace(missed=0.0))

    async def work(provider: Alone) -> list[Outcome]:
        update = [wanted("192.0.2.7", name="home.example.net")]
        first = await provider.publish(update)
        assert "Zone Read" in first.reason
        cloudflare.add_zone("example.net")
        return outcomes([first, await provider.publish(update)])

    assert publishing(cloudflare, work, create=True, zone=zone) == [Outcome.NOZONE, OK]


@pytest.mark.parametrize("by", ["name", "id"])
def test_the_zone_may_be_given(cloudflare: Cloudflare, by: str) -> None:
    zone = "example.org" if by == "name" else cloudflare.zone_of(HOME).id
    names = [f"h{n}.{where}" for n in range(8) for where in ("example.org", "dyn.example.org")]
    updates = [wanted("192.0.2.7", name=name) for name in names]
    assert set(outcomes(publish(cloudflare, *updates, zone=zone, create=True))) == {OK}
    counts = cloudflare.counts()
    assert counts[ZONES] + counts["GET /zones/{}"] == 1
    outside = publish(cloudflare, wanted("192.0.2.7", name="home.example.net"), zone=zone, create=True)
    assert outcomes(outside) == [Outcome.NOZONE]
    assert not cloudflare.records("home.example.net.example.org")


def test_with_the_id_of_the_zone_it_need_not_be_read(cloudflare: Cloudflare) -> None:
    """Then nobody can say beforehand whether a name is in it: what was made elsewhere is taken back."""
    zone = cloudflare.zone_of(HOME).id
    token = cloudflare.add_token([zone], [EDIT_DNS])

    async def work(provider: Alone) -> list[Outcome]:
        names = [HOME, "home.example.net", "two.example.org"]
        updates = [provider.publish([wanted("192.0.2.7", name=name)]) for name in names]
        return outcomes(await asyncio.gather(*updates))

    assert publishing(cloudflare, work, token=token, zone=zone, create=True) == [OK, Outcome.REFUSED, OK]
    assert {record.name for record in cloudflare.records()} == {HOME, "two.example.org"}


def test_a_zone_that_moves_is_looked_for_again_within_the_request(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    for zone in (None, "example.org"):

        async def work(provider: Alone) -> list[Outcome]:
            first = await provider.publish([wanted("192.0.2.1")])
            cloudflare.remove_zone(cloudflare.zone_of(HOME).id)
            cloudflare.add_zone("example.org")
            cloudflare.add(HOME, "A", "192.0.2.1")
            return outcomes([first, await provider.publish([wanted("192.0.2.7")])])

        assert publishing(cloudflare, work, zone=zone) == [UPTODATE, OK]
        cloudflare.change(cloudflare.records(HOME)[0].id, content="192.0.2.1")


def test_of_two_zones_of_one_name_the_active_one_counts(cloudflare: Cloudflare) -> None:
    """The other one was moved to another account."""
    cloudflare.add(HOME, "A", "192.0.2.1")
    shown = [{"id": "0" * 32, "name": "example.org", "status": "moved"}]
    shown += [{"id": cloudflare.zone_of(HOME).id, "name": "Example.Org", "status": "active"}]
    cloudflare.fail(Fault(success(shown)), 1, "GET", "zones$")
    assert outcomes(publish(cloudflare, wanted("192.0.2.7"), zone="example.org")) == [OK]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_zone_that_is_denied_once_is_asked_for_once_more(cloudflare: Cloudflare, method: str) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")

    async def work(provider: Alone) -> list[Outcome]:
        results = [await provider.publish([wanted("192.0.2.1")])]
        for times in (1, 2):
            asked = len(cloudflare.requests)
            cloudflare.fail(Fault(refusal(FORBIDDEN)), times, method, "dns_records")
            results.append(await provider.publish([wanted(f"192.0.2.{6 + times}")]))
            assert cloudflare.counts(asked)[ZONES] == 1
        return outcomes(results)

    assert publishing(cloudflare, work) == [UPTODATE, OK, Outcome.REFUSED]


# Who is allowed


def test_a_wrong_token_fails_and_is_not_told(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    for wrong in (no(403, 9109, "Invalid access token: SECRET"), FORBIDDEN):
        cloudflare.wrong_token = wrong
        failed = only(publish(cloudflare, wanted("192.0.2.7"), token="SECRET" * 7))
        assert failed.outcome is Outcome.REFUSED
        assert "Zone Read" in failed.reason
        assert "SECRET" not in failed.reason
    malformed = only(publish(cloudflare, wanted("192.0.2.7"), token="SECRET!"))
    assert (malformed.outcome, "SECRET" in malformed.reason) == (Outcome.REFUSED, False)
    assert "complete" in malformed.reason


@pytest.mark.parametrize("denial", [NOT_LISTED, FORBIDDEN, no(403, 0, "no"), no(400, 0, "no"), FORBIDDEN_ZONE])
def test_a_token_that_hears_no_of_names_that_are_no_zones_is_good(cloudflare: Cloudflare, denial: Refusal) -> None:
    """As long as a label above is left."""
    cloudflare.no_such_name = denial
    names = ["a.b.example.org", "c.example.org"]
    for name in names:
        cloudflare.add(name, "A", "192.0.2.1")

    async def work(provider: Alone) -> list[Outcome]:
        return outcomes([await provider.publish([wanted("192.0.2.7", name=name)]) for name in names])

    assert publishing(cloudflare, work) == [OK, OK]
    assert outcomes(publish(cloudflare, wanted("192.0.2.7", name="a.example.net"))) == [Outcome.REFUSED]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (WRONG_TOKEN, "may have expired"),
        (WRONG_PLACE, "IP filter"),
        (UNVERIFIED_TOKEN, "may have expired"),
        (MISSING, "may have expired"),
        (no(400, 6003, "Invalid request headers"), "is the token complete?"),
    ],
)
def test_credentials_that_are_good_for_nothing_end_the_search_at_once(
    cloudflare: Cloudflare, wrong: Refusal, said: str
) -> None:
    cloudflare.wrong_token = wrong
    failed = only(publish(cloudflare, wanted("192.0.2.7", name="a.b.c.example.org"), token="x" * 40))
    assert (failed.outcome, said in failed.reason) == (Outcome.REFUSED, True)
    assert len(cloudflare.requests) == 1


def test_a_revoked_token_fails_from_then_on(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    token = cloudflare.add_token()

    async def work(provider: Alone) -> list[Outcome]:
        first = await provider.publish([wanted("192.0.2.7")])
        cloudflare.revoke(token)
        return outcomes([first, await provider.publish([wanted("192.0.2.7")])])

    assert publishing(cloudflare, work, token=token) == [OK, Outcome.REFUSED]


def test_the_missing_permission_is_named(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    zone = cloudflare.zone_of(HOME).id
    reads = only(publish(cloudflare, wanted("192.0.2.7"), token=cloudflare.add_token([zone], [READ_ZONE])))
    assert (reads.outcome, "DNS Edit" in reads.reason) == (Outcome.REFUSED, True)
    dns = cloudflare.add_token([zone], [READ_ZONE, "dns:read"])
    assert outcomes(publish(cloudflare, wanted("192.0.2.1"), wanted("192.0.2.7"), token=dns)) == [
        UPTODATE,
        Outcome.REFUSED,
    ]
    cloudflare.list_without_read = FORBIDDEN
    edits = only(publish(cloudflare, wanted("192.0.2.7"), token=cloudflare.add_token([zone], [EDIT_DNS])))
    assert (edits.outcome, "Zone Read" in edits.reason) == (Outcome.REFUSED, True)


def test_the_global_key_will_do(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    key = cloudflare.add_global_key("me@example.org")
    assert outcomes(publish(cloudflare, wanted("192.0.2.7"), email="me@example.org", key=key)) == [OK]


def test_without_any_token_nothing_is_asked(cloudflare: Cloudflare) -> None:
    assert outcomes(publish(cloudflare, wanted("192.0.2.7"), token=None)) == [Outcome.REFUSED]
    assert not cloudflare.requests


# The secret of each request


def test_each_secret_is_on_its_own(cloudflare: Cloudflare) -> None:
    """One without permission fails alone, and none shares a question, a batch or a connection."""
    names = [f"h{n}.example.org" for n in range(6)]
    for name in names:
        cloudflare.add(name, "A", "192.0.2.1")
    tokens = [cloudflare.add_token() for _ in names]
    cloudflare.revoke(tokens[3])

    async def work(provider: Alone) -> list[Outcome]:
        updates = [
            provider.publish([wanted("192.0.2.7", name=name)], secret=token)
            for name, token in zip(names, tokens, strict=True)
        ]
        return outcomes(await asyncio.gather(*updates))

    became = publishing(cloudflare, work, token=None)
    assert became == [OK, OK, OK, Outcome.REFUSED, OK, OK]
    assert cloudflare.counts() == {ZONES: 11, LIST: 5, BATCH: 5}


def test_nobody_joins_a_request_with_another_secret(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    tokens = [cloudflare.add_token() for _ in range(3)]
    cloudflare.revoke(tokens[1])

    async def work(provider: Alone) -> list[Outcome]:
        return outcomes(
            await asyncio.gather(*(provider.publish([wanted("192.0.2.7")], secret=token) for token in tokens))
        )

    assert publishing(cloudflare, work, token=None) == [OK, Outcome.REFUSED, UPTODATE]


def test_equal_secrets_go_together(cloudflare: Cloudflare) -> None:
    names = [f"h{n}.example.org" for n in range(6)]
    for name in names:
        cloudflare.add(name, "A", "192.0.2.1")
    token = cloudflare.add_token()

    async def work(provider: Alone) -> list[Outcome]:
        updates = [provider.publish([wanted("192.0.2.7", name=name)], secret=token) for name in names]
        return outcomes(await asyncio.gather(*updates))

    assert publishing(cloudflare, work, token=None) == [OK] * 6
    assert cloudflare.counts()[BATCH] == 1


def texts_in(thing: object) -> Iterator[str]:
    """All texts that are held by something, and by what it holds."""
    seen, stack = set(), [thing]
    while stack:
        thing = stack.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType | FunctionType | asyncio.AbstractEventLoop):
            continue
        seen.add(id(thing))
        if isinstance(thing, str):
            yield thing
        stack += gc.get_referents(thing)


def test_a_secret_is_not_kept(cloudflare: Cloudflare) -> None:
    """Nor what was learned with it."""
    cloudflare.add(HOME, "A", "192.0.2.1")
    token = cloudflare.add_token()

    async def work(provider: Alone) -> None:
        for address, outcome in (("192.0.2.7", OK), ("192.0.2.7", UPTODATE), ("192.0.2.8", OK)):
            asked = len(cloudflare.requests)
            update = provider.publish([wanted(address)], secret=token)
            assert [text for text in texts_in(provider) if token in text]
            assert (await update).outcome is outcome
            assert cloudflare.counts(asked)[ZONES] == 2
            await asyncio.sleep(0)  # the answer comes a step before the end of the exchange
            assert not [text for text in texts_in(provider) if token in text]

    publishing(cloudflare, work, token=None)


def test_the_newest_wins_also_over_another_secret(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    tokens = [cloudflare.add_token() for _ in range(2)]
    cloudflare.fail(slow(0.3, made=False), 1, "POST")

    async def work(provider: Alone) -> list[Outcome]:
        updates = [
            provider.publish([wanted(f"192.0.2.{n}")], secret=token) for n, token in enumerate([*tokens, *tokens], 2)
        ]
        return outcomes(await asyncio.gather(*updates))

    assert publishing(cloudflare, work, token=None) == [OK] * 4
    assert cloudflare.addresses(HOME) == ["192.0.2.5"]


def test_an_update_waits_as_a_whole_for_what_is_in_front_of_a_part_of_it(cloudflare: Cloudflare) -> None:
    other = "two.example.org"
    for name in (HOME, other):
        cloudflare.add(name, "A", "192.0.2.1")
    first, second = (cloudflare.add_token() for _ in range(2))
    cloudflare.fail(slow(0.5, made=False), 1, "POST")

    async def work(provider: Alone) -> list[Outcome]:
        older = provider.publish([wanted("192.0.2.2")], secret=first)
        newer = provider.publish([wanted("192.0.2.3"), wanted("192.0.2.3", name=other)], secret=second)
        return outcomes(await asyncio.gather(older, newer))

    assert publishing(cloudflare, work, token=None) == [OK, OK]
    assert cloudflare.addresses(HOME) == cloudflare.addresses(other) == ["192.0.2.3"]


# Many at once


def test_what_waits_goes_together(cloudflare: Cloudflare) -> None:
    names = [f"h{n}.example.org" for n in range(200)]
    for name in names:
        cloudflare.add(name, "A", "192.0.2.1")

    async def work(provider: Alone) -> None:
        for address, outcome in (("192.0.2.7", OK), ("192.0.2.7", UPTODATE), ("192.0.2.8", OK)):
            updates = [provider.publish([wanted(address, name=name)]) for name in names]
            assert set(outcomes(await asyncio.gather(*updates))) == {outcome}

    publishing(cloudflare, work)
    # The first name of a round goes alone; the others, that came in the meantime, share two pages.
    assert cloudflare.counts() == {ZONES: 1, LIST: 6, BATCH: 2}
    assert {record.content for record in cloudflare.records()} == {"192.0.2.8"}


def test_in_a_large_zone_few_names_are_asked_for_by_name(cloudflare: Cloudflare) -> None:
    names = [f"h{n}.example.org" for n in range(1000)]
    for name in names:
        cloudflare.add(name, "A", "192.0.2.1")

    async def work(provider: Alone) -> list[int]:
        counts = []
        for some in (names[:5], names[:5], names[:50]):
            asked = len(cloudflare.requests)
            updates = [provider.publish([wanted("192.0.2.1", name=name)]) for name in some]
            assert set(outcomes(await asyncio.gather(*updates))) == {UPTODATE}
            counts.append(cloudflare.counts(asked)[LIST])
        return counts

    first, second, third = publishing(cloudflare, work)
    assert (first, second, third) == (6, 5, 10)


def test_a_list_that_moves_from_page_to_page_is_read_again(cloudflare: Cloudflare) -> None:
    """The first record goes while the second page is awaited, so that one is on neither of them."""
    names = [f"h{n:03}.example.org" for n in range(150)]
    records = [cloudflare.add(name, "A", "192.0.2.1") for name in names]

    async def work(provider: Alone) -> list[Outcome]:
        await provider.publish([wanted("192.0.2.1", name=names[0])])
        asked = len(cloudflare.requests)
        cloudflare.fail(Fault(), 1, "GET")
        cloudflare.fail(slow(0.3, made=False), 1, "GET")
        updates = [provider.publish([wanted("192.0.2.7", name=name)]) for name in names]
        await asyncio.to_thread(cloudflare.wait_for, lambda: len(cloudflare.requests) == asked + 2)
        cloudflare.remove(records[0])
        return outcomes(await asyncio.gather(*updates))

    assert publishing(cloudflare, work, zone="example.org") == [Outcome.REFUSED] + [OK] * 149


def test_where_a_record_has_come_meanwhile_all_are_looked_at_again(cloudflare: Cloudflare) -> None:
    """Which takes fewer requests than to find out which one it was."""
    names = [f"h{n}.example.org" for n in range(8)]

    async def work(provider: Alone) -> list[Outcome]:
        await provider.publish([wanted("192.0.2.1", name="first.example.org")])
        cloudflare.fail(slow(0.3, made=True), 1, "GET")
        seen = cloudflare.carried_out
        updates = [provider.publish([wanted("192.0.2.7", name=name)]) for name in names]
        await asyncio.to_thread(cloudflare.wait_for, lambda: cloudflare.carried_out > seen)
        cloudflare.add(names[3], "A", "192.0.2.7")
        return outcomes(await asyncio.gather(*updates))

    became = publishing(cloudflare, work, zone="example.org", create=True)
    assert became == [UPTODATE if n == 3 else OK for n in range(8)]
    assert cloudflare.counts()[BATCH] == 3


def test_what_nobody_waits_for_any_more_is_not_sent(cloudflare: Cloudflare) -> None:
    """And does not stand in the way of what is newer."""
    names = [f"h{n:03}.example.org" for n in range(300)]
    for name in names:
        cloudflare.add(name, "A", "192.0.2.1")
    cloudflare.fail(slow(1, made=False), 1, "POST")

    async def work(provider: Alone) -> list[Outcome]:
        updates = [provider.publish([wanted("192.0.2.7", name=name)]) for name in names]
        assert set(outcomes(await asyncio.gather(*updates))) == {Outcome.TIMEOUT}
        await provider.quiet()
        assert cloudflare.counts()[BATCH] == 1
        return outcomes([await provider.publish([wanted("192.0.2.8", name=names[-1])])])

    assert publishing(cloudflare, work, timeout=0.7) == [OK]
    assert len([record for record in cloudflare.records() if record.content == "192.0.2.1"]) == 99


def test_an_update_is_never_split(cloudflare: Cloudflare) -> None:
    """300 changes are two batches, 201 of one request none."""
    updates = [[wanted("192.0.2.7", name=f"h{n}x{m}.example.org") for m in range(30)] for n in range(10)]

    async def work(provider: Alone) -> list[Outcome]:
        too_many = [wanted("192.0.2.7", name=f"many{n}.example.org") for n in range(201)]
        return outcomes(await asyncio.gather(*map(provider.publish, [*updates, too_many])))

    assert publishing(cloudflare, work, create=True) == [OK] * 10 + [Outcome.REFUSED]
    assert cloudflare.counts()[BATCH] == 2
    assert len(cloudflare.records()) == 300


@pytest.mark.parametrize("dialect", [Dialect(), Dialect(chained=True)])
def test_one_that_the_api_does_not_take_fails_alone(cloudflare: Cloudflare, dialect: Dialect) -> None:
    """And from then on it has batches of its own, until it works again."""
    cloudflare.dialect = dialect
    names = [f"h{n}.example.org" for n in range(50)]
    for name in names:
        cloudflare.add(name, "A", "192.0.2.1", proxied=name == names[20])

    async def work(provider: Alone) -> list[int]:
        counts = []
        for address, expected in (
            ("10.0.0.1", Outcome.REFUSED),
            ("10.0.0.2", Outcome.REFUSED),
            ("192.0.2.7", OK),
            ("192.0.2.8", OK),
        ):
            asked = len(cloudflare.requests)
            results = await asyncio.gather(*(provider.publish([wanted(address, name=name)]) for name in names))
            assert [n for n, result in enumerate(results) if result.outcome is not expected] == (
                [] if expected is OK else [n for n in range(50) if n != 20]
            )
            counts.append(cloudflare.counts(asked)[BATCH])
        return counts

    first, *later = publishing(cloudflare, work, zone="example.org")
    assert first > 3
    assert later == [2, 2, 1]


def test_too_many_that_wait_are_refused_at_once(cloudflare: Cloudflare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sftdyn.providers.desk.session.WAITING", 10)
    cloudflare.fail(silent())

    async def work(provider: Alone) -> list[Outcome]:
        updates = [provider.publish([wanted("192.0.2.7", name=f"h{n}.example.org")]) for n in range(30)]
        return outcomes(await asyncio.gather(*updates))

    assert publishing(cloudflare, work, timeout=0.5) == [Outcome.TIMEOUT] * 10 + [Outcome.OVERLOADED] * 20


def test_requests_for_one_name_are_applied_in_their_order(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")

    async def work(provider: Alone) -> list[Outcome]:
        addresses = ["192.0.2.2", "192.0.2.3", "192.0.2.3", "192.0.2.2", "192.0.2.4"]
        return outcomes(await asyncio.gather(*(provider.publish([wanted(address)]) for address in addresses)))

    assert publishing(cloudflare, work) == [OK, OK, UPTODATE, OK, OK]
    assert cloudflare.addresses(HOME) == ["192.0.2.4"]


def test_a_request_that_joins_another_is_asked_for_after_it_came(cloudflare: Cloudflare) -> None:
    """Not so if the question is already under way."""
    record = cloudflare.add(HOME, "A", "192.0.2.7")

    async def work(provider: Alone) -> list[Outcome]:
        await provider.publish([wanted("192.0.2.7")])
        cloudflare.fail(slow(0.3, made=True), 1, "GET", "dns_records")
        first = provider.publish([wanted("192.0.2.7")])
        seen = len(cloudflare.requests)
        await asyncio.to_thread(cloudflare.wait_for, lambda: len(cloudflare.requests) > seen and cloudflare.carried_out)
        cloudflare.change(record, content="192.0.2.66")
        second = provider.publish([wanted("192.0.2.7")])
        return outcomes(await asyncio.gather(first, second))

    assert publishing(cloudflare, work) == [UPTODATE, OK]


def test_two_instances_at_once_agree_in_the_end(cloudflare: Cloudflare) -> None:
    """Both find the record missing; one of them finds it there when it wants to make it."""
    for identical in (81057, 81058):
        cloudflare.dialect = Dialect(identical=identical)
        name = f"h{identical}.example.org"
        cloudflare.fail(slow(0.2, made=True), 2, "GET", "dns_records")

        async def both() -> list[Outcome]:
            providers = [Alone(spec(cloudflare, create=True), 5) for _ in range(2)]
            results = await asyncio.gather(*(one.publish([wanted("192.0.2.7", name=name)]) for one in providers))
            await asyncio.gather(*(provider.close() for provider in providers))
            return outcomes(results)

        assert sorted(asyncio.run(both()), key=lambda outcome: outcome.severity) == [UPTODATE, OK]
        assert cloudflare.addresses(name) == ["192.0.2.7"]


def test_200_names_in_a_minute_are_within_the_budget(cloudflare: Cloudflare) -> None:
    """One after the other, so that nothing can be shared."""
    for n in range(200):
        cloudflare.add(f"h{n}.example.org", "A", "192.0.2.1")
    updates = [wanted("192.0.2.7", name=f"h{n}.example.org") for n in range(200)]
    assert set(outcomes(publish(cloudflare, *updates, timeout=10, zone="example.org"))) == {OK}
    assert cloudflare.counts() == {ZONES: 1, LIST: 200, BATCH: 200}


# A reload


def test_a_new_token_serves_what_still_waits(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    good = spec(cloudflare)
    cloudflare.fail(silent(), 1)

    async def work(provider: Alone) -> list[Outcome]:
        update = provider.publish([wanted("192.0.2.7")])
        await asyncio.to_thread(cloudflare.wait_for, lambda: cloudflare.requests)
        provider.use(good, 5)
        return outcomes([await update])

    start = time.monotonic()
    assert publishing(cloudflare, work, token="x" * 40) == [OK]
    assert time.monotonic() - start < 1


def test_an_old_token_that_is_denied_while_a_new_one_is_there_is_no_failure(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    old, new = cloudflare.add_token(), spec(cloudflare)
    cloudflare.fail(slow(0.3, made=False), 1, "POST")

    async def work(provider: Alone) -> list[Outcome]:
        update = provider.publish([wanted("192.0.2.7")])
        await asyncio.to_thread(cloudflare.wait_for, lambda: cloudflare.counts()[BATCH])
        cloudflare.revoke(old)
        provider.use(new, 5)
        return outcomes([await update])

    assert publishing(cloudflare, work, token=old) == [OK]


def test_what_is_under_way_at_a_reload_comes_before_what_is_newer(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    other = spec(cloudflare, create=True)
    cloudflare.fail(slow(0.5, made=False), 1, "POST")

    async def work(provider: Alone) -> list[Outcome]:
        older = provider.publish([wanted("192.0.2.7")])
        await asyncio.to_thread(cloudflare.wait_for, lambda: cloudflare.counts()[BATCH])
        provider.use(other, 5)
        return outcomes(await asyncio.gather(older, provider.publish([wanted("192.0.2.8")])))

    assert publishing(cloudflare, work) == [OK, OK]
    assert cloudflare.addresses(HOME) == ["192.0.2.8"]


def test_what_is_under_way_is_told_until_it_is_settled(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    cloudflare.fail(slow(1.0, made=False), 1, "POST")

    async def work(provider: Alone) -> None:
        assert not provider.is_busy()
        result = await provider.publish([wanted("192.0.2.7")])
        assert result.outcome is Outcome.TIMEOUT
        assert provider.is_busy()
        assert cloudflare.addresses(HOME) == ["192.0.2.1"]
        await provider.quiet()
        assert cloudflare.addresses(HOME) == ["192.0.2.7"]
        assert not provider.is_busy()

    publishing(cloudflare, work, timeout=0.5)


def test_the_end_waits_for_what_waits_but_not_longer_than_its_time(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    cloudflare.fail(silent())

    async def work(provider: Alone) -> list[Outcome]:
        update = provider.publish([wanted("192.0.2.7")])
        assert provider.is_alive()
        await asyncio.sleep(0.05)
        assert provider.is_alive()
        await provider.close()
        return outcomes([await update])

    start = time.monotonic()
    assert publishing(cloudflare, work, timeout=0.5) == [Outcome.TIMEOUT]
    assert time.monotonic() - start < 1


# What --check --online finds


def findings(api: Cloudflare, *keys: Place, **said: Any) -> list[str]:
    return publishing(api, lambda provider: provider.findings([(name + ".", kind) for name, kind in keys]), **said)


def test_where_all_is_in_order_nothing_is_found(cloudflare: Cloudflare) -> None:
    """A name may have records of one family only; and nothing is changed."""
    cloudflare.add(HOME, "A", "192.0.2.1")
    cloudflare.add("six.example.org", "AAAA", "2001:db8::7")
    keys: list[Place] = [(name, kind) for name in (HOME, "six.example.org") for kind in ("A", "AAAA")]
    assert findings(cloudflare, *keys) == []
    assert findings(cloudflare, ("new.example.org", "A"), create=True) == []
    assert cloudflare.counts()[BATCH] == 0


def test_what_is_wrong_is_found_with_the_names_that_it_concerns(cloudflare: Cloudflare) -> None:
    cloudflare.add("alias.example.org", "CNAME", "www.example.org")
    names = ["alias.example.org", "h.example.net", *(f"h{n}.example.org" for n in range(10))]
    alias, elsewhere, missing = findings(cloudflare, *((name, "A") for name in names), (names[-1], "AAAA"))
    assert alias.startswith("alias.example.org: a CNAME")
    assert elsewhere.startswith("h.example.net: the API shows these credentials no zone")
    assert missing.startswith("h0.example.org, h1.example.org")
    assert "h7.example.org and others: it has no record of this type; make it by hand once" in missing
    [denied] = findings(cloudflare, (HOME, "A"), ("two.example.org", "A"), token="x" * 40)
    assert denied.startswith("home.example.org, two.example.org: the API does not let these credentials do this")
    with cloudflare.away():
        [away] = findings(cloudflare, (HOME, "A"), timeout=0.5)
    assert away.startswith(
        f"{HOME}: not within 0.5 s: no answer of the API: no connection; try again, and if that stays"
    )


def test_where_only_a_request_brings_the_token_nothing_can_be_found(cloudflare: Cloudflare) -> None:
    assert findings(cloudflare, (HOME, "A"), token=None) == []
    assert not cloudflare.requests
