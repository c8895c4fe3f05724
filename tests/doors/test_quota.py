"""Abuse: who changes too often."""

from sftdyn.doors.quota import Quota
from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf


def test_a_quota_is_per_client_and_hour_with_a_burst() -> None:
    quota = Quota(60)

    def take(client: str, now: float) -> bool:
        return quota.ask(client, now).granted

    assert [take("a", 0.0) for _ in range(12)] == [True] * 10 + [False] * 2
    unused = quota.ask("b", 0.0)
    assert unused.granted
    assert quota.wait("a", 0.0) == 61
    assert not take("a", 59.0)
    assert take("a", 61.0)
    taken = sum(take("c", minute * 60.0) for minute in range(61) for _ in range(20))
    assert taken <= 60 + 10
    unused.settle(changed=False)
    assert [take("b", 61.0) for _ in range(11)] == [True] * 10 + [False]
    unlimited = Quota(0)
    assert all(unlimited.ask("a", 0.0).granted for _ in range(1000))
    few = Quota(3)
    assert [few.ask("a", 0.0).granted for _ in range(4)] == [True] * 3 + [False]


def test_who_changes_too_often_is_told_to_wait(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={"k": "abuse.dyn.example", "l": "fair.dyn.example"}, max_changes=3))
    assert [served.update("k", f"127.0.0.{n}") for n in (1, 2, 3)] == ["OK"] * 3
    refused = served.get("/k", source="127.0.0.4")
    assert (refused.status, refused.text) == (503, "FAIL")
    assert 1 <= int(refused.headers["Retry-After"]) <= 1201
    assert bind.lookup("abuse.dyn.example") == ["127.0.0.3"]
    assert [served.update("k", "127.0.0.3") for _ in range(5)] == ["UPTODATE"] * 5
    served.wait_for("FAIL abuse.dyn.example A 127.0.0.4 from 127.0.0.4: there is something to change, but")
    assert served.update("l") == "OK"
    token = "Basic YTpr"  # a:k
    door = served.get("/nic/update", source="127.0.0.4", headers={"Authorization": token})
    assert (door.status, door.text) == (503, "abuse")


def test_uptodate_costs_nothing(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={"k": "free.dyn.example"}, max_changes=2))
    assert served.update("k") == "OK"
    assert [served.update("k") for _ in range(20)] == ["UPTODATE"] * 20
    assert served.update("k", "127.0.0.2") == "OK"


def test_another_number_of_changes_counts_from_the_reload_on() -> None:
    quota = Quota(1)
    assert [quota.ask("a", 0.0).granted for _ in range(2)] == [True, False]
    quota.allow(0, 0.0)
    assert quota.ask("a", 0.0).granted  # no limit
    quota = Quota(1)
    quota.ask("a", 0.0)
    quota.allow(60, 60.0)
    assert quota.ask("a", 60.0).granted
    quota.allow(1, 60.0)
    assert not quota.ask("a", 60.0).granted  # a reload makes nobody's quota whole


def test_two_keys_for_the_same_name_are_two_clients(serve: ServeFixture, bind: Bind) -> None:
    """Who has one of them, and uses up its changes, does not stop the other one."""
    served = serve(conf(bind, clients={"one": "shared.dyn.example", "two": "shared.dyn.example"}, max_changes=1))

    def update(key: str, address: str) -> str:
        return served.get(f"/{key}?ip={address}").text

    assert [update("one", f"192.0.2.{number}") for number in (1, 2, 3)] == ["OK", "FAIL", "FAIL"]
    assert [update(key, "192.0.2.4") for key in ("two", "%74wo")] == ["OK", "UPTODATE"]
    assert [update(key, "192.0.2.5") for key in ("two", "%74wo")] == ["FAIL", "FAIL"]
