"""What etc/install has made, and which of it is still as it was made.

Its record has lines as sha256sum(1) writes them, one for each file at each time that it was made; those of 1.1 have the
path alone. What is not as it was made is the owner's.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from .acme import CERTBOT, HOOK
from .texts import CREDENTIALS, ETC, is_of_1_1, user_conf

RECORD = ".made"
UNITS = "/etc/systemd/system"
FILES = ("conf", "cloudflare.token", "server.key", "server.crt", "acme.ini")
UNIT_NAMES = ("sftdyn.service", "sftdyn.socket", "sftdyn-own.timer", "sftdyn-own.service")

HALVES = ("service.new", "timer.new", "/user.conf.new")  # of what was cut short

# The units of 1.0 and 1.1, which nobody noted.
RELEASED = {
    "c876dd67f5ffa968b8630c8d388debf8b2d44ef444fcc1ac4852dc9aa2ea7d89": "sftdyn.service",
    "8f2f6f521eff1176886fb1c256a85ee414e2af55f70f3de744e9b6f41e0f6dd5": "sftdyn.service",
    "8c431894045e8db5ccf79d5e2615f0490fd97c0b1061fc14695d1597bb5987ad": "sftdyn-own.service",
    "1e6ce3e0ee26b5c2a12eb8e2fc94b049206a08a73acc51e96147ece6f2438cc3": "sftdyn-own.timer",
}


def read(root: Path) -> dict[str, set[str]]:
    """Path → the digests that it was made with, of the machine whose files are below `root`."""
    record: dict[str, set[str]] = {}
    path = root / ETC[1:] / RECORD
    for line in path.read_text().splitlines() if path.exists() else []:
        digest, _, name = line.rpartition("  ")
        record.setdefault(name, set()).add(digest)
    return record


def is_as_made(root: Path, name: str, record: Mapping[str, set[str]]) -> bool:
    """Whether the file of this name, an absolute path, is from etc/install and was not changed since."""
    file = root / name[1:]
    if file.is_symlink() or not file.is_file():
        return False
    content = file.read_bytes()
    digest, noted = sha256(content).hexdigest(), record.get(name, set())
    if digest in noted or RELEASED.get(digest) == file.name:
        return True
    if file.name == "user.conf":
        unit = file.parent.name.removesuffix(".d")
        return unit in CREDENTIALS and content == user_conf(unit).encode()
    return "" in noted and file.name == "conf" and is_of_1_1(content.decode(errors="replace"))


def leaving(root: Path) -> tuple[list[str], list[str]]:
    """What goes with --uninstall, and what stays: absolute paths."""
    record = read(root)
    units = [
        name
        for unit in UNIT_NAMES
        for name in (f"{UNITS}/{unit}", f"{UNITS}/{unit}.new", *_below(root, f"{UNITS}/{unit}.d"))
    ]
    hook = (HOOK, f"{HOOK}.new")
    there = [name for name in (*units, *hook, *_below(root, ETC)) if (root / name[1:]).exists()]
    halves = {f"{ETC}/{name}.new" for name in FILES} | {name for name in units if name.endswith(HALVES)} | {hook[1]}
    copies = {name for zone in certified(root) for name in there if is_copy(root, name, zone)}
    going = [name for name in there if name in halves | copies or is_as_made(root, name, record)]
    own = [name for name in there if name not in going and name != f"{ETC}/{RECORD}"]
    return going, own


def certified(root: Path) -> list[str]:
    """The names of certbot's certificates that it renews with the settings from here."""
    said = f"dns_rfc2136_credentials = {ETC}/acme.ini"
    confs = sorted((root / CERTBOT[1:] / "renewal").glob("*.conf"))
    return [conf.stem for conf in confs if said in conf.read_text().splitlines()]


def is_copy(root: Path, name: str, zone: str) -> bool:
    """Whether the file of this name is one that certbot has, or had, for the zone."""
    file = root / name[1:]
    if not file.is_file():
        return False
    had = (root / CERTBOT[1:] / "archive" / zone).glob("*.pem")
    return file.read_bytes() in [pem.read_bytes() for pem in had]


def _below(root: Path, folder: str) -> Iterable[str]:
    """The entries of a folder, if it is there."""
    path = root / folder[1:]
    return sorted(f"{folder}/{entry.name}" for entry in path.iterdir()) if path.is_dir() else []
