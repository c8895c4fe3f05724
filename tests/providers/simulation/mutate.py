"""Each rule of the engine broken once, in a copy: does the simulation notice?"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.lab.machine import ROOT
from tests.lab.progress import Progress

from . import runner


class Mutation(NamedTuple):
    """One place of the source, written otherwise."""

    rule: str  # what is dropped
    file: str  # in sftdyn/providers
    old: str  # stands there once
    new: str
    kinds: tuple[str, ...] = ("bind", "cloudflare")


MUTATIONS = (
    Mutation(
        "two updates of one record set are settled in the order of their arrival",
        "desk/order.py",
        "            if tickets:\n                ticket.blocked.add(rrset.key)\n",
        "",
    ),
    Mutation(
        "what is under way stays in front of others when nobody waits for it any more",
        "desk/desk.py",
        "[r for r in ticket.update if r not in under_way] if under_way else ticket.update",
        "ticket.update",
    ),
    Mutation(
        "what was not answered is watched",
        "desk/desk.py",
        "self.late.unanswered(share.zone.name, share.rrsets, self._manner, now)",
        "pass",
    ),
    Mutation("what is confirmed is told to the watch", "desk/desk.py", "self.late.acknowledged(share.rrsets)", "pass"),
    Mutation(
        "a mend that was not answered is watched",
        "desk/late.py",
        "self.unanswered(suspect.zone, [rrset], manner, now)",
        "suspect.newest = None",
    ),
    Mutation(
        "nothing is mended that somebody wants to change",
        "desk/late.py",
        "if is_free(rrset.key)]",
        "]",
    ),
    Mutation(
        "after a change that a late write threatens there is a second look",
        "bind/backend.py",
        "    second_look=0.25,",
        "    second_look=0.0,",
        ("bind",),
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
        "an update is not split",
        "cloudflare/backend.py",
        "            return await in_parts(batch, lambda part: self._carry_out(part, whole))",
        "            return []",
        ("cloudflare",),
    ),
)


def main(count: int, first: int, kinds: Sequence[str]) -> int:
    """Try all; 1 if one was not caught."""
    missed = 0
    with Progress() as progress:
        for number, mutation in enumerate(MUTATIONS):
            progress.now(mutation.rule)
            progress.at(number, len(MUTATIONS))
            said = _tried(
                mutation, count, first, [kind for kind in mutation.kinds if kind in (kinds or mutation.kinds)]
            )
            missed += not said
            progress.say(f"{said or 'NOT CAUGHT'}: {mutation.rule} ({mutation.file})")
    return int(missed > 0)


def _tried(mutation: Mutation, count: int, first: int, kinds: Sequence[str]) -> str:
    """Which seed caught it, by what; "" if none did."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder)
        apply(mutation, package)
        for kind in kinds:
            for report in runner.reports(runner.Seeds(kind, first, count, package)):
                if report.problems:
                    return f"caught by {kind}, seed {report.seed}, {report.problems[0].partition(':')[0]}"
    return ""


def apply(mutation: Mutation, folder: Path) -> None:
    """A copy of the package, with the mutation. Raises ValueError where the source is not as the table has it."""
    shutil.copytree(ROOT / "sftdyn", folder / "sftdyn", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "sftdyn/providers" / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.file} does not have this once: {mutation.old}")
    path.write_text(text.replace(mutation.old, mutation.new))
