"""Does a new address lead to the real host? It is asked for a TLS handshake before it is published.

Rule 1. Each name with each of its addresses is a target, proven by a connection to the address whose server shows a
valid certificate for the name. Nothing but the handshake is sent. Targets are proven one after the other, and all of
them must be, within the timeout.

Rule 2. A connection that proves nothing is tried again, as a web server may need a moment after a redial. One client
has one connection at a time, and there are few in all. A try leaves its place to others after a few seconds at most,
so that a silent address holds up neither other clients nor a newer request of its own.

Rule 3. Each handshake has a thread, since the other side may choose one that takes 0.2 s to compute (Diffie-Hellman
with 8192 bits).

Rule 4. An address that the Internet does not reach, or that is this machine's own, is never connected to unless the
client's networks have it. Such a try waits in its place as if nobody answered, and all that fails takes the timeout:
who has a key cannot tell what there is around the server.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from time import monotonic
from typing import NamedTuple
from weakref import WeakValueDictionary

from ..places import Places
from ..threads import Returned, in_thread
from ..trust import Trust
from ..values.addresses import Address, Network
from ..values.reachable import is_reachable
from ..values.specs import Client, Proof
from ..values.update import RRset, Script
from .own.rtnetlink import is_own

AT_ONCE = 16  # connections, of all clients
TRY = 3.0  # seconds for one of them; a lost SYN is sent again after 1 (RFC 6298)
LEAST = 0.001  # seconds; 0 would mean something else
PAUSE = 0.5  # seconds until the next one of the same client

BUSY = "its turn did not come, as too many proofs are under way"
SILENT = "no answer"
FORBIDDEN = (
    "it is not reachable from the whole Internet, or this machine's own, and so is not connected to; "
    "if that is meant, name it in the client's networks"
)
CLOSED = "it closes the connection"
UNREADABLE = "the certificates to believe cannot be read"
HUNG_UP = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)
# Errors of x509_vfy.h, and what would help.
HELP = {
    10: "; Proof(expired_ok=True) takes it all the same",
    **dict.fromkeys((18, 19, 20), '; Proof(ca="FILE") says which certificates to believe'),
}


class Target(NamedTuple):
    """What is to be proven: that this name is at this address."""

    name: str  # without its final dot
    address: Address


@dataclass(slots=True)
class Trial:
    """How far the proof of a target has come."""

    target: Target
    proof: Proof
    is_allowed: bool  # to connect there
    trouble: str = BUSY  # what was last in the way

    @property
    def silence(self) -> str:
        """What it means that nobody answers."""
        return SILENT if self.is_allowed else FORBIDDEN

    def __str__(self) -> str:
        name, address = self.target
        return f"not proven that {name} is at {address} port {self.proof.port}: {self.trouble}"


class Proofs:
    """Proves new addresses, of all clients."""

    def __init__(self) -> None:
        self._places = Places(AT_ONCE)
        self._turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        self._trust = Trust()

    async def prove(self, who: Hashable, client: Client, items: Iterable[RRset | Script], seconds: float) -> str:
        """Why the client's `items` were not proven within this time, all of them; empty if they were.

        `who` has the client's key: whoever has another one for the same names has turns of his own.
        """
        assert client.prove
        deadline = asyncio.get_running_loop().time() + seconds
        turn = self._turns.setdefault(who, asyncio.Lock())
        for target in targets(client.prove, items):
            trial = Trial(target, client.prove, may_be_asked(target.address, client.networks))
            try:
                async with asyncio.timeout_at(deadline):
                    await self._settle(who, trial, turn, deadline)
            except TimeoutError:
                return str(trial)
        return ""

    async def _settle(self, who: Hashable, trial: Trial, turn: asyncio.Lock, deadline: float) -> None:
        """Try until it is proven."""
        while True:
            async with turn:
                await self._places.take(who)
                try:
                    left = deadline - asyncio.get_running_loop().time()
                    if await self._is_proven(trial, max(min(TRY, left), LEAST)):
                        return
                finally:
                    self._places.leave(who)
                await asyncio.sleep(PAUSE)

    async def _is_proven(self, trial: Trial, seconds: float) -> bool:
        """Whether one connection proves it."""
        if trial.trouble is BUSY:
            trial.trouble = trial.silence
        if not trial.is_allowed:
            await asyncio.sleep(seconds)
            return False
        try:
            context = await self._trust.context(trial.proof.ca, trial.proof.expired_ok)
        except OSError:
            trial.trouble = UNREADABLE
            return False
        ended = await in_thread(_shake_hands, trial.target, trial.proof.port, context, seconds, late=lambda: None)
        if isinstance(ended, Returned):
            return True
        if not isinstance(ended.error, OSError):
            raise ended.error
        trouble = _told(ended.error)
        if trouble is not SILENT or seconds == TRY:  # a try that was cut short says nothing of an earlier trouble
            trial.trouble = trouble
        return False


def targets(proof: Proof, items: Iterable[RRset | Script]) -> list[Target]:
    """Each name with each of its addresses; where the proof has a name of its own, each address. Pure."""
    pairs = [
        (item.name, address)
        for item in items
        for address in (item.addresses if isinstance(item, RRset) else (item.address,))
    ]
    found = (Target((proof.name or name).rstrip("."), ip_address(address)) for name, address in pairs)
    return list(dict.fromkeys(found))


def may_be_asked(address: Address, networks: Iterable[Network]) -> bool:
    """Whether one of `networks` names it, or everybody on the Internet reaches it, and there it is not this machine.

    All addresses of IPv4, or of IPv6, are not a name.
    """
    is_named = any(network.prefixlen and address in network for network in networks)
    return is_named or (is_reachable(address) and not is_own(address))


def _shake_hands(target: Target, port: int, context: ssl.SSLContext, seconds: float) -> None:
    """In its thread. Raises OSError; ssl.SSLError is one."""
    deadline = monotonic() + seconds
    with (
        socket.create_connection((str(target.address), port), seconds) as connection,
        context.wrap_socket(connection, do_handshake_on_connect=False, server_hostname=target.name) as layer,
    ):
        layer.settimeout(max(deadline - monotonic(), LEAST))
        layer.do_handshake()  # by itself, it would leave it out where the connection has ended meanwhile
        layer.setblocking(False)
        try:
            layer.unwrap()
        except OSError:
            pass  # it says that the session ends, and waits for no answer


def _told(error: OSError) -> str:
    """What was in the way, for the log; nothing in it comes from the other side."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what = error.verify_message.rstrip(".")
        return f"its certificate is not valid: {what}{HELP.get(error.verify_code, '')}"
    if isinstance(error, TimeoutError):
        return SILENT
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) or error.errno in HUNG_UP:
        return CLOSED
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS as it should ({error.reason})"
    return os.strerror(error.errno or 0)
