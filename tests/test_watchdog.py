"""The watch over steps of the event loop sees what it should."""

import asyncio
import time

import pytest

from tests.watchdog import LONGEST, TooLong, watching


def compute() -> None:
    end = time.thread_time() + 1.5 * LONGEST
    while time.thread_time() < end:
        pass


async def in_one_step() -> None:
    compute()


async def in_steps_and_waiting() -> None:
    for _ in range(3):
        end = time.thread_time() + LONGEST / 4
        while time.thread_time() < end:
            pass
        await asyncio.sleep(0)
    time.sleep(2 * LONGEST)  # noqa: ASYNC251
    await asyncio.to_thread(compute)


def test_a_step_that_computes_for_long_is_seen() -> None:
    with pytest.raises(TooLong, match="ms: "), watching():
        asyncio.run(in_one_step())
    asyncio.run(in_one_step())  # watched no more


def test_what_waits_or_computes_elsewhere_or_in_turns_holds_nobody_up() -> None:
    with watching():
        asyncio.run(in_steps_and_waiting())
