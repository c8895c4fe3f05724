"""The lines that clients need, with the user's own values in them.

They are those of the files in etc/clients, which a person may also copy by hand. The first line of a file begins with
the client's name and a colon. What stands above the first empty line are limits and hints, with other names of the
client; what stands below it goes to the client.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..values.mistake import Mistake
from .reached import PORTS, Reached

PLACEHOLDER = "KEY"  # as the files have it
CERTIFICATE = "/etc/sftdyn.crt"  # where a client keeps the server's certificate
ALSO = "Also called: "
HTTPS_ONLY = "HTTPS only"
AUTHORITY_ONLY = "a certificate of a public authority"

# What the files say of TLS, what a client of a server without it needs, and one that believes no public authority.
PLAIN = {
    "ssl=yes": "ssl=no",
    "ssl = true": "ssl = false",
    "use_https '1'": "use_https '0'",
    "Protocol: https": "Protocol: http",
    "Connection Type: Https": "Connection Type: Http",
    "Use SSL: yes": "Use SSL: no",
}
OWN = {
    "ssl=yes": f"ssl=yes\nssl_ca_file={CERTIFICATE}",
    "allow-ipv6 = true": f'allow-ipv6 = true\nca-trust-file = "{CERTIFICATE}"',
    "use_https '1'": f"use_https '1'\n    option cacert '{CERTIFICATE}'",
    "curl -sS --fail": f"curl -sS --fail --cacert {CERTIFICATE}",
    'url = "https://dyn.example/KEY"': f'url = "https://dyn.example/KEY"\ncacert = "{CERTIFICATE}"',
    "\nwget -qO-": f"\nwget -qO- --ca-certificate={CERTIFICATE}",
}


@dataclass(frozen=True, slots=True)
class Template:
    """A client's file, for the server dyn.example, the host home.dyn.example and the key KEY."""

    title: str
    also: tuple[str, ...]
    limits: tuple[str, ...]
    lines: str

    def hindrance(self, server: Reached) -> str:
        """Why this client cannot call the server; empty if it can."""
        limits = " ".join(self.limits)
        if HTTPS_ONLY in limits and server.scheme == "http":
            return f"Not with {server.url}: it calls HTTPS only."
        if AUTHORITY_ONLY in limits and server.own:
            return "Not with the certificate of this server: it wants one of a public authority."
        return ""


def chosen(names: Iterable[str]) -> list[Template]:
    """The templates of these clients, by any of their names; all if there are none. Raises Mistake."""
    known = templates()
    by_letters = {_letters(name): one for one in known for name in (one.title, *one.also)}
    wanted = [_letters(name) for name in names]
    if not set(wanted) <= set(by_letters):
        titles = ", ".join(one.title for one in known)
        raise Mistake(f"no lines are known for this router; write one of: {titles}")
    return list(dict.fromkeys(map(by_letters.__getitem__, wanted))) or known


def _letters(name: str) -> str:
    """What stays the same where somebody writes fritzbox or fritz-box for FRITZ!Box."""
    return re.sub("[^a-z0-9]", "", name.lower())


def templates() -> list[Template]:
    """All of them, by name. Raises Mistake."""
    found = [_read(path.read_text("utf-8")) for path in _folder().iterdir()]
    return sorted(found, key=lambda one: one.title.lower())


def _read(text: str) -> Template:
    head, _, lines = text.partition("\n\n")
    title, _, first = head.removeprefix("# ").partition(": ")
    about = [line.removeprefix("#").removeprefix(" ") for line in first.splitlines()]
    also = [line.removeprefix(ALSO).partition(".")[0] for line in about if line.startswith(ALSO)]
    limits = (line for line in about if not line.startswith((ALSO, "KEY is")))
    return Template(title, tuple(", ".join(also).split(", ")) if also else (), tuple(limits), lines.rstrip("\n"))


def _folder() -> Path:
    """Where the files are: beside the package in a checkout, below the prefix where pip installs."""
    here = Path(__file__).resolve()
    places = [here.parents[2] / "etc/clients", *(above / "share/sftdyn/clients" for above in here.parents)]
    for place in places:
        if place.is_dir():
            return place
    raise Mistake("the folder share/sftdyn/clients is missing; copy or install sftdyn as a whole again")


def filled_in(template: Template, name: str, key: str, server: Reached) -> tuple[list[str], str]:
    """Limits and lines of a client of `server` for the host `name`; no lines where they would not work."""
    values = _values(name, key, server)
    limits = [_filled(line, values) for line in template.limits]
    if why := template.hindrance(server):
        return [*limits, why], ""
    lines = f"\n{template.lines}"
    for old, new in (PLAIN if server.scheme == "http" else OWN if server.own else {}).items():
        lines = lines.replace(old, new)
    return limits, _filled(lines, values).lstrip()


def _values(name: str, key: str, server: Reached) -> dict[str, str]:
    """The user's own values; of two that begin alike, the longer first."""
    return {
        "https://dyn.example": server.url,
        "*.home.dyn.example": f"*.{name}",
        "_acme-challenge.home.dyn.example": f"_acme-challenge.{name}",
        "home.dyn.example": name,
        "Update server address: dyn.example": f"Update server address: {server.host}",
        "dyn.example": server.place,
        f"Port: {PORTS['https']}": f"Port: {server.port}",
        PLACEHOLDER: key,
    }


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub("|".join(map(_whole, values)), lambda found: values[found[0]], text)


def _whole(text: str) -> str:
    """A pattern that finds `text`, and not as a part of a longer word."""
    return rf"(?<![\w.]){re.escape(text)}(?!\w)"
