"""Schemathesis asks for all that the document of the admin API tells of, and for much that it does not, with a token that may do everything."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Start
from support.origin import Origin

TOKEN = "operates-all-there-is"
# So long it goes on; what is found in that time depends on what it makes up.
LASTS = 120

EDGE = """
server: {{ caches: {{ main: {{}} }} }}
listeners: {{ web: {{ bind: "127.0.0.1:0" }} }}
admin:
  bind: "127.0.0.1:0"
  anonymous: health
  audit_log: audit.log
  tokens: {{ deploy: {{ token: {token}, scope: operate }} }}
pools:
  app: {{ endpoints: ["127.0.0.1:{port}", "127.0.0.1:9"] }}
  next: {{ endpoints: ["127.0.0.1:{port}"] }}
routes:
  - name: api
    filters: [{{ cache: {{ in: main }} }}]
    split: {{ to: [{{ pool: app, weight: 3 }}, {{ pool: next, weight: 1 }}] }}
"""


@pytest.mark.timeout(LASTS * 3)
def test_nothing_that_is_asked_for_is_an_error_of_the_process(start: Start, origin: Origin, tmp_path: Path) -> None:
    edge = start(EDGE.format(token=TOKEN, port=origin.port))
    said = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            f"http://{edge.admin()}/v1/openapi.json",
            "--header",
            f"Authorization: Bearer {TOKEN}",
            "--checks",
            "not_a_server_error",
            # A stream of events never ends.
            "--exclude-path",
            "/v1/events",
            "--max-time",
            str(LASTS),
            "--max-examples",
            "10000",
            "--request-timeout",
            "10",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert said.returncode == 0, said.stdout[-8000:] + said.stderr[-2000:]
    assert TOKEN not in (tmp_path / "audit.log").read_text()
