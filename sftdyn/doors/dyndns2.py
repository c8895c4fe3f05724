"""The door of dyndns2: what ddclient, inadyn and many routers speak. One line for each host name."""

from collections.abc import Sequence
from ipaddress import ip_address

from ..values.mistake import Mistake
from ..values.names import host_name
from ..values.outcome import SUCCESSES, Outcome, Result
from ..values.specs import Client
from ..values.update import Subject
from ..web.reply import Reply
from .demand import Parameters, read_hostnames
from .secret_url import ALLOW, CHALLENGE

NAME = "dyndns2"
PATHS = frozenset([b"nic/update", b"v2/update", b"v3/update"])
# Users of UniFi write `host/\/nic/update` into a field that is meant for a host name alone.
STRAY = (b"%5c/", b"%5C/", b"\\/")

MAX_HOSTS = 100  # in one request: a client has no more names

WORDS: dict[Outcome, str] = {
    Outcome.UPTODATE: "nochg",
    Outcome.OK: "good",
    Outcome.CHALLENGE: "badauth",
    Outcome.BADKEY: "badauth",
    Outcome.NOTFQDN: "notfqdn",
    Outcome.NOHOST: "nohost",
    Outcome.NUMHOST: "numhost",
    Outcome.BADADDRESS: "dnserr",
    Outcome.BADMETHOD: "badagent",
    Outcome.UNPUBLISHABLE: "dnserr",
    Outcome.NOZONE: "dnserr",
    Outcome.REFUSED: "dnserr",
    Outcome.HOOK: "911",
    Outcome.TIMEOUT: "911",
    Outcome.UNPROVEN: "911",
    Outcome.ABUSE: "abuse",
    Outcome.OVERTAKEN: "911",
    Outcome.OVERLOADED: "911",
    Outcome.INTERNAL: "911",
}


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
        name = host_name(hostname)
    except Mistake:
        return Outcome.NOTFQDN
    if name.count(".") < 2:
        return Outcome.NOTFQDN
    return (name,) if name in names else Outcome.NOHOST


def line(result: Result, subject: Subject) -> str:
    """What is said of one host name, whose record sets are the first of `subject`."""
    word = WORDS[result.outcome]
    if result.outcome not in SUCCESSES:
        return word
    sets = [item for item in subject if not isinstance(item, str)]
    own = [address for rrset in sets if rrset.name == sets[0].name for address in rrset.addresses]
    if len(own) > 1:
        own.sort(key=lambda text: (ip_address(text).version, text))
    return f"{word} {','.join(own)}".rstrip()


def reply(parts: Sequence[tuple[Result, Subject]], address: str = "") -> Reply:
    """The reply about host names with their results, in order."""
    body = "\n".join(line(result, subject) for result, subject in parts)
    if any(result.outcome in (Outcome.CHALLENGE, Outcome.BADKEY) for result, _ in parts):
        return Reply(401, body, (CHALLENGE,))
    if any(result.outcome is Outcome.BADMETHOD for result, _ in parts):
        return Reply(405, body, (ALLOW,))
    return Reply(200, body)
