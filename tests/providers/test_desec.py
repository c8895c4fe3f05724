"""deSEC as a provider: each promise, and what is true where its API fails."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.fetch.answer import Answer
from sftdyn.providers.desec import DesecBackend
from sftdyn.providers.desec_sets import Errors, next_cursor, read, read_domains, read_rrsets
from sftdyn.providers.desk.backend import Fate, Interrupted, Verdict, Watched
from sftdyn.values.exchanges import Exchanges
from sftdyn.values.outcome import Outcome, Result
from sftdyn.values.specs import Desec as Spec
from sftdyn.values.update import Record, RRset, RRType
from tests.lab.api import Budget, Fault, closed, enormous, error, garbage, json_answer, redirect, silent, slow
from tests.lab.desec import Desec
from tests.providers.alone import Alone
from tests.providers.seam import WANTED, ZoneState, text

DOMAIN = "example.org"
ZONE = ZoneState("example.org.")
HOME = "home.example.org"
TXT_NAME = "_acme-challenge.home"
LIST, PATCH, DOMAINS = f"GET /domains/{DOMAIN}/rrsets/", f"PATCH /domains/{DOMAIN}/rrsets/", "GET /domains/"
OK, UPTODATE, TIMEOUT, REFUSED = Outcome.OK, Outcome.UPTODATE, Outcome.TIMEOUT, Outcome.REFUSED
Found = TypeVar("Found")

# Each with how many PATCHes an update takes that meets it once.
FAULTS: dict[str, tuple[Fault, int]] = {
    "500": (error(500), 2),
    "502, done": (error(502, made=True), 1),
    "closed before": (closed(made=False), 2),
    "closed after": (closed(made=True), 1),
    "garbage": (garbage(), 2),
    "garbage, done": (garbage(made=True), 1),
    "JSON of another shape": (garbage(b'{"a": 1}'), 2),
    "a yes that shows other records": (garbage(b'[{"name": "home.example.org.", "type": "A", "records": []}]'), 2),
    "JSON that is deep": (garbage(b"[" * 100_000), 2),
    "enormous": (enormous(), 2),
    "redirect": (redirect("https://localhost:1/"), 2),
    "slow": (slow(0.1), 1),
    "silent": (silent(), 2),
    "silent, done": (silent(made=True), 1),
    "429": (Fault(json_answer(429, {"detail": "Request was throttled."}, {"Retry-After": "1"})), 2),
}


@pytest.fixture
def desec(certificate: Path) -> Iterator[Desec]:
    """With example.org."""
    with Desec(certificate) as api:
        api.add_domain(DOMAIN)
        api.limits = ()
        yield api
    assert not api.complaints


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer may take a second."""
    monkeypatch.setattr("sftdyn.providers.rest.SHORTEST", 1)
    monkeypatch.setattr("sftdyn.providers.rest.LONGEST", 1)


def spec(api: Desec, **said: Any) -> Spec:
    return Spec(url=api.url, ca=api.ca, **({"token": api.add_token()} | said))


def publishing(api: Desec, work: Callable[[Alone], Awaitable[Found]], *, timeout: float = 5, **said: Any) -> Found:
    """What `work` returns, with a running provider."""

    async def run() -> Found:
        provider = Alone(spec(api, **said), timeout)
        try:
            return await work(provider)
        finally:
            await provider.close()

    return asyncio.run(run())


def at_the_seam(api: Desec, work: Callable[[DesecBackend], Awaitable[Found]]) -> Found:
    """What `work` returns, with a backend."""

    async def run() -> Found:
        backend = DesecBackend(spec(api), None, 5, Exchanges())
        try:
            return await work(backend)
        finally:
            backend.stop()

    return asyncio.run(run())


def wanted(*addresses: str, name: str = HOME, kind: RRType = "A", ttl: int = 300) -> RRset:
    return RRset(name + ".", "AAAA" if ":" in "".join(addresses) else kind, tuple(sorted(addresses)), ttl)


def publish(api: Desec, *updates: RRset | list[RRset], **said: Any) -> list[Result]:
    """What becomes of some updates, one after the other."""

    async def work(provider: Alone) -> list[Result]:
        return [await provider.publish(u if isinstance(u, list) else [u]) for u in updates]

    return publishing(api, work, **said)


def outcomes(results: list[Result]) -> list[Outcome]:
    return [result.outcome for result in results]


# What is changed


def test_addresses_are_made_changed_confirmed_and_removed(desec: Desec) -> None:
    both = [wanted("192.0.2.7"), wanted("2001:db8::7")]
    gone = [wanted(), wanted(kind="AAAA")]
    assert outcomes(publish(desec, both, both, wanted("192.0.2.8"))) == [OK, UPTODATE, OK]
    assert desec.addresses(DOMAIN, "home") == ["192.0.2.8"]
    assert desec.addresses(DOMAIN, "home", "AAAA") == ["2001:db8::7"]
    assert outcomes(publish(desec, gone, gone)) == [OK, UPTODATE]
    assert desec.rrset(DOMAIN, "home") is None
    assert desec.counts()[PATCH] == 3


def test_up_to_date_is_asked_for_each_time(desec: Desec) -> None:
    """And what somebody changed by hand is put right."""

    async def work(provider: Alone) -> list[Outcome]:
        results = [await provider.publish([wanted("192.0.2.7")]) for _ in range(2)]
        desec.set(DOMAIN, "home", "A", ["192.0.2.66"])
        asked = len(desec.requests)
        results.append(await provider.publish([wanted("192.0.2.7")]))
        assert desec.counts(asked) == {LIST: 1, PATCH: 1}
        return outcomes(results)

    assert publishing(desec, work) == [OK, UPTODATE, OK]


@pytest.mark.parametrize(("minimum", "ttl", "made"), [(3600, 300, 3600), (60, 300, 300), (60, 7200, 7200)])
def test_the_ttl_is_not_below_what_the_domain_allows(desec: Desec, minimum: int, ttl: int, made: int) -> None:
    desec.add_domain("dyn.example", minimum_ttl=minimum)
    assert outcomes(publish(desec, wanted("192.0.2.7", name="home.dyn.example", ttl=ttl))) == [OK]
    rrset = desec.rrset("dyn.example", "home")
    assert rrset
    assert rrset.ttl == made


def test_a_minimum_that_has_risen_is_asked_for_again_within_the_request(desec: Desec) -> None:
    async def work(provider: Alone) -> list[Outcome]:
        first = await provider.publish([wanted("192.0.2.7", name="home.dyn.example")])
        desec.add_domain("dyn.example", minimum_ttl=3600)
        return outcomes([first, await provider.publish([wanted("192.0.2.8", name="home.dyn.example")])])

    desec.add_domain("dyn.example", minimum_ttl=60)
    assert publishing(desec, work) == [OK, OK]
    rrset = desec.rrset("dyn.example", "home")
    assert rrset
    assert rrset.ttl == 3600


def test_where_an_alias_is_no_address_can_be(desec: Desec) -> None:
    desec.set(DOMAIN, "home", "CNAME", ["www.example.org."])
    assert outcomes(publish(desec, wanted("192.0.2.7"), wanted())) == [Outcome.UNPUBLISHABLE, UPTODATE]
    assert not desec.counts()[PATCH]


def test_who_may_only_ask_changes_nothing(desec: Desec) -> None:
    desec.set(DOMAIN, "home", "A", ["192.0.2.1"])

    async def work(provider: Alone) -> list[Outcome]:
        return outcomes([await provider.publish([wanted(f"192.0.2.{n}")], ask_only=True) for n in (1, 7)])

    assert publishing(desec, work) == [UPTODATE, Outcome.WOULD_CHANGE]
    assert not desec.counts()[PATCH]


# In which domain


def test_the_nearest_domain_has_the_name_and_is_asked_for_once(desec: Desec) -> None:
    desec.add_domain("dyn.example.org", minimum_ttl=60)
    names = ["a.dyn.example.org", "dyn.example.org", "example.org", "b.example.org", "*.example.org"]

    async def work(provider: Alone) -> list[Outcome]:
        return outcomes([await provider.publish([wanted("192.0.2.7", name=name)]) for name in names])

    assert publishing(desec, work) == [OK] * 5
    assert [desec.addresses("dyn.example.org", one) for one in ("a", "")] == [["192.0.2.7"]] * 2
    assert [desec.addresses(DOMAIN, one) for one in ("", "b", "*")] == [["192.0.2.7"]] * 3
    assert desec.counts()[DOMAINS] <= 5


def test_a_name_in_no_domain_says_so(desec: Desec) -> None:
    [failed] = publish(desec, wanted("192.0.2.7", name="home.example.net"))
    assert (failed.outcome, "no domain" in failed.reason) == (Outcome.NOZONE, True)


def test_a_token_that_is_wrong_fails_and_is_not_told(desec: Desec) -> None:
    [failed] = publish(desec, wanted("192.0.2.7"), token="SECRET")
    assert (failed.outcome, "token" in failed.reason, "SECRET" in failed.reason) == (REFUSED, True, False)


def test_without_a_token_the_clients_key_is_it(desec: Desec) -> None:
    good, bad = desec.add_token(), "unknown"

    async def work(provider: Alone) -> list[Outcome]:
        secrets = (None, good, bad, good)
        return outcomes([await provider.publish([wanted("192.0.2.7")], secret=secret) for secret in secrets])

    assert publishing(desec, work, token=None) == [REFUSED, OK, REFUSED, UPTODATE]


# Many at once


def test_what_waits_is_one_request(desec: Desec) -> None:
    names = [f"h{n}.example.org" for n in range(200)]

    async def work(provider: Alone) -> None:
        for address, outcome in (("192.0.2.7", OK), ("192.0.2.7", UPTODATE)):
            updates = [provider.publish([wanted(address, name=name)]) for name in names]
            assert set(outcomes(list(await asyncio.gather(*updates)))) == {outcome}

    publishing(desec, work)
    assert desec.counts() == {DOMAINS: 1, LIST: 2, PATCH: 1}


def test_a_domain_of_many_pages_is_read_to_the_end(desec: Desec) -> None:
    names = [f"h{n}" for n in range(30)]
    for name in names:
        desec.set(DOMAIN, name, "A", ["192.0.2.1"])
    desec.page_size = 7

    async def work(provider: Alone) -> list[int]:
        counts = []
        for some in (names, names[:3]):
            asked = len(desec.requests)
            [result] = [await provider.publish([wanted("192.0.2.1", name=f"{name}.{DOMAIN}") for name in some])]
            assert result.outcome is UPTODATE
            counts.append(desec.counts(asked)[LIST])
        return counts

    assert publishing(desec, work) == [5, 3]


def test_one_that_desec_does_not_take_fails_alone(desec: Desec) -> None:
    """And both record sets of it."""
    names = [f"h{n}.example.org" for n in range(20)]
    desec.fail(slow(0.3), 1, "GET", "owns|domains/$")

    async def work(provider: Alone) -> list[Outcome]:
        updates = [[wanted("192.0.2.7", name=name), wanted("2001:db8::7", name=name)] for name in names]
        updates[7][1] = wanted("2001:db8::7", name=names[7], ttl=700_000)  # longer than deSEC takes
        return outcomes(list(await asyncio.gather(*map(provider.publish, updates))))

    assert publishing(desec, work) == [REFUSED if n == 7 else OK for n in range(20)]
    assert desec.addresses(DOMAIN, "h7") == []
    assert desec.addresses(DOMAIN, "h8", "AAAA") == ["2001:db8::7"]


def test_a_limit_of_one_domain_is_obeyed_and_delays_no_other(desec: Desec) -> None:
    desec.add_domain("example.net")
    desec.limits = (Budget(1, 2.0),)

    async def work(provider: Alone) -> list[Outcome]:
        results = [await provider.publish([wanted("192.0.2.7")])]
        waiting = provider.publish([wanted("192.0.2.8")])
        await asyncio.to_thread(desec.wait_for, lambda: desec.counts()[PATCH] == 2)
        results.append(await provider.publish([wanted("192.0.2.7", name="home.example.net")]))
        assert not waiting.done()
        return outcomes([*results, await waiting])

    assert publishing(desec, work) == [OK] * 3
    assert desec.counts()[PATCH] == 3


# TXT


def values(desec: Desec) -> list[str]:
    return desec.addresses(DOMAIN, TXT_NAME, "TXT")


def test_texts_come_and_go_singly(desec: Desec) -> None:
    desec.set(DOMAIN, TXT_NAME, "TXT", ['"by hand"'], ttl=7200)

    async def work(backend: DesecBackend) -> None:
        rounds = [
            ([[text("one")], [text("two")]], ["by hand", "one", "two"], [True, True]),
            ([[text("one")], [text("two", False)]], ["by hand", "one"], [False, True]),
            ([[text("one", False), text("three")], [text("by hand")]], ["by hand", "three"], [True, False]),
            ([[text("three", False)], [text("by hand", False)]], [], [True, True]),
            ([[text("three", False)]], [], [False]),
        ]
        for updates, left, changed in rounds:
            settled = await backend.settle(ZONE, updates, False, WANTED)
            assert [(one.verdict, one.changed) for one in settled] == [(Verdict.DONE, was) for was in changed]
            assert values(desec) == [f'"{value}"' for value in left]

    at_the_seam(desec, work)
    assert desec.counts()[PATCH] == 4


def test_a_text_that_is_not_taken_fails_alone(desec: Desec) -> None:
    """Though all of the name are one record set. A ttl that is too long stands for whatever deSEC does not take."""

    async def work(backend: DesecBackend) -> list[Verdict]:
        updates: list[list[Record]] = [
            [text("one")],
            [wanted("192.0.2.7")],
            [text("two"), wanted("192.0.2.8", name="x." + DOMAIN, ttl=1 << 30)],
        ]
        return [one.verdict for one in await backend.settle(ZONE, updates, False, WANTED)]

    assert at_the_seam(desec, work) == [Verdict.DONE, Verdict.DONE, Verdict.REFUSED]
    assert values(desec) == ['"one"']


def test_a_text_that_somebody_else_has_overwritten_is_not_told_to_be_there(desec: Desec) -> None:
    desec.fail(Fault(made=True), 1, "PATCH")

    async def work(backend: DesecBackend) -> list[Verdict]:
        desec.fail(slow(0.3, made=False), 1, "PATCH")
        settling = asyncio.ensure_future(backend.settle(ZONE, [[text("ours")]], False, WANTED))
        await asyncio.to_thread(desec.wait_for, lambda: desec.carried_out == 2)
        desec.set(DOMAIN, TXT_NAME, "TXT", ['"theirs"'])
        first = await settling
        second = await backend.settle(ZONE, [[text("ours")]], False, WANTED)
        return [one.verdict for one in (*first, *second)]

    desec.fail(slow(0.3, made=False), 2, "GET")
    assert at_the_seam(desec, work) == [Verdict.UNKNOWN, Verdict.DONE]
    assert values(desec) == ['"ours"', '"theirs"']


def test_a_late_value_is_mended_and_that_of_others_is_not(desec: Desec) -> None:
    desec.set(DOMAIN, "home", "A", ["192.0.2.66"])
    desec.set(DOMAIN, "other", "A", ["192.0.2.3"])
    desec.set(DOMAIN, TXT_NAME, "TXT", ['"late"', '"stays"'])
    watched: Watched = [
        (wanted("192.0.2.7"), [("192.0.2.66",)]),
        (wanted("192.0.2.7", name="other." + DOMAIN), [("192.0.2.66",)]),
        (wanted(name="none." + DOMAIN), [("192.0.2.66",)]),
        (text("late", False), [("late",)]),
        (text("gone"), [()]),
    ]

    async def work(backend: DesecBackend) -> list[Fate]:
        return [fate for fate, _ in await backend.mend(ZONE, watched)]

    assert at_the_seam(desec, work) == [Fate.MENDED, Fate.FOREIGN, Fate.RIGHT, Fate.MENDED, Fate.MENDED]
    assert values(desec) == ['"gone"', '"stays"']
    assert (desec.addresses(DOMAIN, "home"), desec.addresses(DOMAIN, "other")) == (["192.0.2.7"], ["192.0.2.3"])


@pytest.mark.parametrize(
    ("fault", "fate"), [(silent(), Fate.UNKNOWN), (error(500), Fate.UNKNOWN), (redirect("/"), None)]
)
def test_a_mend_without_an_answer_is_neither_right_nor_foreign(
    desec: Desec, impatient: None, fault: Fault, fate: Fate | None
) -> None:
    desec.set(DOMAIN, "home", "A", ["192.0.2.66"])
    desec.fail(fault, 1, "PATCH")

    async def work(backend: DesecBackend) -> Fate | None:
        try:
            [(fate, _)] = await backend.mend(ZONE, [(wanted("192.0.2.7"), [("192.0.2.66",)])])
        except Interrupted:
            return None
        return fate

    assert at_the_seam(desec, work) is fate


# Where it fails


@pytest.mark.parametrize("name", FAULTS)
def test_a_change_that_meets_a_fault_is_made_once(desec: Desec, impatient: None, name: str) -> None:
    fault, patches = FAULTS[name]
    desec.fail(fault, 1, "PATCH")
    assert outcomes(publish(desec, wanted("192.0.2.7"))) == [OK]
    assert desec.addresses(DOMAIN, "home") == ["192.0.2.7"]
    assert desec.counts()[PATCH] == patches


@pytest.mark.parametrize("path", ["domains/$", "rrsets"])
@pytest.mark.parametrize("name", [name for name in FAULTS if name != "a yes that shows other records"])
def test_a_question_that_meets_a_fault_is_asked_again(desec: Desec, impatient: None, path: str, name: str) -> None:
    desec.set(DOMAIN, "home", "A", ["192.0.2.7"])
    desec.fail(FAULTS[name][0], 1, "GET", path)
    assert outcomes(publish(desec, wanted("192.0.2.7"))) == [UPTODATE]


def test_where_nobody_listens_it_is_tried_until_somebody_does(desec: Desec) -> None:
    async def work(provider: Alone) -> list[Outcome]:
        with desec.away():
            update = provider.publish([wanted("192.0.2.7")])
            await asyncio.sleep(0.6)
            assert not update.done()
        return outcomes([await update])

    assert publishing(desec, work) == [OK]


def test_while_desec_says_to_wait_it_is_not_asked(desec: Desec) -> None:
    desec.fail(Fault(json_answer(429, {}, {"Retry-After": "60"})), 1)
    [failed, again] = publish(desec, wanted("192.0.2.7"), wanted("192.0.2.7"), timeout=2)
    assert (failed.outcome, failed.retry_after, again.outcome) == (TIMEOUT, 60, TIMEOUT)
    assert len(desec.requests) == 1


# Answers


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["name", "type", "records", "ttl", "x"]), inner),
)


@given(st.integers(100, 599), st.binary(), st.sampled_from(["", "1", "soon", "-1"]), st.booleans())
def test_any_answer_is_said_or_interrupts(status: int, body: bytes, wait: str, changes: bool) -> None:
    try:
        read(Answer(status, {"retry-after": wait}, body), changes)
    except Interrupted as why:
        assert why.settlement.verdict is not Verdict.DONE
        assert changes or not why.settlement.changed


@given(JSON, st.booleans())
def test_any_json_is_record_sets_or_interrupts(said: Any, changes: bool) -> None:
    for reader in (lambda: read_rrsets(said, changes), lambda: read_domains(said)):
        try:
            reader()
        except Interrupted as why:
            assert why.settlement.verdict is Verdict.UNKNOWN


@given(st.lists(JSON, max_size=3))
def test_any_list_of_errors_blames_some_or_all(errors: list[Any]) -> None:
    spots = [("a.", "A"), ("b.", "A")]
    assert Errors(errors).by_spot(spots).keys() <= set(spots)


@given(st.text())
def test_any_link_leads_somewhere_or_nowhere(link: str) -> None:
    assert next_cursor(link) is None
    assert (
        next_cursor(f'<https://x/?cursor=>; rel="first", <https://x/?a=b&cursor=Zm9v%3D>; rel="next"{link}') == "Zm9v="
    )
