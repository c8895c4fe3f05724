"""The bus: what happens to names and providers goes to all who want to know.

It looks at all names every few seconds, some at a time, so that no request waits for it.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any

from ...check.online import what_is_wrong
from ...conf.config import Config
from ...providers.running import Providers
from ...values.specs import Spec
from ...web.tls import Certificate
from .changes import ChangeCalls
from .courier import MINUTE, Courier, Undelivered
from .delivery import Delivery
from .events import Event, Kind, Told, about_name, about_provider, about_wrong_keys
from .heartbeat import beat
from .seen import Place, Row
from .watch import Watch

LOOK = 10.0  # seconds between two looks at all
CERTIFICATE, WRONG_KEYS = "certificate ", "wrong keys "  # before what of them was told
AT_ONCE = 500  # names between two turns of the event loop


class Telling:
    """Tells what there is to tell; made inside a running event loop. `minute`: seconds that a message gathers."""

    def __init__(self, config: Config, watch: Watch, providers: Providers, minute: float = MINUTE) -> None:
        self._watch = watch
        self._providers = providers
        self._minute = minute
        self._changes = ChangeCalls()
        self._couriers: dict[object, tuple[Courier, Delivery]] = {}
        self._beating: asyncio.Task[None] | None = None
        self.certificate: Certificate | None = None  # of https
        self._config = config
        watch.journal.on_change = self._changed
        self.use(config)

    def use(self, config: Config) -> None:
        """From now on, this conf. Who stays keeps what is on its way to him."""
        before, self._config = self._couriers, config
        self._couriers = {
            target: before.pop(target) if target in before else self._hire(target) for target in config.notify
        }
        for courier, delivery in before.values():
            courier.close()
            delivery.close()
        if self._beating:
            self._beating.cancel()
        self._beating = asyncio.create_task(beat(config.heartbeat, self._is_well)) if config.heartbeat else None

    async def run(self) -> None:
        """Look, now and then, as long as it runs."""
        while True:
            await asyncio.sleep(min(LOOK, self._minute))
            await self.look()

    async def look(self) -> None:
        """Tell what is to be told now."""
        if not self._config.notify:
            return
        self._tell_of_certificate()
        self._tell_of_wrong_keys()
        away = dict(self._away())
        of_spec: dict[Spec, list[str]] = {spec: [] for spec in away}
        journal = self._watch.journal
        for number, name in enumerate(self._watch.known.all or journal.names()):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            its, spec = journal.rows_of(name), self._watch.specs.get(name, self._config.provider)
            if away.get(spec) is not None and any(row.failures for row in its):
                of_spec[spec].append(name)
            self._tell_of(name, its, away.get(spec) is not None)
        for spec, since in away.items():
            told = self._watch.told.setdefault(str(spec), Told())
            for event in about_provider(
                spec.where, since, of_spec[spec], told, self._watch.clock(), self._config.notify_after
            ):
                self.emit(event)

    def emit(self, event: Event) -> None:
        """Hand it to all who want to know."""
        for courier, _ in self._couriers.values():
            courier.take(event)

    def close(self) -> None:
        """Tell no more."""
        for courier, delivery in self._couriers.values():
            courier.close()
            delivery.close()
        if self._beating:
            self._beating.cancel()

    def _tell_of(self, name: str, rows: Sequence[Row], is_away: bool) -> None:
        told = self._watch.told.get(name) or Told()
        now, after = self._watch.clock(), self._config.notify_after
        for event in about_name(name, rows, self._watch.expected, told, now, after, is_away):
            self._watch.told[name] = told
            self.emit(event)

    def _tell_of_certificate(self) -> None:
        """Once when it should have been renewed, and once when nobody takes it any more."""
        cert, told, now = self._config.cert, self._watch.told, self._watch.clock() + self._watch.clock.jump()
        wrong = list(what_is_wrong(self.certificate, cert, now)) if cert and self.certificate else []
        is_over = self.certificate is not None and self.certificate.ends <= now
        key = f"{CERTIFICATE}{self.certificate.ends:.0f} {is_over}" if self.certificate and wrong else ""
        for old in [name for name in told if name.startswith(CERTIFICATE) and name != key]:
            del told[old]
        if key and key not in told:
            told[key] = Told(failing=True, times=1, last=now)
            self.emit(Event(Kind.CERTIFICATE, (), reason="; ".join(wrong)))

    def _tell_of_wrong_keys(self) -> None:
        now = self._watch.clock()
        for name, found in self._watch.journal.wrong_keys.found(now).items():
            told = self._watch.told.get(WRONG_KEYS + name) or Told()
            for event in about_wrong_keys(name, found, told, now):
                self._watch.told[WRONG_KEYS + name] = told
                self.emit(event)

    def _away(self) -> Iterator[tuple[Spec, float | None]]:
        """Each provider of the conf, and since when it gives no answer."""
        for spec, vitals in self._providers.named():
            silent = vitals.exchanges.silent_since
            yield spec, None if silent is None else self._watch.clock() - (monotonic() - silent)

    def _is_well(self) -> bool:
        return self._providers.is_alive() and not any(since is not None for _, since in self._away())

    def _hire(self, target: Any) -> tuple[Courier, Delivery]:
        delivery = Delivery(target, self._config.path)
        return Courier(target, delivery, self._minute), delivery

    def _changed(self, place: Place, old: tuple[str, ...] | None, new: tuple[str, ...], now: float) -> None:
        name = place[0].rstrip(".")
        event = Event(Kind.CHANGED, (name,), now, old=old or (), new=new, type=place[1])
        self.emit(event)
        if self._config.on_change:
            self._changes.take(event, self._config.on_change, self._config.path)


async def test(config: Config, show: Callable[[str], None]) -> bool:
    """Send one message to each target, and show what came of it; whether all have got theirs."""

    async def send(target: Any) -> bool:
        delivery = Delivery(target, config.path)
        try:
            await delivery([Event(Kind.TEST, (), reason="sftdyn --notify-test")], 0)
        except Undelivered as problem:
            show(f"FAIL {target}: {problem}")
            return False
        finally:
            delivery.close()
        show(f"OK {target}")
        return True

    return all(await asyncio.gather(*map(send, config.notify)))
