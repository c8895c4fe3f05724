"""What reaches the zone, and what does not."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.process import Sftdyn
from tests.providers.bind.conftest import update


def test_after_ok_the_record_set_is_exactly_the_address(proxied: Callable[..., Sftdyn], bind: Bind) -> None:
    bind.edit(
        "zone dyn.example",
        *(f"update add exact.dyn.example 3600 A 198.51.100.{n}" for n in (1, 2, 3)),
        "update add exact.dyn.example 3600 AAAA 2001:db8::1",
        'update add exact.dyn.example 3600 TXT "stays"',
    )
    served = proxied(bind, {"k": "exact.dyn.example"}, ttl=77)
    assert update(served, "k", "192.0.2.7") == "OK"
    assert bind.lookup("exact.dyn.example") == ["192.0.2.7"]
    assert bind.ttl("exact.dyn.example") == 77
    assert bind.lookup("exact.dyn.example", "AAAA") == ["2001:db8::1"]
    assert bind.lookup("exact.dyn.example", "TXT") == ['"stays"']
    assert update(served, "k", "2001:db8::7") == "OK"
    assert bind.lookup("exact.dyn.example") == ["192.0.2.7"]
    assert bind.lookup("exact.dyn.example", "AAAA") == ["2001:db8::7"]


def test_the_ttl_is_the_clients_or_the_confs_or_30(serve: ServeFixture, bind: Bind) -> None:
    own = 'clients["own"] = Client("ttl1.dyn.example", ttl=5)\n'
    served = serve(conf(bind, own, clients={"k": "ttl2.dyn.example"}))
    assert served.update("own") == served.update("k") == "OK"
    assert (bind.ttl("ttl1.dyn.example"), bind.ttl("ttl2.dyn.example")) == (5, 30)


def test_uptodate_changes_nothing(proxied: Callable[..., Sftdyn], bind: Bind) -> None:
    served = proxied(bind, {"k": "same.dyn.example"})
    assert update(served, "k", "192.0.2.7") == "OK"
    serial = bind.serial("dyn.example")
    assert [update(served, "k", "192.0.2.7") for _ in range(3)] == ["UPTODATE"] * 3
    assert bind.serial("dyn.example") == serial


@pytest.mark.parametrize("known", [True, False])
def test_a_zone_edited_behind_its_back(proxied: Callable[..., Sftdyn], bind: Bind, known: bool) -> None:
    name = f"edited{known}.dyn.example".lower()
    served = proxied(bind, {"k": name})
    if known:
        assert update(served, "k", "192.0.2.7") == "OK"
    bind.edit("zone dyn.example", f"update delete {name} A", f"update add {name} 30 A 198.51.100.1")
    assert update(served, "k", "192.0.2.7") == "OK"
    assert bind.lookup(name) == ["192.0.2.7"]
    bind.edit("zone dyn.example", f"update add {name} 30 A 198.51.100.1")
    assert update(served, "k", "192.0.2.7") == "OK"
    assert bind.lookup(name) == ["192.0.2.7"]
    bind.edit("zone dyn.example", f"update delete {name} A")
    assert update(served, "k", "192.0.2.7") == "OK"
    bind.edit("zone dyn.example", f"update delete {name} A", f"update add {name} 30 A 192.0.2.8")
    assert update(served, "k", "192.0.2.8") == "UPTODATE"


def test_a_restart_forgets_nothing_that_matters(proxied: Callable[..., Sftdyn], bind: Bind) -> None:
    first, second = (proxied(bind, {"k": "twice.dyn.example"}) for _ in range(2))
    assert update(first, "k", "192.0.2.1") == "OK"
    assert update(second, "k", "192.0.2.1") == "UPTODATE"
    assert update(second, "k", "192.0.2.2") == "OK"
    assert update(first, "k", "192.0.2.2") == "UPTODATE"
    assert update(second, "k", "192.0.2.3") == "OK"
    assert update(first, "k", "192.0.2.1") == "OK"
    assert bind.lookup("twice.dyn.example") == ["192.0.2.1"]


def test_several_names_of_a_client_change_together_or_not_at_all(proxied: Callable[..., Sftdyn], bind: Bind) -> None:
    served = proxied(bind, {"k": ["one.policy.example", "refused.policy.example"], "one": "one.policy.example"})
    assert update(served, "k", "192.0.2.7") == "FAIL"
    assert bind.lookup("one.policy.example") == []
    assert update(served, "one", "192.0.2.7") == "OK"


@pytest.mark.parametrize(
    "name", ["alias.dyn.example", "child.dyn.example", "a.child.dyn.example", "a.renamed.dyn.example"]
)
def test_a_name_that_nobody_would_see_is_a_failure(proxied: Callable[..., Sftdyn], bind: Bind, name: str) -> None:
    served = proxied(bind, {"k": name, "good": "seen.dyn.example"})
    serial = bind.serial("dyn.example")
    assert update(served, "k", "192.0.2.7") == "FAIL"
    served.wait_for(f"FAIL {name} A 192.0.2.7 from 192.0.2.7 via 127.0.0.1: a CNAME at the name")
    assert bind.serial("dyn.example") == serial


def test_long_names_do_not_make_a_message_too_large(serve: ServeFixture, bind: Bind) -> None:
    label = "x" * 59
    names = [f"n{n}{label[len(str(n)) :]}.{label}.{label}.dyn.example" for n in range(200)]
    served = serve(conf(bind, clients={f"k{n}": name for n, name in enumerate(names)}))
    with ThreadPoolExecutor(200) as pool:
        for source in ("127.0.0.1", "127.0.0.2"):
            assert set(pool.map(lambda n: served.update(f"k{n}", source), range(200))) == {"OK"}
