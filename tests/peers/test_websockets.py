"""The `websockets` package on both ends, with the edge between."""

import asyncio
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from conftest import Start
from support import PATIENCE
from support.background import Background
from support.curl import HOST
from support.edge import Edge
from support.sites import site

LARGE = 8 * 1024 * 1024
AT_ONCE = 200


def _chosen(_connection: ServerConnection, offered: list[str]) -> str | None:
    return "echo" if "echo" in offered else None


class Server:
    """A server that echoes, closes and breaks off as the path says. It keeps how connections ended."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self.ends: asyncio.Queue[tuple[int | None, str | None]] = asyncio.Queue()
        server = background.run(self._listen())
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _listen(self):
        return await serve(
            self._talk, "127.0.0.1", 0, max_size=2 * LARGE, select_subprotocol=_chosen, ping_interval=None
        )

    async def _talk(self, connection: ServerConnection) -> None:
        assert connection.request
        path = connection.request.path
        if path.startswith("/close/"):
            await connection.close(int(path.removeprefix("/close/")), "as you wish")
        elif path == "/abort":
            connection.transport.abort()
        elif path == "/ping":
            await (await connection.ping(b"are you there"))
            await connection.send("the client is there")
        try:
            while True:
                await connection.send(await connection.recv())
        except ConnectionClosed:
            await self.ends.put((connection.close_code, connection.close_reason))

    def end(self) -> tuple[int | None, str | None]:
        """Waits for the end of a connection: the code and the reason that came from the client."""
        return self._background.run(asyncio.wait_for(self.ends.get(), PATIENCE))


@pytest.fixture
def server(background: Background) -> Server:
    return Server(background)


@pytest.fixture
def edge(start: Start, server: Server, ca: Path) -> Edge:
    return start(site(server.address))


@pytest.fixture(params=["ws", "wss"])
def open_at(request: pytest.FixtureRequest, edge: Edge, ca: Path):
    """Connects to a path, with and without TLS."""
    settings: dict[str, Any] = {"max_size": 2 * LARGE, "ping_interval": None, "proxy": None}
    if request.param == "wss":
        context = ssl.create_default_context(cafile=str(ca))
        settings |= {"ssl": context, "host": "127.0.0.1", "port": edge.port("secure")}
        return lambda path, **more: connect(f"wss://{HOST}{path}", **settings, **more)
    address = f"ws://127.0.0.1:{edge.port('web')}"
    return lambda path, **more: connect(f"{address}{path}", **settings, **more)


def run(scenario: Coroutine[Any, Any, Any]) -> Any:
    """Runs a scenario that has to end in time."""
    return asyncio.run(asyncio.wait_for(scenario, 2 * PATIENCE))


async def echoes(connection: ClientConnection, message: str | bytes) -> None:
    sending = asyncio.create_task(connection.send(message))
    assert await connection.recv() == message
    await sending


@pytest.mark.parametrize(
    "message", ["", "grüße", b"\0\xff", b"x" * 125, b"y" * 126, b"z" * 65536, b"l" * LARGE]
)
def test_messages_go_both_ways(open_at, message: str | bytes) -> None:
    async def scenario() -> None:
        async with open_at("/") as connection:
            await echoes(connection, message)
            await echoes(connection, "and once more")

    run(scenario())


def test_fragments_stay_together(open_at) -> None:
    async def scenario() -> None:
        async with open_at("/") as connection:
            await connection.send(["a", "b", "c"])
            assert await connection.recv() == "abc"

    run(scenario())


def test_a_subprotocol_is_agreed_on(open_at) -> None:
    async def scenario() -> None:
        async with open_at("/", subprotocols=["other", "echo"]) as connection:
            assert connection.subprotocol == "echo"

    run(scenario())


def test_two_hundred_connections_at_once(open_at) -> None:
    everybody_is_there = asyncio.Barrier(AT_ONCE)

    async def client(number: int) -> None:
        async with open_at(f"/{number}", open_timeout=PATIENCE) as connection:
            await everybody_is_there.wait()
            await echoes(connection, f"number {number}")

    async def scenario() -> None:
        await asyncio.gather(*(client(number) for number in range(AT_ONCE)))

    run(scenario())


@pytest.mark.parametrize("code", [1000, 1001, 4000])
def test_what_the_server_closes_with_arrives(open_at, code: int) -> None:
    async def scenario() -> None:
        async with open_at(f"/close/{code}") as connection:
            await connection.wait_closed()
            assert (connection.close_code, connection.close_reason) == (code, "as you wish")

    run(scenario())


@pytest.mark.parametrize("code", [1000, 1001, 4000])
def test_what_the_client_closes_with_arrives(open_at, server: Server, code: int) -> None:
    async def scenario() -> None:
        async with open_at("/") as connection:
            await connection.close(code, "enough")

    run(scenario())
    assert server.end() == (code, "enough")


def test_pings_are_answered_by_the_other_end(open_at) -> None:
    async def scenario() -> None:
        async with open_at("/ping") as connection:
            assert await connection.recv() == "the client is there"
            await (await connection.ping(b"and you"))

    run(scenario())


def test_a_server_that_breaks_off_is_seen(open_at) -> None:
    async def scenario() -> None:
        async with open_at("/abort") as connection:
            await connection.wait_closed()
            assert connection.close_code == 1006

    run(scenario())


def test_a_client_that_breaks_off_is_seen(open_at, server: Server, edge: Edge) -> None:
    async def scenario() -> None:
        async with open_at("/broken") as connection:
            await echoes(connection, "hello")
            connection.transport.abort()

    run(scenario())
    assert server.end()[0] == 1006
    edge.logged(target="/broken", status=101)


def test_an_endpoint_that_is_down_is_told_as_such(start: Start, ca: Path) -> None:
    # Nobody listens on port 1.
    edge = start(site("127.0.0.1:1"))

    async def scenario() -> None:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{edge.port('web')}/", proxy=None)
        assert refused.value.response.status_code == 502

    run(scenario())
