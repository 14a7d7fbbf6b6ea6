"""Frames of HTTP/2 from `hyperframe`, far more than any client needs, while curl asks for something sensible."""

import asyncio
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from conftest import Start
from support import PATIENCE, eventually
from support.curl import HOST, curl, named
from support.edge import Edge
from support.origin import Origin
from support.sites import site

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# More of anything than is borne, even if half of it came a second later.
FLOOD = 3000
HEADER = 9


def block(method: str, path: str) -> bytes:
    """The header of a request, always in the same state of compression."""
    fields = [(":method", method), (":path", path), (":scheme", "https"), (":authority", HOST)]
    return Encoder().encode(fields, huffman=False)


def head(stream: int, *flags: str, method: str = "GET", path: str = "/") -> HeadersFrame:
    return HeadersFrame(stream, block(method, path), flags=list(flags))


def resets() -> Iterator[Frame]:
    """CVE-2023-44487: requests that are taken back at once."""
    for stream in range(1, 2 * FLOOD, 2):
        yield head(stream, "END_HEADERS", "END_STREAM")
        yield RstStreamFrame(stream, error_code=ErrorCodes.CANCEL)


def provoked_resets() -> Iterator[Frame]:
    """CVE-2025-8671: requests that the edge is made to take back."""
    for stream in range(1, 2 * FLOOD, 2):
        yield head(stream, "END_HEADERS", "END_STREAM")
        yield WindowUpdateFrame(stream, window_increment=2**31 - 1)


def pings() -> Iterator[Frame]:
    return (PingFrame(0, b"are you?") for _ in range(FLOOD))


def settings() -> Iterator[Frame]:
    return (SettingsFrame(0) for _ in range(FLOOD))


def continuations() -> Iterator[Frame]:
    """CVE-2024-27316: a header that never ends."""
    yield head(1)
    for number in range(FLOOD):
        yield ContinuationFrame(1, Encoder().encode([(f"x-{number}", "v" * 100)], huffman=False))


def empty_continuations() -> Iterator[Frame]:
    yield head(1)
    yield from (ContinuationFrame(1) for _ in range(FLOOD))


def empty_data() -> Iterator[Frame]:
    yield head(1, "END_HEADERS", method="POST")
    yield from (DataFrame(1) for _ in range(FLOOD))


def priorities() -> Iterator[Frame]:
    return (PriorityFrame(1, depends_on=3, stream_weight=7) for _ in range(FLOOD))


class Flooder:
    """A connection over TLS on which frames are written as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, edge: Edge, ca: Path, window: int = 65535) -> "Flooder":
        context = ssl.create_default_context(cafile=str(ca))
        context.set_alpn_protocols(["h2"])
        streams = await asyncio.open_connection(
            "127.0.0.1", edge.port("secure"), ssl=context, server_hostname=HOST
        )
        flooder = cls(*streams)
        settings = SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: window})
        flooder._writer.write(PREFACE + settings.serialize())
        return flooder

    async def send(self, frames: Iterator[Frame]) -> None:
        """Sends for as long as the other side takes it."""
        try:
            for frame in frames:
                self._writer.write(frame.serialize())
                await self._writer.drain()
        except ConnectionError:
            pass

    async def frames(self) -> list[Frame]:
        """Reads what the edge says until it closes the connection."""
        said = []
        try:
            while True:
                header = await self._reader.readexactly(HEADER)
                (length,) = struct.unpack(">I", b"\0" + header[:3])
                frame, _ = Frame.parse_frame_header(memoryview(header))
                frame.parse_body(memoryview(await self._reader.readexactly(length)))
                said.append(frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.leave()
            return said

    def leave(self) -> None:
        self._writer.close()


@contextmanager
def served_meanwhile(edge: Edge, ca: Path) -> Iterator[None]:
    """Has curl ask again and again; each time it has to be answered."""
    is_over = threading.Event()
    port = edge.port("secure")
    answers = []

    def ask() -> None:
        while True:
            answers.append(curl(*named(port), "--cacert", ca, f"https://{HOST}:{port}/neighbour"))
            if is_over.is_set():
                return

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        is_over.set()
        asking.join()
    assert all(answer.code == 0 and "< HTTP/2 200" in answer.told for answer in answers), answers


FLOODS = [
    resets,
    provoked_resets,
    pings,
    settings,
    continuations,
    empty_continuations,
    empty_data,
    priorities,
]


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_cut_off_and_hurts_nobody_else(start: Start, origin: Origin, ca: Path, flood) -> None:
    edge = start(site(origin.address))

    async def scenario() -> list[Frame]:
        flooder = await Flooder.connect(edge, ca)
        sending = asyncio.create_task(flooder.send(flood()))
        said = await asyncio.wait_for(flooder.frames(), PATIENCE)
        await sending
        return said

    with served_meanwhile(edge, ca):
        said = asyncio.run(scenario())
    goodbyes = [frame.error_code for frame in said if isinstance(frame, GoAwayFrame)]
    assert goodbyes == [ErrorCodes.ENHANCE_YOUR_CALM], said
    edge.logged(cause="http2_abuse", protocol="HTTP/2")


def let_go(edge: Edge) -> int:
    """How many answers were given up because nobody took them."""
    return sum(line["target"] == "/large" and line.get("cause") == "client_gone" for line in edge.log())


def test_a_window_that_stays_shut_lets_the_endpoint_go(start: Start, origin: Origin, ca: Path) -> None:
    edge = start(site(origin.address, "limits: { send_idle: 1s }"))

    async def scenario() -> list[Frame]:
        flooder = await Flooder.connect(edge, ca, window=0)
        streams = range(1, 40, 2)
        await flooder.send(head(stream, "END_HEADERS", "END_STREAM", path="/large") for stream in streams)
        reading = asyncio.create_task(flooder.frames())
        await asyncio.to_thread(eventually, "all are let go", lambda: let_go(edge) == len(streams))
        # Ends the reading.
        flooder.leave()
        return await asyncio.wait_for(reading, PATIENCE)

    with served_meanwhile(edge, ca):
        said = asyncio.run(scenario())
    assert not [frame for frame in said if isinstance(frame, DataFrame) and frame.data]
