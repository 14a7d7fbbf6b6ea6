"""Server-sent events, read by curl as they come."""

import asyncio
import threading
from pathlib import Path

import pytest

from conftest import Start
from support import PATIENCE, eventually
from support.background import Background
from support.curl import HOST, named, streaming
from support.edge import Edge
from support.origin import Origin, Request
from support.sites import site

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def address(edge: Edge, ca: Path) -> list[str | Path]:
    port = edge.port("secure")
    return [*named(port), "--cacert", ca, f"https://{HOST}:{port}/events"]


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_each_event_arrives_before_the_next_is_sent(
    start: Start, origin: Origin, background: Background, ca: Path, version: str
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def events(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for number in range(5):
            writer.write(chunk(f"data: {number}\n\n".encode()))
            await writer.drain()
            # Goes on only when the client has this one.
            assert await heard.get() == f"data: {number}"
        writer.write(b"0\r\n\r\n")

    origin.on("/events", events)
    edge = start(site(origin.address))
    client = streaming(version, *address(edge, ca))
    # Ends the reading below if an event is held back.
    guard = threading.Timer(PATIENCE, client.kill)
    guard.start()
    arrived = []
    for line in map(str.strip, client.stdout or ()):
        if line:
            arrived.append(line)
            background.loop.call_soon_threadsafe(heard.put_nowait, line)
    guard.cancel()
    assert arrived == [f"data: {number}" for number in range(5)]
    assert client.wait(PATIENCE) == 0


def test_a_client_that_leaves_ends_the_stream(start: Start, origin: Origin, ca: Path) -> None:
    gone = threading.Event()

    async def endless(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        try:
            while True:
                writer.write(chunk(b": still here\n\n"))
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            gone.set()
            raise

    origin.on("/events", endless)
    edge = start(site(origin.address))
    client = streaming("--max-time", str(PATIENCE), *address(edge, ca))
    assert client.stdout and client.stdout.readline()
    client.kill()
    client.wait(PATIENCE)
    eventually("the endpoint is let go", gone.is_set)
    edge.logged(target="/events", cause="client_gone")
