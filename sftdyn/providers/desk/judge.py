"""What a settlement means for the share that it is about: an answer, or another try."""

import asyncio
from collections.abc import Callable, Sequence

from ...values.outcome import Outcome, Result
from ...values.update import Item, Key, Record, Script
from .backend import OUTCOMES, Manner, Settlement, Verdict
from .book import OK, UPTODATE, Book
from .session import Session
from .tickets import Share, Ticket
from .watch import Vigil

THERE = frozenset({Verdict.HIDDEN, Verdict.AGAIN})  # the zone is where it was; the name may be in one below it
WOULD_CHANGE = Result(Outcome.WOULD_CHANGE)


class Judge:
    """Judges at one desk. `anew` places again what of a ticket is neither settled nor under way.

    `scripted` has what scripts did last; who writes the same record set otherwise makes it void.
    """

    def __init__(
        self, manner: Manner, book: Book, watch: Vigil, scripted: dict[Key, str], anew: Callable[[Ticket], None]
    ) -> None:
        self._manner = manner
        self._book = book
        self._watch = watch
        self._scripted = scripted
        self._anew = anew

    def judge(self, session: Session, share: Share, settlement: Settlement, now: float) -> None:
        """An answer, or another try."""
        verdict, ticket, share.left_out = settlement.verdict, share.ticket, settlement.left_out
        if session.account.scripts:
            self._watch.late.leave_alone([item.key for item in share.items])
        elif self._scripted:
            for item in share.items:
                self._scripted.pop(item.key, None)
        if verdict is Verdict.DONE:
            session.recover(share.zone, now)
            self._accept(session, share, settlement.changed)
        elif settlement.apart and not ticket.is_over and len(parts := _by_name(share)) > 1:
            self._split(session, share, parts)
        elif settlement.moved and not ticket.is_over and self._may_have_moved(session, share):
            ticket.moved |= {share.zone.name}  # perhaps to a zone that is new: ask once more
            names = [item.name for item in share.items]
            session.zones.forget(share.zone.name, names, is_there=verdict in THERE)
            self._anew(ticket)
        elif verdict in OUTCOMES:
            if settlement.costly:
                session.recover(share.zone, now)
                session.suspects.update(item.name for item in share.items)
            self._book.settle(share, Result(OUTCOMES[verdict], settlement.reason))
        else:
            if verdict is Verdict.UNKNOWN and settlement.changed:
                self._unanswered(share, now)
            ticket.trouble = settlement.reason or ticket.trouble
            session.suffer(share.zone, settlement, now)
            self._try_again(session, share)

    def _split(self, session: Session, share: Share, names: Sequence[Sequence[Item]]) -> None:
        """Each name has a share of its own from now on."""
        ticket, share.is_dropped = share.ticket, True
        parts = [Share(ticket, share.zone, items, written=share.written) for items in names]
        ticket.shares = [*(other for other in ticket.shares if other is not share), *parts]
        share.zone.waiting += len(parts) - 1
        for part in parts:
            self._try_again(session, part)

    def _may_have_moved(self, session: Session, share: Share) -> bool:
        """Whether its zone was remembered from before the request."""
        ticket, known, is_first = share.ticket, session.zones.was_known, share.zone.name not in share.ticket.moved
        return session.is_retired or (is_first and any(known(i.name, ticket.arrived) for i in share.items))

    def defect(self, share: Share) -> None:
        """Something broke: nobody knows what was sent."""
        self._unanswered(share, asyncio.get_running_loop().time())
        self._book.settle(share, Result(Outcome.INTERNAL, f"defect in the exchange with {self._manner.called}"))

    def _unanswered(self, share: Share, now: float) -> None:
        """It may be done, or be done later, by our hand."""
        if not share.ticket.ask_only:
            share.written = True
            self._watch.unanswered(share.zone, _records(share), now)

    def _accept(self, session: Session, share: Share, changed: bool) -> None:
        """It is confirmed."""
        if session.suspects:
            session.suspects.difference_update(item.name for item in share.items)
        if share.ticket.ask_only and changed:
            self._book.settle(share, WOULD_CHANGE)
            return
        late = self._watch.late
        if late.is_watching() and not (share.ticket.ask_only and share.ticket.is_over):  # else nobody was told so
            records = _records(share)
            late.acknowledged(records, session.account)
            second_look = self._manner.second_look
            if second_look and (share.written or changed) and not share.looked and late.threaten(records):
                share.written = share.looked = True
                asyncio.get_running_loop().call_later(second_look, self._try_again, session, share)
                return
        self._book.settle(share, OK if share.written or changed else UPTODATE)

    def _try_again(self, session: Session, share: Share) -> None:
        ticket = share.ticket
        if share.is_dropped:
            return
        if ticket.is_over:  # its time was over while it was under way
            self._book.settle(share, UPTODATE)
        elif session.is_retired:
            self._anew(ticket)
        elif refusal := session.refusal(ticket.waiters[-1][0]):
            self._book.settle(share, refusal)
        else:
            session.stand_in_line(share)


def _by_name(share: Share) -> Sequence[Sequence[Item]]:
    """Each name's record sets together."""
    names: dict[str, list[Item]] = {}
    for item in share.items:
        names.setdefault(item.name, []).append(item)
    return list(names.values())


def _records(share: Share) -> list[Record]:
    return [item for item in share.items if not isinstance(item, Script) and item.key not in (share.left_out or ())]
