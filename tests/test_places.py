"""Places that are few are shared fairly, whoever wants how many."""

import asyncio
from collections.abc import Coroutine, Hashable
from typing import Any

from sftdyn.places import Places


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


class Takers:
    """Tasks that take a place, in the order in which they got one."""

    def __init__(self, places: Places) -> None:
        self.got: list[Hashable] = []
        self._places = places

    def start(self, who: Hashable) -> "asyncio.Task[None]":
        return asyncio.create_task(self._take(who))

    async def _take(self, who: Hashable) -> None:
        await self._places.take(who)
        self.got.append(who)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def greedy() -> None:
    places = Places(16)
    takers = Takers(places)
    tasks = [takers.start(who) for who in "aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbcccccccccc"]
    await settle()
    assert [takers.got.count(who) for who in "abc"] == [8, 4, 2]
    tasks.append(takers.start("newcomer"))
    await settle()
    assert takers.got[-1] == "newcomer"
    for task in tasks:
        task.cancel()


def test_a_newcomer_finds_a_place_at_once_however_many_others_want() -> None:
    run(greedy())


async def in_turn() -> None:
    places = Places(2)
    takers = Takers(places)
    tasks = [takers.start(who) for who in ("a", "b", "a", "a", "a", "c", "d")]
    await settle()
    assert takers.got == ["a", "b"]
    for held in ("b", "a", "a", "c", "d", "a"):
        places.leave(held)
        await settle()
    assert takers.got == ["a", "b", "c", "a", "d", "a", "a"]
    await asyncio.gather(*tasks)


def test_who_waits_has_turns_whatever_others_have_queued() -> None:
    run(in_turn())


async def given_up() -> None:
    places = Places(2)
    takers = Takers(places)
    first, second, third = (takers.start(who) for who in ("a", "a", "a"))
    await settle()
    second.cancel()
    places.leave("a")  # the third has its turn, and gives up before it knows
    third.cancel()
    await settle()
    assert first.done()
    assert places.are_all_free


def test_who_gives_up_leaves_no_place_behind() -> None:
    run(given_up())
