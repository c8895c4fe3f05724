"""TTLs in a zone that are not the conf's: no trouble, and worth a remark. Asks with dig."""

import re
from collections.abc import Sequence

from ..providers.bind.nsupdate import dig
from ..values.names import listed
from ..values.update import Place, Plan, Remark

LOT = 50  # questions of one dig
MANY = 500  # record sets that are looked at
RECORD = re.compile(r"^(\S+)\s+(\d+)\s+IN\s+(A|AAAA)\s", re.M)

OTHER = (
    "{names}: the TTL there is {seen} s, and the conf says {wanted}: it stays until the address changes,"
    " or a reload changes ttl"
)


async def ttl_remarks(server: Sequence[str], plan: Plan) -> list[Remark]:
    """What `server` (arguments of dig) says of these record sets, a sentence for each TTL."""
    seen: dict[Place, int] = {}
    some = list(plan)[:MANY]
    for start in range(0, len(some), LOT):
        asked = [word for name, kind in some[start : start + LOT] for word in ("-t", kind, "-q", name)]
        said = await dig(*server, "+norecurse", "+noall", "+answer", *asked)
        seen.update(
            {(name.lower(), "A" if kind == "A" else "AAAA"): int(ttl) for name, ttl, kind in RECORD.findall(said)}
        )
    others: dict[tuple[int, int], list[str]] = {}
    for place, ttl in seen.items():
        if plan.get(place, ttl) != ttl:
            others.setdefault((ttl, plan[place]), []).append(f"{place[0].rstrip('.')} {place[1]}")
    return [Remark(OTHER.format(names=listed(n), seen=ttl, wanted=said)) for (ttl, said), n in others.items()]
