"""The settings of the conf, each once: its name, how it is read, its default, and what the docs say of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import notify, own, parsers, providers
from .token import token


@dataclass(frozen=True, slots=True)
class Setting:
    """One name that the conf may define."""

    name: str
    parse: Callable[[Any], Any]  # raises Mistake
    default: object  # as a conf would write it; None: nothing
    meaning: str  # in the docs' table; empty: not there
    without: str = "none"  # what the table says where there is no default
    arguments: str = ""  # of a function
    is_new: bool = False  # so what is almost its name may be an old conf's own variable


_LISTENERS = (
    '`8080`, `"192.0.2.1:8080"`, `"[2001:db8::1]:8080"`, or a list; at least one of the two, unless there is `own`. '
    "A bare port is open to IPv4 and IPv6"
)
_CERTIFICATE = "private key and certificate for `https`, PEM files, relative to the conf"
_CLIENTS = (
    'secret key → host name, list of host names, or `Client("name", …, ttl=60)`, which also takes `lan`, '
    "`prefix_length` (see below), `networks`, a list of networks that its addresses must be in, `provider`, "
    "`expect`, `prove` ([proof.md](proof.md)) and `acme` ([certificates.md](certificates.md)). "
    'A key may be given as `"sha256:…"`, the output of `printf %s KEY | sha256sum`. `CLIENTS` is the same'
)
_PROVIDER = (
    "where names are published: `Bind(…)`, `Cloudflare(…)`, `Desec(…)` or a function ([providers.md](providers.md)); "
    "`Bind()` is what `server`, `nskeyfile` and `zone` say"
)
_OWN = (
    "clients that sftdyn publishes by itself, with the addresses of its machine ([own.md](own.md)): "
    '`[Client("home.example", address=Interface("ppp0"))]`'
)
_STATUS = (
    "listeners, as for `http`, for health, metrics and the status page ([status.md](status.md)); "
    "a bare port is open to this machine only"
)
_FOR_STATUS = "what they want to see before they show names; may be `sha256:…`, as a key"
_ACME = (
    "secret key → host name, or list of such, whose certificates its holder may get "
    '([certificates.md](certificates.md)): `acme["secret key"] = "home.dyn.example"`; also `Client(…, acme=True)`'
)
_EXPECT = (
    "seconds within which each client should be heard from; beyond, it is *silent* ([watching.md](watching.md)). "
    "`Client(…, expect=3600)` beats it"
)
_STATE = (
    "file in which what was seen outlives a restart, relative to the conf ([watching.md](watching.md)); "
    "`False`: none. With `reuse_port` there is none unless it is named"
)
_HISTORY = "addresses that are kept of each name and type, with their times; 0: none"
_NOTIFY = (
    'who is told of trouble, and of its end: `[Mail("me@example.org"), Post("https://ntfy.example/sftdyn")]`, '
    "or a function ([watching.md](watching.md))"
)
_HEARTBEAT = '`Ping("https://hc.example/ping/…", every=60)`: asked for while all is well ([watching.md](watching.md))'
_ON_CHANGE = (
    "a function of the conf, `on_change(name, type, old, new)`, called after a change was confirmed "
    "([watching.md](watching.md))"
)
_MAX_CHANGES = (
    "changes of one client in an hour, after a burst of 10; beyond it 503 `FAIL` (dyndns2: `abuse`) "
    "until there is nothing to change, or the time has come. 0: no limit"
)
_GET_HOST = "returns the host name (or a list, or a `Client`), or None for BADKEY; then `clients` is not used"

_ALL = (
    Setting("http", parsers.http, None, _LISTENERS),
    Setting("https", parsers.https, None, _LISTENERS),
    Setting("key", parsers.path, None, _CERTIFICATE),
    Setting("cert", parsers.path, None, _CERTIFICATE),
    Setting("clients", parsers.entries, {}, _CLIENTS),
    Setting("CLIENTS", parsers.entries, {}, ""),
    Setting("nskeyfile", parsers.path, None, "TSIG key for `nsupdate -k`, relative to the conf"),
    Setting(
        "server",
        parsers.servers,
        None,
        '`"HOST"`, `"HOST:PORT"` or `"[IP6]:PORT"` of another primary, or a list of such with the same data; needs'
        " `nskeyfile`",
        without="the local one",
    ),
    Setting("zone", parsers.zones, None, "the zone of the host names, or a list", without="found by asking"),
    Setting("provider", providers.provider, None, _PROVIDER, without="`Bind()`", is_new=True),
    Setting("own", own.entries, [], _OWN, is_new=True),
    Setting("acme", parsers.texts, {}, _ACME, is_new=True),
    Setting("status", parsers.status, None, _STATUS, is_new=True),
    Setting("status_token", token, None, _FOR_STATUS, is_new=True),
    Setting("expect", parsers.expect, None, _EXPECT, is_new=True),
    Setting("state", parsers.state, None, _STATE, without="where systemd has a folder for it", is_new=True),
    Setting("history", parsers.history, 10, _HISTORY, is_new=True),
    Setting("notify", notify.targets, [], _NOTIFY, is_new=True),
    Setting("notify_after", parsers.seconds, 600, "seconds that a failure lasts before it is told", is_new=True),
    Setting("heartbeat", notify.ping, None, _HEARTBEAT, is_new=True),
    Setting("on_change", parsers.function, None, _ON_CHANGE, is_new=True),
    Setting("ttl", parsers.ttl, 30, "seconds that an address may be remembered"),
    Setting("timeout", parsers.timeout, 10, "seconds that a request waits for the name server, and for a proof"),
    Setting("trusted_proxies", parsers.networks, [], "addresses or networks whose `X-Forwarded-For` is believed"),
    Setting(
        "addresses",
        parsers.peer_only,
        "request",
        '`"connection"`: only ever the client\'s own address, whatever it says',
    ),
    Setting("dyndns2", parsers.yes_or_no, True, "`False` closes the dyndns2 door"),
    Setting("max_changes", parsers.max_changes, 60, _MAX_CHANGES),
    Setting(
        "reuse_port",
        parsers.yes_or_no,
        False,
        "`True`: other processes may listen on the same ports (SO_REUSEPORT)",
    ),
    Setting("get_ip", parsers.function, None, "returns the address to publish", arguments="source_ip, headers, key"),
    Setting("get_host", parsers.function, None, _GET_HOST, arguments="querystring, ip"),
    Setting(
        "nsupdatecommands",
        parsers.function,
        None,
        "returns the lines for `nsupdate`",
        arguments="host, new_ip, headers",
    ),
)

SETTINGS = {setting.name: setting for setting in _ALL}
NEW = frozenset(setting.name for setting in _ALL if setting.is_new)
