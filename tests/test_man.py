"""The manual pages: mandoc has nothing to say of them, and they say what the docs' tables and --help say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.machine import ROOT

PAGES = sorted((ROOT / "man").iterdir())
COMMAND, CONF = ROOT / "man/sftdyn.8", ROOT / "man/sftdyn.conf.5"
DOCS = [ROOT / f"docs/{name}.md" for name in ("conf", "providers", "own", "proof")]
TABLES = ("setting", "argument", "function")  # the headings of their first columns

TABLE = re.compile(r"^\| (\w+) \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^ {5}(\S.*?)(?: {2,}|\n {9,})(\S.*)$", re.MULTILINE)
OPTION = re.compile(r"^ {2}(\S.*?)(?: {2,}|\n {9,})(\S.*)$", re.MULTILINE)
OTHERS = re.compile("referenced manual not found|outdated mandoc.db")  # of other packages; the machine may lack them

Row = tuple[str, ...]


def run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    wide = {**os.environ, "COLUMNS": "2000"}
    return subprocess.run(command, cwd=ROOT, env=wide, capture_output=True, text=True, timeout=60, check=False)


def shown(page: Path) -> str:
    """What a reader sees, each paragraph in one line."""
    done = run("mandoc", "-T", "utf8", "-O", "width=1000", page)
    assert done.returncode == 0, done.stderr
    return re.sub(".\b", "", done.stdout)


def entries(page: Path) -> dict[str, list[str]]:
    """What the page's lists say of each of their heads."""
    found: dict[str, list[str]] = {}
    for head, text in ENTRY.findall(shown(page)):
        found.setdefault(head, []).append(re.sub(" +", " ", text))
    return found


def plain(markdown: str) -> str:
    """A cell of a table as the page has it: another paper is a section there."""
    text = re.sub(r"\[(\w+)\.md\]\([^)]*\)", lambda found: f"see {found[1].upper()}", markdown.replace(r"\|", "|"))
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text.replace("`", ""))
    return re.sub(r"\*(\w[^*]*)\*", r"\1", text).replace(" / ", " ")


def rows() -> list[Row]:
    """Of the docs' tables: what it is called, the default if there are such, what it means."""
    tables = [body for paper in DOCS for heading, body in TABLE.findall(paper.read_text()) if heading in TABLES]
    lines = [line for body in tables for line in body.splitlines()]
    return [tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))) for line in lines]


def sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def says(page: dict[str, list[str]], head: str, meaning: str) -> bool:
    """Whether one of the page's entries begins with this."""
    return any(sentence(text).startswith(sentence(meaning)) for text in page.get(head, []))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_finds_nothing_to_better(page: Path) -> None:
    found = run("mandoc", "-T", "lint", page).stdout.splitlines()
    assert [line for line in found if not OTHERS.search(line)] == []


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_conf_page_says_of_each_name_what_the_docs_say(row: Row) -> None:
    """And those say what the settings say, which is another test."""
    name, *default, meaning = map(plain, row)
    head = f"{name} (default: {default[0]})" if default and default[0] else name
    assert says(entries(CONF), head, meaning), (head, meaning)


def test_the_conf_page_has_no_other_settings() -> None:
    documented = {re.sub(r"`", "", row[0]) for row in rows()}
    heads = {head.partition(" (default")[0] for head in entries(CONF) if " (default: " in head}
    assert heads <= documented


def test_the_commands_page_says_of_each_option_what_its_help_says() -> None:
    page = entries(COMMAND)
    options = OPTION.findall(run(sys.executable, "-m", "sftdyn", "--help").stdout)
    assert len(options) > 10
    for flags, meaning in options:
        head = re.sub(r"^(-\w) \S+, ", r"\1, ", flags)  # Python writes the argument behind both, before 3.13
        assert says(page, head, meaning), (head, meaning)
    flags = {head for head in page if head.startswith("-")}
    assert len(flags) == len([one for one, _ in options if one.startswith("-")])


def test_the_commands_page_has_each_option_in_its_synopsis() -> None:
    """Those with a short form, by that alone."""
    synopsis = set(re.findall(r"-[-\w]+", shown(COMMAND).partition("SYNOPSIS")[2].partition("DESCRIPTION")[0]))
    heads = [head for head in entries(COMMAND) if head.startswith("-")]
    assert {re.findall(r"-[-\w]+", head)[0] for head in heads} == synopsis


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_section_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(r"Sx (\w+)", text)) <= set(re.findall(r"^\.Sh (.*)$", text, re.MULTILINE))
