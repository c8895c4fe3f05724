"""The server's own addresses and names: which can be published, and which a certificate has. Pure."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_network

from sftdyn.values.addresses import Address, is_in, parse_address
from sftdyn.values.mistake import Mistake
from sftdyn.values.reachable import is_reachable

# What is nobody's address in a network, so that no server can be there (RFC 6890).
NOBODYS = {
    ip_network(text): why
    for text, why in {
        "0.0.0.0/8": "which is no host's",
        "::/128": "which is no host's",
        "127.0.0.0/8": "which is each machine's own",
        "::1/128": "which is each machine's own",
        "169.254.0.0/16": "which is link-local",
        "fe80::/10": "which is link-local",
        "224.0.0.0/4": "which is multicast",
        "ff00::/8": "which is multicast",
        "240.0.0.0/4": "which is reserved",
    }.items()
}


def server_address(text: str, version: int) -> Address:
    """The IPv4 or IPv6 address that a zone can give to its server. Raises Mistake."""
    try:
        address = parse_address(text)
    except Mistake:
        raise Mistake(f"{text} is no IPv{version} address") from None
    if address.version != version:
        raise Mistake(
            f"{text} is no IPv{version} address; the IPv4 address comes first, the IPv6 address, if any, last"
        )
    for network, why in NOBODYS.items():
        if is_in(address, [network]):
            raise Mistake(f"nobody reaches {text}, {why}: write the address by which the world reaches this server")
    return address


def doubts(addresses: Iterable[Address]) -> list[str]:
    """What is said of addresses that may be meant, and that the Internet does not reach."""
    return [
        f"{address} is not reached from the Internet (private, shared or for documentation): whoever asks from there "
        "finds no name server. It is taken all the same"
        for address in addresses
        if not is_reachable(address)
    ]


def server_name(host: str, addresses: Sequence[Address]) -> str:
    """How clients reach this machine, as far as it can know: its name in DNS, else its best address, else its name."""
    if "." in host.strip(".") and not host.startswith("localhost"):
        return host
    best = sorted(addresses, key=lambda address: (not is_reachable(address), address.version))
    return str(best[0]) if best else host


def in_url(server: str) -> str:
    """A name or an address as a URL has it (RFC 3986, 3.2.2)."""
    return f"[{server}]" if ":" in server else server


def alternative_names(server: str, addresses: Iterable[Address]) -> str:
    """For whom the certificate is, as openssl-req(1) wants it behind `subjectAltName=`: the server, then addresses."""
    try:
        first = f"IP:{parse_address(server)}"
    except Mistake:
        first = f"DNS:{server}"
    return ",".join(dict.fromkeys([first, *(f"IP:{address}" for address in addresses)]))


def lacks(shown: str, wanted: str) -> bool:
    """Whether a certificate, as `openssl x509 -noout -ext subjectAltName` shows it, lacks one of the wanted names."""
    present = {_compared(entry) for entry in re.split(r",\s*|\n\s*", shown)}
    return not {_compared(entry) for entry in wanted.split(",")} <= present


def _compared(entry: str) -> str:
    kind, _, value = entry.strip().partition(":")
    if kind == "IP Address" or kind == "IP":
        try:
            return f"IP:{parse_address(value)}"
        except Mistake:
            return entry
    return f"{kind}:{value.lower()}"
