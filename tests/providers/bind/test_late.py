"""Late writes, where nothing answers for longer than nsupdate waits."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.process import Sftdyn
from tests.providers.bind.conftest import update


def test_what_comes_late_is_mended(serve: ServeFixture, own_bind: Bind) -> None:
    """The old value is written behind sftdyn's back, as a delayed datagram would write it."""
    served = serve(conf(own_bind, clients={"k": "h.dyn.example"}, trusted_proxies=["127.0.0.1"], timeout=4))

    def update(address: str) -> str:
        return served.get("/k", headers={"X-Forwarded-For": address}).text

    assert update("192.0.2.1") == "OK"
    own_bind.signal(signal.SIGSTOP)
    assert update("192.0.2.66") == "FAIL"
    own_bind.signal(signal.SIGCONT)
    start = time.monotonic()
    assert update("192.0.2.2") == "OK"
    assert time.monotonic() - start > 0.2  # looked at twice
    assert own_bind.lookup("h.dyn.example") == ["192.0.2.2"]
    own_bind.edit("zone dyn.example", "update delete h.dyn.example A", "update add h.dyn.example 30 A 192.0.2.66")
    served.wait_for("an update that the name server applied late is mended")
    assert own_bind.lookup("h.dyn.example") == ["192.0.2.2"]
    own_bind.edit("zone dyn.example", "update delete h.dyn.example A", "update add h.dyn.example 30 A 192.0.2.3")
    time.sleep(1.5)  # longer than it takes to look: somebody else's newer value stays
    assert own_bind.lookup("h.dyn.example") == ["192.0.2.3"]


def test_a_late_write_does_not_win_over_a_newer_ok(proxied: Callable[..., Sftdyn], own_bind: Bind) -> None:
    served = proxied(own_bind, {f"k{n}": f"h{n}.dyn.example" for n in range(20)}, timeout=3)

    def all_update(address: str) -> list[str]:
        return list(pool.map(lambda n: update(served, f"k{n}", address), range(20)))

    with ThreadPoolExecutor(20) as pool:
        assert all_update("192.0.2.1") == ["OK"] * 20
        own_bind.signal(signal.SIGSTOP)
        assert all_update("192.0.2.66") == ["FAIL"] * 20  # sent, and unanswered
        own_bind.signal(signal.SIGCONT)
        deadline = time.monotonic() + 30
        while "FAIL" in all_update("192.0.2.2"):
            assert time.monotonic() < deadline
    assert {n: own_bind.lookup(f"h{n}.dyn.example") for n in range(20)} == {n: ["192.0.2.2"] for n in range(20)}
