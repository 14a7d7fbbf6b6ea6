"""dnsmasq behind a UDP and a TCP listener on one port, asked by dig."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Start
from support import eventually
from support.edge import Edge
from support.programs import Program, free_port, run


@pytest.fixture
def resolver(tmp_path: Path) -> Iterator[Program]:
    """Knows a few names, one of which has more to say than fits a datagram."""
    port = free_port()
    texts = [f"--txt-record=long.test,{letter * 250}" for letter in "abcdefghij"]
    program = Program(
        port,
        tmp_path,
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=",
        f"--port={port}",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--no-resolv",
        "--no-hosts",
        "--edns-packet-max=4096",
        "--address=/a.test/192.0.2.1",
        *texts,
    )
    yield program
    program.stop()


def serving(start: Start, *endpoints: str, udp: str = "") -> Edge:
    """An edge with both listeners on a port that was free."""
    port = free_port()
    listed = ", ".join(f'"{endpoint}"' for endpoint in endpoints)
    return start(f"""
listeners:
  udp: {{ bind: "127.0.0.1:{port}", udp: {{ pool: resolvers, {udp} }} }}
  tcp: {{ bind: "127.0.0.1:{port}", tcp: {{ pool: resolvers }} }}
  web: {{ bind: "127.0.0.1:0" }}
pools:
  resolvers: {{ endpoints: [{listed}], balance: round_robin }}
routes:
  - respond: {{ body: hello }}
""")


def dig(edge: Edge, *words: str) -> str:
    return run("dig", "@127.0.0.1", "-p", str(edge.port("udp")), "+tries=1", "+time=5", *words)


def test_answers_over_udp_and_tcp(start: Start, resolver: Program) -> None:
    edge = serving(start, resolver.address, udp="responses: 1")
    assert dig(edge, "a.test", "+short") == "192.0.2.1\n"
    line = edge.logged(protocol="UDP", ended="finished")
    assert (line["datagrams_in"], line["datagrams_out"]) == (1, 1)
    assert dig(edge, "a.test", "+short", "+tcp") == "192.0.2.1\n"
    edge.logged(protocol="TCP", ended="finished")


def test_an_answer_that_does_not_fit_is_asked_for_again_over_tcp(start: Start, resolver: Program) -> None:
    edge = serving(start, resolver.address)
    told = dig(edge, "long.test", "TXT", "+bufsize=512")
    assert "Truncated, retrying in TCP mode" in told
    assert all(f'"{letter * 250}"' in told for letter in "abcdefghij")
    large = dig(edge, "long.test", "TXT", "+bufsize=4096", "+notcp", "+ignore")
    assert "MSG SIZE  rcvd: 2" in large and all(f'"{letter * 250}"' in large for letter in "abcdefghij")


def test_many_questions(start: Start, resolver: Program) -> None:
    edge = serving(start, resolver.address, udp="responses: 1")
    names = [word for number in range(200) for word in (f"n{number}.a.test", "+short")]
    assert dig(edge, *names) == "192.0.2.1\n" * 200
    eventually("all flows are over", lambda: sum(line["protocol"] == "UDP" for line in edge.log()) == 200)


def test_a_resolver_that_is_killed(start: Start, resolver: Program, tmp_path: Path) -> None:
    gone = f"127.0.0.1:{free_port()}"
    edge = serving(start, gone, resolver.address, udp="responses: 1")
    words = ["+tries=5", "+time=1", "+short", "a.test"]
    for _ in range(10):
        assert run("dig", "@127.0.0.1", "-p", str(edge.port("udp")), *words).endswith("192.0.2.1\n")
        assert dig(edge, "a.test", "+short", "+tcp") == "192.0.2.1\n"
