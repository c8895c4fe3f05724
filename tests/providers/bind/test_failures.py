"""SERVFAIL: who is to blame, and who notices."""

import asyncio
import time
from pathlib import Path

import pytest

from sftdyn.providers.bind.failures import BLAMED, REMEMBERED, Failures
from sftdyn.values.outcome import Outcome, Result
from sftdyn.values.specs import Bind as BindSpec
from sftdyn.values.specs import Primary
from sftdyn.values.update import RRset
from tests.lab.bind import ALL, Bind
from tests.providers.alone import Alone
from tests.providers.bind.conftest import SOON

HOSTS = 40
LIMITS = {
    "max-records-per-type 1;": ("192.0.2.1", "192.0.2.2"),
    "max-types-per-name 3;": ("192.0.2.1",),
    f"max-records {HOSTS + 4};": ("192.0.2.1",),  # beside SOA, NS and two addresses
}


@pytest.mark.parametrize("limit", LIMITS)
def test_of_a_change_that_meets_a_limit_the_neighbours_notice_nothing(tmp_path: Path, limit: str) -> None:
    bind = Bind(tmp_path, {"dyn.example": ALL + limit})
    with (tmp_path / "dyn.example.zone").open("a") as zone:
        zone.write("bad TXT one\nbad HINFO one two\nbad RP . .\n" if "types" in limit else "other A 127.0.0.1\n")
    bind.start()
    bad = RRset("bad.dyn.example.", "A", LIMITS[limit], 30)

    async def call() -> tuple[list[Result], list[Result], float]:
        alone = Alone(BindSpec(Primary("127.0.0.1", bind.port, bind.keyfile)), 8)
        good: list[Result] = []
        blamed: list[Result] = []
        longest = 0.0
        for night in range(6):
            start = time.monotonic()
            hosts = [RRset(f"h{n}.dyn.example.", "A", (f"10.0.{night}.{n}",), 30) for n in range(HOSTS)]
            calls = [alone.publish([host]) for host in hosts]
            calls.insert(HOSTS // 2, alone.publish([bad]))
            if not night:  # so that the zone is full
                blamed.append(await calls.pop(HOSTS // 2))
            results = await asyncio.gather(*calls)
            if night:
                blamed.append(results.pop(HOSTS // 2))
            good += results
            longest = max(longest, time.monotonic() - start)
        await alone.close()
        return good, blamed, longest

    try:
        good, blamed, longest = asyncio.run(call())
    finally:
        bind.kill()
    assert {result.outcome for result in good} == {Outcome.OK}
    assert {result.outcome for result in blamed[1:]} == {Outcome.REFUSED}
    assert all("max-records-per-type" in result.reason for result in blamed[1:])
    assert longest < 2 * SOON


def test_who_fails_alone_is_to_blame_but_not_two_in_a_row() -> None:
    failures = Failures()
    assert not failures.note("z.", {"a."}, 0.0)
    assert not failures.note("z.", {"a."}, 1.0)
    assert not failures.note("other.", {"b."}, 2.0)
    assert failures.note("z.", {"b."}, 2.0)
    assert failures.is_blamed("z.", 2.0)
    assert not failures.is_blamed("z.", 2.0 + BLAMED)
    assert not failures.note("z.", {"b."}, 1.0 + REMEMBERED)


def test_a_change_that_was_made_proves_that_the_zone_works() -> None:
    failures = Failures()
    assert not failures.note("z.", {"a."}, 0.0)
    failures.forget("z.")
    assert not failures.note("z.", {"b."}, 1.0)
