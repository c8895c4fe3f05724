"""The container's images, built as Containerfile says and run as compose.yaml says: read-only, without any privilege.

No registry is asked: what they begin with is made by debootstrap, and what would run them is chroot in namespaces.
"""

import json
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copy

import pytest

from tests.lab.cloudflare import Cloudflare
from tests.lab.machine import ROOT, free_port
from tests.lab.process import Process
from tests.test_install import SUDO, as_root, debootstrap

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sftdyn-container"
BUILDAH = ["buildah", "--root", f"{CACHE}/storage", "--runroot", f"{CACHE}/run", "--storage-driver", "vfs"]
BASE = "docker.io/library/debian:trixie-slim"
CONTAINERFILE = ROOT / "etc/container/Containerfile"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What compose.yaml asks for: read_only, secrets, tmpfs and volumes, no-new-privileges, cap_drop.
RUN = """
root=$1 shared=$2 user=$3 group=$4; shift 4
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir "$root/run/secrets"
mount --bind "$shared" "$root/run/secrets"
mount --bind "$shared/hosts" "$root/etc/hosts"
for folder in /var/cache/bind /var/lib/bind; do
    if [ -d "$root$folder" ]; then mount -t tmpfs -o mode=1777 tmpfs "$root$folder"; fi
done
exec chroot "$root" setpriv --reuid "$user" --regid "$group" --clear-groups --no-new-privs \\
    --bounding-set=-all --inh-caps=-all env -i "$@"
"""

pytestmark = [pytest.mark.extra, pytest.mark.xdist_group("debootstrap")]  # one at a time

Start = Callable[..., Process]


@dataclass(frozen=True)
class Image:
    """What was built: its root, and what its configuration says."""

    root: Path
    user: str
    group: str
    command: list[str]

    def running(self, shared: Path, *command: str) -> list[str]:
        """The command that runs one inside; `shared` is where secrets are."""
        inside = ["unshare", "--mount", "sh", "-euc", RUN, "sh", str(self.root), str(shared), self.user, self.group]
        return [*SUDO, *inside, PATH, *command]


def base() -> None:
    """What Containerfile begins with, in buildah's storage."""
    if BASE in as_root(*BUILDAH, "images", "--format", "{{.Name}}:{{.Tag}}"):
        return
    tree = CACHE / "debian"
    as_root("rm", "-rf", str(tree))
    debootstrap("trixie", tree)
    container = as_root(*BUILDAH, "from", "scratch").strip()
    as_root(*BUILDAH, "add", "-q", container, str(tree), "/")
    as_root(*BUILDAH, "commit", "-q", "--rm", container, BASE)
    as_root("rm", "-rf", str(tree))


def image(name: str, *options: str) -> Iterator[Image]:
    """Build one, and have it there."""
    base()
    how = ["--pull-never", "--isolation=chroot", "--network=host", "--layers", "--format=docker", "--quiet"]
    as_root(*BUILDAH, "build", *how, *options, "--tag", name, "--file", str(CONTAINERFILE), str(ROOT))
    container = as_root(*BUILDAH, "from", "--pull-never", f"localhost/{name}").strip()
    try:
        said = json.loads(as_root(*BUILDAH, "inspect", container))["Docker"]["config"]
        root = Path(as_root(*BUILDAH, "mount", container).strip())
        user, _, group = said["User"].partition(":")
        yield Image(root, user, group or user, [*(said.get("Entrypoint") or ()), *(said.get("Cmd") or ())])
    finally:
        as_root(*BUILDAH, "rm", container)


@pytest.fixture(scope="module")
def sftdyn_image() -> Iterator[Image]:
    yield from image("sftdyn")


@pytest.fixture(scope="module")
def bind_image() -> Iterator[Image]:
    yield from image("sftdyn-bind", "--target=bind")


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the containers get as secrets; the users in them can read it."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "hosts").write_text("127.0.0.1 localhost bind sftdyn\n")
    for path in (folder, *folder.parents):
        if path.owner() == "root" and path != Path("/") and not path.stat().st_mode & 1:
            path.chmod(0o755)
    return folder


@pytest.fixture
def start() -> Iterator[Start]:
    """Start programs; they end with the test."""
    running: list[Process] = []

    def begin(*command: str) -> Process:
        running.append(Process(command, ROOT))
        return running[-1]

    yield begin
    for process in reversed(running):
        process.stop()


@pytest.fixture
def network(start: Start) -> list[str]:
    """What runs a command in a network of its own, where all ports are free."""
    holder = start(*SUDO, "unshare", "--net", "sh", "-c", "ip link set lo up; echo is up $$; exec sleep infinity")
    pid = holder.wait_for("is up").split()[-1]
    return [*SUDO, "nsenter", f"--net=/proc/{pid}/ns/net"]


def test_it_runs_as_a_user_without_privileges_who_can_write_nowhere(sftdyn_image: Image, shared: Path) -> None:
    probe = "cat /proc/self/status; touch /etc/x /opt/sftdyn/x /usr/x /var/x; find / -xdev -writable -not -type l"
    done = subprocess.run(
        sftdyn_image.running(shared, "sh", "-c", probe), capture_output=True, text=True, timeout=60, check=False
    )
    assert "Uid:\t10053\t10053\t10053\t10053" in done.stdout
    assert "CapEff:\t0000000000000000" in done.stdout
    assert "CapBnd:\t0000000000000000" in done.stdout
    assert "NoNewPrivs:\t1" in done.stdout
    assert done.stderr.count("Read-only file system") == 4
    assert sftdyn_image.command == ["/opt/sftdyn/bin/sftdyn", "-v"]
    assert not list(sftdyn_image.root.glob("opt/sftdyn/**/pip"))


def test_a_call_changes_the_name_in_the_containers_bind(
    sftdyn_image: Image, bind_image: Image, shared: Path, start: Start, network: list[str]
) -> None:
    (shared / "update.key").write_text(as_root("tsig-keygen", "sftdyn"))
    key = "0123456789abcdef0123456789abcdef"
    conf = (ROOT / "etc/container/bind/conf").read_text()
    (shared / "conf").write_text(conf.replace("# clients[", "clients[").replace("change-me-to-a-new-key", key))
    assert bind_image.user == "bind"
    start(*network, *bind_image.running(shared, *bind_image.command)).wait_for(" running")
    served = start(*network, *sftdyn_image.running(shared, *sftdyn_image.command, "/run/secrets/conf"))
    served.wait_for(" ready")

    def run(*command: str) -> str:
        return subprocess.run([*network, *command], capture_output=True, text=True, timeout=60, check=False).stdout

    url = f"http://127.0.0.1:8080/{key}?myip=192.0.2.7"
    assert [run("curl", "-sS", url) for _ in range(2)] == ["OK", "UPTODATE"]
    assert run("dig", "+short", "-p", "5353", "@127.0.0.1", "home.dyn.example", "A") == "192.0.2.7\n"
    health = sftdyn_image.running(shared, sftdyn_image.command[0], "--health", "/run/secrets/conf")
    assert subprocess.run([*network, *health], capture_output=True, timeout=60, check=False).returncode == 0


def test_the_environment_is_enough_for_names_at_cloudflare(
    sftdyn_image: Image, shared: Path, start: Start, cloudflare: Cloudflare
) -> None:
    """The shipped conf, with the tests' copy of Cloudflare in the place of the real one, and an address of the tests."""
    cloudflare.add("home.example.org", "A", "192.0.2.1", proxied=True)
    (shared / "token").write_text(cloudflare.add_token() + "\n")
    copy(cloudflare.ca, shared / "ca.pem")
    (shared / "conf").write_text(f"""
with open("/etc/sftdyn/conf") as shipped:
    exec(compile(shipped.read(), "/etc/sftdyn/conf", "exec"))
there = Cloudflare(token=read("CLOUDFLARE_API_TOKEN"), url="{cloudflare.url}", ca="ca.pem")
own = [Client(*hosts, address=lambda: ["192.0.2.7"], networks=["192.0.2.0/24"], provider=there)]
""")
    port, api_token = free_port(), "a-token-that-nobody-guesses"
    variables = ["HOST_LIST=home.example.org", "CLOUDFLARE_API_TOKEN_FILE=/run/secrets/token"]
    variables += [f"API_PORT={port}", f"API_TOKEN={api_token}"]
    served = start(*sftdyn_image.running(shared, *variables, *sftdyn_image.command, "/run/secrets/conf"))
    served.wait_for("OK home.example.org A 192.0.2.7")
    [record] = cloudflare.records("home.example.org")
    assert (record.content, record.proxied) == ("192.0.2.7", True)
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/widget", headers={"Authorization": f"Bearer {api_token}"})
    with urllib.request.urlopen(asked, timeout=20) as widget:
        said = json.load(widget)
    assert (said["status"], said["hosts"], said["current_ip"]) == ("active", "home.example.org", "192.0.2.7")
    health = sftdyn_image.running(shared, *variables, sftdyn_image.command[0], "--health", "/run/secrets/conf")
    assert subprocess.run(health, capture_output=True, timeout=60, check=False).returncode == 0


def test_compose_yaml_names_what_is_there() -> None:
    import yaml

    said = yaml.safe_load((CONTAINERFILE.parent / "compose.yaml").read_text())
    for name, service in said["services"].items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service.get("secrets", ())) <= set(said["secrets"])
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in said["volumes"] or (CONTAINERFILE.parent / source).exists(), volume
    assert {profile for service in said["services"].values() for profile in service["profiles"]} == {
        "bind",
        "cloudflare",
    }
