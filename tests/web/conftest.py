"""A real HTTP client."""

import re
import subprocess

from tests.lab.machine import find_program
from tests.lab.process import Sftdyn


def run_curl(served: Sftdyn, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """curl that trusts the certificate in sftdyn's conf."""
    [cert] = re.findall("^cert = '(.*)'$", (served.folder / "conf0").read_text(), re.M)
    command = [find_program("curl", "curl"), "-sS", "--cacert", cert, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
