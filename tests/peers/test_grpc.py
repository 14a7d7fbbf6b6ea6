"""`grpcio` on both ends, with the edge between: messages are bytes, so that nothing has to be generated."""

import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from conftest import Start
from support import PATIENCE, eventually
from support.curl import HOST, named
from support.edge import Edge
from support.sites import site

SERVICE = "peers.Test"
LARGE = 3 * 1024 * 1024


class Server:
    """A server with a method of each kind."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.cancelled = threading.Event()
        self.started = threading.Event()
        self._grpc = grpc.server(ThreadPoolExecutor(max_workers=32))
        methods = {
            "Echo": grpc.unary_unary_rpc_method_handler(self._echo),
            "Count": grpc.unary_stream_rpc_method_handler(self._count),
            "Collect": grpc.stream_unary_rpc_method_handler(self._collect),
            "Talk": grpc.stream_stream_rpc_method_handler(self._talk),
            "Fail": grpc.unary_unary_rpc_method_handler(self._fail),
            "FailLate": grpc.unary_stream_rpc_method_handler(self._fail_late),
            "Wait": grpc.unary_unary_rpc_method_handler(self._wait),
            "WaitStreaming": grpc.unary_stream_rpc_method_handler(self._wait_streaming),
        }
        handler = grpc.method_handlers_generic_handler(SERVICE, methods)
        self._grpc.add_generic_rpc_handlers((handler,))
        address = "127.0.0.1:0"
        port = (
            self._grpc.add_secure_port(address, credentials)
            if credentials
            else self._grpc.add_insecure_port(address)
        )
        self.address = f"127.0.0.1:{port}"
        self._grpc.start()

    def stop(self) -> None:
        self._grpc.stop(grace=None).wait(PATIENCE)

    def _echo(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        got = {name: value for name, value in context.invocation_metadata()}
        context.send_initial_metadata(
            (("x-seen", got.get("x-sent", "")), ("x-seen-bin", got.get("x-sent-bin", b"")))
        )
        context.set_trailing_metadata((("x-last", "word"), ("x-last-bin", b"\0\xff")))
        return message

    def _count(self, message: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
        return (str(number).encode() for number in range(int(message)))

    def _collect(self, messages: Iterator[bytes], _context: grpc.ServicerContext) -> bytes:
        return b",".join(messages)

    def _talk(self, messages: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        return (message.upper() for message in messages)

    def _fail(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        told = json.loads(message)
        code = next(code for code in grpc.StatusCode if code.value[0] == told["code"])
        context.set_trailing_metadata((("x-last", "word"),))
        return context.abort(code, told["text"])

    def _fail_late(self, _message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"first"
        context.abort(grpc.StatusCode.DATA_LOSS, "and then it was gone")

    def _wait(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(self.cancelled.set)
        self.started.set()
        self.cancelled.wait(PATIENCE)
        return message

    def _wait_streaming(self, message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"first"
        yield self._wait(message, context)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def edge(start: Start, server: Server, ca: Path) -> Edge:
    return start(site(server.address, pool="protocol: h2c"))


def open_channel(edge: Edge, ca: Path, kind: str) -> grpc.Channel:
    options = [("grpc.enable_http_proxy", 0), ("grpc.ssl_target_name_override", HOST)]
    if kind == "plain":
        return grpc.insecure_channel(f"127.0.0.1:{edge.port('web')}", options[:1])
    credentials = grpc.ssl_channel_credentials(ca.read_bytes())
    return grpc.secure_channel(f"127.0.0.1:{edge.port('secure')}", credentials, options)


@pytest.fixture(params=["plain", "tls"])
def channel(request: pytest.FixtureRequest, edge: Edge, ca: Path) -> Iterator[grpc.Channel]:
    """A channel through the edge, with and without TLS."""
    with open_channel(edge, ca, request.param) as channel:
        yield channel


def path(method: str) -> str:
    return f"/{SERVICE}/{method}"


@pytest.mark.parametrize("message", [b"", b"hello", b"l" * LARGE])
def test_a_call(channel: grpc.Channel, message: bytes) -> None:
    assert channel.unary_unary(path("Echo"))(message, timeout=PATIENCE) == message


def test_metadata_go_both_ways(channel: grpc.Channel, edge: Edge) -> None:
    sent = (("x-sent", "a word"), ("x-sent-bin", b"\0\1\xfe\xff"))
    _, call = channel.unary_unary(path("Echo")).with_call(b"", metadata=sent, timeout=PATIENCE)
    first = {name: value for name, value in call.initial_metadata()}
    assert (first["x-seen"], first["x-seen-bin"]) == ("a word", b"\0\1\xfe\xff")
    last = {name: value for name, value in call.trailing_metadata()}
    assert (last["x-last"], last["x-last-bin"]) == ("word", b"\0\xff")
    edge.logged(target=path("Echo"), status=200, grpc_status=0)


def test_many_messages_come(channel: grpc.Channel) -> None:
    numbers = channel.unary_stream(path("Count"))(b"1000", timeout=PATIENCE)
    assert [int(number) for number in numbers] == list(range(1000))


def test_many_messages_go(channel: grpc.Channel) -> None:
    sent = [str(number).encode() for number in range(1000)]
    assert channel.stream_unary(path("Collect"))(iter(sent), timeout=PATIENCE) == b",".join(sent)


def test_both_sides_take_turns(channel: grpc.Channel) -> None:
    turn = threading.Semaphore(0)

    def words() -> Iterator[bytes]:
        for word in (b"one", b"two", b"three"):
            yield word
            # The next one only after the answer.
            assert turn.acquire(timeout=PATIENCE)

    heard = []
    for answer in channel.stream_stream(path("Talk"))(words(), timeout=PATIENCE):
        heard.append(answer)
        turn.release()
    assert heard == [b"ONE", b"TWO", b"THREE"]


def test_a_hundred_calls_at_once(channel: grpc.Channel) -> None:
    calls = [
        channel.unary_unary(path("Echo")).future(str(number).encode(), timeout=PATIENCE)
        for number in range(100)
    ]
    assert [int(call.result()) for call in calls] == list(range(100))


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code != grpc.StatusCode.OK])
def test_every_status_comes_through(channel: grpc.Channel, edge: Edge, code: grpc.StatusCode) -> None:
    number = code.value[0]
    message = json.dumps({"code": number, "text": "schade: ü % \n"}).encode()
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary(path("Fail"))(message, timeout=PATIENCE)
    assert (failed.value.code(), failed.value.details()) == (code, "schade: ü % \n")
    assert ("x-last", "word") in failed.value.trailing_metadata()
    edge.logged(target=path("Fail"), status=200, grpc_status=number)


def test_a_status_after_messages_comes_through(channel: grpc.Channel) -> None:
    call = channel.unary_stream(path("FailLate"))(b"", timeout=PATIENCE)
    assert next(call) == b"first"
    with pytest.raises(grpc.RpcError) as failed:
        next(call)
    assert failed.value.code() == grpc.StatusCode.DATA_LOSS
    assert failed.value.details() == "and then it was gone"


def test_an_unknown_method_is_unimplemented(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary(path("Nothing"))(b"", timeout=PATIENCE)
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_ends_the_call_on_both_sides(channel: grpc.Channel, server: Server) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary(path("Wait"))(b"", timeout=0.5)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    eventually("the server sees it", server.cancelled.is_set)


def test_a_deadline_ends_a_stream_on_both_sides(channel: grpc.Channel, server: Server) -> None:
    call = channel.unary_stream(path("WaitStreaming"))(b"", timeout=0.5)
    with pytest.raises(grpc.RpcError) as failed:
        assert list(call)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    eventually("the server sees it", server.cancelled.is_set)


@pytest.mark.parametrize("method", ["Wait", "WaitStreaming"])
def test_the_server_sees_a_cancellation(
    channel: grpc.Channel, server: Server, edge: Edge, method: str
) -> None:
    call = channel.unary_stream(path(method))(b"", timeout=PATIENCE)
    assert server.started.wait(PATIENCE) or next(call)
    call.cancel()
    eventually("the server sees it", server.cancelled.is_set)
    edge.logged(target=path(method), cause="client_gone")


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_a_dead_pool_is_unavailable(start: Start, ca: Path, kind: str) -> None:
    # Nobody listens on port 1.
    edge = start(site("127.0.0.1:1", pool="protocol: h2c"))
    with open_channel(edge, ca, kind) as channel, pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary(path("Echo"))(b"", timeout=PATIENCE)
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    edge.logged(target=path("Echo"), grpc_status=14)


def test_an_unknown_route_is_unimplemented(start: Start, server: Server, ca: Path) -> None:
    config = site(server.address, pool="protocol: h2c")
    edge = start(config.replace("- pool: app", "- { match: { path: /other/ }, pool: app }"))
    with open_channel(edge, ca, "tls") as channel, pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary(path("Echo"))(b"", timeout=PATIENCE)
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("protocol", ["h2", "auto"])
def test_a_server_behind_tls(start: Start, ca: Path, tmp_path: Path, protocol: str) -> None:
    identity = [((tmp_path / "site.key").read_bytes(), (tmp_path / "site.pem").read_bytes())]
    server = Server(grpc.ssl_server_credentials(identity))
    edge = start(site(server.address, pool=f"protocol: {protocol}, tls: {{ sni: {HOST}, ca: ca.pem }}"))
    with open_channel(edge, ca, "tls") as channel:
        assert channel.unary_unary(path("Echo"))(b"hello", timeout=PATIENCE) == b"hello"
        assert len(list(channel.unary_stream(path("Count"))(b"100", timeout=PATIENCE))) == 100
    server.stop()


def test_many_deadlines_end_no_connection(start: Start, ca: Path) -> None:
    # An endpoint that keeps everybody waiting.
    hole = start("""
server: { control_socket: off }
listeners: { web: { bind: "127.0.0.1:0", http: { h2_streams: 1000 } } }
routes: [{ respond: { delay: 30s } }]
""")
    edge = start(site(f"127.0.0.1:{hole.port('web')}", pool="protocol: h2c"))
    with open_channel(edge, ca, "plain") as channel:
        for _ in range(5):
            calls = [channel.unary_unary(path("Echo")).future(b"", timeout=0.3) for _ in range(90)]
            codes = {call.exception(PATIENCE).code() for call in calls}
            assert codes == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert not [line for line in edge.log() if line.get("cause") == "http2_abuse"]


def test_a_call_goes_on_while_the_edge_is_drained(channel: grpc.Channel, edge: Edge) -> None:
    turn = threading.Semaphore(1)

    def words() -> Iterator[bytes]:
        for word in (b"one", b"two"):
            assert turn.acquire(timeout=PATIENCE)
            yield word

    answers = channel.stream_stream(path("Talk"))(words(), timeout=PATIENCE)
    assert next(answers) == b"ONE"
    edge.drain()
    turn.release()
    assert list(answers) == [b"TWO"]
    channel.close()
    assert edge.ended() == 0


def test_a_server_that_dies_in_a_call_is_unavailable(channel: grpc.Channel, server: Server) -> None:
    call = channel.unary_stream(path("WaitStreaming"))(b"", timeout=PATIENCE)
    assert next(call) == b"first"
    server.stop()
    with pytest.raises(grpc.RpcError) as failed:
        next(call)
    assert failed.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def test_curl_sees_the_status_as_a_trailer(edge: Edge, ca: Path) -> None:
    port = edge.port("secure")
    call = ["-H", "Content-Type: application/grpc", "-H", "TE: trailers", "--data-binary", "@-"]
    there = [*named(port), "--cacert", str(ca), f"https://{HOST}:{port}{path('Echo')}"]
    # A message of two bytes.
    ended = subprocess.run(
        ["curl", "-sSi", "--noproxy", "*", *call, *there],
        input=b"\0\0\0\0\2hi",
        capture_output=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0, ended.stderr
    head, _, rest = ended.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/2 200")
    assert b"grpc-status" not in head
    assert rest.startswith(b"\0\0\0\0\2hi")
    assert b"grpc-status: 0" in rest
