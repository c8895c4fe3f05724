"""What a TLS client offers in its first message (RFC 8446, 4.1.2), read before OpenSSL computes anything. Pure.

The groups that a client wants for the key exchange decide what a handshake costs: with ffdhe8192 a thousand times more
than with X25519, paid on the event loop for whoever sends 400 octets. OpenSSL takes what the client prefers, and
Python's ssl (before 3.15) can name it no list of groups, but one group for each connection. So we look, and choose.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

MOST = 64  # extensions, and shares, that are looked at: browsers send twenty, and two
RECORD_HEAD = 5  # octets: type, version, length (RFC 8446, 5.1)
HANDSHAKE, CLIENT_HELLO = 22, 1
SUPPORTED_GROUPS, SUPPORTED_VERSIONS, KEY_SHARE = 10, 43, 51  # extensions
VERSIONS = {0x300: "SSL 3.0", 0x301: "TLS 1.0", 0x302: "TLS 1.1", 0x303: "TLS 1.2", 0x304: "TLS 1.3"}
# Groups of which each costs well under a millisecond, the cheapest first, as OpenSSL calls them; all have one or two.
CHEAP = {0x1D: "X25519", 0x17: "prime256v1", 0x18: "secp384r1"}
USUAL = "prime256v1"  # where the client says nothing: the one that all have (RFC 8446, 9.1)


class Hello(NamedTuple):
    """An offer: numbers of versions and groups (the IANA registries of TLS), empty where nothing is said."""

    versions: tuple[int, ...]
    groups: tuple[int, ...] = ()
    shares: tuple[int, ...] = ()  # groups for which the client has sent its half already

    @property
    def group(self) -> str:
        """The cheap group that spares the client another round, or else that it has at all, or else the usual one."""
        for offered in (self.shares, self.groups):
            for number, name in CHEAP.items():
                if number in offered:
                    return name
        return USUAL

    def __str__(self) -> str:
        known = [name for number, name in VERSIONS.items() if number in self.versions]
        return f"offered {', '.join(known) or 'no version that is known'}" + (
            "" if not self.groups or CHEAP.keys() & set(self.groups) else ", and none of X25519, P-256 and P-384"
        )


def read_hello(record: bytes) -> Hello | None:
    """The offer in a connection's first record; None if it is another message, or goes on in further records."""
    message = _Octets(record[RECORD_HEAD:])
    try:
        if record[:1] != bytes([HANDSHAKE]) or message.number(1) != CLIENT_HELLO:
            return None
        hello = _Octets(message.vector(3))
        version = hello.number(2)
        hello.take(32)  # random
        for width in (1, 2, 1):  # session, cipher suites, compression
            hello.vector(width)
        found = dict(_extensions(hello))
        return Hello(
            _numbers(found, SUPPORTED_VERSIONS, 1) or (version,),
            _numbers(found, SUPPORTED_GROUPS, 2),
            tuple(_shares(_Octets(found[KEY_SHARE]))) if KEY_SHARE in found else (),
        )
    except _TooShort:
        return None


class _TooShort(Exception):
    """A length reaches beyond the octets that there are."""


class _Octets:
    """Reads numbers and vectors (RFC 8446, 3) from the front."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._place = 0

    def take(self, length: int) -> bytes:
        """Raises _TooShort."""
        end = self._place + length
        if end > len(self._octets):
            raise _TooShort
        taken, self._place = self._octets[self._place : end], end
        return taken

    def number(self, width: int) -> int:
        """Of so many octets. Raises _TooShort."""
        return int.from_bytes(self.take(width))

    def vector(self, width: int) -> bytes:
        """Octets whose number stands in front, in `width` octets. Raises _TooShort."""
        return self.take(self.number(width))

    def __bool__(self) -> bool:
        return self._place < len(self._octets)


def _extensions(hello: _Octets) -> Iterator[tuple[int, bytes]]:
    """The first numbers and contents; there are clients of TLS 1.2 without any."""
    rest = _Octets(hello.vector(2) if hello else b"")
    for _ in range(MOST):
        if rest:
            yield rest.number(2), rest.vector(2)


def _numbers(extensions: dict[int, bytes], kind: int, width: int) -> tuple[int, ...]:
    """A list of numbers of two octets, whose length stands in front in `width` octets."""
    if kind not in extensions:
        return ()
    listed = _Octets(extensions[kind]).vector(width)
    return struct.unpack(f">{len(listed) // 2}H", listed[: len(listed) // 2 * 2])


def _shares(extension: _Octets) -> Iterator[int]:
    shares = _Octets(extension.vector(2))
    for _ in range(MOST):
        if shares:
            yield shares.number(2)
            shares.vector(2)
