"""The sessions at one desk: one for each account, as long as it is of use.

Rule 1. An account that the conf names keeps its session over a reload, with all that it has learned. One of a request's
own secret goes when no such request is under way: so does the secret. Of those that only get_host has named, a bounded
number stays.

Rule 2. Where the conf has another account in the place of one, or other settings, a session is retired: what waited
there is placed anew with the new one. One whose account is gone from the conf ends when it has nothing to do.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from .session import Session
from .tickets import Account

MANY = 100  # sessions that only get_host has named; beyond it, one goes that has nothing to do


class Accounts:
    """All sessions; `start` makes one, or None where there are no credentials."""

    def __init__(self, start: Callable[[Account], Session | None]) -> None:
        self._start = start
        self._sessions: dict[Account, Session] = {}
        self._recent: Session | None = None
        self._retired: set[Session] = set()  # that still have something under way
        self._named: Sequence[Hashable] = ()
        self._successors: Mapping[Hashable, Hashable] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def session(self, account: Account) -> Session | None:
        """The session of an account."""
        if self._recent and self._recent.account is account:
            return self._recent
        session = self._sessions.get(account)
        if session is None and (session := self._start(account)):
            if len(self._sessions) >= len(self._named) + MANY:
                self._end_an_idle_one()
            self._sessions[account] = session
        if session and session.account is account:
            self._recent = session
        return session

    def now(self, account: Account) -> Account:
        """What the conf has in the place of an account of before."""
        return account._replace(spec=self._successors.get(account.spec, account.spec))

    def custodian(self, account: Account, zone: str) -> Session | None:
        """Who looks after what this account wrote in a zone: itself, or where it is gone, another one that knows it."""
        account = self.now(account)
        if session := self._sessions.get(account):
            return session
        is_named = account.secret is None and account.spec in self._named
        if is_named and (session := self.session(account)):  # else it has no credentials of its own
            return session
        others = (session for session in self if session.knows(zone) and session.account.scripts == account.scripts)
        return next(others, None) or next(filter(None, (self.session(Account(spec)) for spec in self._named)), None)

    def use(
        self, named: Sequence[Hashable], successors: Mapping[Hashable, Hashable], has_changed: bool
    ) -> list[Session]:
        """From now on, the conf names these; the sessions that are retired."""
        self._named, self._successors, self._recent = named, successors, None
        retired = [s for s in self if has_changed or s.account.spec in successors]
        for session in retired:
            del self._sessions[session.account]
            session.retire()
            self._retired.add(session)
        for session in self:
            session.is_temporary = session.account.secret is not None or session.account.spec not in named
            session.reload()
            self.let_go(session)
        return retired

    def let_go(self, session: Session) -> None:
        """Rules 1 and 2, if it has nothing to do any more."""
        if session.is_temporary and session.is_idle():
            self._end(session)

    def _end_an_idle_one(self) -> None:
        idle = (session for session in self if session.account.spec not in self._named and session.is_idle())
        if session := next(idle, None):
            self._end(session)

    def _end(self, session: Session) -> None:
        if self._sessions.get(session.account) is session:
            del self._sessions[session.account]
        if self._recent is session:
            self._recent = None
        self._retired.discard(session)
        for task in session.close():
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End all work."""
        for session in (*self, *self._retired):
            self._end(session)
        await asyncio.gather(*self._closing, return_exceptions=True)
