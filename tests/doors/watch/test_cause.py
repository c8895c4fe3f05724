"""The page says the cause first."""

import gzip
import re
from base64 import b64encode
from http.client import HTTPConnection

from tests.conftest import KEY, ServeFixture
from tests.doors.test_status import BEARER, Watched
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import free_port


def test_a_name_server_that_is_away_stands_on_top_with_its_place_and_how_many_wait(
    serve: ServeFixture, bind: Bind
) -> None:
    """On 1.1 its line was the thinnest of the page, below the headline, without server, time or number."""
    port = free_port()
    clients = {KEY: "one.dyn.example", "k" * 20: "two.dyn.example", "u" * 20: "unheard.dyn.example"}
    watched = Watched(serve, bind, clients=clients, server=f"127.0.0.1:{port}", timeout=1)
    assert [watched.update("192.0.2.1"), watched.update("192.0.2.2", "k" * 20)] == ["FAIL", "FAIL"]
    summary = watched.ask("").text.partition('<div id="summary"')[2].partition("</div>")[0]
    alarm, headline = summary.index('class="alarm"'), summary.index("<h1>")
    assert alarm < headline
    text = read(summary[alarm:headline])
    assert re.search(
        rf"The name server 127\.0\.0\.1 port {port} stopped answering (now|\d+ s ago); 2 host names wait for it\.$",
        text,
    )
    assert "failing since" in read(watched.ask("?state=failing").text)
    assert watched.widget()["status"] == "failing"


def test_three_thousand_names_of_a_dead_name_server_are_one_sentence_and_one_row(
    serve: ServeFixture, bind: Bind
) -> None:
    """On 1.1 the reason stood there 390 times."""
    more = """
for number in range(30):
    clients[f"the key of client {number:03}"] = [f"n{number}-{one}.dyn.example" for one in range(100)]
"""
    port = free_port()
    watched = Watched(serve, bind, more, server=f"127.0.0.1:{port}", timeout=1)
    for number in range(30):
        assert watched.update("192.0.2.1", f"the%20key%20of%20client%20{number:03}") == "FAIL"
    page = watched.ask("").text
    body = page.partition('<tbody id="hosts">')[2].partition("</tbody>")[0]
    assert body.count("<tr") == 1
    text = read(body)
    assert "3,000 host names failing since" in text
    assert text.count(f"the name server 127.0.0.1 port {port} gives no answer") == 1
    assert len(page) < 40_000


def test_what_is_long_is_compressed_and_what_is_known_is_not_sent(serve: ServeFixture, bind: Bind) -> None:
    """On 1.1 a page of 3 000 names was 1.3 MB every five seconds."""
    more = 'for number in range(3000): clients[f"a secret key with a {number}"] = f"h{number}.dyn.example"\n'
    watched = Watched(serve, bind, more)
    ask = {**BEARER, "Accept-Encoding": "br, gzip;q=0.8"}
    connection = HTTPConnection("127.0.0.1", watched.port, timeout=20)
    connection.request("GET", "/?state=all", headers=ask)
    reply = connection.getresponse()
    octets = reply.read()
    connection.close()
    assert (reply.headers["Content-Encoding"], reply.headers["Content-Length"]) == ("gzip", str(len(octets)))
    assert gzip.decompress(octets).count(b'<th scope="row">') == 3000
    assert len(octets) < 60_000
    first = watched.ask("?state=all", {**BEARER, "Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in first.headers
    again = watched.ask("?state=all", {**BEARER, "If-None-Match": first.headers["ETag"]})
    assert (again.status, again.text, again.headers["Content-Length"]) == (304, "", None)
    watched.update("192.0.2.1", "a%20secret%20key%20with%20a%207")
    assert watched.ask("?state=all", {**BEARER, "If-None-Match": first.headers["ETag"]}).status == 200


def test_a_client_sees_its_own_names_with_its_key_and_changes_nothing(serve: ServeFixture, bind: Bind) -> None:
    """On 1.1 whoever had one router could only ask the owner of sftdyn."""
    bind.edit("zone dyn.example", "update delete own.dyn.example")
    clients = {KEY: "own.dyn.example", "k" * 20: "others.dyn.example"}
    watched = Watched(serve, bind, clients=clients)
    watched.update("192.0.2.1")
    before = watched.widget()["names"]
    for given in (f"Bearer {KEY}", "Basic " + b64encode(f"me:{KEY}".encode()).decode()):
        answer = watched.served.get("/show", headers={"Authorization": given})
        assert answer.status == 200
        text = read(answer.text.partition("<body")[2])
        assert "own.dyn.example works , unchanged since" in text
        assert "192.0.2.1" in text
        assert "others" not in answer.text
        assert KEY not in answer.text
    assert watched.widget()["names"] == before
    asked = watched.served.get("/show")
    assert (asked.status, asked.headers["WWW-Authenticate"].partition(" ")[0]) == (401, "Basic")
    assert watched.served.get("/show", headers={"Authorization": "Bearer wrong"}).text == "BADKEY"
    assert watched.served.get(f"/show?key={KEY}").status == 401


def test_where_nothing_is_noted_there_is_nothing_to_show(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "own.dyn.example"}))
    assert served.get("/show", headers={"Authorization": f"Bearer {KEY}"}).status == 404


def test_who_has_show_as_a_key_keeps_it(serve: ServeFixture, bind: Bind) -> None:
    watched = Watched(serve, bind, clients={"show": "own.dyn.example", KEY: "two.dyn.example"})
    headers = {"Authorization": f"Bearer {KEY}", "X-Forwarded-For": "192.0.2.1"}
    assert watched.served.get("/show", headers=headers).text in ("OK", "UPTODATE")


def read(html: str) -> str:
    """As somebody reads it."""
    return " ".join(re.sub("<[^>]*>", " ", html).split()).replace(" ;", ";").replace(" .", ".")
