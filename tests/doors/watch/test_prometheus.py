"""The alerts of etc/prometheus, proven by promtool, and the series that they need."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import KEY, ServeFixture
from tests.doors.test_status import Watched
from tests.lab.bind import Bind
from tests.lab.machine import ROOT, find_program

RULES = ROOT / "etc/prometheus/rules.yml"
DAY = 86400


def alert(name: str, minutes: int, fires: bool, **labels: str) -> dict[str, object]:
    said = [{"exp_labels": {**labels, "job": "sftdyn"}}] if fires else []
    return {"eval_time": f"{minutes}m", "alertname": name, "exp_alerts": said}


def case(series: dict[str, str], *alerts: dict[str, object]) -> dict[str, object]:
    found = [
        {"series": name.replace("}", ', job="sftdyn"}') if "}" in name else f'{name}{{job="sftdyn"}}', "values": values}
        for name, values in series.items()
    ]
    return {"interval": "1m", "input_series": found, "alert_rule_test": list(alerts)}


CASES = [
    case({"up": "1x3 0x20"}, alert("SftdynDown", 5, False), alert("SftdynDown", 12, True)),
    # A restart in between: with the memory the series goes on, and so does the alert.
    case(
        {'sftdyn_host_seen_timestamp_seconds{host="home.example"}': "0x1450 _x5 0x100"},
        alert("RouterSilentForADay", 1430, False),
        alert("RouterSilentForADay", 1445, True, host="home.example"),
        alert("RouterSilentForADay", 1500, True, host="home.example"),
    ),
    # 3 000 names, of which none has a series but one that is silent.
    case(
        {'sftdyn_hosts{state="silent"}': "0x5 1x10", 'sftdyn_hosts{state="well"}': "3000x5 2999x10"},
        alert("RouterSilent", 3, False),
        alert("RouterSilent", 7, True, state="silent"),
    ),
    case(
        {'sftdyn_hosts{state="failing"}': "0x5 2x30"},
        alert("UpdatesFail", 10, False),
        alert("UpdatesFail", 17, True, state="failing"),
    ),
    case({'sftdyn_provider_answers{provider="bind"}': "1x5 0x10"}, alert("ProviderAway", 13, True, provider="bind")),
    case({"sftdyn_certificate_end_timestamp_seconds": f"{30 * DAY}x10"}, alert("CertificateEnds", 5, False)),
    case({"sftdyn_certificate_end_timestamp_seconds": f"{6 * DAY}x10"}, alert("CertificateEnds", 5, True)),
]


@pytest.mark.extra
def test_the_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    tests = tmp_path / "tests.yml"
    rules = tmp_path / "rules.yml"
    lines = [line for line in RULES.read_text().splitlines() if "annotations:" not in line and "summary:" not in line]
    rules.write_text("\n".join(lines) + "\n")  # what they say is not what is tried
    tests.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": CASES}))
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(tests)]):
        done = subprocess.run(
            [find_program("promtool", "prometheus"), *command], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_of_very_many_names_the_unwell_ones_have_series(serve: ServeFixture, bind: Bind) -> None:
    """On 1.1 none had, and so the alert never fired."""
    clients: dict[str, object] = {f"key-of-number-{n}": f"h{n}.dyn.example" for n in range(250)}
    clients |= {KEY: "refused.policy.example"}
    watched = Watched(serve, bind, clients=clients)
    assert [watched.update("192.0.2.1"), watched.update("192.0.2.2", "key-of-number-7")] == ["FAIL", "OK"]
    series = [name for name in watched.metrics() if name.startswith("sftdyn_host_seen")]
    assert series == ['sftdyn_host_seen_timestamp_seconds{host="refused.policy.example"}']


def test_a_monitor_can_ask_for_one_name(serve: ServeFixture, bind: Bind) -> None:
    """On 1.1 each health check was 200 while a name failed, and the list ended with 0."""
    clients = {KEY: "refused.policy.example", "k" * 20: "asked.dyn.example", "u" * 20: "unheard.dyn.example"}
    watched = Watched(serve, bind, clients=clients)
    command = ["--list", "--failing", str(watched.served.folder / "conf0")]
    assert [watched.update("192.0.2.2", "k" * 20)] == ["OK"]
    assert sftdyn(*command).returncode == 0
    assert watched.update("192.0.2.1") == "FAIL"
    said = {name: watched.ask(f"health/{name}") for name in ("asked.dyn.example", "Asked.dyn.example.", "x.example")}
    assert [reply.status for reply in said.values()] == [200, 200, 404]
    refused, unheard = watched.ask("health/refused.policy.example"), watched.ask("health/unheard.dyn.example")
    assert refused.status == unheard.status == 503
    assert refused.text.startswith("failing: ")
    assert unheard.text == "unheard\n"
    assert watched.ask("health/asked.dyn.example", {}).status == 401
    listed = sftdyn(*command)
    assert listed.returncode == 1
    assert "refused.policy.example" in listed.stdout
    assert "asked.dyn.example" not in listed.stdout


def sftdyn(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sftdyn", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.extra
def test_the_dashboard_asks_prometheus_for_what_there_is(tmp_path: Path) -> None:
    """Each of its questions is one that Prometheus can read, of metrics that docs/status.md has."""
    dashboard = json.loads((ROOT / "etc/grafana/sftdyn.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = [{"record": f"asked:{number}", "expr": expr} for number, expr in enumerate(asked)]
    (tmp_path / "rules").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    subprocess.run(["promtool", "check", "rules", str(tmp_path / "rules")], check=True, timeout=60)
    known = set(re.findall(r"`(sftdyn_\w+)", (ROOT / "docs/status.md").read_text()))
    names = {name.removesuffix("_bucket") for expr in asked for name in re.findall(r"sftdyn_\w+", expr)}
    assert names <= known
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
