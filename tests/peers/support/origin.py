"""A small HTTP/1.1 server behind the edge. It shows what came through, and answers in ways that edges get wrong."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .background import Background

MEBIBYTE = 1024 * 1024


@dataclass
class Request:
    """A request as it came, its body whole."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Handler = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


class Origin:
    """The server. Requests that `handle` does not know are told back in JSON."""

    def __init__(self, background: Background) -> None:
        self._special: dict[str, Handler] = {"/trailers": _trailers, "/large": _large}
        server = background.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    def on(self, path: str, handler: Handler) -> None:
        """Has a path answered by a handler of the test's own."""
        self._special[path] = handler

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader, writer):
                await self._special.get(request.target, _tell)(request, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode().split()
    headers = await _fields(reader)
    if headers.get("expect") == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding") == "chunked":
        body = await _chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)


async def _fields(reader: asyncio.StreamReader) -> dict[str, str]:
    fields = {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, value = line.decode().split(":", 1)
        fields[name.lower()] = value.strip()
    return fields


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await _fields(reader)
    return bytes(body)


async def _tell(request: Request, writer: asyncio.StreamWriter) -> None:
    told = {
        "method": request.method,
        "target": request.target,
        "headers": request.headers,
        "length": len(request.body),
        "sha256": hashlib.sha256(request.body).hexdigest(),
    }
    body = json.dumps(told).encode()
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


async def _trailers(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n"
        b"5\r\nhello\r\n0\r\nX-Checksum: 12345\r\n\r\n"
    )


async def _large(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {64 * MEBIBYTE}\r\n\r\n".encode())
    for _ in range(64):
        writer.write(bytes(MEBIBYTE))
        await writer.drain()
