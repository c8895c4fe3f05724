"""The door of dyndns2: what ddclient, inadyn and many routers speak. One line for each host name."""

from collections.abc import Sequence
from ipaddress import ip_address

from ..values.mistake import Mistake
from ..values.names import among
from ..values.outcome import SUCCESSES, Outcome, Result
from ..values.specs import Client
from ..web.reply import Reply
from .demand import Parameters, read_hostnames
from .notes import Part
from .secret_url import ALLOW, CHALLENGE, LATER

NAME = "dyndns2"
PATHS = frozenset([b"nic/update", b"v2/update", b"v3/update"])
# Users of UniFi write `host/\/nic/update` into a field that is meant for a host name alone.
STRAY = (b"%5c/", b"%5C/", b"\\/")

MAX_HOSTS = 100  # in one request: a client has no more names

# The word for the client, and the status. Programs and routers that know few of the words take 200 for success and
# never ask again, or end: so trouble that is not the client's has 503, and what the client itself has to mend 200.
WORDS: dict[Outcome, tuple[str, int]] = {
    Outcome.UPTODATE: ("nochg", 200),
    Outcome.OK: ("good", 200),
    Outcome.CHALLENGE: ("badauth", 401),
    Outcome.BADKEY: ("badauth", 401),
    Outcome.NOTFQDN: ("notfqdn", 200),
    Outcome.NOHOST: ("nohost", 200),
    Outcome.NUMHOST: ("numhost", 200),
    Outcome.BADADDRESS: ("dnserr", 200),
    Outcome.BADMETHOD: ("badagent", 405),
    Outcome.FORBIDDEN: ("badagent", 405),
    Outcome.UNPUBLISHABLE: ("dnserr", 503),
    Outcome.NOZONE: ("dnserr", 503),
    Outcome.REFUSED: ("dnserr", 503),
    Outcome.HOOK: ("911", 503),
    Outcome.LOOKUP: ("911", 503),
    Outcome.TIMEOUT: ("911", 503),
    Outcome.UNPROVEN: ("911", 503),
    Outcome.ABUSE: ("abuse", 503),
    Outcome.OVERTAKEN: ("911", 503),
    Outcome.OVERLOADED: ("911", 503),
    Outcome.INTERNAL: ("911", 503),
}
OWNERS = frozenset([Outcome.UNPUBLISHABLE, Outcome.NOZONE, Outcome.REFUSED])  # what only the server's owner can mend,
OWNERS_TIME = 300  # and seconds that this takes at least
HEADERS = {401: (CHALLENGE,), 405: (ALLOW,)}


def is_path(path: bytes) -> bool:
    """Whether a target's path, without leading slashes, is that of this door."""
    for stray in STRAY:
        path = path.removeprefix(stray).lstrip(b"/")
    return path.rstrip(b"/") in PATHS


def hosts(client: Client, parameters: Parameters) -> Sequence[tuple[str, ...] | Outcome]:
    """Each host name of the query on its own; all names of the client, together, if it has none."""
    hostnames = read_hostnames(parameters)
    if len(hostnames) > MAX_HOSTS:
        return [Outcome.NUMHOST]
    return [own_name(hostname, client.names) for hostname in hostnames] or [client.names]


def own_name(hostname: str, names: tuple[str, ...]) -> tuple[str, ...] | Outcome:
    """The absolute name that a request's `hostname` means, if it is one of `names`; else what is wrong with it."""
    try:
        name = among(hostname, names)
    except Mistake:
        return Outcome.NOTFQDN
    if "." not in hostname.removesuffix("."):
        return Outcome.NOTFQDN
    return (name,) if name else Outcome.NOHOST


def line(part: Part) -> str:
    """What is said of one host name."""
    result = part.whole
    word, _ = WORDS[result.outcome]
    if result.outcome not in SUCCESSES:
        return word
    sets = [item for item in part.subject if not isinstance(item, str)]
    own = [address for rrset in sets if rrset.name == part.name for address in rrset.addresses]
    if len(own) > 1:
        own.sort(key=lambda text: (ip_address(text).version, text))
    return f"{word} {','.join(own)}".rstrip()


def reply(parts: Sequence[Part], address: str = "") -> Reply:
    """The reply about host names with their results, in order: its status is that of the worst line."""
    body = "\n".join(map(line, parts))
    results = [part.whole for part in parts]
    status = max(WORDS[result.outcome][1] for result in results)
    if status == LATER:
        waits = [_wait(result) for result in results if WORDS[result.outcome][1] == LATER]
        return Reply(status, body, (("Retry-After", str(max(waits))),))
    return Reply(status, body, HEADERS.get(status, ()))


def _wait(result: Result) -> int:
    """Seconds until a later try makes sense."""
    return max(result.retry_after, OWNERS_TIME) if result.outcome in OWNERS else result.retry_after
