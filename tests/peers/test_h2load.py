"""h2load: many streams on many connections."""

import re
import subprocess
from pathlib import Path

from conftest import Start
from support.curl import HOST
from support.origin import Origin
from support.sites import site

REQUESTS = 10_000


def test_all_of_ten_thousand_requests_succeed(start: Start, origin: Origin, ca: Path) -> None:
    edge = start(site(origin.address))
    load = ["h2load", "-n", str(REQUESTS), "-c", "20", "-m", "20"]
    there = [f"--connect-to=127.0.0.1:{edge.port('secure')}", f"https://{HOST}/"]
    ended = subprocess.run([*load, *there], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 0, ended.stderr
    assert "Application protocol: h2" in ended.stdout
    statuses = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", ended.stdout)
    assert statuses and statuses.groups() == (str(REQUESTS), "0", "0", "0"), ended.stdout
    assert f"{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout" in ended.stdout
