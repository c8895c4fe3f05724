"""The backend at the seam: TXT values, late values, and any answer at all."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.fetch.answer import Answer
from sftdyn.providers.cloudflare.answers import ApiError, Flaw, read, read_items, read_page, read_zone
from sftdyn.providers.cloudflare.backend import CloudflareBackend
from sftdyn.providers.cloudflare.plan import read_record
from sftdyn.providers.desk.backend import Fate, Interrupted, Verdict, Watched
from sftdyn.values.exchanges import Exchanges
from sftdyn.values.update import Record
from tests.lab.api import Fault, error, redirect, silent, slow
from tests.lab.cloudflare import FORBIDDEN, Cloudflare, Dialect, refusal, success
from tests.providers.cloudflare.conftest import HOME, spec, wanted
from tests.providers.seam import WANTED, ZoneState, text

ZONE = ZoneState("example.org.")
TXT_NAME = "_acme-challenge.home.example.org"
BATCH, LIST = "POST /zones/{}/dns_records/batch", "GET /zones/{}/dns_records"
Found = TypeVar("Found")


def at_the_seam(
    api: Cloudflare, work: Callable[[CloudflareBackend], Awaitable[Found]], timeout: float = 5, **said: Any
) -> Found:
    """What `work` returns, with a backend."""

    async def run() -> Found:
        backend = CloudflareBackend(spec(api, **said), None, timeout, Exchanges())
        try:
            return await work(backend)
        finally:
            backend.stop()

    return asyncio.run(run())


def values(api: Cloudflare) -> list[str]:
    return api.addresses(TXT_NAME, "TXT")


# TXT


def test_texts_come_and_go_singly_whatever_create_says(cloudflare: Cloudflare) -> None:
    cloudflare.add(TXT_NAME, "TXT", '"by hand"', ttl=7200, comment="stays")
    cloudflare.add(TXT_NAME, "TXT", "without quotes")

    async def work(backend: CloudflareBackend) -> None:
        rounds: list[tuple[list[list[Record]], list[str], list[bool]]] = [
            ([[text("one")], [text("two")]], ["one", "two"], [True, True]),
            ([[text("one")], [text("two", False)]], ["one"], [False, True]),
            ([[text("one", False), text("three")]], ["three"], [True]),
            ([[text("three", False)], [text("one", False)]], [], [True, False]),
        ]
        for updates, left, changed in rounds:
            settled = await backend.settle(ZONE, updates, False, WANTED)
            assert [(one.verdict, one.changed) for one in settled] == [(Verdict.DONE, was) for was in changed]
            assert values(cloudflare) == sorted(['"by hand"', "without quotes", *(f'"{value}"' for value in left)])
            ttls = {record.ttl for record in cloudflare.records(TXT_NAME) if record.content in ('"one"', '"three"')}
            assert ttls <= {60}
        settled = await backend.settle(ZONE, [[text("without quotes", False)]], False, WANTED)
        assert [one.verdict for one in settled] == [Verdict.DONE]

    at_the_seam(cloudflare, work)
    [left] = cloudflare.records(TXT_NAME)
    assert (left.content, left.ttl, left.comment) == ('"by hand"', 7200, "stays")
    assert cloudflare.counts()[BATCH] == 5


def test_texts_are_found_in_the_list_of_the_whole_zone(cloudflare: Cloudflare) -> None:
    names = [f"_acme-challenge.h{n}.example.org" for n in range(8)]
    for name in names[:4]:
        cloudflare.add(name, "TXT", '"one"')

    async def work(backend: CloudflareBackend) -> list[bool]:
        updates = [[text("one", name=name + ".")] for name in names]
        return [one.changed for one in await backend.settle(ZONE, updates, True, WANTED)]

    assert at_the_seam(cloudflare, work) == [False] * 4 + [True] * 4
    assert cloudflare.counts() == {"GET /zones": 1, LIST: 1}


def test_a_text_and_an_address_of_one_update_are_one_transaction(cloudflare: Cloudflare) -> None:
    async def work(backend: CloudflareBackend) -> list[Verdict]:
        updates: list[list[Record]] = [[text("one"), wanted("192.0.2.7")], [text("two")]]
        return [one.verdict for one in await backend.settle(ZONE, updates, False, WANTED)]

    assert at_the_seam(cloudflare, work) == [Verdict.REFUSED, Verdict.DONE]  # without create=True no address
    assert values(cloudflare) == ['"two"']


@pytest.mark.parametrize("identical", [81057, 81058])
def test_a_text_that_somebody_else_has_just_made_is_looked_at_again(cloudflare: Cloudflare, identical: int) -> None:
    cloudflare.dialect = Dialect(identical=identical)
    cloudflare.fail(slow(0.3, made=True), 1, "GET", "dns_records")

    async def work(backend: CloudflareBackend) -> list[tuple[Verdict, bool]]:
        settling = asyncio.ensure_future(backend.settle(ZONE, [[text("one")]], False, WANTED))
        await asyncio.to_thread(cloudflare.wait_for, lambda: cloudflare.carried_out == 2)
        cloudflare.add(TXT_NAME, "TXT", '"one"')
        settled = [*await settling, *await backend.settle(ZONE, [[text("one")]], False, WANTED)]
        return [(one.verdict, one.changed) for one in settled]

    assert at_the_seam(cloudflare, work) == [(Verdict.AGAIN, False), (Verdict.DONE, False)]


def test_an_alias_hides_a_text_but_not_its_absence(cloudflare: Cloudflare) -> None:
    cloudflare.add(TXT_NAME, "CNAME", "elsewhere.example")

    async def work(backend: CloudflareBackend) -> list[Verdict]:
        updates = [[text("one")], [text("two", False)]]
        return [one.verdict for one in await backend.settle(ZONE, updates, False, WANTED)]

    assert at_the_seam(cloudflare, work) == [Verdict.HIDDEN, Verdict.DONE]


# Late values


def test_late_values_are_mended_and_those_of_others_are_not(cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.66", proxied=True)
    cloudflare.add("other.example.org", "A", "192.0.2.3")
    cloudflare.add("right.example.org", "A", "192.0.2.7")
    for value in ("late", "stays"):
        cloudflare.add(TXT_NAME, "TXT", f'"{value}"')
    watched: Watched = [
        (wanted("192.0.2.7"), [("192.0.2.66",)]),
        (wanted("192.0.2.7", name="other.example.org"), [("192.0.2.66",)]),
        (wanted("192.0.2.7", name="right.example.org"), [("192.0.2.66",)]),
        (wanted("192.0.2.7", name="gone.example.org"), [()]),
        (text("late", False), [("late",)]),
        (text("gone"), [()]),
    ]

    async def work(backend: CloudflareBackend) -> list[Fate]:
        return [fate for fate, _ in await backend.mend(ZONE, watched)]

    fates = at_the_seam(cloudflare, work)
    assert fates == [Fate.MENDED, Fate.FOREIGN, Fate.RIGHT, Fate.MENDED, Fate.MENDED, Fate.MENDED]
    assert values(cloudflare) == ['"gone"', '"stays"']
    assert cloudflare.counts()[BATCH] == 1
    [home] = cloudflare.records(HOME)
    assert (home.content, home.proxied) == ("192.0.2.7", True)


@pytest.mark.parametrize(
    ("fault", "fate"),
    [
        (silent(), Fate.UNKNOWN),
        (silent(made=True), Fate.UNKNOWN),
        (error(500), Fate.UNKNOWN),
        (Fault(success({"posts": 5}), made=True), Fate.UNKNOWN),
        (redirect("/"), None),  # nothing is changed: the look counts as none
        (Fault(refusal(FORBIDDEN)), None),
    ],
)
def test_a_mend_without_an_answer_is_neither_right_nor_foreign(
    cloudflare: Cloudflare, monkeypatch: pytest.MonkeyPatch, fault: Fault, fate: Fate | None
) -> None:
    monkeypatch.setattr("sftdyn.providers.rest.LONGEST", 1)
    cloudflare.add(HOME, "A", "192.0.2.66")
    cloudflare.fail(fault, 1, "POST")

    async def work(backend: CloudflareBackend) -> Fate | None:
        try:
            [(fate, _)] = await backend.mend(ZONE, [(wanted("192.0.2.7"), [("192.0.2.66",)])])
        except Interrupted:
            return None
        return fate

    assert at_the_seam(cloudflare, work) is fate


# Answers

KEYS = ["success", "errors", "code", "error_chain", "result", "result_info", "total_pages", "total_count"]
KEYS += ["id", "name", "type", "content", "status", "ttl"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.sampled_from(["A", "TXT"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner),
)


@given(st.integers(100, 599), JSON.map(json.dumps).map(str.encode) | st.binary(), st.booleans())
def test_any_answer_is_a_yes_or_a_failure(status: int, body: bytes, changes: bool) -> None:
    try:
        said = read(Answer(status, {}, body), changes, "DNS Edit")
    except ApiError as why:
        assert why.settlement.verdict is not Verdict.DONE
        assert changes or not why.settlement.changed
        assert "{" not in why.settlement.reason
    else:
        assert status < 300
        assert said["success"] is True


@given(JSON)
def test_any_result_is_a_page_or_a_failure(result: Any) -> None:
    for reader in (read_record, read_zone):
        for said in ({"result": result, "result_info": result}, {"result": [result]}):
            try:
                read_page(said, reader, 1, 100)
            except ApiError as why:
                assert why.kind is Flaw.AWAY
        try:
            read_items([result], reader, maybe_done=True)
        except ApiError as why:
            assert (why.settlement.verdict, why.settlement.changed) == (Verdict.UNKNOWN, True)
