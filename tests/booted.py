"""A Debian with systemd as its first process, in a container with a network of its own; as root.

Its tree is made once by debootstrap, with the packages that the papers want in apt's cache, and copied for each use: the
machine itself then needs no network. On the other end of its only cable is a visitor, who calls from another address.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

RELEASES = {"12": "bookworm", "13": "trixie"}
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sftdyn-machine"
INCLUDED = "systemd-sysv,dbus,ca-certificates"
HALT = signal.SIGRTMIN + 3  # systemd(1): start halt.target
PATIENCE = 60.0  # seconds until a machine is up, or down
LONGEST = 600  # seconds for a command, such as an installation

IPV4, IPV6 = "203.0.113.10", "2001:db8::10"  # the papers' server
VISITOR, VISITOR6 = "203.0.113.77", "2001:db8::77"

ENVIRONMENT = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
HIERARCHIES = [Path("/sys/fs/cgroup", name) for name in ("", "systemd", "unified")]


class Failed(Exception):
    """Something is not as it should be; the message has what was seen."""


def call(*command: str) -> str:
    """What a command prints, errors included. Raises Failed."""
    done = attempt(*command)
    if done.returncode:
        raise Failed(f"{command[-1]}\nended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def attempt(*command: str) -> "subprocess.CompletedProcess[str]":
    """As `call`, whatever the exit code."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=LONGEST,
        check=False,
    )


def wait_until(is_so: Callable[[], object], what: str, seconds: float = PATIENCE) -> float:
    """How long it took, in seconds. Raises Failed."""
    start = time.monotonic()
    while not is_so():
        if time.monotonic() > start + seconds:
            raise Failed(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)
    return time.monotonic() - start


def pristine(release: str, packages: Iterable[str]) -> Path:
    """The tree of a bare Debian, such as "12", with these packages in apt's cache but not installed; made if missing."""
    tree = CACHE / RELEASES[release]
    wanted = " ".join(sorted(packages))
    ready = tree.with_suffix(".packages")
    if not tree.exists():
        fresh = tree.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        call("debootstrap", "--variant=minbase", f"--include={INCLUDED}", RELEASES[release], str(fresh), *mirror())
        (fresh / "etc/apt/apt.conf.d/00machine").write_text(
            call("sh", "-c", "apt-config dump | grep ^Acquire:: || true")
        )
        fresh.rename(tree)
    if not ready.exists() or ready.read_text() != wanted:
        shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
        call("chroot", str(tree), "apt-get", "update", "-q")
        call("chroot", str(tree), "apt-get", "install", "-q", "-y", "--download-only", *wanted.split())
        ready.write_text(wanted)
    return tree


def mirror() -> list[str]:
    """Where this machine gets Debian from, if it does; otherwise debootstrap knows."""
    found = call("apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian")
    return found.split()[:1]


class Machine:
    """A copy of a tree, which can be booted, spoken to and switched off."""

    def __init__(self, tree: Path, root: Path) -> None:
        call("cp", "-a", str(tree), str(root))
        (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 server\n::1 localhost\n")
        (root / "etc/hostname").write_text("server\n")
        (root / "root/sftdyn").mkdir()
        (root / "etc/apt/apt.conf.d/00yes").write_text('APT::Get::Assume-Yes "true";\nAcquire::Retries "0";\n')
        self.root = root
        self._console = root.with_suffix(".console")
        self._groups = [path / f"sftdyn-{root.name}-{os.getpid()}" for path in HIERARCHIES if _is_ours(path)]

    def boot(self) -> float:
        """Start it, and return when it is up; the seconds that took. Raises Failed."""
        start = time.monotonic()
        self._visitor = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        with self._console.open("w") as console:
            self._nspawn = subprocess.Popen(
                ["sh", "-c", JOIN, "sh", *map(str, self._groups), "--", *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        try:
            wait_until(self._find_leader, "the container's first process")
            self._plug_in()
            wait_until(self._is_up, "systemd is up")
        except Failed as failed:
            self.switch_off()
            raise Failed(f"{failed}\n{self._console.read_text()[-2000:]}") from None
        return time.monotonic() - start

    def _command(self) -> list[str]:
        scope = ["--keep-unit"] if self._groups else []  # where no systemd runs that could give it a scope
        options = "--quiet --boot --register=no --private-network --resolv-conf=off --link-journal=no --timezone=off"
        return ["systemd-nspawn", *options.split(), *scope, f"--directory={self.root}"]

    def _find_leader(self) -> bool:
        """The container's first process is the one whose innermost number is 1 (proc(5), NSpid)."""
        if self._nspawn.poll() is not None:
            raise Failed("systemd-nspawn has ended")
        try:
            for child in _children(self._nspawn.pid):
                status = Path(f"/proc/{child}/status").read_text()
                numbers = status.partition("NSpid:")[2].partition("\n")[0].split()
                if len(numbers) > 1 and numbers[-1] == "1":
                    self._leader = child
                    return True
        except (FileNotFoundError, ProcessLookupError):
            pass  # one has ended meanwhile
        return False

    def _plug_in(self) -> None:
        visitor = self._visitor.pid
        here, there = (["nsenter", f"--net=/proc/{pid}/ns/net", "ip"] for pid in (self._leader, visitor))
        call(*here, "link", "add", "wan", "type", "veth", "peer", "name", "wan", "netns", str(visitor))
        for ip, v4, v6 in ((here, IPV4, IPV6), (there, VISITOR, VISITOR6)):
            call(*ip, "address", "add", f"{v4}/24", "dev", "wan")
            call(*ip, "address", "add", f"{v6}/64", "dev", "wan", "nodad")
            call(*ip, "link", "set", "wan", "up")
            call(*ip, "link", "set", "lo", "up")

    def _is_up(self) -> bool:
        return attempt(*self.inside("systemctl", "is-system-running")).stdout.strip() in ("running", "degraded")

    def inside(self, *command: str) -> list[str]:
        """The command that runs another inside."""
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
        return ["nsenter", "--target", str(self._leader), *spaces, "--", *ENVIRONMENT, *command]

    def sh(self, script: str) -> str:
        """What a shell prints inside, errors included; in /root/sftdyn, if it is there. Raises Failed."""
        return call(*self.inside("sh", "-c", f"cd /root/sftdyn 2>/dev/null || cd\nset -e\n{script}"))

    def says(self, script: str) -> "subprocess.CompletedProcess[str]":
        """As `sh`, whatever the exit code."""
        return attempt(*self.inside("sh", "-c", f"cd /root/sftdyn 2>/dev/null || cd\n{script}"))

    def ip(self, *words: str) -> None:
        """Our ip(8), in its network: it has none of its own. Raises Failed."""
        call("nsenter", f"--net=/proc/{self._leader}/ns/net", "ip", *words)

    def visit(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """A command of the visitor, on the other end of the cable."""
        return attempt(*self.visitor(*command))

    def visitor(self, *command: str) -> list[str]:
        """The command that lets the visitor run another."""
        return ["nsenter", f"--net=/proc/{self._visitor.pid}/ns/net", *command]

    def switch_off(self) -> None:
        """End it and its visitor, by force if it does not follow."""
        if self._nspawn.poll() is None and hasattr(self, "_leader"):
            os.kill(self._leader, HALT)
            try:
                self._nspawn.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.kill(self._leader, signal.SIGKILL)
        self._nspawn.kill()
        self._nspawn.wait()
        self._visitor.kill()
        self._visitor.wait()
        for group in self._groups:
            for path in sorted(group.rglob("cgroup.procs"), key=lambda path: -len(path.parts)):
                path.parent.rmdir()

    def remove(self) -> None:
        """Its copy of the tree."""
        call("rm", "-rf", "--one-file-system", str(self.root))


# Groups of processes until "--", which this one joins, then the command that it becomes.
JOIN = 'while [ "$1" != -- ]; do mkdir "$1" && echo $$ >"$1/cgroup.procs" || exit; shift; done; shift; exec "$@"'


def _is_ours(hierarchy: Path) -> bool:
    """Whether a container's processes need a group of their own there: two in one would share their services' groups."""
    return not Path("/run/systemd/system").exists() and (hierarchy / "cgroup.procs").exists()


def _children(pid: int) -> list[int]:
    """The processes that descend from one."""
    found = list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return found + [grandchild for child in found for grandchild in _children(child)]
