"""Several providers beside each other, and what a reload does to them."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from sftdyn.providers.running import MANY, Providers
from sftdyn.values.outcome import Outcome, worst
from sftdyn.values.specs import Bind as BindSpec
from sftdyn.values.specs import Function, Primary, Spec
from sftdyn.values.update import RRset
from tests.conftest import ServeFixture
from tests.lab.bind import ALL, Bind
from tests.lab.conf import conf
from tests.lab.machine import free_port, wait_until
from tests.lab.process import Sftdyn
from tests.providers.bind.conftest import in_background

HOME = 'clients["k"] = Client("wanderer.dyn.example", provider={})\n'


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Bind]:
    """Another primary for the same zone, with another key."""
    folder = tmp_path / "second"
    folder.mkdir()
    server = Bind(folder, {"dyn.example": ALL})
    server.start()
    yield server
    server.kill()


def spec(bind: Bind) -> str:
    """How a conf names it."""
    return f'Bind(server="127.0.0.1:{bind.port}", keyfile={str(bind.keyfile)!r}, zone="dyn.example")'


def reload(served: Sftdyn, text: str) -> None:
    (served.folder / "conf0").write_text(text)
    since = len(served.log)
    served.signal(signal.SIGHUP)
    served.wait_for("the conf is read again", since)


def ask(served: Sftdyn, address: str, key: str = "k") -> str:
    return served.get(f"/{key}?ip={address}").text


def test_each_client_is_published_where_its_provider_says(serve: ServeFixture, bind: Bind, second: Bind) -> None:
    served = serve(conf(bind, HOME.format(spec(second)), clients={"d": "wanderer.dyn.example"}, ttl=77))
    bind.edit("zone dyn.example", "update delete wanderer.dyn.example")
    assert [ask(served, "192.0.2.1"), ask(served, "192.0.2.2", "d")] == ["OK", "OK"]
    assert (second.lookup("wanderer.dyn.example"), bind.lookup("wanderer.dyn.example")) == (
        ["192.0.2.1"],
        ["192.0.2.2"],
    )
    assert [ask(served, "192.0.2.1"), ask(served, "192.0.2.2", "d")] == ["UPTODATE", "UPTODATE"]


def test_a_provider_that_is_silent_delays_its_own_names_only(serve: ServeFixture, bind: Bind, second: Bind) -> None:
    served = serve(conf(bind, HOME.format(spec(second)), clients={"d": "apart.dyn.example"}, max_changes=0))
    second.signal(signal.SIGSTOP)
    with in_background(lambda: ask(served, "192.0.2.1")) as answers:
        for n in range(20):
            assert ask(served, f"192.0.2.{n}", "d") in ("OK", "UPTODATE")
        assert not answers
        second.signal(signal.SIGCONT)
    assert answers == ["OK"]


def test_a_name_that_changes_its_provider_waits_for_what_the_old_one_has_under_way(
    serve: ServeFixture, bind: Bind, second: Bind
) -> None:
    served = serve(conf(bind, HOME.format(spec(second)), clients={"d": "apart.dyn.example"}, timeout=30, max_changes=0))
    bind.edit("zone dyn.example", "update delete wanderer.dyn.example")
    second.signal(signal.SIGSTOP)
    with in_background(lambda: ask(served, "192.0.2.1")) as old:
        wait_until(served.children, "a child that writes")
        reload(served, conf(bind, HOME.format("Bind()"), clients={"d": "apart.dyn.example"}, timeout=30, max_changes=0))
        with in_background(lambda: ask(served, "192.0.2.2")) as new:
            assert [ask(served, f"192.0.2.{n}", "d") for n in range(1, 9)].count("FAIL") == 0
            assert bind.lookup("wanderer.dyn.example") != ["192.0.2.2"]
            second.signal(signal.SIGCONT)
        assert new == ["OK"]
    assert old == ["OK"]
    assert bind.lookup("wanderer.dyn.example") == ["192.0.2.2"]


def test_a_reload_that_drops_a_provider_ends_its_processes(serve: ServeFixture, bind: Bind, second: Bind) -> None:
    served = serve(conf(bind, HOME.format(spec(second)), clients={"d": "gone.dyn.example"}))
    assert ask(served, "192.0.2.3", "d") == "OK"
    keeps = set(served.children())
    assert ask(served, "192.0.2.1") == "OK"
    before = set(served.children()) - keeps
    reload(served, conf(bind, clients={"d": "gone.dyn.example", "k": "wanderer.dyn.example"}))
    wait_until(lambda: not before & set(served.children()), "the end of the old provider's processes")
    assert ask(served, "192.0.2.2") in ("OK", "UPTODATE")
    assert bind.lookup("wanderer.dyn.example") == ["192.0.2.2"]


def test_providers_that_get_host_makes_anew_for_each_request_do_not_add_up() -> None:
    named = Function(lambda *_: "OK")

    async def work() -> int:
        providers = Providers(named, [named], timeout=5)
        for _ in range(2 * MANY):
            update = [RRset("home.example.", "A", ("192.0.2.7",), 60)]
            results = [await providers.publish(spec, update) for spec in (named, Function(lambda *_: "OK"))]
            assert [(result.outcome, result.repeats) for [result] in results][1] == (Outcome.OK, False)
        assert (await providers.publish(named, update))[0].repeats  # it has outlived all of them
        left = len(providers.vitals())
        await providers.close()
        return left

    assert asyncio.run(work()) <= 1 + MANY


def test_who_waits_for_another_provider_is_not_overtaken_by_a_newer_one_that_need_not() -> None:
    """After a reload: the newer of two updates of one name has no other name that is still under way elsewhere."""
    gate, there = threading.Event(), {}

    def old(name: str, kind: str, ttl: int, addresses: tuple[str, ...], secret: str) -> str:
        gate.wait(20)
        return "OK"

    def new(name: str, kind: str, ttl: int, addresses: tuple[str, ...], secret: str) -> str:
        there[name] = addresses
        return "OK"

    def update(address: str, *names: str) -> list[RRset]:
        return [RRset(f"{name}.example.", "A", (address,), 60) for name in names]

    async def work(before: Function, after: Function) -> None:
        providers = Providers(before, [before], timeout=20)
        promises = [providers.publish(before, update("192.0.2.1", "home"))]
        providers.use(after, [after], timeout=20)
        promises.append(providers.publish(after, update("192.0.2.2", "home", "nas")))
        promises.append(providers.publish(after, update("192.0.2.3", "nas")))
        promises.append(providers.publish(after, update("192.0.2.4", "apart")))
        await promises.pop()  # which waits for nobody
        gate.set()
        assert [worst(results).outcome for results in await asyncio.gather(*promises)] == [Outcome.OK] * 3
        await providers.close()

    asyncio.run(work(Function(old), Function(new)))
    assert there == {"apart.example": ("192.0.2.4",), "home.example": ("192.0.2.2",), "nas.example": ("192.0.2.3",)}


def test_a_provider_that_is_dropped_while_an_update_waits_for_it_still_publishes_it(second: Bind) -> None:
    """Two reloads during one slow write."""
    gate, name = threading.Event(), "wanderer.dyn.example"
    slow = Function(lambda *_: "OK" if gate.wait(20) else None)
    other = Function(lambda *_: "OK")
    there = BindSpec(Primary("127.0.0.1", second.port, second.keyfile))
    specs: list[Spec] = [slow, there, other]

    async def work() -> list[Outcome]:
        providers = Providers(slow, [slow], timeout=5)
        promises = []
        for number, provider in enumerate(specs, 1):
            providers.use(provider, [provider], timeout=5)
            promises.append(providers.publish(provider, [RRset(f"{name}.", "A", (f"192.0.2.{number}",), 60)]))
        await asyncio.sleep(0.5)  # in which the dropped one could end
        gate.set()
        results = await asyncio.gather(*promises)
        await providers.close()
        return [result.outcome for [result] in results]

    assert asyncio.run(work()) == [Outcome.OK] * 3
    assert second.lookup(name) == ["192.0.2.2"]


CLIENTS = {"k": "moving.dyn.example", "d": "apart.dyn.example"}


def test_a_request_under_way_at_a_reload_ends_with_the_new_credentials_and_health_is_well(
    serve: ServeFixture, own_bind: Bind, tmp_path: Path
) -> None:
    """The old key is one that the name server does not know any more."""
    good = own_bind.keyfile.read_text()
    old = tmp_path / "old.key"
    old.write_text(good)
    status = {"status": f"127.0.0.1:{free_port()}"}

    def text(keyfile: Path) -> str:
        named = f'provider = Bind(server="127.0.0.1:{own_bind.port}", keyfile={str(keyfile)!r}, zone="dyn.example")\n'
        return conf(None, named, clients=CLIENTS, timeout=30, max_changes=0, **status)

    served = serve(text(old))
    assert ask(served, "192.0.2.1", "d") == "OK"
    old.unlink()
    own_bind.signal(signal.SIGSTOP)
    with in_background(lambda: ask(served, "192.0.2.2")) as answers:
        wait_until(lambda: len(served.children()) >= 1, "a child that writes")
        reload(served, text(own_bind.keyfile))
        for child in served.children():  # what the old one would start anew
            os.kill(child, signal.SIGKILL)
        own_bind.signal(signal.SIGCONT)
    assert answers == ["OK"]
    assert own_bind.lookup("moving.dyn.example") == ["192.0.2.2"]
    assert ask(served, "192.0.2.3", "d") == "OK"
    host, port = status["status"].split(":")
    with urlopen(f"http://{host}:{port}/health", timeout=10) as health:
        assert health.status == 200


def test_a_function_with_another_name_after_a_reload_waits_for_the_older_call(
    serve: ServeFixture, tmp_path: Path
) -> None:
    """Otherwise the older address would be there in the end."""
    gate, told = tmp_path / "gate", tmp_path / "told"
    os.mkfifo(gate)
    code = (
        "def {name}(name, type, ttl, addresses, secret):\n"
        f"    if '192.0.2.1' in addresses: open({str(gate)!r}).read()\n"
        f"    open({str(told)!r}, 'a').write(f'{{addresses[0]}}\\n')\n"
        "    return 'OK'\n"
        "provider = {name}\n"
    )
    served = serve(conf(None, code.replace("{name}", "mine"), clients=CLIENTS, timeout=30))
    with in_background(lambda: ask(served, "192.0.2.1")) as old:
        writer = gate.open("w")  # when it is called
        reload(served, conf(None, code.replace("{name}", "yours"), clients=CLIENTS, timeout=30))
        with in_background(lambda: ask(served, "192.0.2.2")) as new:
            assert ask(served, "192.0.2.3", "d") == "OK"
            assert not new
            writer.close()
    assert old + new == ["OK", "OK"]
    assert told.read_text().split() == ["192.0.2.3", "192.0.2.1", "192.0.2.2"]
