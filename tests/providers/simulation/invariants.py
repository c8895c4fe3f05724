"""What must hold, whatever happened. Each takes a story that is over, and says what broke, a sentence each."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sftdyn.values.outcome import SUCCESSES, Outcome
from sftdyn.values.update import Key, Script

from .ledger import GIVEN_UP, OF_OURS, Cause, Change, Value
from .primary import WOKEN
from .story import Asked, Said, Story, value
from .world import Place

SWEPT = 0.15  # seconds after its deadline within which a request is answered
BETWEEN_PROVIDERS = 2.0  # times the timeout, where another provider may have to settle an update first
RACE = 10.0  # seconds from a look to the change that follows it, at most
NOTHING_DONE = (Outcome.REFUSED, Outcome.UNPUBLISHABLE, Outcome.NOZONE)


class Bounds(NamedTuple):
    """What a kind of provider is held to, in virtual seconds."""

    undisturbed: float  # until an update is answered whose zones are well, whatever the others suffer
    mended: float  # until a late write over an acknowledged value is undone, in a zone that is well
    settled: float  # of calm, after which no trouble is felt any more
    troubled: tuple[str, ...]  # names and zones that have troubles of their own
    shifting: tuple[str, ...] = ()  # zones that come and go


class Run(NamedTuple):
    """What is looked at."""

    story: Story
    bounds: Bounds


Invariant = Callable[[Run], Iterator[str]]


def ok_is_true(run: Run) -> Iterator[str]:
    """I1. What was acknowledged held at an instant between its arrival and its answer (promises 1, 2 and 9).

    Of scripts the last success is remembered, so their UPTODATE is not looked at.
    """
    for said in run.story.said():
        asked = said.asked
        if not said.is_acknowledged or (isinstance(said.item, Script) and said.result.outcome is Outcome.UPTODATE):
            continue
        if _raced(asked.place, said.item.key, asked.at, asked.ended or 0.0):
            continue
        if not asked.place.ledger.held(said.item.key, said.value, asked.at, asked.ended or 0.0):
            yield f"untrue {said.result.outcome.name}: {_history(run, said)}"


def newest_wins(run: Run) -> Iterator[str]:
    """I2. When all is quiet, a record set is the newest acknowledged one, or one that came later and failed (promise 7).

    What strangers wrote since then is theirs. Nobody can mend a late write over what a script did, nor where only the
    clients have the token, nor at a place that the conf has left. Where a place takes single records, those of several
    that came later and failed can stand together.
    """
    for (place, key), said in run.story.by_record().items():
        newest = max((number for number, one in enumerate(said) if one.is_acknowledged), default=None)
        if newest is None:
            continue
        allowed = {said[newest].value} | {one.value for one in said[newest:] if not one.asked.ask_only}
        there, changes = place.ledger.value(key), place.ledger.of(key)
        if there in allowed or any(one.cause is Cause.STRANGER and one.at >= said[newest].asked.at for one in changes):
            continue
        if changes and changes[-1].cause in GIVEN_UP and not _can_be_mended(run, said[newest]):
            continue
        failed = {address for one in said[newest + 1 :] if not one.asked.ask_only for address in one.value}
        if not place.has_prerequisites and there and {*there} <= failed:
            continue
        yield f"lost: {_history(run, said[newest])}"


def answered_in_time(run: Run) -> Iterator[str]:
    """I3. Each answer within the timeout (promise 6 has a bound)."""
    times = 1.0 if run.story.is_alone() else BETWEEN_PROVIDERS
    for asked in run.story.asked:
        if asked.ended is None:
            yield f"never answered: {asked}"
        elif asked.ended - asked.at > times * asked.timeout + SWEPT:
            yield f"answered after {asked.ended - asked.at:.2f} s: {asked}"
        elif any(result.outcome is Outcome.INTERNAL for result in asked.results):
            yield f"a defect: {asked}"
        elif len(asked.results) != len(asked.items):
            yield f"{len(asked.results)} results for {len(asked.items)} items: {asked}"


def only_what_was_wanted(run: Run) -> Iterator[str]:
    """I4. Nothing is written that was only asked about, or that nobody wanted (promise 3).

    What a question confirmed may be mended, for its client relies on it. What comes late can stand beside other
    records, as it was planned without them, where a place takes single records; where it takes whole sets of TXT
    values, it takes those away that came meanwhile.
    """
    wanted: dict[int, set[tuple[Key, Value]]] = {}
    for asked in run.story.asked:
        succeeded = {
            id(item) for item, result in zip(asked.items, asked.results, strict=False) if result.outcome in SUCCESSES
        }
        items = [item for item in asked.items if not asked.ask_only or id(item) in succeeded]
        wanted.setdefault(id(asked.place), set()).update((item.key, value(item)) for item in items)
    for place in _places(run):
        for change in place.ledger.changes:
            if _raced(place, change.key, change.at - RACE, change.at):
                continue
            all_wanted = wanted.get(id(place), set())
            is_late = any(
                one.cause is Cause.LATE and change.at - RACE <= one.at <= change.at
                for one in place.ledger.of(change.key)
            )
            if is_late and not place.has_prerequisites and _is_made_of(place, change, all_wanted):
                continue
            if change.cause in OF_OURS and (change.key, change.value) not in all_wanted:
                yield f"not wanted: {change}"


def atomic_in_a_zone(run: Run) -> Iterator[str]:
    """I5. What a zone holds of an update becomes true together. Seen where nobody else wants its values."""
    for asked in _unique(run):
        for keys in _by_zones(run, asked):
            if any(_raced(asked.place, key, asked.at, asked.ended or 0.0, Cause.LATE) for key in keys):
                continue
            changes = [change for change in _written(asked) if change.key in keys]
            first = {change.key for change in changes if change.message == changes[0].message}
            if changes and first != keys:
                yield f"in parts, {' '.join(changes[0].key)} first: {asked}"


def nobody_slows_another(run: Run) -> Iterator[str]:
    """I7. An update whose zones are well, at a place that answers, is soon answered, whatever other zones suffer
    (promise 8). What has an earlier update of a name in front of it waits for that."""
    for asked in run.story.asked:
        took = (asked.ended or float("inf")) - asked.at
        if took <= run.bounds.undisturbed or any(isinstance(item, Script) for item in asked.items):
            continue
        if _is_undisturbed(run, asked):
            yield f"took {took:.2f} s: {asked}"


def failure_changes_nothing(run: Run) -> Iterator[str]:
    """I8. What was refused for good was not written: each item's own result is true (promises 3 and 9)."""
    for asked in _unique(run):
        refused = {
            item.key for item, result in zip(asked.items, asked.results, strict=False) if result.outcome in NOTHING_DONE
        }
        calm = asked.place.weather.is_calm(None, asked.at - run.bounds.settled, asked.ended or asked.at)
        for change in _written(asked) if refused and calm else ():
            if change.key in refused:
                yield f"said to have failed, and {change}: {asked}"


def late_writes_are_mended(run: Run) -> Iterator[str]:
    """I9. An acknowledged value that a late write has undone is soon right again (promise 1)."""
    for (place, key), said in run.story.by_record().items():
        for change in place.ledger.of(key):
            if change.cause not in GIVEN_UP:
                continue
            until = change.at + run.bounds.mended
            before = [one for one in said if one.is_acknowledged and (one.asked.ended or 0.0) < change.at]
            if not before or before[-1].value == change.value or not _can_be_mended(run, before[-1]):
                continue
            if any(one.asked.at <= until and (one.asked.ended or 0.0) >= change.at for one in said):
                continue
            newer = said[said.index(before[-1]) + 1 :]
            if any(not one.asked.ask_only and one.asked.at < change.at for one in newer):
                continue
            since = before[-1].asked.at
            if any(one.cause is Cause.STRANGER and since <= one.at <= until for one in place.ledger.of(key)):
                continue
            zone = place.zone_of(key[0])
            if not place.weather.is_calm(zone, change.at - run.bounds.settled, until):
                continue
            if not place.ledger.held(key, before[-1].value, change.at + 1e-6, until):
                yield f"not mended within {run.bounds.mended:g} s of {change.at:.2f}: {_history(run, before[-1])}"


def woken_writes_undo_no_ok(run: Run) -> Iterator[str]:
    """I10. Who wakes up works off what lay in its sockets: an OK is given when that cannot undo it any more
    (promise 1). That is what a second look is for. What a newer request wanted may come."""
    for (place, key), said in run.story.by_record().items():
        for change in place.ledger.of(key):
            if change.cause is not Cause.WOKEN:
                continue
            for one in said:
                was_ok = one.result.outcome is Outcome.OK and not isinstance(one.item, Script)
                just_now = change.at - WOKEN <= (one.asked.ended or 0.0) < change.at
                newer = (other for other in said if other.asked.number > one.asked.number and not other.asked.ask_only)
                is_newer = any(other.value == change.value and other.asked.at <= change.at for other in newer)
                if was_ok and just_now and one.value != change.value and not is_newer:
                    yield f"OK was undone at once: {_history(run, one)}"


def what_is_under_way_comes_first(run: Run) -> Iterator[str]:
    """I11. Where a reload has brought a name to another place, this place writes nothing while the old one still has
    something under way for it (promise 7). Seen where nobody else wants the old one's value."""
    for old in _unique(run):
        reloads = [at for at, _ in run.story.confs[1:] if at > old.at]
        written = [one for one in _written(old) if one.cause is Cause.OURS][:1]
        for change in written if reloads else ():
            for new in run.story.asked[old.number + 1 :]:
                is_elsewhere = new.place is not old.place and new.at > reloads[0] and (new.ended or 0.0) < change.at
                if is_elsewhere and not new.ask_only and change.key in _acknowledged(new):
                    yield f"overtaken at another place: {old}\n    {change}\n    {new}"


INVARIANTS: Sequence[Invariant] = (
    ok_is_true,
    newest_wins,
    answered_in_time,
    only_what_was_wanted,
    atomic_in_a_zone,
    nobody_slows_another,
    failure_changes_nothing,
    late_writes_are_mended,
    woken_writes_undo_no_ok,
    what_is_under_way_comes_first,
)


def broken(run: Run) -> list[str]:
    """What does not hold, with the invariant's name in front."""
    return [f"{invariant.__name__}: {said}" for invariant in INVARIANTS for said in invariant(run)]


def _is_made_of(place: Place, change: Change, wanted: set[tuple[Key, Value]]) -> bool:
    """Whether each record of it was wanted, or has been there."""
    before = [one.value for one in place.ledger.of(change.key) if one.at < change.at][-1:]
    records = [*before, *(value for key, value in wanted if key == change.key)]
    return {*change.value} <= {address for value in records for address in value}


def _history(run: Run, said: Said) -> str:
    return f"{' '.join(said.item.key)}\n    {run.story.history(said.asked.place, said.item.key)}"


def _places(run: Run) -> Sequence[Place]:
    return list(run.story.world.places.values())


def _can_be_mended(run: Run, said: Said) -> bool:
    """Whether somebody knows what should be there, and may write it."""
    asked = said.asked
    has_token = not getattr(asked.spec, "passes_secret", False)
    return has_token and not isinstance(said.item, Script) and run.story.was_served(asked.place, asked.at)


def _unique(run: Run) -> Iterator[Asked]:
    return (asked for asked in run.story.asked if asked.is_unique and not asked.ask_only)


def _written(asked: Asked) -> list[Change]:
    """The changes that are its alone."""
    values = {item.key: value(item) for item in asked.items if value(item)}
    return [one for key, wanted in values.items() for one in asked.place.ledger.of(key) if one.value == wanted]


def _acknowledged(asked: Asked) -> set[Key]:
    """The record sets of which its client was told that they are as wanted."""
    pairs = zip(asked.items, asked.results, strict=False)
    return {item.key for item, result in pairs if result.outcome in SUCCESSES}


def _by_zones(run: Run, asked: Asked) -> Iterator[set[Key]]:
    """Its record sets, zone by zone, where zones stay what they are."""
    zones: dict[str | None, set[Key]] = {}
    for item, zone in zip(asked.items, asked.zones, strict=True):
        shifts = any(item.name.endswith(shifting) for shifting in run.bounds.shifting)
        if not shifts and not isinstance(item, Script) and value(item):
            zones.setdefault(zone, set()).add(item.key)
    yield from zones.values()


def _is_undisturbed(run: Run, asked: Asked) -> bool:
    place, since, until = asked.place, asked.at - run.bounds.settled, asked.at + run.bounds.undisturbed
    if any(item.name.endswith(run.bounds.troubled) for item in asked.items):
        return False
    if any(since <= at <= until for at, _ in run.story.confs[1:]):
        return False
    if not all(place.weather.is_calm(zone or "", since, until) for zone in asked.zones):
        return False
    keys = {item.key for item in asked.items}
    in_front = (one for one in run.story.asked[: asked.number] if one.place is place and (one.ended or 0) > asked.at)
    return not any(item.key in keys for one in in_front for item in one.items)


def _raced(place: Place, key: Key, since: float, until: float, *others: Cause) -> bool:
    """Whether a stranger (or another hand) wrote there meanwhile, where a change cannot say what it believes."""
    writes = (one for one in place.ledger.of(key) if one.cause in (Cause.STRANGER, *others))
    return not place.has_prerequisites and any(since <= one.at <= until for one in writes)
