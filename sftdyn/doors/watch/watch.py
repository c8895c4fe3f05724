"""The watch: what was seen, measured by what the conf expects."""

from collections.abc import Mapping
from typing import NamedTuple

from ...conf.config import Config
from ...values.specs import Client
from .clock import Clock
from .seen import Journal
from .states import Expected

FORGOTTEN = 30 * 86400.0  # seconds after which a name goes that the conf has no more


def is_watched(config: Config) -> bool:
    """Whether somebody wants to know what was seen; else nothing is noted of anybody."""
    return bool(config.status or config.expect or any(client.expect for client in config.clients))


class Known(NamedTuple):
    """What the watch makes of a conf."""

    clients: int
    names: Mapping[str, None]  # absolute, of clients; without the hosts behind the router
    own: frozenset[str]  # what sftdyn publishes by itself, with the hosts behind the router
    all: frozenset[str]  # all of them; empty where get_host decides


class Watch:
    """Keeps the journal, and knows which names there should be."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self.clock = clock
        self.journal = Journal(clock)
        self.expected = Expected()
        self.use(config)

    def use(self, config: Config) -> None:
        """From now on, this conf."""
        now = self.clock()
        self.known = _known(config)
        before = self.expected.since
        since = {name: before.get(name, now) for name in (*self.known.names, *self.known.all)}
        self.expected = Expected(config.expect, _expectations(config), since)
        if not config.hooks.get_host:
            self.journal.forget(self.known.all, now - FORGOTTEN)


def _known(config: Config) -> Known:
    clients = list(config.clients)
    own = {name for own in config.own for name in _names(own.client)}
    every = () if config.hooks.get_host else (name for client in clients for name in _names(client))
    names = {name: None for client in clients for name in client.names}
    return Known(len(clients), names, frozenset(own), frozenset(every))


def _names(client: Client) -> tuple[str, ...]:
    """Its own, and those of the hosts behind its router."""
    return (*client.names, *(name for name, _ in client.lan))


def _expectations(config: Config) -> dict[str, float]:
    """For each name the shortest time that one of its clients has."""
    found: dict[str, float] = {}
    for client in config.clients:
        if expect := client.expect or config.expect:
            found.update({name: min(found.get(name, expect), expect) for name in _names(client)})
    return found
