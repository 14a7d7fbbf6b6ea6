"""Prometheus reads the metrics, keeps native histograms, and takes the rules and the configuration of conf/."""

import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Start
from support import eventually
from support.edge import Edge
from support.programs import Program, free_port, run

CONF = Path("conf").absolute()

EDGE = """
listeners: { web: { bind: "127.0.0.1:0" } }
admin: { bind: "127.0.0.1:0" }
routes: [{ name: api, respond: { body: hello } }]
"""

OK = 'route="api",status="2xx"'

Query = Callable[[str], float | None]


def test_the_files_of_conf_are_sound() -> None:
    said = run("promtool", "check", "config", CONF / "prometheus.yml")
    assert "SUCCESS" in said and "FAILED" not in said


@pytest.mark.parametrize("native", [True, False])
def test_what_is_counted_is_read(start: Start, tmp_path: Path, native: bool) -> None:
    edge = start(EDGE)
    query, stop = _prometheus(edge, tmp_path, native)
    try:
        _ask(edge, 20)
        eventually("the requests are read", lambda: query(f'evener_http_requests_total{{{OK}}}') == 20)
        eventually("the version is read", lambda: query("evener_build_info") == 1)
        family = "evener_http_request_duration_seconds" + ("" if native else "_bucket")
        p99 = f'histogram_quantile(0.99, {family}{{route="api"}})'
        found = eventually("there is a quantile", lambda: query(f"{p99} > 0"))
        assert 0 < found < 1
        if native:
            assert query(f'histogram_count({family}{{route="api"}})') == 20
    finally:
        stop()


def _ask(edge: Edge, count: int) -> None:
    for _ in range(count):
        with urllib.request.urlopen(f"http://127.0.0.1:{edge.port('web')}/") as answer:
            assert answer.read() == b"hello"


def _prometheus(edge: Edge, folder: Path, native: bool) -> tuple[Query, Callable[[], None]]:
    """A server with the rules of conf/ that reads this edge every second."""
    shutil.copy(CONF / "alerts.yml", folder)
    text = (CONF / "prometheus.yml").read_text()
    text = text.replace("15s", "1s").replace("127.0.0.1:9901", edge.admin())
    (folder / "prometheus.yml").write_text(text)
    port = free_port()
    flags = ["--enable-feature=native-histograms"] if native else []
    server = Program(
        port,
        folder,
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    )

    def query(text: str) -> float | None:
        """The one value that comes of it, if there is one."""
        words = urllib.parse.urlencode({"query": text})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{words}") as answer:
            found = json.load(answer)["data"]["result"]
        return float(found[0]["value"][1]) if len(found) == 1 else None

    return query, server.stop
