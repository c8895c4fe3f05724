"""The verbs by which etc/install computes: python3 -B -m etc.installing VERB WORD…, in the folder that has etc."""

import asyncio
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from socket import getfqdn, if_nameindex

from sftdyn.check.delegation import delegation_findings
from sftdyn.conf.config import load
from sftdyn.conf.newkey import lines
from sftdyn.doors.own.rtnetlink import Untold, stable_addresses
from sftdyn.values.addresses import Address, is_private, parse_address
from sftdyn.values.mistake import Mistake

from . import acme, addresses, arguments, made, texts, zones

EXIT_NO, EXIT_USAGE = 1, 2
ROOT = Path("/")


def parsed(words: list[str]) -> list[Address]:
    """Those that are not empty. Raises Mistake."""
    return [parse_address(word) for word in words if word]


def own_addresses() -> list[Address]:
    """Of this machine, all interfaces."""
    found = []
    for _, interface in if_nameindex():
        try:
            found += stable_addresses(interface)
        except Untold:
            continue
    return found


def look_at_arguments(*words: str) -> str:
    """The shell's variables; doubts go to stderr. Raises Usage, Mistake."""
    known = arguments.wanted(words)
    for doubt in addresses.doubts(parsed([known.ipv4, known.ipv6])):
        print(f"Note: {doubt}.", file=sys.stderr)
    return arguments.assignments(known)


def look_at_interface(name: str) -> None:
    """Raises Mistake where its address is none that could be published."""
    try:
        found = stable_addresses(name)
    except Untold:
        there = " ".join(interface for _, interface in if_nameindex())
        raise Mistake(f"there is no interface {name}; there are: {there}") from None
    if all(map(is_private, found)):
        has = f"{', '.join(map(str, found))} alone" if found else "none now"
        raise Mistake(
            f"{name} has no address that the world reaches ({has}). Behind a router that translates addresses write "
            "--own web: web servers then say which address this machine has"
        )


def server() -> str:
    """How clients reach this machine, as far as it can know."""
    return addresses.server_name(getfqdn(), own_addresses())


def alternative_names(name: str, *given: str) -> str:
    """For the certificate: a name, the addresses that are given, and those of this machine."""
    return addresses.alternative_names(name, [*parsed(list(given)), *own_addresses()])


def conf(way: str, name: str, own: str = "") -> str:
    """A fresh one."""
    if way == "own":
        return texts.conf_of_its_own(name, own)
    make = {"bind": texts.conf_with_bind, "routers": texts.conf_for_routers}[way]
    return make(name, secrets.token_hex(16), secrets.token_hex(16))


def leaving() -> str:
    """What goes, and what stays, a line each."""
    going, staying = made.leaving(ROOT)
    certificates = "".join(f"certificate {zone}\n" for zone in made.certified(ROOT))
    return certificates + "".join([*(f"go {name}\n" for name in going), *(f"stay {name}\n" for name in staying)])


def lines_for_curl(name: str, host: str, key: str) -> str:
    """As `sftdyn --lines` prints them. Raises Mistake."""
    config = load(Path(texts.ETC, "conf"), {})
    return lines(name, "curl", ask=lambda: key, config=config, url=texts.secure_url(host))


def the_end(way: str, name: str, host: str, *given: str) -> str:
    """What is left to the owner. `given` are the zone's addresses."""
    text = Path(texts.ETC, "conf").read_text()
    key = texts.key_in(text, name)
    router = texts.for_the_router(name, host, key, lines_for_curl(name, host, key) if key else "")
    alive = f"\n# Is my router alive?\n{texts.for_the_owner(host)}" if f"status = {texts.STATUS}\n" in text else ""
    zone = texts.delegation(host, [word for word in given if word]) if way == "bind" else ""
    ports = f"{'53 (TCP and UDP), ' if way == 'bind' else ''}{texts.HTTP} and {texts.HTTPS} (TCP)"
    return f"\n# The router's URL\n{router}{alive}\n# Next, if it is not done yet\n{zone}{texts.still_to_do(ports)}"


def is_found(zone: str) -> bool:
    """Whether an authority would find the zone; what is in its way goes to stderr."""
    found = acme.obstacles(zone, asyncio.run(delegation_findings(f"{zone}.")))
    for obstacle in found:
        print(f"{zone}: {obstacle}.", file=sys.stderr)
    return not found


VERBS: dict[str, Callable[..., str | bool | None]] = {
    "arguments": look_at_arguments,
    "interface": look_at_interface,
    "server": server,
    "certificate-for": alternative_names,
    "certificate-lacks": lambda wanted: addresses.lacks(sys.stdin.read(), wanted),
    "is-whole-domain": arguments.is_whole_domain,
    "statement": zones.statement,
    "zone-file": lambda zone, *words: zones.zone_file(zone, parsed(list(words))),
    "is-ours": lambda zone: zones.is_ours(sys.stdin.read(), zone),
    "is-configured": lambda zone: zones.is_configured(sys.stdin.read(), zone),
    "is-served": lambda zone: zones.is_served(sys.stdin.read(), zone),
    "without-zone": lambda zone: zones.without(sys.stdin.read(), zone),
    "renumbering": lambda zone, *words: zones.renumbering(zone, sys.stdin.read(), parsed(list(words))),
    "conf": conf,
    "user-conf": texts.user_conf,
    "is-as-made": lambda name: made.is_as_made(ROOT, name, made.read(ROOT)),
    "leaving": leaving,
    "the-end": the_end,
    "has-acme": lambda zone: zones.has_acme(sys.stdin.read(), zone),
    "zone-with-acme": lambda zone: zones.with_acme(sys.stdin.read(), zone),
    "acme-key": acme.key_name,
    "acme-question": acme.harmless,
    "acme-settings": lambda zone: acme.settings(zone, sys.stdin.read()),
    "acme-hook": acme.hook,
    "acme-by-hand": acme.by_hand,
    "is-found": is_found,
    "is-certbots": lambda zone, name: made.is_copy(ROOT, name, zone),
}


def main(verb: str, *words: str) -> int:
    """Print what a verb computes; the exit code, for a question 0 if it is so."""
    try:
        said = VERBS[verb](*words)
    except arguments.Usage:
        return EXIT_USAGE
    except Mistake as mistake:
        print(f"etc/install: {mistake}", file=sys.stderr)
        return EXIT_NO
    if isinstance(said, bool):
        return 0 if said else EXIT_NO
    print(said or "", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
