"""Prometheus with the rules of conf/, reading an edge every second."""

import json
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from . import eventually
from .edge import Edge
from .programs import Program, free_port

CONF = Path("conf").absolute()


class Prometheus:
    """A server that reads one edge. Rules do not wait: what lasts for minutes in conf/ takes seconds here."""

    def __init__(self, edge: Edge, folder: Path, native: bool) -> None:
        folder.mkdir(exist_ok=True)
        shutil.copy(CONF / "alerts.yml", folder)
        rules = re.sub(r"for: \w+", "for: 1s", (folder / "alerts.yml").read_text())
        (folder / "alerts.yml").write_text(re.sub(r"\[1?5m\]", "[10s]", rules))
        text = (CONF / "prometheus.yml").read_text()
        text = text.replace("scrape_interval: 15s", "scrape_interval: 1s\n  evaluation_interval: 1s")
        (folder / "prometheus.yml").write_text(text.replace("127.0.0.1:9901", edge.admin()))
        port = free_port()
        self._api = f"http://127.0.0.1:{port}/api/v1"
        flags = ["--enable-feature=native-histograms"] if native else []
        self._program = Program(
            port,
            folder,
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            *flags,
        )
        eventually("it is ready", self._is_ready)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._program.address}/-/ready") as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False

    def series(self, query: str) -> list[dict[str, Any]]:
        """All that comes of a query; one that cannot be read is an error."""
        words = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"{self._api}/query?{words}") as answer:
            return json.load(answer)["data"]["result"]

    def value(self, query: str) -> float | None:
        """The one value that comes of it, if there is one."""
        found = self.series(query)
        return float(found[0]["value"][1]) if len(found) == 1 else None

    def firing(self) -> dict[str, dict[str, str]]:
        """The alerts that fire, with the labels of one of each."""
        with urllib.request.urlopen(f"{self._api}/alerts") as answer:
            alerts = json.load(answer)["data"]["alerts"]
        return {alert["labels"]["alertname"]: alert["labels"] for alert in alerts if alert["state"] == "firing"}

    def stop(self) -> None:
        """Ends it."""
        self._program.stop()
