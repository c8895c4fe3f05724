"""What clients wanted, when, and what they were told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sftdyn.providers.running import Providers
from sftdyn.values.outcome import SUCCESSES, Outcome, Result
from sftdyn.values.update import Item, Key, Script

from .clock import now
from .ledger import Value
from .world import Place, World


@dataclass(eq=False)
class Asked:
    """One update that was handed to the providers."""

    number: int  # in the order of arrival
    at: float  # virtual seconds
    timeout: float  # seconds, of the conf
    spec: Any
    place: Place
    items: Sequence[Item]
    ask_only: bool
    secret: str | None
    is_unique: bool  # nobody else wants its values
    zones: Sequence[str | None]  # of each item, when it arrived
    ended: float | None = None
    results: Sequence[Result] = ()

    def __str__(self) -> str:
        wants = ", ".join(f"{' '.join(item.key)} = {' '.join(value(item)) or 'nothing'}" for item in self.items)
        kind = "asks" if self.ask_only else "wants"
        said = ", ".join(f"{result.outcome.name} {result.reason}".strip() for result in self.results) or "no answer"
        return f"{self.at:.3f} #{self.number} {kind} {wants}; {self.ended or 0:.3f} {said}"


@dataclass(frozen=True)
class Said:
    """What was said of one item."""

    asked: Asked
    item: Item
    result: Result

    @property
    def is_acknowledged(self) -> bool:
        """Whether the client may rely on it."""
        return self.result.outcome in SUCCESSES

    @property
    def may_be_done(self) -> bool:
        """Whether it may have been written, though nobody was told."""
        return not self.asked.ask_only and self.result.outcome is Outcome.TIMEOUT

    @property
    def value(self) -> Value:
        """What it wants."""
        return value(self.item)

    def __str__(self) -> str:
        return str(self.asked)


class Story:
    """All of it. `providers` are driven as the service does."""

    def __init__(self, world: World, providers: Providers) -> None:
        self.world = world
        self.providers = providers
        self.asked: list[Asked] = []
        self.confs: list[tuple[float, list[Any]]] = []  # since when, its providers
        self.timeout = 0.0

    def use(self, specs: Sequence[Any], timeout: float) -> None:
        """A conf with these comes into force."""
        self.timeout = timeout
        self.confs.append((now(), list(specs)))

    def was_served(self, place: Place, since: float) -> bool:
        """Whether each conf since then has had a provider there, with credentials of its own."""
        ends = [at for at, _ in self.confs[1:]] + [float("inf")]
        since_then = [specs for end, (_, specs) in zip(ends, self.confs, strict=True) if end > since]
        own = [[spec for spec in specs if not getattr(spec, "passes_secret", False)] for specs in since_then]
        return all(any(self.world.at(spec) is place for spec in specs) for specs in own)

    def is_alone(self) -> bool:
        """Whether there has never been more than one provider."""
        return len({spec for _, specs in self.confs for spec in specs}) == 1

    async def publish(
        self,
        spec: Any,
        items: Sequence[Item],
        ask_only: bool = False,
        secret: str | None = None,
        is_unique: bool = False,
    ) -> Sequence[Result]:
        """One update."""
        place = self.world.at(spec)
        asked = Asked(
            len(self.asked),
            now(),
            self.timeout,
            spec,
            place,
            items,
            ask_only,
            secret,
            is_unique,
            [place.zone_of(item.name) for item in items],
        )
        self.asked.append(asked)
        asked.results = tuple(await self.providers.publish(spec, items, ask_only, secret))
        asked.ended = now()
        return asked.results

    async def as_doors_do(
        self, spec: Any, items: Sequence[Item], secret: str | None = None, is_unique: bool = False
    ) -> None:
        """Quota or proof stand in front: ask first, then publish."""
        results = await self.publish(spec, items, True, secret, is_unique)
        if any(result.outcome is Outcome.WOULD_CHANGE for result in results):
            await self.publish(spec, items, False, secret, is_unique)

    def said(self) -> Iterator[Said]:
        """Of each item, in the order of arrival."""
        for asked in self.asked:
            for item, result in zip(asked.items, asked.results, strict=False):
                yield Said(asked, item, result)

    def of(self, place: Place, key: Key) -> list[Said]:
        """About one record set at one place, in the order of arrival."""
        return [one for one in self.said() if one.asked.place is place and one.item.key == key]

    def by_record(self) -> dict[tuple[Place, Key], list[Said]]:
        """All that was said about each record set at each place, in the order of arrival."""
        found: dict[tuple[Place, Key], list[Said]] = {}
        for one in self.said():
            found.setdefault((one.asked.place, one.item.key), []).append(one)
        return found

    def history(self, place: Place, key: Key, last: int = 14) -> str:
        """What happened to a record set, for who reads a failure."""
        events = [(change.at, str(change)) for change in place.ledger.of(key)]
        events += [(said.asked.at, str(said)) for said in self.of(place, key)]
        return "\n    ".join(text for _, text in sorted(events)[-last:])


def value(item: Item) -> Value:
    """What an item wants its record set to be."""
    return (item.address,) if isinstance(item, Script) else item.addresses
