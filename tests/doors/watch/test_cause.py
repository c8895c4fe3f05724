"""The page says the cause first."""

import re

from tests.conftest import KEY, ServeFixture
from tests.doors.test_status import Watched
from tests.lab.bind import Bind
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
    text = " ".join(re.sub("<[^>]*>", "", summary[alarm:headline]).split())
    assert re.search(rf"127\.0\.0\.1 port {port} stopped answering (now|\d+ s ago); 2 host names wait for it\.$", text)
    assert "failing since" in watched.ask("?state=failing").text
    assert watched.widget()["status"] == "failing"
