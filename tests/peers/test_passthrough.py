"""TLS that passes through by name, and protocols in which servers speak first."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from conftest import Start
from support import PATIENCE, certificates
from support.edge import Edge
from support.programs import Program, free_port, run
from support.sites import TCP, passing

StartServer = Callable[[str], Program]


@pytest.fixture
def s_server(tmp_path: Path, authority: trustme.CA) -> Iterator[StartServer]:
    """Starts servers of OpenSSL, each with a certificate for one host, that send lines back in reverse."""
    running: list[Program] = []

    def begin(host: str) -> Program:
        certificates.issue(authority, tmp_path, host, host)
        port = free_port()
        keys = ["-cert", f"{host}.pem", "-key", f"{host}.key", "-alpn", "h2,http/1.1"]
        running.append(Program(port, tmp_path, "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-rev", *keys))
        return running[-1]

    yield begin
    for server in running:
        server.stop()


def by_name(start: Start, one: Program, other: Program) -> Edge:
    return start(f"""
listeners:
  through:
    bind: "127.0.0.1:0"
    tcp: {{ sni: {{ one.test: one, "*.other.test": other, alpn.test: {{ alpn: {{ h2: one }}, pool: other }} }} }}
  web: {{ bind: "127.0.0.1:0" }}
pools:
  one: {{ endpoints: ["{one.address}"] }}
  other: {{ endpoints: ["{other.address}"] }}
routes:
  - respond: {{ body: hello }}
""")


def s_client(edge: Edge, *options: str | Path, text: str = "hello\nQ\n") -> str:
    there = f"127.0.0.1:{edge.port('through')}"
    return run("openssl", "s_client", "-connect", there, *options, text=text)


def is_for(host: str, ca: Path) -> list[str | Path]:
    """Has the client end where the server's certificate is not for the host."""
    return ["-CAfile", ca, "-verify_hostname", host, "-verify_return_error"]


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_tls_by_name(start: Start, s_server: StartServer, ca: Path, version: str) -> None:
    edge = by_name(start, s_server("one.test"), s_server("www.other.test"))
    for host in ("one.test", "www.other.test"):
        assert "Verification: OK" in s_client(edge, version, "-servername", host, *is_for(host, ca))
        assert edge.logged(sni=host)["protocol"] == "TCP"


@pytest.mark.parametrize(
    ("protocols", "host"),
    [("h2", "one.test"), ("h2,http/1.1", "one.test"), ("http/1.1", "www.other.test")],
)
def test_tls_by_protocol(start: Start, s_server: StartServer, ca: Path, protocols: str, host: str) -> None:
    edge = by_name(start, s_server("one.test"), s_server("www.other.test"))
    told = s_client(edge, "-servername", "alpn.test", "-alpn", protocols, *is_for(host, ca))
    assert "Verification: OK" in told


@pytest.mark.parametrize("options", [["-servername", "nobody.test"], ["-noservername"]])
def test_unknown_names_are_cut_off(start: Start, s_server: StartServer, options: list[str]) -> None:
    edge = by_name(start, s_server("one.test"), s_server("www.other.test"))
    with pytest.raises(AssertionError) as failed:
        s_client(edge, *options)
    assert "Connection reset by peer" in str(failed.value) or "errno=104" in str(failed.value)
    edge.logged(ended="no_route", closed_by="edge")


class Greeting(socketserver.BaseRequestHandler):
    """Speaks first, as MySQL, SMTP and SSH do, and sends back what it hears then."""

    greeting = b""

    def handle(self) -> None:
        self.request.sendall(self.greeting)
        while heard := self.request.recv(4096):
            self.request.sendall(heard)


@pytest.mark.parametrize(
    "greeting",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail.test ESMTP\r\n", b"\x4a\0\0\0\x0a8.0.36\0" + bytes(range(64)) + b"\0"],
    ids=["ssh", "smtp", "mysql"],
)
def test_servers_that_speak_first(start: Start, greeting: bytes) -> None:
    handler = type("Greeting", (Greeting,), {"greeting": greeting})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        edge = start(passing(TCP, f"127.0.0.1:{server.server_address[1]}"))
        with socket.create_connection(("127.0.0.1", edge.port("through")), PATIENCE) as client:
            heard = client.makefile("rb")
            assert heard.read(len(greeting)) == greeting
            client.sendall(b"hello")
            assert heard.read(5) == b"hello"
            client.shutdown(socket.SHUT_WR)
            assert heard.read() == b""
        server.shutdown()
    edge.logged(protocol="TCP", ended="finished", closed_by="client")
