"""The provider where the API fails: what is true afterwards, and who has to wait."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from sftdyn.providers.cloudflare.budget import RATE
from sftdyn.values.outcome import Outcome, Result
from tests.lab.api import Fault, closed, dripping, enormous, error, garbage, redirect, silent, slow
from tests.lab.cloudflare import Cloudflare, broken, success, too_many
from tests.providers.alone import Alone
from tests.providers.cloudflare.conftest import HOME, outcomes, publish, publishing, spec, wanted

OK, UPTODATE, TIMEOUT = Outcome.OK, Outcome.UPTODATE, Outcome.TIMEOUT
LIST, BATCH, ZONES = "GET /zones/{}/dns_records", "POST /zones/{}/dns_records/batch", "GET /zones"

# Each with the outcome of an update that meets it once, on its way to be written, and with how many batches it takes.
FAULTS: dict[str, tuple[Fault, int]] = {
    "500": (error(500), 2),
    "502, done": (error(502, made=True), 1),
    "503 with Retry-After": (error(503, retry_after=1), 2),
    "500 in JSON": (broken(), 2),
    "500 in JSON, done": (broken(made=True), 1),
    "closed before": (closed(made=False), 2),
    "closed after": (closed(made=True), 1),
    "closed in the middle of the answer": (closed(made=True, octets=60), 1),
    "garbage": (garbage(), 2),
    "garbage, done": (garbage(made=True), 1),
    "JSON of another shape": (garbage(b"[1, 2]"), 2),
    "a yes with a record that is none, done": (Fault(success({"posts": [{"id": 5}]}), made=True), 1),
    "a yes with no list of records, done": (Fault(success({"posts": 5}), made=True), 1),
    "JSON that is deep": (garbage(b"[" * 100_000), 2),
    "an envelope without success": (garbage(b'{"result": []}', status=500), 2),
    "not found, in HTML": (error(404), 2),
    "enormous": (enormous(), 2),
    "redirect": (redirect("https://localhost:1/"), 2),
    "slow": (slow(0.1), 1),
    "silent": (silent(), 2),
    "silent, done": (silent(made=True), 1),
    "dripping": (dripping(0.2), 1),
    "429": (too_many(1), 2),
}


@pytest.fixture
def home(cloudflare: Cloudflare) -> Iterator[Cloudflare]:
    """The API with HOME, and an ear for complaints that faults may cause."""
    cloudflare.add(HOME, "A", "192.0.2.1", proxied=True, comment="stays")
    yield cloudflare
    [record] = cloudflare.records(HOME)
    assert (record.proxied, record.comment) == (True, "stays")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer may take a second, to a question at first half of it."""
    monkeypatch.setattr("sftdyn.providers.rest.SHORTEST", 1)
    monkeypatch.setattr("sftdyn.providers.rest.LONGEST", 1)


@pytest.fixture
def quick(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next try comes soon."""
    monkeypatch.setattr("sftdyn.providers.desk.finder.FIRST_PAUSE", 0.02)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def zones_with_faults(api: Cloudflare, times: float, method: str, path: str) -> dict[str, str]:
    """A zone for each fault, where requests of this kind meet it so many times: the zones' ids."""
    zones = {}
    for number, (name, (fault, _)) in enumerate(FAULTS.items()):
        zones[name] = api.add_zone(f"zone{number}.example")
        api.add(f"home.zone{number}.example", "A", "192.0.2.1", proxied=True, comment="stays")
        api.fail(fault, times, method, path.format(zones[name]))
    return zones


def publish_all(api: Cloudflare, zones: dict[str, str], address: str, timeout: float) -> dict[str, Result]:
    """What becomes of an update in each of these zones, all at once, each with a token of its own."""

    async def work(provider: Alone) -> list[Result]:
        updates = [[wanted(address, name=f"home.zone{number}.example")] for number in range(len(zones))]
        return await asyncio.gather(*(provider.publish(update, secret=api.add_token()) for update in updates))

    return dict(zip(zones, publishing(api, work, token=None, timeout=timeout), strict=True))


def addresses(api: Cloudflare, zones: dict[str, str]) -> set[str]:
    """Of the names in these zones; that all else is as it was is asserted."""
    records = [record for n in range(len(zones)) for record in api.records(f"home.zone{n}.example")]
    assert {(record.proxied, record.comment) for record in records} == {(True, "stays")}
    return {record.content for record in records}


def became(results: dict[str, Result]) -> dict[str, Outcome]:
    return {name: result.outcome for name, result in results.items()}


def test_a_change_that_meets_a_fault_is_made_once(home: Cloudflare, impatient: None) -> None:
    zones = zones_with_faults(home, 1, "POST", "{}")
    assert became(publish_all(home, zones, "192.0.2.7", 4)) == dict.fromkeys(FAULTS, OK)
    assert addresses(home, zones) == {"192.0.2.7"}
    batches = Counter(request.path.split("/")[2] for request in home.requests if request.method == "POST")
    assert {name: batches[zone] for name, zone in zones.items()} == {name: count for name, (_, count) in FAULTS.items()}


def test_a_question_that_meets_a_fault_is_asked_again(home: Cloudflare, impatient: None) -> None:
    zones = zones_with_faults(home, 1, "GET", "{}")
    assert became(publish_all(home, zones, "192.0.2.1", 4)) == dict.fromkeys(FAULTS, UPTODATE)
    assert not home.counts()[BATCH]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_search_for_the_zone_survives_a_fault(home: Cloudflare, quick: None, fault: str) -> None:
    home.fail(FAULTS[fault][0], 1, "GET", "zones$")
    assert outcomes(publish(home, wanted("192.0.2.1"), timeout=4)) == [UPTODATE]


def test_where_a_fault_lasts_the_request_fails_in_time(home: Cloudflare, impatient: None) -> None:
    """And the log says what was last in the way, in words of our own."""
    zones = zones_with_faults(home, 1e9, "GET", "{}")
    with within(5):
        results = publish_all(home, zones, "192.0.2.7", 2)
    assert became(results) == {name: OK if name == "slow" else TIMEOUT for name in FAULTS}
    assert {reason for _, reason, *_ in results.values() if reason} == {
        "not within 2 s: no answer of the API: it closed the connection",
        "not within 2 s: no answer of the API: its answer is too large",
        "not within 2 s: no answer of the API: no answer in time",
        "not within 2 s: the API answers with a redirect (status 302), which is not followed",
        "not within 2 s: the API is in trouble (status 500)",
        "not within 2 s: the API is in trouble (status 502)",
        "not within 2 s: the API is in trouble (status 503)",
        "not within 2 s: the API's answer is not as documented",
        "not within 2 s: the API's answer is not its own (status 200)",
        "not within 2 s: the API's answer is not its own (status 404)",
        "the API takes no more requests for 1 s (429)",
    }


def test_where_nobody_listens_it_is_tried_until_somebody_does(home: Cloudflare) -> None:
    async def work(provider: Alone) -> list[Result]:
        with home.away():
            update = provider.publish([wanted("192.0.2.7")])
            await asyncio.sleep(0.6)
            assert not update.done()
        return [await update, await provider.publish([wanted("192.0.2.7")])]

    assert outcomes(publishing(home, work)) == [OK, UPTODATE]
    with home.away():
        [failed] = publish(home, wanted("192.0.2.7"), timeout=0.5)
        assert (failed.outcome, "no connection" in failed.reason) == (TIMEOUT, True)


def test_a_certificate_that_is_not_valid_is_the_reason(home: Cloudflare) -> None:
    async def work() -> Result:
        provider = Alone(replace(spec(home), ca=None), 0.5)
        result = await provider.publish([wanted("192.0.2.7")])
        await provider.close()
        return result

    failed = asyncio.run(work())
    assert (failed.outcome, "certificate" in failed.reason) == (TIMEOUT, True)


def test_a_server_that_says_when_to_come_back_is_left_alone_until_then(home: Cloudflare) -> None:
    home.fail(error(503, retry_after=1), 1, "GET", "dns_records")
    assert outcomes(publish(home, wanted("192.0.2.1"))) == [UPTODATE]
    *_, first, second = [request.at for request in home.requests]
    assert second - first >= 1


# 429


def test_while_the_api_says_to_wait_it_is_not_asked(home: Cloudflare) -> None:
    """Who can wait does, and who cannot is told at once, with how long it takes."""

    async def work(provider: Alone) -> list[Result]:
        home.fail(too_many(2), 1)
        with within(0.5):
            results = [await provider.publish([wanted("192.0.2.7")])]
            results.append(await provider.publish([wanted("192.0.2.8", name="two.example.org")]))
        assert len(home.requests) == 1
        await asyncio.sleep(1.5)  # the rest is shorter than the timeout
        results.append(await provider.publish([wanted("192.0.2.9")]))
        return results

    results = publishing(home, work, timeout=1.5)
    assert outcomes(results) == [TIMEOUT, TIMEOUT, OK]
    assert results[0].retry_after == 2
    assert "429" in results[0].reason


def test_429_concerns_all_zones_of_the_token_and_no_other_token(home: Cloudflare) -> None:
    home.add_zone("example.com")
    home.add("home.example.com", "A", "192.0.2.1")
    tokens = [home.add_token() for _ in range(2)]

    async def work(provider: Alone) -> list[Outcome]:
        home.fail(too_many(60), 1)
        limited = [
            provider.publish([wanted("192.0.2.7", name=n)], secret=tokens[0]) for n in (HOME, "home.example.com")
        ]
        results = await asyncio.gather(*limited)
        asked = len(home.requests)
        results.append(await provider.publish([wanted("192.0.2.7")], secret=tokens[0]))
        assert len(home.requests) == asked  # though nothing of that token is remembered
        results.append(await provider.publish([wanted("192.0.2.7")], secret=tokens[1]))
        return outcomes(results)

    assert publishing(home, work, token=None) == [TIMEOUT, TIMEOUT, TIMEOUT, OK]


def test_429_concerns_all_providers_with_the_token(home: Cloudflare) -> None:
    """Whatever else the conf says of each: the API counts by token."""
    token = home.add_token()

    async def work(provider: Alone) -> list[Outcome]:
        other = Alone(spec(home, token=token, create=True), 5)
        home.fail(too_many(60), 1)
        results = [await one.publish([wanted("192.0.2.7")]) for one in (provider, other)]
        await other.close()
        return outcomes(results)

    assert publishing(home, work, token=token) == [TIMEOUT, TIMEOUT]
    assert len(home.requests) == 1


@pytest.mark.parametrize(
    "retry_after",
    [
        *(None, "soon", "-5", "99999999999999999999"),
        *("Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 -1200", "Wed, 21 Oct 99999999999 07:28:00 GMT"),
    ],
)
def test_a_429_may_say_anything_about_how_long(home: Cloudflare, retry_after: str | None) -> None:
    home.fail(too_many(retry_after), 1)
    [result] = publish(home, wanted("192.0.2.7"), timeout=2)
    assert result.outcome is OK or "429" in result.reason


# Late writes


class Heard(logging.Handler):
    """Tells when a line with this text comes into the log."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._text in record.getMessage():
            self.event.set()


@pytest.mark.parametrize("reload", [False, True])
def test_what_comes_late_is_mended(home: Cloudflare, impatient: None, reload: bool) -> None:
    """The first change is carried out after the second one was acknowledged."""
    home.fail(slow(3, made=False), 1, "POST")
    other = spec(home, create=True)

    async def work(provider: Alone) -> None:
        mended = Heard(f"{HOME}. A: an update that the API applied late is mended")
        logging.getLogger("sftdyn").addHandler(mended)
        for address in ("192.0.2.66", "192.0.2.7"):
            assert (await provider.publish([wanted(address)])).outcome is OK
        assert home.counts()[BATCH] == 3
        if reload:
            provider.use(other, 5)
        async with asyncio.timeout(20):
            await mended.event.wait()
        assert home.addresses(HOME) == ["192.0.2.7"]
        logging.getLogger("sftdyn").removeHandler(mended)

    publishing(home, work)


def test_what_somebody_writes_meanwhile_stays(home: Cloudflare, impatient: None) -> None:
    home.fail(silent(), 1, "POST")

    async def work(provider: Alone) -> None:
        for address in ("192.0.2.66", "192.0.2.7"):
            assert (await provider.publish([wanted(address)])).outcome is OK
        home.change(home.records(HOME)[0].id, content="192.0.2.3")
        seen = home.counts()[LIST]
        await asyncio.to_thread(home.wait_for, lambda: home.counts()[LIST] > seen)
        await provider.publish([wanted("192.0.2.1", name="two.example.org")])  # behind the look and what it led to
        assert home.counts()[BATCH] == 3

    publishing(home, work)
    assert home.addresses(HOME) == ["192.0.2.3"]


# Neighbours


def test_a_silent_zone_delays_itself_only(home: Cloudflare) -> None:
    ill = [home.add_zone(f"silent{n}.example") for n in range(10)]
    for n in range(10):
        home.add(f"home.silent{n}.example", "A", "192.0.2.1")

    async def work(provider: Alone) -> None:
        assert (await provider.publish([wanted("192.0.2.2")])).outcome is OK
        home.fail(silent(), path="|".join(ill))
        waiting = [provider.publish([wanted("192.0.2.7", name=f"home.silent{n}.example")]) for n in range(10)]
        for n in range(3, 30):
            with within(0.9):  # a silence takes a second
                assert (await provider.publish([wanted(f"192.0.2.{n}")])).outcome is OK
            await asyncio.sleep(0.05)
        assert set(outcomes(await asyncio.gather(*waiting))) == {TIMEOUT}

    publishing(home, work, timeout=2)


def test_forty_tokens_with_a_silent_zone_each_delay_no_other_token(home: Cloudflare) -> None:
    numbers = range(40)
    ill = [home.add_zone(f"silent{n}.example") for n in numbers]
    home.fail(silent(), path="|".join(ill))

    async def work(provider: Alone) -> None:
        waiting = [
            provider.publish([wanted("192.0.2.7", name=f"home.silent{n}.example")], secret=home.add_token())
            for n in numbers
        ]
        await asyncio.to_thread(home.wait_for, lambda: home.counts()[LIST] > 30)
        token = home.add_token()
        for n in range(2, 5):
            with within(0.9):  # a silence takes a second
                assert (await provider.publish([wanted(f"192.0.2.{n}")], secret=token)).outcome is OK
        assert set(outcomes(await asyncio.gather(*waiting))) == {TIMEOUT}

    publishing(home, work, token=None, timeout=2)


def test_a_zone_in_trouble_does_not_use_up_the_budget(home: Cloudflare, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits while the others' part of it is left."""
    monkeypatch.setattr("sftdyn.providers.cloudflare.budget.BURST", 60)
    monkeypatch.setattr("sftdyn.providers.cloudflare.budget.RESERVE", 50)
    from sftdyn.providers.cloudflare import backend as b

    monkeypatch.setattr(b.CloudflareBackend, "manner", b.MANNER._replace(pauses=(0.01, 0.01)))
    ill = home.add_zone("ill.example")
    home.fail(error(500), path=ill)

    async def work(provider: Alone) -> None:
        assert (await provider.publish([wanted("192.0.2.2")])).outcome is OK
        waiting = provider.publish([wanted("192.0.2.7", name="home.ill.example")])
        assert (await waiting).outcome is TIMEOUT
        assert home.counts()[LIST] < 20
        with within(0.5):
            assert (await provider.publish([wanted("192.0.2.3")])).outcome is OK

    publishing(home, work, timeout=2)


def test_a_zone_that_failed_once_works_again_however_much_the_others_want(
    home: Cloudflare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the budget is used up all the time."""
    monkeypatch.setattr("sftdyn.providers.cloudflare.budget.BURST", 12)
    monkeypatch.setattr("sftdyn.providers.cloudflare.budget.RESERVE", 10)
    others = [f"other{n}.example" for n in range(4)]
    for zone in others:
        home.add_zone(zone)
        home.add(f"home.{zone}", "A", "192.0.2.1")
    ill = home.add_zone("ill.example")
    home.add("home.ill.example", "A", "192.0.2.1")

    async def work(provider: Alone) -> Outcome:
        async def ask_without_end(zone: str) -> None:
            while True:
                await provider.publish([wanted("192.0.2.1", name=f"home.{zone}")])

        asking = [asyncio.create_task(ask_without_end(zone)) for zone in others]
        await asyncio.to_thread(home.wait_for, lambda: len(home.requests) > 14)
        home.fail(error(500), 1, path=ill)
        [outcome] = outcomes([await provider.publish([wanted("192.0.2.7", name="home.ill.example")])])
        for task in asking:
            task.cancel()
        return outcome

    assert publishing(home, work, timeout=12) is OK


def test_many_zones_at_once_wait_for_their_turn_not_in_the_time_of_their_requests(
    home: Cloudflare, impatient: None
) -> None:
    """A question is given up after half a second here, and all of them together take longer."""
    zones = [f"zone{n}.example" for n in range(16)]
    for zone in zones:
        home.add_zone(zone)
        home.add(f"home.{zone}", "A", "192.0.2.1")
    home.fail(slow(0.25), method="GET", path="dns_records")

    async def work(provider: Alone) -> list[Outcome]:
        updates = [provider.publish([wanted("192.0.2.1", name=f"home.{zone}")]) for zone in zones]
        return outcomes(await asyncio.gather(*updates))

    assert publishing(home, work) == [UPTODATE] * 16
    assert home.counts()[LIST] == 16


def test_no_request_is_sent_beyond_the_budget(home: Cloudflare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sftdyn.providers.cloudflare.budget.BURST", 2)
    assert outcomes(publish(home, wanted("192.0.2.7"))) == [OK]
    sent = [request.at for request in home.requests]
    assert len(sent) == 4
    assert sent[3] - sent[0] >= 0.9  # two of them had to wait for half a second


def test_what_waits_for_the_budget_goes_together(home: Cloudflare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sftdyn.providers.cloudflare.budget.BURST", 4)
    names = [f"h{n}.example.org" for n in range(100)]

    async def work(provider: Alone) -> list[Outcome]:
        await provider.publish([wanted("192.0.2.7", name=names[0])])
        updates = []
        for name in names[1:]:
            updates.append(provider.publish([wanted("192.0.2.7", name=name)]))
            await asyncio.sleep(0.01)
        return outcomes(await asyncio.gather(*updates))

    start = time.monotonic()
    assert set(publishing(home, work, zone="example.org", create=True)) == {OK}
    assert len(home.requests) <= 4 + RATE * (time.monotonic() - start)


def test_its_vitals_say_whether_the_api_answers(home: Cloudflare, impatient: None) -> None:
    async def work(provider: Alone) -> list[bool | None]:
        exchanges = provider.vitals().exchanges
        exchanges.are_kept = True
        seen = [exchanges.answered]
        for number, fault in enumerate((None, silent(), None)):
            if fault:
                home.fail(fault)
            await provider.publish([wanted(f"192.0.2.{number + 2}")])
            seen.append(exchanges.answered)
            home.heal()
        assert sum(exchanges.seconds.counts) == sum(exchanges.updates.counts) >= 3
        assert provider.vitals().waiting == 0
        return seen

    assert publishing(home, work, timeout=2) == [None, True, False, True]


@pytest.mark.parametrize("fault", ["garbage", "redirect", "not found, in HTML", "500", "silent"])
def test_what_is_not_the_apis_own_word_is_no_answer_for_its_vitals(home: Cloudflare, fault: str, quick: None) -> None:
    """Already where the zone is looked for, as where something else sits at its address."""

    async def work(provider: Alone) -> bool | None:
        provider.vitals().exchanges.are_kept = True
        home.fail(FAULTS[fault][0])
        await provider.publish([wanted("192.0.2.7")])
        return provider.vitals().exchanges.answered

    assert publishing(home, work, timeout=2) is False
