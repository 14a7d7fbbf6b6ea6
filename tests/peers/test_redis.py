"""Redis through a TCP listener: small messages, pipelines, large values, pushes, and servers that die."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import Start
from support import PATIENCE, eventually
from support.programs import Program, free_port, run
from support.sites import TCP, passing

StartRedis = Callable[[], Program]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[StartRedis]:
    """Starts servers that keep nothing."""
    running: list[Program] = []

    def begin() -> Program:
        port = free_port()
        keys = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        running.append(Program(port, tmp_path, "redis-server", *keys))
        return running[-1]

    yield begin
    for server in running:
        server.stop()


def cli(port: int, *words: str, text: str | None = None) -> str:
    return run("redis-cli", "-p", str(port), *words, text=text).strip()


def test_values_of_any_size(start: Start, redis: StartRedis) -> None:
    edge = start(passing(TCP, redis().address))
    port = edge.port("through")
    assert cli(port, "set", "greeting", "hello") == "OK"
    assert cli(port, "get", "greeting") == "hello"
    value = "0123456789abcdef" * 2 * 1024 * 1024
    assert cli(port, "-x", "set", "large", text=value) == "OK"
    assert cli(port, "get", "large") == value


@pytest.mark.parametrize("pipeline", ["1", "32"])
def test_benchmark(start: Start, redis: StartRedis, pipeline: str) -> None:
    edge = start(passing(TCP, redis().address))
    load = ["-n", "20000", "-c", "50", "-P", pipeline, "-t", "ping,set,get"]
    told = run("redis-benchmark", "-q", "-p", str(edge.port("through")), *load)
    assert "requests per second" in told
    assert "rror" not in told


def test_messages_are_pushed(start: Start, redis: StartRedis) -> None:
    edge = start(passing(TCP, redis().address))
    port = edge.port("through")
    listening = ["redis-cli", "-p", str(port), "subscribe", "news"]
    with subprocess.Popen(listening, stdout=subprocess.PIPE, text=True) as subscriber:
        assert subscriber.stdout is not None
        assert [subscriber.stdout.readline() for _ in range(3)][1] == "news\n"
        assert cli(port, "publish", "news", "it rains") == "1"
        assert [subscriber.stdout.readline() for _ in range(3)][2] == "it rains\n"
        subscriber.terminate()


def test_a_server_that_is_killed(start: Start, redis: StartRedis) -> None:
    first, second = redis(), redis()
    edge = start(passing(TCP, first.address, second.address, pool="balance: first"))
    port = edge.port("through")
    assert cli(first.port, "set", "name", "first") == cli(second.port, "set", "name", "second") == "OK"
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(b"GET name\r\n")
        assert client.recv(100) == b"$5\r\nfirst\r\n"
        first.kill()
        assert is_over(client)
    for _ in range(50):
        assert cli(port, "get", "name") == "second"
    assert edge.logged(attempts=2)["endpoint"] == second.address


def is_over(client: socket.socket) -> bool:
    """Whether no answer comes any more, and the connection ends."""
    try:
        client.sendall(b"GET name\r\n")
        return client.recv(100) == b""
    except ConnectionError:
        return True


def test_servers_that_die_under_load_cost_new_clients_nothing(start: Start, redis: StartRedis) -> None:
    servers = [redis() for _ in range(3)]
    edge = start(passing(TCP, *(server.address for server in servers), pool="balance: round_robin"))
    port = edge.port("through")
    for number in range(300):
        if number == 100:
            servers[0].kill()
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(b"PING\r\n")
            assert client.recv(100) == b"+PONG\r\n", number
    eventually("all lines are there", lambda: len(edge.log()) == 300)
    assert {line["ended"] for line in edge.log()} == {"finished"}
