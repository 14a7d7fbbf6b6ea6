"""Prometheus reads the metrics, keeps native histograms, and takes the rules, the dashboard and the configuration of conf/."""

import json
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from conftest import Start
from support import certificates, eventually
from support.edge import Edge
from support.origin import Origin
from support.programs import free_port, run
from support.prometheus import CONF, Prometheus

EDGE = """
listeners: { web: { bind: "127.0.0.1:0" } }
admin: { bind: "127.0.0.1:0" }
routes: [{ name: api, respond: { body: hello } }]
"""

OK = 'route="api",status="2xx"'

Watch = Callable[..., Prometheus]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Starts a Prometheus that reads an edge, and ends it after the test."""
    running: list[Prometheus] = []

    def begin(edge: Edge, native: bool = False) -> Prometheus:
        running.append(Prometheus(edge, tmp_path / f"prometheus-{len(running)}", native))
        return running[-1]

    yield begin
    for prometheus in running:
        prometheus.stop()


def test_the_files_of_conf_are_sound() -> None:
    said = run("promtool", "check", "config", CONF / "prometheus.yml")
    assert "SUCCESS" in said and "FAILED" not in said


def test_each_rule_fires_when_it_is_said_to() -> None:
    said = run("promtool", "test", "rules", CONF / "alerts.test.yml")
    assert "SUCCESS" in said and "FAILED" not in said
    rules = set(re.findall(r"alert: (\w+)", (CONF / "alerts.yml").read_text()))
    # Native histograms cannot be written down for promtool; the rule for classic ones is the same.
    tested = set(re.findall(r"alertname: (\w+)", (CONF / "alerts.test.yml").read_text()))
    assert rules - tested == {"EvenerSlow"}


@pytest.mark.parametrize("native", [True, False])
def test_what_is_counted_is_read(start: Start, watch: Watch, native: bool) -> None:
    edge = start(EDGE)
    query = watch(edge, native).value
    for _ in range(20):
        assert _ask(edge, "/") == 200
    eventually("the requests are read", lambda: query(f'evener_http_requests_total{{{OK}}}') == 20)
    eventually("the version is read", lambda: query("evener_build_info") == 1)
    family = "evener_http_request_duration_seconds" + ("" if native else "_bucket")
    p99 = f'histogram_quantile(0.99, {family}{{route="api"}})'
    found = eventually("there is a quantile", lambda: query(f"{p99} > 0"))
    assert 0 < found < 1
    if native:
        assert query(f'histogram_count({family}{{route="api"}})') == 20


# Something of everything that has a panel. One endpoint is down, and so is the store.
FLEET = """
server:
  caches: { main: { disk: { path: cache, size: 16MiB } } }
  stores: { counts: { redis: "redis://127.0.0.1:DOWN" } }
listeners:
  web: { bind: "127.0.0.1:0" }
  safe:
    bind: "127.0.0.1:0"
    tls: { certificates: [{ cert: site.pem, key: site.key }] }
admin: { bind: "127.0.0.1:0" }
pools:
  app: { endpoints: ["UP", "127.0.0.1:DOWN"], health: { tcp: {}, interval: 200ms } }
  other: { endpoints: ["UP"] }
  gone: { endpoints: ["127.0.0.1:DOWN"], health: { tcp: {}, interval: 200ms } }
  refusing: { endpoints: ["127.0.0.1:DOWN"] }
routes:
  - { name: app, filters: [cache: { in: main }], pool: app }
  - { name: gone, match: { path: /gone }, pool: gone }
  - { name: refusing, match: { path: /refusing }, pool: refusing }
  - { name: split, match: { path: /split }, split: { to: [{ pool: app }, { pool: other }] } }
  - name: limited
    match: { path: /limited }
    filters: [rate_limit: { rate: 1/h, scope: cluster, store: counts, name: few }]
    respond: { body: hello }
  - { name: broken, match: { path: /broken }, respond: { status: 503 } }
"""


def _fleet(start: Start, origin: Origin, authority: trustme.CA, folder: Path, days: int) -> Edge:
    certificates.issue(authority, folder, "site", "example.test", days=days)
    return start(FLEET.replace("UP", origin.address).replace("DOWN", str(free_port())))


def test_each_panel_has_data(
    start: Start, watch: Watch, origin: Origin, authority: trustme.CA, tmp_path: Path
) -> None:
    edge = _fleet(start, origin, authority, tmp_path, days=90)
    classic, native = watch(edge), watch(edge, native=True)

    def has_data(server: Prometheus, query: str) -> bool:
        _ask_everything(edge)
        return bool(server.series(query))

    panels = json.loads((CONF / "grafana.json").read_text())["panels"]
    queries = [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", [])]
    assert len(queries) > 50
    for title, query in queries:
        server = native if title == "Latency by native histograms" else classic
        eventually(f"{title} has data: {query}", lambda: has_data(server, _without_variables(query)))


def test_the_choices_of_the_dashboard_are_labels(start: Start, watch: Watch) -> None:
    prometheus = watch(start(EDGE.replace("routes:", 'pools: { app: { endpoints: ["127.0.0.1:1"] } }\nroutes:')))
    dashboard = json.loads((CONF / "grafana.json").read_text())
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables.pop("datasource")["type"] == "datasource"
    assert set(variables) == {"instance", "route", "pool"}
    for name, variable in variables.items():
        metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()
        found = eventually(metric, lambda: prometheus.series(_without_variables(metric)))
        assert label == name and any(label in series["metric"] for series in found)


def _without_variables(query: str) -> str:
    """What Grafana makes of a query when everything is chosen."""
    query = query.replace("$__rate_interval", "10s")
    return re.sub(r"\$(instance|route|pool)\b", ".*", query)


def test_alerts_fire(
    start: Start, watch: Watch, origin: Origin, authority: trustme.CA, tmp_path: Path
) -> None:
    edge = _fleet(start, origin, authority, tmp_path, days=10)
    prometheus = watch(edge)

    def fire(*names: str) -> dict[str, dict[str, str]] | None:
        for path in ("/", "/broken"):
            _ask(edge, path)
        firing = prometheus.firing()
        return firing if set(names) <= set(firing) else None

    wanted = ("EvenerNobodyFit", "EvenerEndpointDown", "EvenerErrors", "EvenerCertificateExpires")
    firing = eventually("they fire", lambda: fire(*wanted))
    assert firing["EvenerNobodyFit"]["pool"] == "gone"
    assert firing["EvenerEndpointDown"]["state"] == "unfit"
    assert firing["EvenerErrors"]["route"] == "broken"
    assert firing["EvenerCertificateExpires"]["name"] == "example.test"
    assert not {"EvenerGone", "EvenerConfigRefused", "EvenerSlowClassic"} & set(firing)
    edge.stop()
    gone = eventually("the process is missed", lambda: prometheus.firing().get("EvenerGone"))
    assert gone["severity"] == "page"


def test_promtool_has_no_complaint(
    start: Start, origin: Origin, authority: trustme.CA, tmp_path: Path
) -> None:
    edge = _fleet(start, origin, authority, tmp_path, days=90)
    _ask_everything(edge)
    with urllib.request.urlopen(f"http://{edge.admin()}/metrics") as answer:
        text = answer.read().decode()
    # It knows the older form only, in which a counter's suffix is a part of what its help and type are of.
    counters = set(re.findall(r"^# TYPE (\S+) counter$", text, re.MULTILINE))
    assert len(counters) > 30
    text = re.sub(
        r"^(# (?:TYPE|HELP) )(\S+)",
        lambda found: found[0] + ("_total" if found[2] in counters else ""),
        text,
        flags=re.MULTILINE,
    )
    assert run("promtool", "check", "metrics", text=text) == ""


def _ask_everything(edge: Edge) -> None:
    for path in ("/", "/gone", "/refusing", "/split", "/limited", "/broken"):
        _ask(edge, path)
    _ask(edge, "/", "safe")
    _say_nonsense(edge)


def _say_nonsense(edge: Edge) -> None:
    """Sends what is no request, and is refused as such."""
    with socket.create_connection(("127.0.0.1", edge.port("web"))) as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert client.recv(64).startswith(b"HTTP/1.1 400")


def _ask(edge: Edge, path: str, listener: str = "web") -> int:
    """The status of an answer."""
    scheme, context = ("https", ssl._create_unverified_context()) if listener == "safe" else ("http", None)
    url = f"{scheme}://127.0.0.1:{edge.port(listener)}{path}"
    try:
        with urllib.request.urlopen(url, context=context) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        error.read()
        return error.code
