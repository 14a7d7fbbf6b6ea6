"""Chromium without a window: a page with its parts, over HTTP/2, and a WebSocket."""

import base64
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Page, sync_playwright
from websockets.asyncio.server import ServerConnection, serve

from conftest import Start
from support import PATIENCE
from support.background import Background
from support.curl import HOST
from support.edge import Edge
from support.origin import Origin
from support.sites import TLS

IMAGE = b"<svg xmlns='http://www.w3.org/2000/svg' width='7' height='7'/>"
PAGE = b"""<!doctype html>
<title>waiting</title>
<link rel="stylesheet" href="/style.css">
<img src="/image.svg">
<script type="module" src="/script.js"></script>
"""
STYLE = b"body { color: rgb(1, 2, 3) }"
SCRIPT = b"""
const answers = await Promise.all(Array.from({ length: 20 }, (_, number) => fetch(`/many/${number}`)))
const upload = await fetch('/upload', { method: 'POST', body: 'x'.repeat(1000000) })
document.body.dataset.ok = answers.filter(answer => answer.ok).length
document.body.dataset.length = (await upload.json()).length
const socket = new WebSocket(`wss://${location.host}/socket`)
socket.onopen = () => socket.send('hello')
socket.onmessage = event => { document.title = `heard ${event.data}` }
"""
# With which protocol the page and each part of it came.
SPOKEN = """['navigation', 'resource']
    .flatMap(kind => performance.getEntriesByType(kind))
    .map(entry => entry.nextHopProtocol)"""
PARTS = {
    "/page": (b"text/html", PAGE),
    "/style.css": (b"text/css", STYLE),
    "/image.svg": (b"image/svg+xml", IMAGE),
    "/script.js": (b"text/javascript", SCRIPT),
}


def give(origin: Origin, path: str) -> None:
    kind, body = PARTS[path]

    async def answer(_request, writer) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body)) + body
        )

    origin.on(path, answer)


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.fixture
def edge(start: Start, origin: Origin, background: Background, ca: Path) -> Edge:
    for path in PARTS:
        give(origin, path)

    async def listen():
        return await serve(echo, "127.0.0.1", 0)

    socket = background.run(listen()).sockets[0].getsockname()[1]
    return start(f"""
listeners:
  secure: {{ bind: "127.0.0.1:0", {TLS} }}
pools:
  app: {{ endpoints: ["{origin.address}"] }}
  sockets: {{ endpoints: ["127.0.0.1:{socket}"] }}
routes:
  - {{ match: {{ path: /socket }}, pool: sockets }}
  - pool: app
""")


def key_hash(certificate: bytes) -> str:
    """By which Chromium is told to trust a key."""
    key = x509.load_pem_x509_certificate(certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@pytest.fixture
def page(edge: Edge, tmp_path: Path) -> Iterator[Page]:
    known = key_hash((tmp_path / "site.pem").read_bytes())
    settings = [
        f"--ignore-certificate-errors-spki-list={known}",
        f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
        "--no-proxy-server",
        "--disable-gpu",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=settings, chromium_sandbox=False
        )
        page = browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        yield page
        browser.close()


def test_a_page_with_its_parts_and_a_websocket(page: Page, edge: Edge) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto(f"https://{HOST}:{edge.port('secure')}/page")
    page.wait_for_function("document.title == 'heard hello'")
    assert problems == []
    seen = page.evaluate("document.body.dataset")
    assert (seen["ok"], seen["length"]) == ("20", "1000000")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(1, 2, 3)"
    assert page.evaluate("document.images[0].naturalWidth") == 7
    spoken = page.evaluate(SPOKEN)
    assert set(spoken) == {"h2"} and len(spoken) >= 25
    for path in [*PARTS, "/upload"]:
        edge.logged(target=path, status=200, protocol="HTTP/2")
    page.close()
    edge.logged(target="/socket", status=101, protocol="HTTP/1.1")
