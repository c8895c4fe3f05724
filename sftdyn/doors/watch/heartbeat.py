"""Asks for a URL while all is well. That the watcher there hears nothing is the alarm."""

import asyncio
import logging
from collections.abc import Callable

from ...fetch.answer import Failed
from ...fetch.fetcher import Fetcher
from ...fetch.route import Dialer
from ...values.mistake import Mistake
from ...values.targets import Ping
from ..log import LogBook

log = logging.getLogger(__name__)

LATE = 5.0  # seconds that the event loop may be late
PATIENCE = 10.0  # seconds for an answer


async def beat(ping: Ping, is_well: Callable[[], bool]) -> None:
    """Ask, each `every` seconds, as long as it runs."""
    fetcher, book = Fetcher(Dialer()), LogBook()
    loop = asyncio.get_running_loop()
    due = loop.time()
    try:
        while True:
            if is_well() and loop.time() - due < LATE:
                try:
                    answer = await fetcher.fetch("GET", ping.url, min(PATIENCE, ping.every))
                    if not 200 <= answer.status < 300:
                        book.remark(f"heartbeat: {ping}: it answers {answer.status}")
                except (Failed, Mistake) as failed:
                    book.remark(f"heartbeat: {ping}: {failed}")
            due = max(due + ping.every, loop.time())
            await asyncio.sleep(due - loop.time())
    finally:
        fetcher.close()
