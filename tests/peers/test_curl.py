"""curl: versions of HTTP and TLS, uploads, expectations, trailers, redirects and client certificates."""

import hashlib
import json
from pathlib import Path

import pytest
import trustme

from conftest import Start
from support import certificates
from support.curl import HOST, curl, named
from support.edge import Edge
from support.origin import MEBIBYTE, Origin
from support.sites import TLS, site


@pytest.fixture
def edge(start: Start, origin: Origin, ca: Path) -> Edge:
    return start(site(origin.address, "limits: { body: { size: 64MiB } }"))


def secure(edge: Edge, ca: Path, path: str = "/") -> list[str | Path]:
    port = edge.port("secure")
    return [*named(port), "--cacert", ca, f"https://{HOST}:{port}{path}"]


@pytest.mark.parametrize(
    ("option", "version"),
    [("--http1.0", "HTTP/1.0"), ("--http1.1", "HTTP/1.1"), ("--http2-prior-knowledge", "HTTP/2")],
)
def test_versions_without_tls(edge: Edge, option: str, version: str) -> None:
    answer = curl(option, f"http://127.0.0.1:{edge.port('web')}/a?b=c")
    assert answer.code == 0, answer.told
    assert json.loads(answer.body)["target"] == "/a?b=c"
    edge.logged(protocol=version, target="/a?b=c", status=200)


def test_an_upgrade_to_h2c_is_left_alone(edge: Edge) -> None:
    answer = curl("--http2", f"http://127.0.0.1:{edge.port('web')}/")
    assert answer.code == 0, answer.told
    assert "< HTTP/1.1 200" in answer.told
    assert not {"upgrade", "http2-settings"} & json.loads(answer.body)["headers"].keys()


@pytest.mark.parametrize(("option", "version"), [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2")])
@pytest.mark.parametrize(("tls", "told"), [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")])
def test_versions_over_tls(edge: Edge, ca: Path, option: str, version: str, tls: str, told: str) -> None:
    answer = curl(option, f"--tlsv{tls}", "--tls-max", tls, *secure(edge, ca))
    assert answer.code == 0, answer.told
    assert f"SSL connection using {told}" in answer.told
    headers = json.loads(answer.body)["headers"]
    assert headers["x-forwarded-proto"] == "https"
    assert headers["host"].startswith(HOST)
    edge.logged(protocol=version, status=200)


def test_many_requests_over_one_connection(edge: Edge, ca: Path) -> None:
    *options, url = secure(edge, ca, "/[1-50]")
    answer = curl("--http2", "--parallel", *options, url)
    assert answer.code == 0, answer.told
    assert answer.told.count("Connected to") == 1
    assert answer.told.count("< HTTP/2 200") == 50


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("framing", [[], ["-H", "Transfer-Encoding: chunked"]])
def test_twenty_megabytes_go_up(edge: Edge, ca: Path, version: str, framing: list[str]) -> None:
    body = bytes(range(256)) * (20 * MEBIBYTE // 256)
    answer = curl(version, "--data-binary", "@-", *framing, *secure(edge, ca), data=body)
    assert answer.code == 0, answer.told
    assert json.loads(answer.body)["sha256"] == hashlib.sha256(body).hexdigest()


# curl 7.88 loses an answer that is followed at once by the end of the stream (RST_STREAM, NO_ERROR).
@pytest.mark.parametrize(("option", "version"), [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2")])
def test_a_body_above_the_limit_is_refused(
    start: Start, origin: Origin, ca: Path, option: str, version: str
) -> None:
    edge = start(site(origin.address, "limits: { body: { size: 1MiB } }"))
    answer = curl(option, "--data-binary", "@-", *secure(edge, ca), data=bytes(2 * MEBIBYTE))
    edge.logged(status=413, protocol=version)
    assert f"< {version} 413" in answer.told


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_sixty_four_mebibytes_come_down(edge: Edge, ca: Path, version: str) -> None:
    answer = curl(version, "-o", "/dev/null", "-w", "%{size_download}", *secure(edge, ca, "/large"))
    assert (answer.code, answer.body) == (0, str(64 * MEBIBYTE)), answer.told


def test_an_expectation_is_met(edge: Edge, ca: Path) -> None:
    expecting = ["--http1.1", "-H", "Expect: 100-continue", "--expect100-timeout", "10"]
    answer = curl(*expecting, "--data-binary", "@-", *secure(edge, ca), data=b"x" * 100)
    assert answer.code == 0, answer.told
    assert "< HTTP/1.1 100" in answer.told
    assert json.loads(answer.body)["length"] == 100


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_body_with_trailers_ends_where_it_should(edge: Edge, ca: Path, version: str) -> None:
    answer = curl(version, *secure(edge, ca, "/trailers"), *secure(edge, ca, "/next")[-1:])
    assert answer.code == 0, answer.told
    assert answer.told.count("Connected to") == 1
    body, told = answer.body[:5], answer.body[5:]
    assert (body, json.loads(told)["target"]) == ("hello", "/next")


def test_a_websocket_is_opened(edge: Edge, origin: Origin) -> None:
    async def greet(request, writer) -> None:
        assert request.headers["upgrade"] == "websocket"
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello"
        )
        writer.close()

    origin.on("/socket", greet)
    upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    upgrade.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    headers = [word for header in upgrade for word in ("-H", header)]
    answer = curl("--http1.1", "-N", *headers, f"http://127.0.0.1:{edge.port('web')}/socket")
    assert "< HTTP/1.1 101" in answer.told
    assert answer.body.endswith("\x05hello"), answer


def test_plain_http_is_sent_to_https(start: Start, origin: Origin, ca: Path) -> None:
    edge = start(f"""
listeners:
  plain: {{ bind: "127.0.0.1:0", redirect_https: {{ port: 8443 }} }}
  secure: {{ bind: "127.0.0.1:0", {TLS} }}
pools:
  app: {{ endpoints: ["{origin.address}"] }}
routes:
  - pool: app
    filters: [hsts: {{ max_age: 365d }}]
""")
    hops = [
        *("--connect-to", f"{HOST}:80:127.0.0.1:{edge.port('plain')}"),
        *("--connect-to", f"{HOST}:8443:127.0.0.1:{edge.port('secure')}"),
    ]
    answer = curl("-L", *hops, "--cacert", ca, "-d", "x=1", f"http://{HOST}/form?a=b")
    assert answer.code == 0, answer.told
    told = json.loads(answer.body)
    assert (told["method"], told["target"], told["length"]) == ("POST", "/form?a=b", 3)
    assert "< HTTP/1.1 308" in answer.told
    assert answer.told.lower().count("< strict-transport-security: max-age=31536000") == 1


def test_hsts_is_heeded(start: Start, origin: Origin, ca: Path, tmp_path: Path) -> None:
    config = site(origin.address).replace("- pool: app", "- { pool: app, filters: [hsts: {}] }")
    edge = start(config)
    known = tmp_path / "hsts.txt"
    assert curl("--hsts", known, *secure(edge, ca)).code == 0
    assert HOST in known.read_text()
    port = edge.port("secure")
    answer = curl("--hsts", known, "--cacert", ca, *named(port), f"http://{HOST}:{port}/")
    assert answer.code == 0, answer.told
    assert json.loads(answer.body)["headers"]["x-forwarded-proto"] == "https"


class TestClientCertificates:
    """A host that asks for certificates, beside one that does not."""

    @pytest.fixture
    def guarded(self, start: Start, origin: Origin, ca: Path, authority: trustme.CA, tmp_path: Path) -> Edge:
        clients = trustme.CA()
        certificates.write_authority(clients, tmp_path, "clients")
        certificates.issue(clients, tmp_path, "ada", "ada@example.test")
        certificates.issue(authority, tmp_path, "mallory", "mallory@example.test")
        rule = "client_auth: { mode: require, ca: clients.pem }"
        certs = "certificates: [{ cert: site.pem, key: site.key }]"
        tls = f"tls: {{ {certs}, hosts: {{ admin.example.test: {{ {rule} }} }} }}"
        return start(f"""
listeners:
  secure: {{ bind: "127.0.0.1:0", {tls} }}
pools:
  app: {{ endpoints: ["{origin.address}"] }}
routes:
  - pool: app
    filters: [request_headers: {{ set: {{ X-Client: "{{client_cert_subject}}" }} }}]
""")

    @staticmethod
    def ask(edge: Edge, ca: Path, *options: str | Path):
        port = edge.port("secure")
        host = f"admin.{HOST}"
        return curl(*options, "--cacert", ca, *named(port, host), f"https://{host}:{port}/")

    @staticmethod
    def identity(folder: Path, name: str) -> list[str | Path]:
        return ["--cert", folder / f"{name}.pem", "--key", folder / f"{name}.key"]

    @pytest.mark.parametrize("tls", ["1.2", "1.3"])
    def test_a_good_one_is_let_in(self, guarded: Edge, ca: Path, tmp_path: Path, tls: str) -> None:
        answer = self.ask(guarded, ca, "--tls-max", tls, *self.identity(tmp_path, "ada"))
        assert answer.code == 0, answer.told
        assert "CN=ada" in json.loads(answer.body)["headers"]["x-client"]

    @pytest.mark.parametrize("tls", ["1.2", "1.3"])
    def test_none_is_not(self, guarded: Edge, ca: Path, tls: str) -> None:
        answer = self.ask(guarded, ca, "--tls-max", tls)
        assert answer.code != 0
        assert "< HTTP/" not in answer.told

    def test_that_of_another_authority_is_not(self, guarded: Edge, ca: Path, tmp_path: Path) -> None:
        answer = self.ask(guarded, ca, *self.identity(tmp_path, "mallory"))
        assert answer.code != 0
        assert "< HTTP/" not in answer.told

    def test_what_a_client_says_of_itself_is_not_believed(self, guarded: Edge, ca: Path) -> None:
        answer = curl("-H", "X-Client: CN=ada", *secure(guarded, ca))
        assert answer.code == 0, answer.told
        assert "x-client" not in json.loads(answer.body)["headers"]

    def test_another_hosts_connection_is_misdirected(self, guarded: Edge, ca: Path) -> None:
        answer = curl("-H", f"Host: admin.{HOST}", *secure(guarded, ca))
        assert answer.code == 0, answer.told
        assert "< HTTP/2 421" in answer.told
