"""Arguments, logging, signals, exit codes."""

import argparse
import asyncio
import logging
import os
import resource
import shutil
import signal
import ssl
import sys
import threading
import time
import warnings
from collections.abc import MutableMapping, Sequence
from functools import partial
from getpass import getpass
from pathlib import Path
from typing import TextIO

from . import __version__
from .check.online import look
from .conf.check import describe
from .conf.config import Config, load
from .conf.newkey import lines, new_key
from .conf.notify import EXAMPLES
from .conf.own import EXAMPLE
from .conf.printed import PLACEHOLDER
from .conf.program import ConfigError
from .doors.own.keeper import publish_once, without_address
from .doors.status import asking, table
from .doors.watch import telling
from .providers.bind import nsupdate
from .service import Service, tls_context
from .systemd import JournalFormatter, Notifier, has_passed_sockets, is_journal, with_priority
from .threads import log_only_the_type
from .values.mistake import Mistake
from .values.specs import Bind
from .values.update import Remark, Shown
from .web.listen import CannotListen

DEFAULT_CONF = "/etc/sftdyn/conf"

# Exit codes: the machine is not as needed; the conf or the command line cannot work.
EXIT_MACHINE = 1
EXIT_CONF = 2

# sd_listen_fds(3): the ports stay with systemd, which starts us at each caller, and gives up after some failures.
SOCKET_CURE = """
systemd holds the ports: when it is mended, systemctl reset-failed sftdyn; systemctl restart sftdyn.socket sftdyn"""

LEVELS = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run sftdyn with `arguments`, or those of the process; the exit code."""
    options = _options(arguments)
    environment = dict(os.environ)  # the service takes out what systemd says to it alone
    _set_up_logging(options.verbose - options.quiet)
    try:
        if options.new_key:
            print(_new_key(options))
            return 0
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
        settings = _settings(options)
        if options.health:
            return _tell_health(options, settings)
        config = load(Path(options.conf), settings)
        if options.lines:
            print(lines(*options.lines, ask=partial(_ask_key, options.lines[0]), config=config, url=options.url))
            return 0
        if options.list or options.notify_test:
            return _print_list(config, options.failing) if options.list else _test_notify(config)
        if options.own and not config.own:
            raise ConfigError(f"{config.path}: nothing in own; add own = [{EXAMPLE}]")
        if any(isinstance(spec, Bind) for spec in (config.own_providers if options.own else config.providers)):
            nsupdate.program()
        if options.check:
            return _check(config, options.online)
        _raise_file_limit()
        code = asyncio.run(_run(config, settings, options.own), debug=options.debug)
        if threading.active_count() > 1:  # a hook that still blocks would hold up the end
            sys.stdout.flush()
            logging.shutdown()
            os._exit(code)
        return code
    except Mistake as error:
        _complain(error, environment)
        return EXIT_CONF
    except (nsupdate.NotInstalled, CannotListen, asking.CannotAsk) as error:
        _complain(error, environment)
        return EXIT_MACHINE


def _complain(error: Exception, environment: MutableMapping[str, str]) -> None:
    """Say why it ends, at -qq too.

    The journal wants a priority, and writes the program's name itself. `systemctl status` shows no line of a try before
    the last one, but the status that was told.
    """
    text = f"{error}{SOCKET_CURE if has_passed_sockets(environment) else ''}"
    Notifier(environment).say(f"STATUS={error}")
    print(with_priority(logging.ERROR, text) if is_journal() else f"sftdyn: {text}", file=sys.stderr)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says. Ends the process with EXIT_CONF where that makes no sense."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.url is not None and not (options.new_key or options.lines):
        parser.error("--url goes with --new-key and --lines; where to listen, the conf says")
    if options.failing and not options.list:
        parser.error("--failing is a part of --list; write: sftdyn --list --failing")
    if options.online and not options.check:
        parser.error("--online is a part of --check; write: sftdyn --check --online")
    return options


def _check(config: Config, online: bool) -> int:
    """Say what the conf means, and `online` also what is not right around it; the exit code. Raises Mistake."""
    context = tls_context(config)
    print("\n".join(describe(config)), flush=True)
    good_for, findings = asyncio.run(_look_around(config, context)) if online else ([], [])
    problems = [finding for finding in findings if not isinstance(finding, Shown | Remark)]
    for line in (*good_for, *(finding for finding in findings if isinstance(finding, Shown))):
        print(line)
    for finding in findings:
        if not isinstance(finding, Shown):
            print(f"{'remark' if isinstance(finding, Remark) else 'problem'}: {finding}")
    return EXIT_MACHINE if problems else 0


async def _look_around(config: Config, context: ssl.SSLContext | None) -> tuple[list[str], list[str]]:
    """What the certificate is good for; and what is not right around the conf, a sentence each."""
    (good_for, problems), sources = await asyncio.gather(look(config, context), without_address(config))
    return good_for, [*problems, *sources]


async def _run(config: Config, settings: dict[str, object], own: bool) -> int:
    """Serve, or publish the conf's `own` once; the exit code. Raises CannotListen."""
    if own:
        return 0 if await publish_once(config, _show) else EXIT_MACHINE
    return await Service(config, settings).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sftdyn", description="A dynamic DNS server: a secret URL updates your BIND zone through nsupdate."
    )
    add = parser.add_argument
    add("conf", nargs="?", default=DEFAULT_CONF, help="the conf, a Python file (default: %(default)s)")
    add("-l", "--http", metavar="[IP:]PORT", action="append", help="listen for HTTP")
    add("-s", "--https", metavar="[IP:]PORT", action="append", help="listen for HTTPS")
    add("-c", "--cert", metavar="FILE", help="certificate for HTTPS (PEM, relative to the conf)")
    add("-k", "--key", metavar="FILE", help="its private key")
    add("--nskeyfile", metavar="FILE", help="TSIG key for nsupdate -k")
    add("-v", "--verbose", action="count", default=0, help="log each request; twice: more")
    add("-q", "--quiet", action="count", default=0, help="log errors only; twice: nothing")
    add("-d", "--debug", action="store_true", help="asyncio's debug mode")
    add("-i", "--interactive", action="store_true", help=argparse.SUPPRESS)  # 0.10 took it, and did nothing
    add("--check", action="store_true", help="say what the conf means, and stop")
    new_key_help = "make a key for a host name, with lines for the conf and for all clients, or for this router"
    add("--new-key", nargs="+", metavar=("NAME", "ROUTER"), help=new_key_help)
    lines_help = "the lines for all clients, or for this router, of a host name that the conf has; asks for its key"
    add("--lines", nargs="+", metavar=("NAME", "ROUTER"), help=lines_help)
    add("--online", action="store_true", help="with --check: ask the name servers, too, and look at the certificate")
    add("--own", action="store_true", help="publish the conf's own once, say what came of it, and stop")
    add("--list", action="store_true", help="show what the running sftdyn has seen of each host name, and stop")
    add("--failing", action="store_true", help="with --list: only what fails or is silent; exit code 1 if there is any")
    add("--notify-test", action="store_true", help="send a message to each in notify, say what came of it, and stop")
    add("--health", action="store_true", help="say whether the running sftdyn is well: exit code 0 or 1")
    add("--url", metavar="URL", help="with --new-key and --lines: where clients call (default: as the conf says)")
    add("--version", action="version", version=f"sftdyn {__version__}")
    return parser


def _new_key(options: argparse.Namespace) -> str:
    """A key with its lines, also where there is no conf yet, or none that this user can read. Raises Mistake."""
    config, trouble = None, ""
    if options.conf != DEFAULT_CONF or os.path.exists(DEFAULT_CONF):  # also without the right to look
        try:
            config = load(Path(options.conf), _settings(options))
        except ConfigError as error:
            if options.conf != DEFAULT_CONF:
                raise
            trouble = " ".join(str(error).split())
    return new_key(*options.new_key, config=config, trouble=trouble, url=options.url)


def _ask_key(name: str) -> str:
    """What somebody types as the key of a client, unseen; KEY if nobody does."""
    if not sys.stdin.isatty():
        return PLACEHOLDER
    return getpass(f"The key of {name} (Enter: {PLACEHOLDER} stands for it): ") or PLACEHOLDER


def _tell_health(options: argparse.Namespace, settings: dict[str, object]) -> int:
    """For a container, where any other code than 0 and 1 means something else."""
    try:
        is_healthy, said = asking.health(load(Path(options.conf), settings))
    except Mistake as error:
        is_healthy, said = False, str(error)
    print(said, file=sys.stdout if is_healthy else sys.stderr)
    return 0 if is_healthy else EXIT_MACHINE


def _print_list(config: Config, failing: bool) -> int:
    """All, or with `failing` those that are unwell; the exit code says then whether there are any.

    Raises Mistake, CannotAsk.
    """
    entries = asking.entries(config, os.environ.get(asking.VARIABLE, ""))
    unwell = [entry for entry in entries if entry["state"] in table.UNWELL]
    entries = unwell if failing else entries
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    for line in table.render(entries, time.time(), width, colours=is_terminal and "NO_COLOR" not in os.environ):
        _show(line)
    return EXIT_MACHINE if failing and unwell else 0


def _test_notify(config: Config) -> int:
    """Raises ConfigError."""
    if not config.notify:
        raise ConfigError(f"{config.path}: nobody in notify; add notify = [{EXAMPLES}]")
    return 0 if asyncio.run(telling.test(config, _show)) else EXIT_MACHINE


def _show(line: str) -> None:
    """Print a line; if nobody reads on, as with `| head`, the rest goes nowhere."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _settings(options: argparse.Namespace) -> dict[str, object]:
    names = ("http", "https", "cert", "key", "nskeyfile")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _set_up_logging(verbosity: int) -> None:
    """To stderr; with priorities instead of the time if that is the journal."""
    handler = logging.StreamHandler()
    handler.setFormatter(JournalFormatter() if is_journal() else logging.Formatter("%(asctime)s %(message)s"))
    level = LEVELS[min(max(LEVELS.index(logging.WARNING) + verbosity, 0), len(LEVELS) - 1)]
    logging.basicConfig(handlers=[handler], level=level)
    warnings.showwarning = _log_warning
    threading.excepthook = log_only_the_type


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning of Python's, without its text and the source line: both could quote the conf, and so a key."""
    logging.getLogger(__name__).warning("%s:%d: %s", filename, lineno, category.__name__)


def _raise_file_limit() -> None:
    """Each client needs a descriptor; the default soft limit of 1024 is for programs that use select(2)."""
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass  # a sandbox may forbid it; the server keeps to what it has
