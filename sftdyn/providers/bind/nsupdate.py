"""The only room that starts processes: nsupdate, long-lived or thrown away, and dig, which comes with it.

Written against nsupdate(1) and dig(1) of BIND 9.16 and later.
"""

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Sequence

from . import message
from .addresses import MAX_UDP, Over, Passage
from .route import Route, Unresolved

# Seconds. One UDP datagram without repetitions (a late copy could undo a newer update), or one TCP
# exchange, must be answered within the first two; beyond the third the child itself is stuck.
UDP_TIMEOUT = 2
TCP_TIMEOUT = 3
STUCK = 5
SILENT = 0.4  # after which an answer is not waited for any more where another way has just answered
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


def _kill(process: Process) -> None:
    if process.returncode is None:
        try:
            os.kill(process.pid, signal.SIGKILL)  # Process.kill() would reap it, and asyncio miss its end
        except ProcessLookupError:
            pass


async def _end(process: Process) -> None:
    _kill(process)
    await process.wait()


class Child:
    """One long-lived nsupdate. It is started when first needed, and again whenever it is gone or its route changes."""

    def __init__(self, route: Route, timers: Sequence[str] = WRITING) -> None:
        self._route = route
        self._timers = timers
        self.way: Passage | None = None  # that of the process
        self._started_for: tuple[str, tuple[str, ...]] | None = None
        self._key_time: int | None = None
        self._process: Process | None = None
        self._number = 0
        self._asked = 0.0  # event loop time, since when an answer is waited for
        self._last_sent = 0.0

    async def send(self, zone: str, lines: str) -> str:
        """The transcript of one message to `zone`. It ends early, without an answer, if the child died or hung."""
        clock = asyncio.get_running_loop().time
        is_large = lines.count("\n") > LINES_ON_UDP or len(lines) > LETTERS_ON_UDP
        over = self._route.over()
        if is_large and over is Over.UDP and message.octets(zone, lines) > MAX_UDP:
            return message.NO_SPACE
        if over is Over.TCP or is_large:
            await self._route.wait_for_port()
        is_asleep = self._process is None or clock() > self._last_sent + IDLE
        if is_large and over is Over.BOTH and is_asleep:
            awake = await self._exchange(zone, message.harmless(zone))
            if not message.is_answered(awake):  # what is in the way of this is in the way of more
                return awake
        return await self._exchange(zone, lines)

    def is_narrow(self) -> bool:
        """Whether no message above 512 octets gets through."""
        return self._route.over() is Over.UDP

    async def send_all(self, questions: Sequence[tuple[str, str]], hear: Callable[[int, str], None]) -> None:
        """Send several small messages (zone and lines) at once; `hear` gets the number and transcript of each, in turn.

        It hears of fewer, if the child died or hung.
        """
        heard, is_silent = 0, False
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(STUCK) as patience:
                if self._route.over() is Over.TCP and clock() > self._last_sent + IDLE:
                    await self.stop()  # there is no datagram that could wake it
                await self._follow_route()
                self._asked = clock()
                self._route.talking.add(self.give_up)
                async for transcript in self._talk(questions):
                    hear(heard, transcript)
                    heard += 1
                    is_silent = message.TIMED_OUT in transcript
                    self._asked = clock()
                    patience.reschedule(self._asked + STUCK)
        except asyncio.IncompleteReadError as error:
            await self.stop()
            hear(heard, error.partial.decode("utf-8", "replace"))
        except (OSError, NotInstalled, Unresolved, TimeoutError, asyncio.LimitOverrunError) as error:
            hear(heard, message.not_started(error) if self._process is None else "")
            await self.stop()
        finally:
            self._route.talking.discard(self.give_up)
        if is_silent:  # what it sends next may be broken
            await self.stop()
        self._last_sent = clock()

    async def _exchange(self, zone: str, lines: str) -> str:
        transcripts: list[str] = []
        await self.send_all([(zone, lines)], lambda _, transcript: transcripts.append(transcript))
        return transcripts[0]

    async def _follow_route(self) -> None:
        """Have a process that talks to the primary as the route says. Raises OSError, NotInstalled, Unresolved."""
        way = await self._route.way()
        wanted = (self._route.greeting(way), self._route.arguments(way))
        if self._process and (self._process.returncode is not None or self._started_for != wanted):
            await self.stop()
        self.way = way
        if self._process is None:
            self._key_time = self._route.key_time()
            self._process = await _start(wanted[1], self._timers)
            self._started_for = wanted
            assert self._process.stdin
            self._process.stdin.write(wanted[0].encode())

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

    def give_up(self, way: Passage) -> None:
        """That way is left: what was asked there a while ago will have no answer."""
        if self._process and self.way == way and asyncio.get_running_loop().time() > self._asked + SILENT:
            _kill(self._process)

    def has_old_key(self) -> bool:
        """Whether there is a process that has read another key file than is there now."""
        return self._process is not None and self._route.key_time() not in (None, self._key_time)

    async def stop(self) -> None:
        """End the process; the next message gets a new one."""
        process, self._process = self._process, None
        if process:
            await _end(process)


async def converse(route: Route, lines: str, seconds: float) -> tuple[int | None, str]:
    """Exit code and output of an nsupdate that gets `lines` and the end of input.

    After `seconds` the code is None, and the output what there is of it. Raises OSError, NotInstalled, Unresolved.
    """
    way = await route.way()
    process = await _start(route.arguments(way))
    assert process.stdin
    assert process.stdout
    output = b""
    try:
        async with asyncio.timeout(seconds):
            process.stdin.write((route.greeting(way) + lines).encode())
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
