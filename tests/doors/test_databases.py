"""Clients in a database, as docs/growing.md writes the hook: SQLite and PostgreSQL, the real ones."""

import hashlib
import os
import re
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT
from tests.lab.postgresql import Server
from tests.lab.process import Sftdyn

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs/growing.md").read_text(), re.DOTALL)
[TABLE] = re.findall(r"```sql\n(.*?)```", (ROOT / "docs/growing.md").read_text(), re.DOTALL)
LONGEST = 25  # lines of an example
MILLION = 1_000_000
SOME = (0, 1, MILLION // 2, MILLION - 1)


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class Database(Protocol):
    """A database with the table of docs/growing.md."""

    hook: str  # for the conf

    def run(self, statement: str) -> object:
        """Run it, and see to it that others see it."""

    def fill(self, clients: int) -> None:
        """Add clients: the key is the number in 32 digits, the name `many` and the number."""

    def go_away(self) -> None:
        """Nobody is answered."""

    def come_back(self) -> None:
        """As before."""


class SQLite:
    """A file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "clients.db"
        [text] = [example for example in EXAMPLES if "sqlite3" in example]
        self.hook = text.replace("/var/lib/sftdyn-clients/clients.db", str(self._path)).replace(
            "timeout=5", "timeout=0.1"
        )
        self.run(TABLE)

    def run(self, statement: str) -> object:
        with closing(sqlite3.connect(self._path)) as database, database:
            return database.execute(statement)

    def fill(self, clients: int) -> None:
        rows = ((digest(f"{number:032}"), f"many{number}.dyn.example") for number in range(clients))
        with closing(sqlite3.connect(self._path)) as database, database:
            database.executemany("INSERT INTO clients VALUES (?, ?)", rows)

    def go_away(self) -> None:
        """Locked by somebody who writes and writes."""
        self._writer = sqlite3.connect(self._path, isolation_level=None)
        self._writer.execute("BEGIN EXCLUSIVE")

    def come_back(self) -> None:
        self._writer.execute("COMMIT")
        self._writer.close()


class PostgreSQL(Server):
    """A server of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        [text] = [example for example in EXAMPLES if "psycopg" in example]
        self.hook = text.replace("dbname=sftdyn", self.where)
        assert self.hook != text
        self.run(TABLE)

    def fill(self, clients: int) -> None:
        number = "lpad(i::text, 32, '0')"
        key = f"encode(sha256({number}::bytea), 'hex')"
        name = "'many' || i || '.dyn.example'"
        self.run(f"INSERT INTO clients SELECT {key}, {name} FROM generate_series(0, {clients - 1}) i")

    def go_away(self) -> None:
        self.stop()

    def come_back(self) -> None:
        self.start()


KINDS: dict[str, Callable[[Path], Database]] = {"SQLite": SQLite, "PostgreSQL": PostgreSQL}
BOTH = ["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.extra)]


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """The one whose name is the parameter."""
    if request.param == "PostgreSQL" and os.geteuid():
        pytest.skip("PostgreSQL runs as a user of its own, which root alone can start it as")
    made = KINDS[request.param](tmp_path)
    yield made
    if isinstance(made, PostgreSQL):
        made.close()


def with_database(serve: ServeFixture, bind: Bind, database: Database, *names: str) -> Sftdyn:
    """These names are not there yet."""
    bind.edit("zone dyn.example", *(f"update delete {name}.dyn.example" for name in names))
    return serve(conf(bind, database.hook, zone="dyn.example"))


def status(served: Sftdyn, target: str, authorization: str = "") -> tuple[int, str]:
    headers = {"Authorization": authorization} if authorization else {}
    reply = served.get(target, headers=headers)
    return reply.status, reply.text


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_short(example: str) -> None:
    assert len(example.splitlines()) <= LONGEST


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_a_client_is_added_changed_and_removed_without_a_reload(
    serve: ServeFixture, bind: Bind, database: Database
) -> None:
    served = with_database(serve, bind, database, "one", "two")
    assert served.update("first-key") == "BADKEY"
    database.run(f"INSERT INTO clients VALUES ('{digest('first-key')}', 'one.dyn.example')")
    assert served.update("first-key") == "OK"
    assert bind.lookup("one.dyn.example") == ["127.0.0.1"]
    database.run(f"UPDATE clients SET name = 'two.dyn.example' WHERE key = '{digest('first-key')}'")
    assert served.update("first-key") == "OK"
    assert bind.lookup("two.dyn.example") == ["127.0.0.1"]
    database.run("DELETE FROM clients")
    assert served.update("first-key") == "BADKEY"


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_every_door_knows_the_clients_of_a_database(serve: ServeFixture, bind: Bind, database: Database) -> None:
    database.run(f"INSERT INTO clients VALUES ('{digest('a-key')}', 'doors.dyn.example')")
    served = with_database(serve, bind, database, "doors")
    basic = "Basic " + b64encode(b"user:a-key").decode()
    assert status(served, "/a-key") == (200, "OK")
    assert status(served, "/update", basic) == (200, "UPTODATE")
    assert status(served, "/update", "Bearer a-key") == (200, "UPTODATE")
    assert status(served, "/nic/update?hostname=doors.dyn.example", basic) == (200, "nochg 127.0.0.1")
    assert status(served, "/nic/update?hostname=other.dyn.example", basic) == (200, "nohost")


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_while_the_database_is_away_nobody_hears_that_the_key_is_wrong(
    serve: ServeFixture, bind: Bind, database: Database
) -> None:
    database.run(f"INSERT INTO clients VALUES ('{digest('a-key')}', 'away.dyn.example')")
    served = with_database(serve, bind, database, "away")
    assert served.update("a-key") == "OK"
    database.go_away()
    basic = "Basic " + b64encode(b"user:another-key").decode()
    for target, authorization, answer in (
        ("/another-key", "", "FAIL"),
        ("/nic/update?hostname=away.dyn.example", basic, "911"),
    ):
        reply = served.get(target, headers={"Authorization": authorization} if authorization else {})
        assert (reply.status, reply.text) == (503, answer)
        assert int(reply.headers["Retry-After"]) > 0
    database.come_back()
    assert served.update("a-key") == "UPTODATE"
    assert served.update("another-key") == "BADKEY"


@pytest.mark.parametrize("database", BOTH, indirect=True)
@pytest.mark.parametrize(
    "key", ["' OR '1'='1", "%27%20OR%201=1--", "%", "%s", "?", "x'; DROP TABLE clients; --", "%ff%00"]
)
def test_a_key_is_never_read_as_a_statement(serve: ServeFixture, bind: Bind, database: Database, key: str) -> None:
    database.run(f"INSERT INTO clients VALUES ('{digest('a-key')}', 'statement.dyn.example')")
    served = with_database(serve, bind, database, "statement")
    assert served.update(key.replace(" ", "%20")) == "BADKEY"
    assert served.update("a-key") in ("OK", "UPTODATE")


@pytest.mark.extra
@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"], indirect=True)
def test_a_million_clients_in_a_database(serve: ServeFixture, bind: Bind, database: Database) -> None:
    database.fill(MILLION)
    served = with_database(serve, bind, database, *(f"many{number}" for number in SOME), "new")
    for number in SOME:
        assert served.update(f"{number:032}") == "OK"
        assert bind.lookup(f"many{number}.dyn.example") == ["127.0.0.1"]
    assert served.update(f"{MILLION:032}") == "BADKEY"
    database.run(f"INSERT INTO clients VALUES ('{digest('new-key')}', 'new.dyn.example')")
    assert served.update("new-key") == "OK"
