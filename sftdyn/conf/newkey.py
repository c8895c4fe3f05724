"""`sftdyn --new-key`: a fresh key, with the lines that the conf and the clients need. etc/clients/ explains them."""

import secrets
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

# What each client needs, with {url}, {server} (without https://), {name} and {key}.
CLIENTS = {
    "curl": """\
curl -sS --fail '{url}/{key}'
# or with the key in no log of a proxy:
curl -sS --fail -u 'any:{key}' '{url}/update'
""",
    "systemd timer": """\
# /etc/dyndns.url (chmod 600), for dyndns.service and dyndns.timer
url = "{url}/{key}"
""",
    "FRITZ!Box": """\
# Internet > Permit Access > DynDNS, user-defined
Update URL: {url}/{key}?myip=<ipaddr>&myipv6=<ip6addr>&prefix=<ip6lanprefix>
Domain name: {name}
User name: any
Password: any
""",
    "ddclient": """\
# /etc/ddclient.conf
protocol=dyndns2
use=web, web={url}/
server={server}
ssl={ssl}
login=any
password={key}
{name}
""",
    "inadyn": """\
# /etc/inadyn.conf
allow-ipv6 = true
custom sftdyn {{
    ssl = {ssl_bool}
    ddns-server = {server}
    ddns-path = "/nic/update?hostname=%h&myip=%i"
    hostname = {name}
    username = any
    password = {key}
    checkip-server = {server}
    checkip-path = /
}}
""",
    "OpenWrt": """\
# /etc/config/ddns
config service 'sftdyn'
    option enabled '1'
    option lookup_host '{name}'
    option domain '{name}'
    option username 'any'
    option password '{key}'
    option update_url '{url}/[PASSWORD]?myip=[IP]'
    option use_https '{https}'
    option ip_source 'network'
    option ip_network 'wan'
""",
    "UniFi": """\
# Internet > WAN > Dynamic DNS
Service: custom
Hostname: {name}
Username: any
Password: {key}
Server: {server}/nic/update?hostname=%h&myip=%i
""",
    "pfSense": """\
# Services > Dynamic DNS
Service Type: Custom
Update URL: {url}/{key}?myip=%IP%
Result Match: OK|UPTODATE
""",
    "OPNsense": """\
# Services > Dynamic DNS, native backend
Service: Custom
Protocol: Custom GET
Server: {url}/{key}?myip=__MYIP__
""",
}


def new_key(name: str, url: str | None) -> str:
    """A fresh key for the host `name`, with lines for the conf and for clients of the server at `url`.

    Raises Mistake.
    """
    host = host_name(name).rstrip(".")
    url = (url or f"https://{host.partition('.')[2] or host}").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Mistake("--url: write it like https://dyn.example or http://dyn.example:8080")
    return render(host, url, secrets.token_hex(KEY_OCTETS))


def render(name: str, url: str, key: str) -> str:
    """The text for one key."""
    tls = url.startswith("https:")
    values = {
        "name": name,
        "url": url,
        "server": url.partition("//")[2],
        "key": key,
        "digest": conf_digest(key).hex(),
        "ssl": "yes" if tls else "no",
        "ssl_bool": str(tls).lower(),
        "https": str(int(tls)),
    }
    clients = (f"# --- {title}\n{text}" for title, text in CLIENTS.items())
    return "\n".join([f"key: {key}\n", CONF, *clients]).format(**values).rstrip()
