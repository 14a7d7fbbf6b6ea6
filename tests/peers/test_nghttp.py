"""nghttp: what HTTP/2 allows and hardly anybody does."""

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from conftest import Start
from support import PATIENCE
from support.background import Background
from support.edge import Edge
from support.origin import MEBIBYTE, Origin
from support.sites import site


@pytest.fixture
def edge(start: Start, origin: Origin, ca: Path) -> Edge:
    return start(site(origin.address))


def statuses(edge: Edge, *options: str | Path, path: str = "/") -> list[str]:
    """The statuses of all answers that were whole."""
    url = f"https://127.0.0.1:{edge.port('secure')}{path}"
    command = ["nghttp", "--null-out", "--no-verify-peer", "--stat", *options, url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    assert "not processed" not in ended.stdout + ended.stderr
    # Identifier, times of the request, status, size, path.
    return re.findall(r"^ *\d+ .* (\d{3}) +\S+ /", ended.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--padding=255"],
        ["--continuation"],
        ["--header-table-size=0"],
        ["--header-table-size=65536"],
        ["--encoder-header-table-size=0"],
        ["--window-bits=30", "--connection-window-bits=30"],
        ["--no-rfc7540-pri"],
        ["--no-dep"],
    ],
    ids=" ".join,
)
def test_ways_to_ask(start: Start, ca: Path, options: list[str]) -> None:
    # By itself, because `--continuation` sends more than the origin reads.
    edge = start(site("127.0.0.1:1").replace("- pool: app", "- respond: { body: served }"))
    assert statuses(edge, *options) == ["200"]


def test_a_large_answer_through_a_small_window(edge: Edge) -> None:
    assert statuses(edge, "--window-bits=14", "--connection-window-bits=14", path="/large") == ["200"]


def test_more_requests_than_streams(edge: Edge) -> None:
    assert statuses(edge, "--multiply=300") == ["200"] * 300


@pytest.mark.parametrize(
    "options",
    [[], ["--no-content-length"], ["--trailer", "x-checksum: 1"], ["--padding=200"], ["--expect-continue"]],
    ids=" ".join,
)
def test_ways_to_send(edge: Edge, tmp_path: Path, options: list[str]) -> None:
    body = tmp_path / "body"
    body.write_bytes(bytes(5 * MEBIBYTE))
    assert statuses(edge, "--data", body, *options) == ["200"]
    edge.logged(method="POST", bytes_in=5 * MEBIBYTE)


def test_an_early_answer_ends_the_upload(
    start: Start, background: Background, ca: Path, tmp_path: Path
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nno\n")
        # The rest is never read.
        await asyncio.Event().wait()

    server = background.run(asyncio.start_server(refuse, "127.0.0.1", 0))
    edge = start(site(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", "limits: { body: { size: 64MiB } }"))
    body = tmp_path / "body"
    body.write_bytes(bytes(40 * MEBIBYTE))
    assert statuses(edge, "--data", body) == ["401"]
    edge.logged(status=401)
