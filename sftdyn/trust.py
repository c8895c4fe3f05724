"""Whose certificates are believed where sftdyn is the client of a TLS server: the system's authorities, or a file's."""

import asyncio
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from .threads import Returned, in_thread

NO_CHECK_TIME = ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME of x509_vfy.h, which has no name in Python
MANY = 64  # files with certificates that are kept in memory


def client_context(ca: Path | None = None, expired_ok: bool = False) -> ssl.SSLContext:
    """The settings of TLS that believe the certificates in `ca` (PEM), or the system's. Raises OSError.

    Each of them is believed, also where it is not signed by itself; a name counts in subjectAltName only (RFC 9525, 2).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    context.options |= ssl.OP_NO_RENEGOTIATION  # one handshake for a connection: what it costs, the server chooses
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if expired_ok:
        context.verify_flags |= NO_CHECK_TIME
    if ca:
        context.load_verify_locations(ca)
    else:
        context.load_default_certs()
    return context


class Trust:
    """Keeps what was read of such files until they change; made inside a running event loop.

    `protocols` are those of ALPN. A file is read in a thread, as the system's takes 50 ms, and one at a time: of MiBs,
    many threads would have one copy each.
    """

    def __init__(self, protocols: Sequence[str] = ()) -> None:
        self._protocols = list(protocols)
        self._lock = asyncio.Lock()
        self._known: dict[tuple[Path | None, bool], tuple[tuple[int, ...], ssl.SSLContext]] = {}

    async def context(self, ca: Path | None, expired_ok: bool = False) -> ssl.SSLContext:
        """As `client_context`, of what the file holds now. Raises OSError."""
        async with self._lock:
            stamp = identity(ca or ssl.get_default_verify_paths().cafile)
            known = self._known.get((ca, expired_ok))
            if known and known[0] == stamp:
                return known[1]
            ended = await in_thread(client_context, ca, expired_ok, late=lambda: None)
            if not isinstance(ended, Returned):
                raise ended.error
            context: ssl.SSLContext = ended.value
            if self._protocols:
                context.set_alpn_protocols(self._protocols)
            if len(self._known) >= MANY:
                self._known.clear()
            self._known[ca, expired_ok] = stamp, context
            return context


def identity(path: str | Path | None) -> tuple[int, ...]:
    """What changes when a file does, whether it is written anew or linked elsewhere."""
    try:
        found = os.stat(path) if path else None
    except OSError:
        found = None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns) if found else ()
