"""The zone that etc/install makes: its file, its lines in BIND's conf, and which of it is there. Pure.

The lines in named.conf.local stand between two comments. They are taken away only where all of them, comments included,
are still as they were made: no name is ever a pattern, and whatever the owner wrote between them stays.
"""

import re
from collections.abc import Iterable

from sftdyn.values.addresses import Address, as_record, parse_address
from sftdyn.values.mistake import Mistake

from .acme import grant, key_path

TTL = 60  # s: a router's new address is seen soon

STATEMENT = """\
// {zone}: from sftdyn's etc/install
{include}zone "{zone}" {{
    type primary;
    file "{file}";
    update-policy {policy};
}};
// {zone}: end
"""
WITH_ACME = "{{ grant local-ddns zonesub any; {grant} }}"  # the first is what `local` stands for


def zone_path(zone: str) -> str:
    """Where the zone's file is: in the folder where BIND may write."""
    return f"/var/lib/bind/db.{zone}"


def statement(zone: str) -> str:
    """The lines for named.conf.local."""
    return STATEMENT.format(zone=zone, file=zone_path(zone), include="", policy="local")


def statement_with_acme(zone: str) -> str:
    """The same, with a key for the server's own certificate."""
    include, policy = f'include "{key_path(zone)}";\n', WITH_ACME.format(grant=grant(zone))
    return STATEMENT.format(zone=zone, file=zone_path(zone), include=include, policy=policy)


def zone_file(zone: str, addresses: Iterable[Address]) -> str:
    """The zone, which is served by its own apex at these addresses."""
    head = f"$TTL {TTL}\n@\tIN\tSOA\t{zone}. hostmaster.{zone}. 1 3600 600 86400 60\n@\tIN\tNS\t{zone}.\n"
    return head + "".join(f"@\tIN\t{as_record(address)[0]}\t{address}\n" for address in addresses)


def is_ours(conf: str, zone: str) -> bool:
    """Whether the zone's lines in named.conf.local are from here, changed since or not."""
    return statement(zone).splitlines()[0] in conf.splitlines()


def without(conf: str, zone: str) -> str:
    """named.conf.local without the zone. Raises Mistake where its lines are not as they were made."""
    rest = conf
    for lines in (statement(zone), statement_with_acme(zone)):
        rest = _replaced(rest, lines, "")
    if is_ours(rest, zone) or rest == conf:
        raise Mistake(
            f"its lines in /etc/bind/named.conf.local are not as they were made: they, and {zone_path(zone)}, stay. "
            "Remove them by hand, then: systemctl reload named"
        )
    return rest


def has_acme(conf: str, zone: str) -> bool:
    """Whether named.conf.local has the key for the server's own certificate already, in the zone's lines."""
    return f"\n{statement_with_acme(zone)}" in f"\n{conf}"


def with_acme(conf: str, zone: str) -> str:
    """named.conf.local with that key. Raises Mistake where the zone's lines are not as they were made."""
    lines = _replaced(conf, statement(zone), statement_with_acme(zone))
    if lines == conf:
        raise Mistake(f"the lines of {zone} in /etc/bind/named.conf.local are not as they were made: they stay")
    return lines


def _replaced(conf: str, old: str, new: str) -> str:
    return f"\n{conf}".replace(f"\n{old}", f"\n{new}")[1:]


def is_configured(conf: str, zone: str) -> bool:
    """Whether BIND, as `named-checkconf -p` shows its conf, has the zone from anywhere."""
    return zone in {name.lower().rstrip(".") for name in re.findall(r'^\s*zone "([^"]*)"', conf, re.MULTILINE)}


def is_served(reply: str, zone: str) -> bool:
    """Whether an answer, as dig shows it, has the zone's own SOA, with authority.

    The server of the zone above answers for a name that does not exist with authority, too, and its SOA is another.
    """
    has_authority = re.search(r"^;; flags:[^;]* aa", reply, re.MULTILINE)
    return bool(
        has_authority and re.search(rf"^{re.escape(zone)}\.\s+\d+\s+IN\s+SOA\s", reply, re.MULTILINE | re.IGNORECASE)
    )


def renumbering(zone: str, present: str, wanted: Iterable[Address]) -> str:
    """What nsupdate is to be told so that the zone's server has the wanted addresses; empty if it has them.

    `present` is its A and AAAA as dig shows them. A family of which nothing is wanted stays as it is. Raises Mistake
    where there is more than etc/install has made.
    """
    found = re.findall(rf"^{re.escape(zone)}\.\s+\d+\s+IN\s+(A|AAAA)\s+(\S+)$", present, re.MULTILINE | re.IGNORECASE)
    lines = []
    for address in wanted:
        kind = as_record(address)[0]
        old = [parse_address(text) for other, text in found if other == kind]
        if len(old) > 1:
            raise Mistake(
                f"{zone} has several {kind} records, not from here: they stay. See to it that {address} is one"
            )
        if old == [address]:
            continue
        before = f"yxrrset {zone}. {kind} {old[0]}" if old else f"nxrrset {zone}. {kind}"
        lines += [f"prereq {before}", f"update delete {zone}. {kind}", f"update add {zone}. {TTL} {kind} {address}"]
    return "\n".join([f"zone {zone}.", *lines, "send", ""]) if lines else ""
