"""What is found: whether certificate and places are as the conf needs them.

What can be asked as requests ask is asked so. Of a name server there is more to be said, in `primary`.
"""

import asyncio
import ssl
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ..conf.check import certified
from ..conf.config import Config
from ..providers.bind.route import Route
from ..providers.running import Providers
from ..values.mistake import Mistake
from ..values.outcome import Result
from ..values.specs import Bind, Client, Function, Spec
from ..values.update import CHALLENGE, TXT, Place, Plan, Record, RRType
from ..web.tls import Certificate, shown_certificate
from .asking import hindrances
from .primary import findings

DAY = 24 * 60 * 60  # seconds
# A certificate that ends sooner should have been renewed; so should one of a few days in the last third of its time.
SOON = 14 * DAY
LAST_THIRD = 3
VERSIONS: dict[RRType, int] = {"A": 4, "AAAA": 6}  # of IP


async def look(config: Config, context: ssl.SSLContext | None) -> tuple[list[str], list[str]]:
    """What the certificate is good for; and what is not right, a sentence each: what it is, and what to do.

    `context` is that of the conf's certificate.
    """
    good_for, problems = _about_certificate(context, config.cert) if context and config.cert else ([], [])
    return good_for, [*problems, *await _about_providers(config)]


async def _about_providers(config: Config) -> list[str]:
    plans: dict[Spec, dict[Place, int]] = {spec: {} for spec in config.providers}
    for client in config.clients:
        ttl = config.ttl if client.ttl is None else client.ttl
        plans[client.provider or config.provider].update(dict.fromkeys(_keys(client), ttl))
    for name, spec in certified(config).items():
        if isinstance(spec, Bind):
            plans[spec][CHALLENGE + name, TXT] = config.ttl
    providers = Providers(config.provider, plans, config.timeout)
    try:
        asked = await asyncio.gather(*(about(providers, spec, plan) for spec, plan in plans.items()))
    finally:
        await providers.close()
    where = "{}: " if len(plans) > 1 else ""
    pairs = zip(plans, asked, strict=True)
    return [type(line)(where.format(spec) + line) for spec, lines in pairs for line in lines]


async def about(providers: Providers, spec: Spec, plan: Plan) -> list[str]:
    """What stands in the way of publishing these record sets through this provider, a sentence each.

    A Remark is no trouble, and what is Shown is as it should be. What cannot be asked for is no finding.
    """

    async def ask(records: Sequence[Record]) -> Sequence[Result]:
        asked = await asyncio.gather(*(providers.publish(spec, [record], ask_only=True) for record in records))
        return [result for [result] in asked]

    if isinstance(spec, Bind):
        return await findings(Route(spec.primary), spec.zones, plan)
    if isinstance(spec, Function) or spec.passes_secret:
        return []
    return await hindrances(list(plan), ask)


def _keys(client: Client) -> Iterator[Place]:
    """The record sets that requests of a client may change."""
    versions = {network.version for network in client.networks}
    types = [kind for kind, version in VERSIONS.items() if version in versions or not versions]
    yield from ((name, kind) for name in client.names for kind in types)
    if "AAAA" in types:
        yield from ((name, "AAAA") for name, _ in client.lan)


def _about_certificate(context: ssl.SSLContext, cert: Path) -> tuple[list[str], list[str]]:
    """For which names it is good (by which ones clients call, its owner knows); and what keeps them from taking it."""
    try:
        certificate = shown_certificate(context, cert)
    except Mistake as mistake:
        why = f"no client would take the certificate {cert}: {mistake}; make one for a TLS server (RSA or P-256)"
        return [], [why]
    names = ", ".join(certificate.names) or "no name"
    return [f"certificate: for {names}; until {_date(certificate.ends)}"], list(
        what_is_wrong(certificate, cert, time.time())
    )


def what_is_wrong(certificate: Certificate, cert: Path, now: float) -> Iterator[str]:
    """What keeps clients from taking the certificate in that file, or will soon: a sentence each, with what to do."""
    begins, ends, names = certificate
    if ends <= now:
        yield f"the certificate {cert} has expired on {_date(ends)}: renew it"
    elif ends - now < min(SOON, (ends - begins) / LAST_THIRD):
        days = f"{(ends - now) / DAY:.0f} days"
        yield f"the certificate {cert} ends in {days}, on {_date(ends)}: renew it, and see why nothing has done so"
    if begins > now:
        yield f"the certificate {cert} begins on {_date(begins)}: wait, or set this machine's clock"
    if not names:
        yield f"the certificate {cert} has no subjectAltName, and so is good for no name: make one with it"


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
