"""The only room that starts processes: nsupdate, long-lived or thrown away, and dig, which comes with it.

Written against nsupdate(1) and dig(1) of BIND 9.16 and later.
"""

import asyncio
import os
import re
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Sequence

from ...values.specs import Primary
from . import message

# Seconds. One UDP datagram without repetitions (a late copy could undo a newer update), or one TCP
# exchange, must be answered within the first two; beyond the third the child itself is stuck.
UDP_TIMEOUT = 2
TCP_TIMEOUT = 3
STUCK = 5
# As nsupdate's arguments: so for what changes something, and so for what only asks, which may be repeated. Now and then
# an answer is lost, as two nsupdates may have the same local port (SO_REUSEPORT).
WRITING = ("-u", str(UDP_TIMEOUT), "-r", "0", "-t", str(TCP_TIMEOUT))
ASKING = ("-u", "1", "-r", "2", "-t", str(TCP_TIMEOUT))
# nsupdate fails a TCP message at once with "timed out", unsent, if its timers slept: after this many
# idle seconds, a datagram goes first and wakes them.
IDLE = 1
# A message over 512 octets goes over TCP; fewer lines and letters of commands than these make no such message.
LINES_ON_UDP = 20
LETTERS_ON_UDP = 900
# Each such message has a connection of its own, whose local port then rests for a minute. More of them per second
# than this, after a burst, would use up the ports.
TCP_INTERVAL = 1 / 400
TCP_BURST = 0.25
REPLY_LIMIT = 1 << 20  # octets
DIG = ("+time=2", "+tries=2")
ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}


class NotInstalled(Exception):
    """There is no nsupdate on this machine."""


def program(name: str = "nsupdate") -> str:
    """The path of nsupdate, or of another program of its package. Raises NotInstalled."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/bin:/usr/sbin")
    if found is None:
        raise NotInstalled(
            f"{name} is not installed: apt install bind9-dnsutils (Debian, Ubuntu),"
            " dnf install bind-utils (Fedora), apk add bind-tools (Alpine)"
        )
    return found


class Route:
    """How a primary is reached. All children of one provider share it, and follow it at their next message."""

    def __init__(self, primary: Primary) -> None:
        self.primary = primary
        self.family = "-4"  # or "-6", where nobody listened
        self._next_tcp = 0.0  # event loop time

    def arguments(self) -> tuple[str, ...]:
        """The arguments of nsupdate.

        With both families, nsupdate's own change from one to the other is refused by BIND (FORMERR).
        """
        key = ("-k", str(self.primary.keyfile)) if self.primary.keyfile else ()
        return (*([self.family] if self._has_families() else []), *([] if self.primary.host else ["-l"]), *key)

    def key_time(self) -> int | None:
        """When the key file was written (ns since 1970); None where there is none, or it is gone."""
        try:
            return self.primary.keyfile.stat().st_mtime_ns if self.primary.keyfile else None
        except OSError:
            return None

    def questions(self) -> tuple[str, ...]:
        """The arguments of dig, for questions to the same server."""
        host = self.primary.host or ("127.0.0.1" if self.family == "-4" else "::1")
        return (*([self.family] if self._has_families() else []), f"@{host}", "-p", str(self.primary.port))

    def leave(self, family: str) -> None:
        """Nobody listens over this family: try the other one, if that can make a difference."""
        if self._has_families() and family == self.family:
            self.family = "-6" if family == "-4" else "-4"

    def _has_families(self) -> bool:
        """Whether it may be reached over IPv4 and IPv6: it is not given by an address."""
        return not self.primary.host or not re.fullmatch(r"[0-9.]+|.*:.*", self.primary.host)

    async def wait_for_port(self) -> None:
        """Until one more TCP connection is in order."""
        clock = asyncio.get_running_loop().time
        self._next_tcp = max(self._next_tcp, clock() - TCP_BURST) + TCP_INTERVAL
        if self._next_tcp > clock():
            await asyncio.sleep(self._next_tcp - clock())


async def _start(arguments: Sequence[str], timers: Sequence[str] = WRITING) -> Process:
    return await asyncio.create_subprocess_exec(
        program(),
        *timers,
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,  # unbuffered: a diagnostic always precedes the answer that it is about
        env=ENVIRONMENT,
        start_new_session=True,  # Ctrl-C in the terminal is for sftdyn alone
        limit=REPLY_LIMIT,
    )


async def _end(process: Process) -> None:
    if process.returncode is None:
        try:
            os.kill(process.pid, signal.SIGKILL)  # Process.kill() would reap it, and asyncio miss its end
        except ProcessLookupError:
            pass
    await process.wait()


class Child:
    """One long-lived nsupdate. It is started when first needed, and again whenever it is gone or its route changes."""

    def __init__(self, route: Route, timers: Sequence[str] = WRITING) -> None:
        self._route = route
        self._timers = timers
        self._started_for: tuple[Primary, tuple[str, ...]] | None = None
        self._key_time: int | None = None
        self._process: Process | None = None
        self._number = 0
        self._last_sent = 0.0

    async def send(self, zone: str, lines: str) -> str:
        """The transcript of one message to `zone`. It ends early, without an answer, if the child died or hung."""
        clock = asyncio.get_running_loop().time
        if lines.count("\n") > LINES_ON_UDP or len(lines) > LETTERS_ON_UDP:
            await self._route.wait_for_port()
            if self._process is None or clock() > self._last_sent + IDLE:
                awake = await self._exchange(zone, message.harmless(zone))
                if not message.is_answered(awake):  # what is in the way of this is in the way of more
                    return awake
        return await self._exchange(zone, lines)

    async def send_all(self, questions: Sequence[tuple[str, str]], hear: Callable[[int, str], None]) -> None:
        """Send several small messages (zone and lines) at once; `hear` gets the number and transcript of each, in turn.

        It hears of fewer, if the child died or hung.
        """
        heard = 0
        try:
            async with asyncio.timeout(STUCK) as patience:
                await self._follow_route()
                async for transcript in self._talk(questions):
                    hear(heard, transcript)
                    heard += 1
                    patience.reschedule(asyncio.get_running_loop().time() + STUCK)
        except asyncio.IncompleteReadError as error:
            await self.stop()
            hear(heard, error.partial.decode("utf-8", "replace"))
        except (OSError, NotInstalled, TimeoutError, asyncio.LimitOverrunError) as error:
            hear(heard, message.not_started(error) if self._process is None else "")
            await self.stop()
        self._last_sent = asyncio.get_running_loop().time()

    async def _exchange(self, zone: str, lines: str) -> str:
        transcripts: list[str] = []
        await self.send_all([(zone, lines)], lambda _, transcript: transcripts.append(transcript))
        return transcripts[0]

    async def _follow_route(self) -> None:
        """Have a process that talks to the primary as the route says. Raises OSError, NotInstalled."""
        wanted = (self._route.primary, self._route.arguments())
        if self._process and (self._process.returncode is not None or self._started_for != wanted):
            await self.stop()
        if self._process is None:
            self._key_time = self._route.key_time()
            self._process = await _start(wanted[1], self._timers)
            self._started_for = wanted
            assert self._process.stdin
            self._process.stdin.write(message.greeting(self._route.primary).encode())

    async def _talk(self, messages: Sequence[tuple[str, str]]) -> AsyncIterator[str]:
        """Write messages; what is said of each."""
        assert self._process
        assert self._process.stdin
        assert self._process.stdout
        marks = []
        for zone, lines in messages:
            self._number += 1
            marks.append(message.mark(self._number))
            self._process.stdin.write(message.framed(zone, lines, marks[-1]).encode())
        for mark in marks:
            transcript = await self._process.stdout.readuntil(message.end(mark).encode())
            await self._process.stdout.readuntil(b"\n\n")
            yield message.unframed(transcript.decode("utf-8", "replace"))

    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def has_old_key(self) -> bool:
        """Whether there is a process that has read another key file than is there now."""
        return self._process is not None and self._route.key_time() not in (None, self._key_time)

    def try_elsewhere(self) -> None:
        """Nobody listens where this child looked."""
        if self._started_for:
            self._route.leave(self._started_for[1][0])

    async def stop(self) -> None:
        """End the process; the next message gets a new one."""
        process, self._process = self._process, None
        if process:
            await _end(process)


async def converse(route: Route, lines: str, seconds: float) -> tuple[int | None, str]:
    """Exit code and output of an nsupdate that gets `lines` and the end of input.

    After `seconds` the code is None, and the output what there is of it. Raises OSError, NotInstalled.
    """
    process = await _start(route.arguments())
    assert process.stdin
    assert process.stdout
    output = b""
    try:
        async with asyncio.timeout(seconds):
            process.stdin.write((message.greeting(route.primary) + lines).encode())
            process.stdin.write_eof()
            while chunk := await process.stdout.read(REPLY_LIMIT):
                output += chunk
            await process.wait()
    except (OSError, TimeoutError):
        pass
    finally:
        await _end(process)
    return process.returncode if process.returncode != -signal.SIGKILL else None, output.decode("utf-8", "replace")


async def dig(*arguments: str) -> str:
    """What dig prints; "" where there is none, or it takes too long."""
    try:
        process = await asyncio.create_subprocess_exec(
            program("dig"),
            *DIG,
            *arguments,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=DEVNULL,
            env=ENVIRONMENT,
            start_new_session=True,
        )
    except (OSError, NotInstalled):
        return ""
    try:
        async with asyncio.timeout(STUCK):
            output, _ = await process.communicate()
            return output.decode("utf-8", "replace")
    except TimeoutError:
        return ""
    finally:
        await _end(process)
