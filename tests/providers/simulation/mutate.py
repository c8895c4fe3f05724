"""Each rule of the engine broken once, in a copy: does the simulation notice?"""

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tests.lab.machine import ROOT
from tests.lab.progress import Progress

from . import runner

LONGEST = 300.0  # seconds that the rows may take with a broken engine


class Mutation(NamedTuple):
    """One place of the source, written otherwise."""

    rule: str  # what is dropped
    file: str  # in sftdyn/providers
    old: str  # stands there once
    new: str
    kinds: tuple[str, ...] = ("bind", "cloudflare", "mixed")
    stays: str = ""  # why it changes nothing, and is there all the same


MUTATIONS = (
    Mutation(
        "two updates of one record set are settled in the order of their arrival",
        "desk/order.py",
        "            if entries:\n                entry.blocked.add(key)\n",
        "",
    ),
    Mutation(
        "a look after late writes has a turn in the order",
        "desk/watch.py",
        "        self._order.enter(look.turn)\n",
        "",
    ),
    Mutation(
        "nothing is looked at that somebody wants to change",
        "desk/watch.py",
        " is session and not self._order.has(key)",
        " is session",
    ),
    Mutation(
        "over a reload, a name waits for what its old place has under way",
        "running.py",
        "self._in_front(recent[1], update) if self._before else ()",
        "()",
        ("mixed", "bind"),
    ),
    Mutation(
        "what is under way stays in front of others when nobody waits for it any more",
        "desk/book.py",
        "[key for key in ticket.keys if key not in under_way] if under_way else ticket.keys",
        "ticket.keys",
    ),
    Mutation(
        "what was not answered is watched",
        "desk/judge.py",
        "self._watch.unanswered(share.zone, _records(share), now)",
        "pass",
    ),
    Mutation(
        "what is confirmed is told to the watch",
        "desk/judge.py",
        "late.acknowledged(records, session.account)",
        "pass",
    ),
    Mutation(
        "a mend that was not answered is watched",
        "desk/late.py",
        "self.unanswered(suspect.zone, [record], now)",
        "suspect.newest = None",
    ),
    Mutation(
        "what is right is seen by who acknowledged it",
        "desk/watch.py",
        "custodians[account] is session and",
        "",
    ),
    Mutation(
        "where TXT values are written together, all of them are watched",
        "desec.py",
        "    texts_together=True,\n",
        "",
        ("desec",),
    ),
    Mutation(
        "late writes may stand beside each other, and beside what is right",
        "mending.py",
        "if is_mixed and more <= ",
        "if False and more <= ",
        ("cloudflare",),
    ),
    Mutation(
        "a late value that stands there as it is was written late",
        "mending.py",
        "        if shown == set(value):",
        "        if False:",
        ("desec",),
    ),
    Mutation(
        "after a change that a late write threatens there is a second look",
        "bind/backend.py",
        "    second_look=0.25,",
        "    second_look=0.0,",
        ("bind",),
    ),
    Mutation(
        "scripts are told to the watch",
        "desk/judge.py",
        "self._watch.late.leave_alone([item.key for item in share.items])",
        "pass",
        ("bind",),
    ),
    Mutation(
        "who writes otherwise what a script did makes that void",
        "desk/judge.py",
        "self._scripted.pop(item.key, None)",
        "pass",
        ("bind",),
    ),
    Mutation(
        "an update is placed anew only once for one zone that was remembered",
        "desk/judge.py",
        "session.is_retired or (is_first and any(",
        "session.is_retired or (any(",
        ("bind",),
        "CHANGES NOTHING: what was asked for anew is younger than the request; it bounds what is only guessed at",
    ),
    Mutation(
        "a zone that turns out to be elsewhere is asked for once more",
        "desk/judge.py",
        "elif settlement.moved and not ticket.is_over and",
        "elif False and",
        ("bind",),
    ),
    Mutation(
        "what waits is placed anew after a reload",
        "desk/desk.py",
        "            if ticket.session in retired and not ticket.is_over:\n                self._place_anew(ticket)\n",
        "",
    ),
    Mutation(
        "a retired session's updates go on in the new one",
        "desk/judge.py",
        "        elif session.is_retired:\n            self._anew(ticket)\n",
        "",
    ),
    Mutation(
        "who is gone has a custodian",
        "desk/accounts.py",
        "        account = self.now(account)\n        if session := self._sessions.get(account):\n            return session\n",
        "        return self._sessions.get(account)\n",
    ),
    Mutation(
        "an update joins another only while nothing of that was sent",
        "desk/session.py",
        "                share.ticket.is_open = False\n",
        "",
    ),
    Mutation(
        "each zone's share has a result of its own",
        "desk/tickets.py",
        "results = [(share and share.result) or otherwise(share) for share in parts]",
        "results = [otherwise(parts[0])] * len(self.keys)",
    ),
    Mutation(
        "each deadline is kept",
        "desk/book.py",
        "[ticket for ticket in self.tickets if ticket.waiters[0][0] <= now]",
        "[ticket for ticket in self.tickets if ticket.waiters[0][0] <= now - 1]",
    ),
    Mutation(
        "a zone that is silent has a lane of its own",
        "desk/session.py",
        "Health.SILENT if settlement.verdict is Verdict.UNKNOWN else Health.ILL",
        "Health.WELL",
    ),
    Mutation(
        "a zone in trouble pauses",
        "desk/session.py",
        "zone.not_before = now + max(zone.pause, settlement.wait)",
        "pass",
    ),
    Mutation(
        "where nobody answers, all lanes pause",
        "desk/session.py",
        "self.paused_until = max(self.paused_until, now + seconds)",
        "pass",
    ),
    Mutation(
        "lines are served in turn",
        "desk/lanes.py",
        "            del self.lines[line]\n            self.lines[line] = None\n",
        "            pass\n",
    ),
    Mutation(
        "suspects are settled apart",
        "desk/session.py",
        "bool(self.suspects) and any(item.name in self.suspects for item in share.items)",
        "False",
    ),
    Mutation(
        "looks have a worker beside all batches",
        "desk/lanes.py",
        "                elif zone := self._next_look():\n                    await served.look(channel, zone)\n",
        "",
    ),
    Mutation(
        "a name is in the zone of its nearest apex",
        "desk/zones.py",
        "sorted(given, key=len, reverse=True)",
        "sorted(given, key=len)",
        ("bind",),
    ),
    Mutation(
        "what is learned of zones is forgotten when a name was elsewhere",
        "desk/zones.py",
        "                self._facts.pop(place, None)\n",
        "                pass\n",
        ("bind",),
    ),
    Mutation(
        "that a name is in no zone counts for requests from before only",
        "desk/zones.py",
        "NOWHERE if oldest >= min(now - self._manner.missed, arrived) else None",
        "NOWHERE",
        ("bind",),
    ),
    Mutation(
        "who is not asked first is not changed",
        "bind/message.py",
        "if belief != rrset.addresses and not ask_only:",
        "if belief != rrset.addresses:",
        ("bind",),
    ),
    Mutation(
        "where something hides a name, nothing is written",
        "bind/message.py",
        "prerequisites.update(dict.fromkeys(guards(rrset, zone)))",
        "pass",
        ("bind",),
    ),
    Mutation(
        "a batch that fails is halved",
        "cloudflare/exchange.py",
        "                return await in_parts(batch, lambda part: self._carry_out(part, whole))",
        "                return []",
        ("cloudflare",),
    ),
)


class Tried(NamedTuple):
    """What became of a mutation; each is "" where it was not noticed."""

    mutation: Mutation
    histories: str
    row: str

    def __str__(self) -> str:
        row = f"row: {self.row.removeprefix('test_').replace('_', ' ')}" if self.row else ""
        caught = "; ".join(filter(None, (self.histories, row)))
        return f"{caught or self.mutation.stays or 'NOT CAUGHT'} | {self.mutation.rule} ({self.mutation.file})"


def main(count: int, first: int, kinds: Sequence[str], jobs: int, only: str) -> int:
    """Try all, and print a table; 1 if one was not caught that should be."""
    chosen = [mutation for mutation in MUTATIONS if only in f"{mutation.rule} {mutation.file}"]
    tried: list[Tried] = []
    with Progress() as progress:
        for number, mutation in enumerate(chosen):
            progress.now(mutation.rule)
            progress.at(number, len(chosen))
            tried.append(_tried(mutation, count, first, kinds, jobs))
            progress.say(f"{number + 1} | {tried[-1]}")
    found, missed = [one for one in tried if one.histories], [one for one in tried if not one.histories + one.row]
    stay = sum(bool(one.mutation.stays) for one in missed)
    print(
        f"{len(tried)} mutations: {len(found)} caught by histories, {len(tried) - len(found) - len(missed)} by rows",
        end="",
    )
    print(f" alone, {stay} change nothing, {len(missed) - stay} not caught")
    return int(len(missed) > stay)


def _tried(mutation: Mutation, count: int, first: int, kinds: Sequence[str], jobs: int) -> Tried:
    """By which seed it is caught, and how; and by which row."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder)
        apply(mutation, package)
        chosen = [kind for kind in mutation.kinds if kind in (kinds or mutation.kinds)]
        said = (_in_histories(runner.Seeds(kind, first, count, package), jobs) for kind in chosen)
        histories = next(filter(None, said), "")
        with runner.start(package, "0", "--rows") as rows:
            row = rows.communicate(timeout=LONGEST)[0].strip()
    return Tried(mutation, histories, row)


def _in_histories(seeds: runner.Seeds, jobs: int) -> str:
    """The first seed that shows it."""
    with closing(runner.reports(seeds, jobs)) as reports:
        broken = next((report for report in reports if report.problems), None)
    return f"{seeds.kind} {broken.seed}: {broken.problems[0].partition(':')[0]}" if broken else ""


def apply(mutation: Mutation, folder: Path) -> None:
    """A copy of the package, with the mutation. Raises ValueError where the source is not as the table has it."""
    shutil.copytree(ROOT / "sftdyn", folder / "sftdyn", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "sftdyn/providers" / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.file} does not have this once: {mutation.old}")
    path.write_text(text.replace(mutation.old, mutation.new))
