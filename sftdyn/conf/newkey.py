"""`sftdyn --new-key` and `--lines`: a fresh key, and the lines that the conf and the clients need."""

import secrets
from collections.abc import Callable, Iterator

from ..values.mistake import Mistake
from ..values.names import host_name
from .clients import conf_digest
from .config import Config
from .keyring import digest
from .printed import CERTIFICATE, PLACEHOLDER, Template, chosen, filled_in
from .reached import Reached, reached

KEY_OCTETS = 16

# All but the client's line are comments, so that the block can be appended to a conf.
CONF = """\
# key: {key}
#
# For the conf, to which all of this may be appended as it is:
clients["{key}"] = "{name}"
# or with its hash, so that who reads the conf cannot use it (then take the key out of these comments, too):
# clients["sha256:{digest}"] = "{name}"
#
# {about}
# The same without # in front, for a client that the conf has: sftdyn --lines {name} ROUTER
"""


def new_key(name: str, *clients: str, config: Config | None = None, trouble: str = "", url: str | None = None) -> str:
    """A fresh key for the host `name`: a block for the conf, with the lines for clients as comments.

    `clients` are some of those that have a file, by any of their names; without any it is all. They call `url`, or
    where `config` listens; `trouble` says why there is no `config`. Raises Mistake.
    """
    host = _full_name(name)
    server = reached(host, config, url)
    key = secrets.token_hex(KEY_OCTETS)
    about = about_server(server, config, url, trouble)
    conf = CONF.format(key=key, name=host, digest=conf_digest(key).hex(), about="\n# ".join(about))
    return "\n".join([conf.rstrip(), *(commented(one, host, key, server) for one in chosen(clients))])


def lines(name: str, *clients: str, ask: Callable[[], str], config: Config, url: str | None = None) -> str:
    """The lines for clients of the host `name`, which a client of the conf has.

    `ask` gives its key, or KEY to leave it open: the conf may have the key's hash only. Raises Mistake.
    """
    host = _full_name(name)
    wanted = chosen(clients)
    server = reached(host, config, url)
    key = ask() if config.hooks.get_host else _checked_key(config, f"{host}.", ask)
    about = "\n".join(f"# {line}" for line in about_server(server, config, url, ""))
    return "\n\n".join([about, *(as_it_is(one, host, key, server) for one in wanted)])


def _full_name(name: str) -> str:
    """Without a dot at the end. Raises Mistake."""
    host = host_name(name).rstrip(".")
    if "." not in host:
        raise Mistake("the name needs a dot: write the whole name, such as home.dyn.example")
    return host


def _checked_key(config: Config, name: str, ask: Callable[[], str]) -> str:
    """What `ask` gives. Raises Mistake where no client of the conf has the name, or none with this key."""
    clients = config.keyring.clients
    if not any(name in client.names for client in clients.values()):
        raise Mistake("no client of the conf has this name; --new-key makes one")
    key = ask()
    client = clients.get(digest(key.lstrip("/").encode("utf-8", "surrogateescape")))
    if key != PLACEHOLDER and (client is None or name not in client.names):
        raise Mistake("this is not the key of a client with this name: write the key itself, not its hash")
    return key


def about_server(server: Reached, config: Config | None, url: str | None, trouble: str) -> Iterator[str]:
    """Where the lines call, and how that is known: sentences."""
    if trouble:
        yield f"{trouble}, so where clients call is a guess:"
    says = "as --url says" if url else f"as {config.path} has it" if config else "by the name"
    yield f"The lines call {server.url}, {says}{'' if url else '; if they should not, --url says where else'}."
    if server.own:
        yield "No public authority vouches for its certificate. Clients that are to believe it need a copy of"
        yield f"{server.own} (or of the certificate that signed it) as {CERTIFICATE}."


def commented(template: Template, name: str, key: str, server: Reached) -> str:
    """As comments. Lines that are none themselves are four blanks further in."""
    limits, text = filled_in(template, name, key, server)
    body = (line if line.startswith("#") else f"#     {line}".rstrip() for line in text.splitlines())
    return "\n".join(["#", f"# --- {template.title}", *(f"# {line}".rstrip() for line in limits), "#", *body]).rstrip(
        "\n#"
    )


def as_it_is(template: Template, name: str, key: str, server: Reached) -> str:
    """As a client reads it, below its limits."""
    limits, text = filled_in(template, name, key, server)
    return "\n".join([f"# --- {template.title}", *(f"# {line}".rstrip() for line in limits), "", text]).rstrip()
