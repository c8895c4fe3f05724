"""The papers: their links lead somewhere, and what they say to write works."""

import os
import re
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from shutil import copy

import pytest

from etc.installing import zones

ROOT = Path(__file__).parent.parent
SETUP = ROOT / "docs/setup.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAPERS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")


def prose(paper: Path) -> str:
    """The text without its blocks and its code."""
    return re.sub(r"`[^`\n]*`", "`code`", FENCED.sub("", paper.read_text()))


def blocks(paper: Path, language: str) -> list[str]:
    return [text for kind, text in FENCED.findall(paper.read_text()) if kind == language]


def anchors(paper: Path) -> set[str]:
    """What `#…` may be behind a link to the paper, as GitHub makes it of the headings."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", paper.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_dead(paper: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = paper.parent / path if path else paper
    return not target.exists() or bool(anchor and anchor not in anchors(target))


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_every_link_leads_somewhere(paper: Path) -> None:
    links = [link for link in LINK.findall(prose(paper)) if "://" not in link]
    assert [link for link in links if is_dead(paper, link)] == []


def test_readme_leads_to_every_paper() -> None:
    links = LINK.findall(prose(ROOT / "README.md"))
    assert {f"docs/{paper.name}" for paper in DOCS} | {"CONTRIBUTING.md", "CHANGELOG.md"} <= set(links)


def test_a_name_of_a_file_in_the_papers_is_that_of_a_file() -> None:
    own = re.compile(r"(?<![\w/.])(?:etc|docs)/[a-z0-9/._-]+[a-z]")
    named = {name for paper in PAPERS for name in own.findall(paper.read_text())}
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_tree_in_readme_has_every_folder_of_the_package() -> None:
    [tree] = [text for text in blocks(ROOT / "README.md", "") if text.startswith("sftdyn/")]
    folders = {path.parent.name for path in (ROOT / "sftdyn").rglob("__init__.py")}
    assert folders <= set(re.findall(r"^ *(\w+)/", tree, re.MULTILINE))


def test_the_installer_does_what_the_single_steps_do() -> None:
    """So that a correction to one is one to the other."""
    zone = "dyn.example.org"
    server = [ip_address("203.0.113.10"), ip_address("2001:db8::10")]
    statement = "".join(zones.statement(zone).splitlines(keepends=True)[1:-1])
    installer = (ROOT / "etc/install").read_text() + zones.zone_file(zone, server) + statement
    copying = "cp -r --parents bin sftdyn etc/clients"
    certificate = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj"
    for text in (zones.zone_file(zone, server), statement, copying, certificate):
        assert text in installer
        assert text in SETUP.read_text()


CONFS = [(paper, text) for paper in PAPERS for text in blocks(paper, "python")]


@pytest.mark.parametrize(("paper", "text"), CONFS, ids=[paper.name for paper, _ in CONFS])
def test_the_confs_in_the_papers_work(paper: Path, text: str, tmp_path: Path, certificate: Path) -> None:
    for name in ("server.key", "server.crt"):
        copy(certificate / name, tmp_path)
    for name in ("clients", "ns2.key", "sftdyn.key"):  # which some of the confs read
        (tmp_path / name).touch()
    for name in ("cloudflare.token", "desec.token"):
        (tmp_path / name).write_text("token")
    copy(certificate / "server.crt", tmp_path / "home.crt")
    conf = tmp_path / "conf"
    conf.write_text(
        (text if re.search("^https? =", text, re.MULTILINE) else f"http = 8080\n{text}").replace(
            "/etc/sftdyn/clients", f"{tmp_path}/clients"
        )
    )
    if "psycopg" in text:
        pytest.importorskip("psycopg", reason="it is among the packages of ./tests/all")
    command = [sys.executable, "-m", "sftdyn", "--check", str(conf)]
    given = {**os.environ, "INSTANCE": "1", "STATE_DIRECTORY": str(tmp_path)}  # by a unit
    result = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr


def test_the_zone_of_the_papers_is_one_that_bind_loads(tmp_path: Path) -> None:
    """Its commands, in another folder; what needs root or changes the machine is left out."""
    [commands] = [
        text
        for text in blocks(ROOT / "docs/setup.md", "sh")
        if "named-checkconf -z" in text and "db.dyn.example.org" in text
    ]
    commands = re.sub(r"^(apt|systemctl) .*$", "", commands, flags=re.MULTILINE).replace("-o bind -g bind ", "")
    conf = tmp_path / "named.conf.local"
    commands = commands.replace("/var/lib/bind", str(tmp_path)).replace("/etc/bind/named.conf.local", str(conf))
    commands = commands.replace("named-checkconf -z", f"named-checkconf -z {conf}")
    done = subprocess.run(["sh", "-ec", commands], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "zone dyn.example.org/IN: loaded serial 1" in done.stdout
