"""What a run was made on: machine and versions."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from sftdyn import __version__
from tests.lab.machine import ROOT

from .rivals import PYTHON_OF_010


def machine() -> str:
    """Processors, memory, kernel, distribution."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    name = model[1] if model else platform.machine()
    return f"{os.cpu_count()} cores ({name}), {memory:.0f} GiB, {platform.system()} {platform.release()}, {release}"


def versions() -> str:
    """Of all that takes part."""
    commit = _say("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    aiohttp = _say(str(PYTHON_OF_010), "-c", "import aiohttp; print(aiohttp.__version__)")
    return ", ".join(
        [
            f"sftdyn {__version__}" + (f" ({commit})" if commit else ""),
            f"Python {platform.python_version()}",
            f"BIND {_number('named', '-v')}",
            f"dnsperf {_number('dnsperf', '-h')}",
            f"OpenSSL {_number('openssl', 'version')}",
            f"sftdyn 0.10 with aiohttp {aiohttp}",
        ]
    )


def _number(*command: str) -> str:
    found = re.search(r"(?:^|\s)v?(\d+\.\d[\w.-]*)", _say(*command))
    return found[1] if found else "?"


def _say(*command: str) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return ""
    return (result.stdout or result.stderr).strip()


if __name__ == "__main__":
    print(machine(), versions(), sep="\n", file=sys.stdout)
