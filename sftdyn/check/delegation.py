"""Where the world is sent for a zone: the NS records above it, and whether who is named there serves it. Asks with dig.

Silence of the machine's resolver, and of the servers of the zone above, is no finding: nothing is known then.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence

from ..providers.bind.nsupdate import dig
from ..providers.desk.zones import upwards
from ..values.update import Shown

RECORD = re.compile(r"^(\S+)\s+\d+\s+IN\s+(NS|CNAME|A|AAAA|SOA)\s+(\S+)", re.M)
STATUS = re.compile(r"status: (\w+)")
SHOWN = ("+noall", "+comments", "+answer", "+authority", "+additional")
MANY = 4  # servers above, and addresses of one that is named, that are asked

FINE = "the zone above sends the world to {server} ({addresses}), which serves it"
CNAME = "a CNAME to {target} stands in its place in the zone above: put NS records there instead"
NO_ADDRESS = (
    "the zone above sends the world to {server}, which has no address: correct the NS record, or add the address"
)
NO_ZONE = (
    "the zone above sends the world to {server} ({address}), which does not serve it ({status}): correct the NS record"
)
SILENT = (
    "the zone above sends the world to {server} ({address}), which does not answer, at least not this machine:"
    " correct the NS record, or open port 53 there"
)


async def delegation_findings(zone: str) -> list[str]:
    """What the world meets when it looks for a zone, a sentence each: trouble, or Shown."""
    referral = await _referral(zone)
    records = RECORD.findall(referral)
    if targets := [data for name, kind, data in records if kind == "CNAME" and name.lower() == zone]:
        return [CNAME.format(target=targets[0].rstrip("."))]
    servers = [data for name, kind, data in records if kind == "NS" and name.lower() == zone]
    glue = [(name, data) for name, kind, data in records if kind in ("A", "AAAA")]
    found = await asyncio.gather(*(_about_server(zone, server, glue) for server in servers[: 2 * MANY]))
    return [finding for findings in found for finding in findings]


async def _referral(zone: str) -> str:
    """What a server of the zone above says of the zone; "" if none can be asked."""
    for parent in list(upwards(zone))[1:]:
        servers = (await dig("+short", "-t", "NS", "-q", parent)).split()
        async for address in _addresses_of(servers):
            said = await dig(f"@{address}", "+norecurse", *SHOWN, "-t", "NS", "-q", zone)
            if STATUS.search(said):
                return said
        if servers:
            return ""
    return ""


async def _addresses_of(servers: Sequence[str]) -> AsyncIterator[str]:
    for server in servers[:MANY]:
        for address in await _resolved(server):
            yield address


async def _resolved(server: str) -> list[str]:
    """As this machine's resolver has them."""
    said = [await dig("+short", "-t", kind, "-q", server) for kind in ("A", "AAAA")]
    return [word for text in said for word in text.split() if ":" in word or word[-1].isdigit()]


async def _about_server(zone: str, server: str, glue: Sequence[tuple[str, str]]) -> list[str]:
    name = server.rstrip(".")
    addresses = [address for owner, address in glue if owner.lower() == server.lower()] or await _resolved(server)
    if not addresses:
        alive = STATUS.search(await dig(*SHOWN, "-t", "A", "-q", server))
        return [NO_ADDRESS.format(server=name)] if alive else []
    found: list[str] = []
    fine: list[str] = []
    for address in addresses[:MANY]:
        said = await dig(f"@{address}", "+norecurse", *SHOWN, "-t", "SOA", "-q", zone)
        status = STATUS.search(said)
        if status is None:
            found.append(SILENT.format(server=name, address=address))
        elif any(kind == "SOA" and owner.lower() == zone for owner, kind, _ in RECORD.findall(said)):
            fine.append(address)
        else:
            found.append(NO_ZONE.format(server=name, address=address, status=status[1]))
    return [*found, Shown(FINE.format(server=name, addresses=", ".join(fine)))] if fine else found
