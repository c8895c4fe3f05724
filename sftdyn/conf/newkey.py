"""`sftdyn --new-key`: a fresh key, with the lines that the conf and the clients need.

The lines for clients are those of the files in etc/clients, which a person may also copy by hand. Their first line
begins with the client's name and a colon; what stands behind the first empty line is printed.
"""

import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ..values.mistake import Mistake
from ..values.names import host_name
from .clients import conf_digest

KEY_OCTETS = 16

CONF = """\
# the conf, with the key:
clients["{key}"] = "{name}"
# or with its hash, so that who reads the conf cannot use it:
clients["sha256:{digest}"] = "{name}"
"""

# What the files say of TLS, and what a client of a server without it needs.
PLAIN = {"ssl=yes": "ssl=no", "ssl = true": "ssl = false", "use_https '1'": "use_https '0'"}


def new_key(name: str, *clients: str, url: str | None = None) -> str:
    """A fresh key for the host `name`, with lines for the conf and for clients of the server at `url`.

    `clients` are some of those that have a file, by its name or by their own; without any it is all. Raises Mistake.
    """
    host = host_name(name).rstrip(".")
    url = (url or f"https://{host.partition('.')[2] or host}").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Mistake("--url: write it like https://dyn.example or http://dyn.example:8080")
    return render(host, url, secrets.token_hex(KEY_OCTETS), chosen(clients))


def render(name: str, url: str, key: str, clients: Mapping[str, str]) -> str:
    """The text for one key, with the lines of these clients."""
    conf = CONF.format(key=key, name=name, digest=conf_digest(key).hex())
    filled_in = (f"# --- {title}\n{_filled_in(lines, name, url, key)}" for title, lines in clients.items())
    return "\n".join([f"key: {key}\n", conf, *filled_in]).rstrip()


def chosen(clients: Iterable[str]) -> dict[str, str]:
    """The templates of these clients, all if there are none. Raises Mistake."""
    known = templates()
    by_letters = {_letters(title): title for title in known}
    wanted = [_letters(client) for client in clients]
    if not set(wanted) <= set(by_letters):
        raise Mistake(f"--new-key: no lines are known for this router; write one of: {', '.join(known)}")
    return {by_letters[one]: known[by_letters[one]] for one in wanted} or known


def _letters(title: str) -> str:
    """What stays the same where somebody writes fritzbox or fritz-box for FRITZ!Box."""
    return re.sub("[^a-z0-9]", "", title.lower())


def templates() -> dict[str, str]:
    """Client → the lines that it needs, for the server dyn.example, the host home.dyn.example and the key KEY.

    Raises Mistake.
    """
    found = {}
    for path in sorted(_folder().iterdir()):
        about, _, lines = path.read_text("utf-8").partition("\n\n")
        found[about.lstrip("# ").partition(":")[0]] = lines
    return found


def _folder() -> Path:
    """Where the files are: beside the package in a checkout, below the prefix where pip installs."""
    here = Path(__file__).resolve()
    places = [here.parents[2] / "etc/clients", *(above / "share/sftdyn/clients" for above in here.parents)]
    for place in places:
        if place.is_dir():
            return place
    raise Mistake("the folder share/sftdyn/clients is missing; copy or install sftdyn as a whole again")


def _filled_in(lines: str, name: str, url: str, key: str) -> str:
    """`lines` with the user's own values."""
    server = url.partition("//")[2]
    values = {"https://dyn.example": url, "home.dyn.example": name, "dyn.example": server, "KEY": key}
    if url.startswith("http:"):
        values |= PLAIN
    return re.sub("|".join(map(_whole, values)), lambda found: values[found[0]], lines)


def _whole(text: str) -> str:
    """A pattern that finds `text`, and not as a part of a longer word."""
    return rf"(?<![\w.]){re.escape(text)}(?!\w)"
