"""The words that etc/install is called with, as the shell's variables. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from shlex import quote

from sftdyn.values.addresses import parse_address
from sftdyn.values.mistake import Mistake
from sftdyn.values.names import host_name

from .addresses import server_address

EXAMPLE = "write a name below a domain of yours, such as dyn.example.org"
OPTIONS = {"--at": "at", "--own": "own", "--token-file": "token_file"}
FOR_BIND = {"--letsencrypt": "mail", "--server": "authority"}
MAIL = re.compile(r"[^-\s@'\"][^\s@'\"]*@[^\s@'\"]+")


class Usage(Exception):
    """It is called in no way that it knows."""


@dataclass(frozen=True)
class Wanted:
    """What is to be done; empty is what was not said."""

    way: str  # bind, cloudflare or uninstall
    name: str = ""  # without its last dot
    ipv4: str = ""
    ipv6: str = ""
    at: str = ""  # a name or an address by which clients reach this machine
    own: str = ""  # an interface, or "web"
    token_file: str = ""
    mail: str = ""  # whom an authority tells of a certificate; without it none is asked
    authority: str = ""  # its directory (RFC 8555, 7.1.1)


def wanted(words: Sequence[str]) -> Wanted:
    """What the command line says. Raises Usage, Mistake."""
    match list(words):
        case ["--uninstall"]:
            return Wanted("uninstall")
        case ["--uninstall", zone]:
            return Wanted("uninstall", _name(zone))
        case ["--cloudflare", name, *options] if not name.startswith("-"):
            return _with_options(Wanted("cloudflare", _name(name)), options)
        case [zone, ipv4, *rest] if not zone.startswith("-"):
            addresses = [word for word in rest[:1] if not word.startswith("-")]
            known = _told(Wanted("bind"), rest[len(addresses) :], FOR_BIND)
            return _certified(_with_bind(known, zone, ipv4, *addresses))
    raise Usage


def _with_options(known: Wanted, words: Sequence[str]) -> Wanted:
    """Raises Usage, Mistake."""
    known = _told(known, words, OPTIONS)
    if known.at and known.own:
        raise Mistake("--own needs no server, so nobody calls --at anything: leave one of them out")
    return replace(known, at=known.at and _place(known.at))


def _told(known: Wanted, words: Sequence[str], options: Mapping[str, str]) -> Wanted:
    """With these options, each with its value. Raises Usage."""
    if len(words) % 2 or not set(words[::2]) <= set(options):
        raise Usage
    return replace(known, **{options[option]: value for option, value in zip(words[::2], words[1::2], strict=True)})


def _certified(known: Wanted) -> Wanted:
    """Raises Mistake."""
    if known.authority and not known.mail:
        raise Mistake("--server is the authority's directory: it needs --letsencrypt MAIL, too")
    if known.mail and not MAIL.fullmatch(known.mail):
        raise Mistake(f"{known.mail} is no mail address: --letsencrypt wants the one that is told of trouble")
    if known.authority and not known.authority.startswith("https://"):
        raise Mistake(f"{known.authority} is no directory of an authority: write its URL, https://…")
    return known


def _with_bind(known: Wanted, zone: str, ipv4: str, ipv6: str = "") -> Wanted:
    """Raises Mistake."""
    name = _name(zone)
    if name.startswith("*."):
        raise Mistake(f"{zone} is no zone: {EXAMPLE}")
    if "." not in name:
        raise Mistake(f"{zone} is a whole top-level domain: {EXAMPLE}")
    return replace(known, name=name, ipv4=str(server_address(ipv4, 4)), ipv6=ipv6 and str(server_address(ipv6, 6)))


def _name(text: str) -> str:
    """Raises Mistake."""
    try:
        return host_name(text).rstrip(".")
    except Mistake as mistake:
        raise Mistake(f"{text}: {mistake}") from None


def _place(text: str) -> str:
    """Raises Mistake."""
    try:
        address = parse_address(text)
    except Mistake:
        return _name(text)
    return str(server_address(text, address.version))


def assignments(known: Wanted) -> str:
    """Lines for the shell's eval."""
    return "".join(f"{name}={quote(value)}\n" for name, value in asdict(known).items())


def is_whole_domain(zone: str) -> bool:
    """Whether the zone is likely one that somebody has registered: all that is in it would have to move here."""
    return zone.count(".") == 1
