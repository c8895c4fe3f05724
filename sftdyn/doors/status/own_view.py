"""What there is to show at this moment: to the owner all of it, and to a client its own host names, at /show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from ... import __version__
from ...providers.running import Providers
from ...values.outcome import Outcome
from ...web.reply import Reply
from ..notes import Part
from ..secret_url import REPLIES
from ..watch.seen import Seen
from ..watch.watch import Watch
from . import page
from .overview import Overview


def overview_of(watch: Watch, providers: Providers, started: float, certificate_end: float | None) -> Overview:
    """All that is known now; to be computed with in a thread."""
    known = watch.known
    return Overview(
        now=watch.clock(),
        jump=watch.clock.jump(),
        started=started,
        version=__version__,
        clients=known.clients,
        names=tuple(known.names),
        all_names=known.all,
        own=known.own,
        providers=providers.vitals(),
        away=list(_away(watch, providers)),
        places=watch.places,
        certificate_end=certificate_end,
        is_one_of_several=known.is_one_of_several,
        seen=watch.journal.seen(),
        expected=watch.expected,
        wrong_keys=watch.journal.wrong_keys.found(watch.clock()),
    )


def _away(watch: Watch, providers: Providers) -> Iterator[tuple[str, float]]:
    found: dict[str, float] = {}
    for spec, vitals in providers.named():
        if (since := vitals.exchanges.silent_since) is not None:
            found.setdefault(spec.where, watch.clock() - (monotonic() - since))
    yield from found.items()


def _of_names(watch: Watch, names: Sequence[str]) -> Overview:
    """What is known of these names; it costs what they are many."""
    now = watch.clock()
    found = watch.journal.wrong_keys
    return Overview(
        now=now,
        jump=watch.clock.jump(),
        started=now,
        version=__version__,
        clients=1,
        names=names,
        all_names=(),
        own=(),
        providers=(),
        away=(),
        places={},
        certificate_end=None,
        is_one_of_several=False,
        seen=Seen([row for name in names for row in watch.journal.rows_of(name)], {}, {}),
        expected=replace(watch.expected, since={name: watch.expected.since.get(name, now) for name in names}),
        wrong_keys={name: found.of(name, now) for name in names},
    )


@dataclass(frozen=True, slots=True)
class OwnView:
    """The door at which a client sees how its own host names are. `watch` None: nothing is noted of anybody."""

    watch: Watch | None
    names: Sequence[str] = ()  # absolute
    NAME = "show"

    def reply(self, parts: Sequence[Part], address: str = "") -> Reply:
        """The page; changes nothing."""
        [part] = parts
        if part.whole.outcome is not Outcome.ADDRESS or not self.watch:
            return REPLIES[part.whole.outcome]
        body = page.render_own(_of_names(self.watch, self.names).as_shown())
        return Reply(200, body, (page.POLICY, *page.SAFE), page.HTML)
