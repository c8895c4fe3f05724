"""Many at once: order, neighbours, and how many may wait."""

import asyncio
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sftdyn.values.outcome import Outcome
from sftdyn.values.specs import Bind as Spec
from sftdyn.values.specs import Primary
from sftdyn.values.update import RRset
from tests.lab.bind import Bind
from tests.lab.machine import free_port
from tests.lab.process import Sftdyn
from tests.providers.alone import Alone
from tests.providers.bind.conftest import update


def test_when_too_many_wait_the_newest_fail_at_once(
    bind: Bind, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sftdyn.providers.desk.session.WAITING", 10)

    async def pile_up() -> list[Outcome]:
        nobody = Primary("127.0.0.1", free_port(), bind.keyfile)
        provider = Alone(Spec(nobody, ("dyn.example.",)), timeout=1)
        futures = [provider.publish([RRset(f"p{n}.dyn.example.", "A", ("192.0.2.7",), 30)]) for n in range(30)]
        results = await asyncio.gather(*futures)
        await provider.close()
        return [result.outcome for result in results]

    assert asyncio.run(pile_up()) == [Outcome.TIMEOUT] * 10 + [Outcome.OVERLOADED] * 20
    assert len([record for record in caplog.records if "updates wait for the name server" in record.message]) == 1


def test_bad_names_do_not_fail_their_neighbours(proxied: Callable[..., Sftdyn], bind: Bind) -> None:
    good = {f"g{n}": f"n{n}.policy.example" for n in range(60)}
    bad = {f"r{n}": "refused.policy.example" for n in range(3)}
    hidden = {f"h{n}": "alias.dyn.example" for n in range(3)}
    served = proxied(bind, good | bad | hidden)
    keys = [*list(good)[:30], *bad, *hidden, *list(good)[30:]]
    for address in ("192.0.2.1", "192.0.2.2"):
        with ThreadPoolExecutor(len(keys)) as pool:
            answers = list(pool.map(lambda key: update(served, key, address), keys))
        assert dict(zip(keys, answers, strict=True)) == dict.fromkeys(good, "OK") | dict.fromkeys(bad | hidden, "FAIL")
        assert {bind.lookup(name)[0] for name in good.values()} == {address}
    served.wait_for("update-policy or allow-update refuses this name")


def test_200_clients_at_once(proxied: Callable[..., Sftdyn], bind: Bind) -> None:
    clients = {f"k{n}": f"many{n}.dyn.example" for n in range(200)}
    served = proxied(bind, clients)
    with ThreadPoolExecutor(200) as pool:
        for night in range(3):
            numbers = range(200)
            answers = list(pool.map(lambda n: update(served, f"k{n}", f"10.{night}.0.{n + 1}"), numbers))
            assert answers == ["OK"] * 200
        assert {name: bind.lookup(name) for name in clients.values()} == {
            f"many{n}.dyn.example": [f"10.2.0.{n + 1}"] for n in range(200)
        }
        assert list(pool.map(lambda n: update(served, f"k{n}", f"10.2.0.{n + 1}"), range(200))) == ["UPTODATE"] * 200


def test_requests_for_one_name_are_applied_in_their_order(proxied: Callable[..., Sftdyn], bind: Bind) -> None:
    served = proxied(bind, {"k": "order.dyn.example"})
    bind.signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as pool:
            futures = []
            for n in range(1, 9):
                seen = len(served.log)
                futures.append(pool.submit(update, served, "k", f"192.0.2.{n}"))
                time.sleep(0.05)  # the order of arrival is what the test is about, and nothing tells of it
                assert len(served.log) == seen
            bind.signal(signal.SIGCONT)
            assert [future.result() for future in futures] == ["OK"] * 8
    finally:
        bind.signal(signal.SIGCONT)
    assert bind.lookup("order.dyn.example") == ["192.0.2.8"]


def test_a_request_joins_only_what_nothing_has_changed_since(proxied: Callable[..., Sftdyn], bind: Bind) -> None:
    """The third request wants what the first one wants, but the second came between them for one of the names."""
    served = proxied(bind, {"both": ["join1.dyn.example", "join2.dyn.example"], "one": "join2.dyn.example"})
    assert update(served, "both", "192.0.2.9") == "OK"
    bind.signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(4) as pool:
            futures = []
            for key, address in (
                ("both", "192.0.2.8"),
                ("both", "192.0.2.1"),
                ("one", "192.0.2.2"),
                ("both", "192.0.2.1"),
            ):
                futures.append(pool.submit(update, served, key, address))
                time.sleep(0.05)  # the order of arrival is what the test is about, and nothing tells of it
            bind.signal(signal.SIGCONT)
            assert [future.result() for future in futures] == ["OK"] * 4
    finally:
        bind.signal(signal.SIGCONT)
    assert bind.lookup("join1.dyn.example") == bind.lookup("join2.dyn.example") == ["192.0.2.1"]
