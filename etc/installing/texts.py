"""The confs that etc/install makes, and what it says at its end. Pure."""

import re
from collections.abc import Sequence
from json import dumps

from .addresses import in_url

HTTP, HTTPS, STATUS = 8080, 4443, 8053  # ports; the last one is open to this machine only
ETC = "/etc/sftdyn"

# Three that do not belong together; two must agree.
WEB = ("https://www.cloudflare.com/cdn-cgi/trace", "https://api64.ipify.org/", "https://ifconfig.co/ip")

SETTINGS = "# docs/conf.md has all settings. After a change: systemctl {verb} sftdyn\n"
CLOUDFLARE = 'provider = Cloudflare(token_file="cloudflare.token", create=True)\n'
LISTENING = f'http = {HTTP}\nhttps = {HTTPS}\nkey = "server.key"\ncert = "server.crt"\n'
WATCHED = '# For sftdyn --list, and the page: docs/status.md\nstatus = {port}\nstatus_token = "{token}"\n'
CA_OPTION = "--cacert"  # of curl, where no public authority vouches for the certificate
CLIENT = '\nclients["{key}"] = "{name}"\n'

# What systemd hands over to a service that has a user of its own.
CREDENTIALS = {
    "sftdyn.service": ("conf", "cloudflare.token", "server.key", "server.crt"),
    "sftdyn-own.service": ("conf", "cloudflare.token"),
}
OPTIONS = {"sftdyn.service": "-v", "sftdyn-own.service": "-v --own"}


def conf_with_bind(name: str, key: str, token: str = "") -> str:
    """The conf for a client of the local BIND; without a token it is the one of 1.1."""
    return SETTINGS.format(verb="reload") + LISTENING + _watched(token) + CLIENT.format(key=key, name=name)


def conf_for_routers(name: str, key: str, token: str = "") -> str:
    """The same for a name at Cloudflare."""
    head = SETTINGS.format(verb="restart") + CLOUDFLARE
    return head + LISTENING + _watched(token) + CLIENT.format(key=key, name=name)


def _watched(token: str) -> str:
    return WATCHED.format(port=STATUS, token=token) if token else ""


def conf_of_its_own(name: str, own: str) -> str:
    """The conf for the address of this machine, as an interface has it, or as web servers see it ("web")."""
    source = f"Web({', '.join(map(dumps, WEB))})" if own == "web" else f"Interface({dumps(own, ensure_ascii=False)})"
    head = "# docs/conf.md has all settings. The timer reads this each time.\n"
    return f'{head}{CLOUDFLARE}own = [Client("{name}", address={source})]\n'


def is_of_1_1(conf: str) -> bool:
    """Whether the conf is one that etc/install of 1.1 has made: it did not note what it wrote."""
    client = re.search(r'^clients\["([0-9a-f]{32})"\] = "([^"]+)"$', conf, re.MULTILINE)
    own = re.search(r'^own = \[Client\("([^"]+)", address=Interface\("([^"]+)"\)\)\]$', conf, re.MULTILINE)
    made = [text(client[2], client[1]) for text in (conf_with_bind, conf_for_routers)] if client else []
    return conf in (*made, *([conf_of_its_own(own[1], own[2])] if own else []))


def user_conf(unit: str) -> str:
    """The drop-in for a unit where there is no user `bind`: systemd makes one, and hands it copies of its files."""
    copies = "".join(f"LoadCredential={file}:{ETC}/{file}\n" for file in CREDENTIALS[unit])
    start = f"ExecStart=\nExecStart=/opt/sftdyn/bin/sftdyn {OPTIONS[unit]} %d/conf\nExecReload=\n"
    return f"[Service]\nUser=\nGroup=\nDynamicUser=yes\n{copies}{start}"


def key_in(conf: str, name: str) -> str:
    """The first key that a conf as it is made has for a name; empty if there is none."""
    found = re.search(rf'^clients\["([0-9a-f]+)"\] = "{re.escape(name)}"$', conf, re.MULTILINE)
    return found[1] if found else ""


def secure_url(server: str) -> str:
    """Where clients reach the server."""
    return f"https://{in_url(server)}:{HTTPS}"


def for_the_router(name: str, server: str, key: str, curl: str) -> str:
    """The URLs, and the lines for curl; without a key, where the conf is its owner's, how to get more."""
    at = "" if server == name.partition(".")[2] else f" --url {secure_url(server)}"
    more = f"For another name: sftdyn --new-key NAME ROUTER{at}\n"
    if not key:
        return f"The conf is yours. {more}"
    copy = f"That copy: scp root@{in_url(server)}:{ETC}/server.crt /etc/sftdyn.crt\n" if CA_OPTION in curl else ""
    return (
        f"{secure_url(server)}/{key}\n"
        f"http://{in_url(server)}:{HTTP}/{key}   (who sees the traffic learns the key)\n\n"
        f"From a computer:\n{curl}\n\n"
        f"{copy}For a router: sftdyn --lines {name} ROUTER{at}\n{more}"
    )


def for_the_owner(server: str) -> str:
    """Where to see whether the routers live."""
    return (
        "On this machine: sftdyn --list\n"
        f"From elsewhere: ssh -L {STATUS}:localhost:{STATUS} root@{server}\n"
        f"    then http://localhost:{STATUS}/ in a browser; any user name, the password is status_token of {ETC}/conf\n"
    )


def delegation(zone: str, addresses: Sequence[str]) -> str:
    """The records that the zone above needs."""
    label, _, parent = zone.partition(".")
    glue = "".join(f"    {label} {'AAAA' if ':' in address else 'A'} {address}\n" for address in addresses)
    return f"In the zone {parent}, so that the world finds {zone}:\n    {label} NS {zone}.\n{glue}"


def still_to_do(ports: str) -> str:
    """Outside of sftdyn, in both ways."""
    return (
        f"In the firewall (and in the router, if this machine is behind one): open {ports}.\n"
        "In the client's router: user-defined (or custom) as the dynamic DNS provider, with the URL above.\n"
    )
