"""Asks the status listener of the sftdyn that runs with a conf: for `sftdyn --list` and `sftdyn --health`."""

import asyncio
import json
from datetime import datetime
from typing import Any

from ...conf.config import Config
from ...conf.token import goes_into_a_header
from ...fetch.answer import Answer, Failed
from ...fetch.fetcher import Fetcher
from ...fetch.route import Dialer
from ...values.mistake import Mistake
from .overview import Condition

PATIENCE = 5.0  # seconds
LIMIT = 64 << 20  # octets of one page of the list
PAGES = 100_000
TEXTS = ("address", "outcome", "reason", "program", "door", "from")  # of an entry that the table shows, or null
VARIABLE = "SFTDYN_STATUS_TOKEN"
SOME_PORT = "status = 8053"
LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # a listener everywhere is here, too
HEALTHS = {(health.status, health.reason) for health in Condition}
FOREIGN = "what answers at the port of the status listener is not sftdyn"
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
    said = answer.body.decode("utf-8", "replace").strip()
    if (answer.status, said) not in HEALTHS:
        return False, FOREIGN
    return answer.status == Condition.WELL.status, said


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
    if not goes_into_a_header(token):
        raise Mistake(f"{VARIABLE}: a token is ASCII, without line ends and without a blank at its ends")
    found: list[dict[str, Any]] = []
    page = pages = 1
    while page <= pages:
        more, pages = _read(asyncio.run(_ask(config, f"widget?page={page}", token)))
        found += more
        page += 1
    return found


def _read(answer: Answer) -> tuple[list[dict[str, Any]], int]:
    """The entries of one page, and how many pages there are. Raises CannotAsk."""
    if answer.status != 200:
        raise CannotAsk("the running sftdyn does not take this status_token; was it reloaded since it changed?")
    try:
        said = json.loads(answer.body)
        names, pages = said["names"], said["pages"]
        if isinstance(pages, int) and pages <= PAGES and all(map(_is_entry, names)):
            return list(names), pages
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        pass
    raise CannotAsk(FOREIGN)


def _is_entry(said: Any) -> bool:
    """Whether the table can show it. Raises TypeError, KeyError, ValueError, OverflowError where it cannot."""
    for moment in filter(None, (said["changed"], said["seen"])):
        datetime.fromisoformat(moment).timestamp()
    texts = [said[key] for key in TEXTS]
    return (
        isinstance(said["name"], str)
        and isinstance(said["state"], str)
        and isinstance(said["failures"], int)
        and all(map(_is_text, texts))
    )


def _is_text(said: Any) -> bool:
    return said is None or isinstance(said, str)


async def _ask(config: Config, target: str, token: str | None = None) -> Answer:
    """Raises CannotAsk."""
    listener = config.status[0]
    host = LOCAL.get(listener.host or "", listener.host or "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"http://{f'[{host}]' if ':' in host else host}:{listener.port}"
    fetcher = Fetcher(Dialer(), LIMIT)
    try:
        return await fetcher.fetch("GET", f"{url}/{target}", PATIENCE, headers)
    except Failed as failed:
        raise CannotAsk(f"no sftdyn at {url}: {failed}") from None
    finally:
        fetcher.close()
