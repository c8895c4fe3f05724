"""Asks the status listener of the sftdyn that runs with a conf: for `sftdyn --list` and `sftdyn --health`."""

import asyncio
import json
from typing import Any

from ..conf.config import Config
from ..fetch import Answer, Failed, Fetcher, Route
from ..values.mistake import Mistake

PATIENCE = 5.0  # seconds
LIMIT = 64 << 20  # octets of one page of the list
VARIABLE = "SFTDYN_STATUS_TOKEN"
SOME_PORT = "status = 8053"
LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # a listener everywhere is here, too
NO_LISTENER = f"there is no status listener; add {SOME_PORT}"


class CannotAsk(Exception):
    """There is no list; the message says why."""


def health(config: Config) -> tuple[bool, str]:
    """Whether the running sftdyn is well, and what it says."""
    if not config.status:
        return False, NO_LISTENER
    try:
        answer = asyncio.run(_ask(config, "health"))
    except CannotAsk as problem:
        return False, str(problem)
    return answer.status == 200, answer.body.decode("utf-8", "replace").strip()


def entries(config: Config, given: str) -> list[dict[str, Any]]:
    """What /widget says of each record set; `given` is the token, if the conf has its hash alone.

    Raises CannotAsk, and Mistake for a conf that has no status listener or no token.
    """
    if not config.status:
        raise Mistake(f'{config.path}: {NO_LISTENER}, and status_token = "…"')
    token = config.status_token and (config.status_token.plain or given)
    if not token:
        what = f"only a hash of it; give the token in {VARIABLE}" if config.status_token else "none"
        raise Mistake(f"{config.path}: the list needs the status_token, and the conf has {what}")
    found: list[dict[str, Any]] = []
    page = pages = 1
    while page <= pages:
        answer = asyncio.run(_ask(config, f"widget?page={page}", token))
        if answer.status != 200:
            raise CannotAsk("the running sftdyn does not take this status_token; was it reloaded since it changed?")
        said = json.loads(answer.body)
        found += said["names"]
        page, pages = page + 1, said["pages"]
    return found


async def _ask(config: Config, target: str, token: str | None = None) -> Answer:
    """Raises CannotAsk."""
    listener = config.status[0]
    host = LOCAL.get(listener.host or "", listener.host or "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"http://{f'[{host}]' if ':' in host else host}:{listener.port}"
    fetcher = Fetcher(Route(), LIMIT)
    try:
        return await fetcher.fetch("GET", f"{url}/{target}", PATIENCE, headers)
    except Failed as failed:
        raise CannotAsk(f"no sftdyn at {url}: {failed}") from None
    finally:
        fetcher.close()
