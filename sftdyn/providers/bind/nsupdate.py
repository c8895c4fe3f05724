"""The only room that starts a process: nsupdate, long-lived or thrown away.

Written against nsupdate(1) of BIND 9.16 and later.
"""

import asyncio
import os
import re
import shutil
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Iterable, Sequence

from ...values.specs import Primary
from .message import greeting

# Seconds. One UDP datagram without repetitions (a late copy could undo a newer update), or one TCP
# exchange, must be answered within the first two; beyond the third the child itself is stuck.
UDP_TIMEOUT = 2
TCP_TIMEOUT = 3
STUCK = 5
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


class NotInstalled(Exception):
    """There is no nsupdate on this machine."""


def has_families(primary: Primary) -> bool:
    """Whether it may be reached over IPv4 and IPv6: it is not given by an address."""
    return not primary.host or not re.fullmatch(r"[0-9.]+|.*:.*", primary.host)


def _arguments(primary: Primary, family: str) -> list[str]:
    """The arguments of nsupdate. `family`, "-4" or "-6", matters unless the host is an address.

    With both families, nsupdate's own change from one to the other is refused by BIND (FORMERR).
    """
    key = ["-k", str(primary.keyfile)] if primary.keyfile else []
    chosen = [family] if has_families(primary) else []
    return [*chosen, *([] if primary.host else ["-l"]), *key]


def program() -> str:
    """The path of nsupdate. Raises NotInstalled."""
    found = shutil.which("nsupdate", path=f"{os.environ.get('PATH', os.defpath)}:/usr/bin:/usr/sbin")
    if found is None:
        raise NotInstalled(
            "nsupdate is not installed: apt install bind9-dnsutils (Debian, Ubuntu),"
            " dnf install bind-utils (Fedora), apk add bind-tools (Alpine)"
        )
    return found


def other_family(family: str) -> str:
    """What to try where nobody listens."""
    return "-6" if family == "-4" else "-4"


async def _start(arguments: Sequence[str]) -> Process:
    return await asyncio.create_subprocess_exec(
        program(),
        *("-u", str(UDP_TIMEOUT), "-r", "0", "-t", str(TCP_TIMEOUT)),
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,  # unbuffered: a diagnostic always precedes the answer that it is about
        env={"LC_ALL": "C", "PATH": os.defpath},
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


class _NotStarted(Exception):
    """There is no process to talk to."""


class Child:
    """One long-lived nsupdate. It is started when first needed, and again whenever it is gone."""

    def __init__(self, primary: Primary) -> None:
        self._primary = primary
        self._family = "-4"
        self._process: Process | None = None
        self._number = 0
        self._last_sent = 0.0
        self._next_tcp = 0.0

    async def send(self, zone: str, lines: str) -> str:
        """The transcript of one message to `zone`. It ends early, without an answer, if the child died or hung."""
        clock = asyncio.get_running_loop().time
        if lines.count("\n") > LINES_ON_UDP or len(lines) > LETTERS_ON_UDP:
            self._next_tcp = max(self._next_tcp, clock() - TCP_BURST) + TCP_INTERVAL
            if self._next_tcp > clock():
                await asyncio.sleep(self._next_tcp - clock())
            if self._process is None or clock() > self._last_sent + IDLE:
                await self._exchange(zone, f"prereq nxrrset {zone} DNAME\n")
        transcript = await self._exchange(zone, lines)
        self._last_sent = clock()
        return transcript

    async def _exchange(self, zone: str, lines: str) -> str:
        try:
            async with asyncio.timeout(STUCK):
                return await self._talk(zone, lines)
        except asyncio.IncompleteReadError as error:
            await self.stop()
            return error.partial.decode("utf-8", "replace")
        except _NotStarted as problem:
            return f"could not start nsupdate: {problem}\n"
        except (OSError, TimeoutError, asyncio.LimitOverrunError):
            await self.stop()
            return ""

    async def _talk(self, zone: str, lines: str) -> str:
        process = self._process
        if process is None or process.returncode is not None:
            try:
                process = self._process = await _start(_arguments(self._primary, self._family))
            except (OSError, NotInstalled) as error:
                raise _NotStarted(str(error)) from None
            lines = greeting(self._primary) + lines
        assert process.stdin
        assert process.stdout
        # nsupdate says nothing after a success, so each message ends with a `show` that names a zone of its own.
        self._number += 1
        mark = f"sync-{self._number}.invalid."
        process.stdin.write(f"zone {zone}\n{lines}send\nanswer\nzone {mark}\nshow\n".encode())
        transcript = await process.stdout.readuntil(f";{mark}".encode())
        await process.stdout.readuntil(b"\n\n")
        return transcript.decode("utf-8", "replace").partition("Outgoing update query:")[0]

    async def stop(self) -> None:
        """End the process; the next message gets a new one."""
        process, self._process = self._process, None
        if process:
            await _end(process)

    async def change_family(self) -> None:
        """Go to the primary over the other of IPv4 and IPv6, if that can make a difference."""
        if has_families(self._primary):
            self._family = other_family(self._family)
            await self.stop()


async def converse(primary: Primary, family: str, lines: str, seconds: float) -> tuple[int | None, str]:
    """Exit code and output of an nsupdate that gets `lines` and the end of input.

    After `seconds` the code is None, and the output what there is of it. Raises OSError, NotInstalled.
    """
    process = await _start(_arguments(primary, family))
    assert process.stdin
    assert process.stdout
    output = b""
    try:
        async with asyncio.timeout(seconds):
            process.stdin.write((greeting(primary) + lines).encode())
            process.stdin.write_eof()
            while chunk := await process.stdout.read(REPLY_LIMIT):
                output += chunk
            await process.wait()
    except (OSError, TimeoutError):
        pass
    finally:
        await _end(process)
    return process.returncode if process.returncode != -signal.SIGKILL else None, output.decode("utf-8", "replace")


async def find_zones(primary: Primary, family: str, names: Iterable[str]) -> tuple[dict[str, str], str]:
    """Ask the primary for the zones of `names`: what it said before nsupdate gave up, and its last words.

    nsupdate asks for the zone of each message that names none, and exits when nobody serves it.
    Raises OSError, NotInstalled.
    """
    lines = "".join(f"prereq nxrrset {name} DNAME\nshow\nsend\nanswer\n" for name in names)
    _, output = await converse(primary, family, lines, STUCK)
    zones = {}
    chapters = re.split(r"^(?=Outgoing update query:)", output, flags=re.M)
    for chapter in chapters:
        name = re.search(r"^;; PREREQUISITE SECTION:\n(\S+)", chapter, re.M)
        zone = re.search(r"^;; ZONE SECTION:\n;(\S+)", chapter.partition("Answer:")[2], re.M)
        if name and zone:
            zones[name[1].lower()] = zone[1].lower()
    return zones, chapters[-1].rpartition("\n\n")[2]
