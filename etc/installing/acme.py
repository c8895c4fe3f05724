"""The server's own certificate, by the DNS-01 challenge: the key for it, certbot's settings, who finds the zone. Pure.

The key may change `_acme-challenge.ZONE TXT` and nothing else (BIND 9 ARM, "Dynamic Update Policies").
"""

import re
from collections.abc import Iterable

from sftdyn.values.mistake import Mistake
from sftdyn.values.update import CHALLENGE, Shown

CERTBOT = "/etc/letsencrypt"
HOOK = f"{CERTBOT}/renewal-hooks/deploy/sftdyn"
UNHEARD = "does not answer, at least not this machine"  # behind a router it may be this one

SETTINGS = """\
# For certbot, from sftdyn's etc/install. Whoever reads this can get certificates for {zone}.
dns_rfc2136_server = 127.0.0.1
dns_rfc2136_port = 53
dns_rfc2136_name = {name}.
dns_rfc2136_secret = {secret}
dns_rfc2136_algorithm = {algorithm}
"""
DEPLOY = """\
#!/bin/sh
# From sftdyn's etc/install: sftdyn gets a copy of the certificate, now and at each renewal.
live={certbot}/live/{zone}
install -o root -g bind -m 640 $live/privkey.pem /etc/sftdyn/server.key
install -o root -g bind -m 644 $live/fullchain.pem /etc/sftdyn/server.crt
systemctl try-reload-or-restart sftdyn
"""
BY_HAND = """\
The lines of {zone} in BIND's configuration are yours. Write beside them:
    include "{path}";
and into the update-policy of the zone:
    {grant}
"""
NOT_SEEN = "nobody finds {zone} yet: the zone above has no NS records for it, or could not be asked"


def key_name(zone: str) -> str:
    """Of the TSIG key, without its last dot; each zone has one of its own."""
    return f"sftdyn-acme.{zone}"


def key_path(zone: str) -> str:
    """Where the key is: in the folder from which named may read."""
    return f"/etc/bind/{key_name(zone)}.key"


def grant(zone: str) -> str:
    """What the key may do."""
    return f"grant {key_name(zone)} name {CHALLENGE}{zone}. TXT;"


def harmless(zone: str) -> str:
    """Lines for nsupdate that change nothing, and are refused where the key may not change the challenge."""
    return f'server 127.0.0.1\nzone {zone}.\nupdate delete {CHALLENGE}{zone}. TXT "sftdyn"\nsend\n'


def settings(zone: str, key: str) -> str:
    """What certbot's plugin is told, with the key as tsig-keygen(8) writes it. Raises Mistake."""
    said = {word: re.search(rf'{word} "?([^";\s]+)"?;', key) for word in ("algorithm", "secret")}
    algorithm, secret = said["algorithm"], said["secret"]
    if not algorithm or not secret:
        raise Mistake(f"{key_path(zone)} is no key as tsig-keygen writes it: remove it, and try again")
    return SETTINGS.format(zone=zone, name=key_name(zone), algorithm=algorithm[1].upper(), secret=secret[1])


def hook(zone: str) -> str:
    """What certbot runs after each renewal."""
    return DEPLOY.format(certbot=CERTBOT, zone=zone)


def by_hand(zone: str) -> str:
    """What its owner is to write, where the zone is not from etc/install."""
    return BY_HAND.format(zone=zone, path=key_path(zone), grant=grant(zone))


def obstacles(zone: str, findings: Iterable[str]) -> list[str]:
    """Why an authority would not find the zone, by what was found out about its delegation; none: it should."""
    found = list(findings)
    if any(isinstance(one, Shown) or UNHEARD in one for one in found):
        return []
    return found or [NOT_SEEN.format(zone=zone)]
