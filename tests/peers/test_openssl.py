"""`openssl s_client`: versions, ALPN, certificates by name, sessions, OCSP, and what is no TLS at all."""

import datetime
import os
import socket
import subprocess
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp

from conftest import Start
from support import PATIENCE, certificates
from support.curl import HOST, curl, named
from support.edge import Edge

ROUTES = "routes: [{ respond: { body: served } }]"
REQUEST = f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n"


def tls(more: str = "") -> str:
    """A TLS listener that answers by itself."""
    keys = f"certificates: [{{ cert: site.pem, key: site.key }}], {more}"
    return f'listeners: {{ secure: {{ bind: "127.0.0.1:0", tls: {{ {keys} }} }} }}\n{ROUTES}\n'


def s_client(edge: Edge, *options: str | Path, ask: bool = True) -> str:
    """What it prints about a connection on which one request is made, or none."""
    there = ["-connect", f"127.0.0.1:{edge.port('secure')}"]
    # Without a request the connection is ended by the end of the input.
    request, wait = (REQUEST, ["-ign_eof"]) if ask else ("", [])
    ended = subprocess.run(
        ["openssl", "s_client", *there, *wait, *options],
        input=request,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    return ended.stdout


# OpenSSL itself speaks these only when it is asked to forget about security.
OLD = ["-cipher", "ALL:@SECLEVEL=0", "-legacy_renegotiation"]


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(start: Start, ca: Path, version: str) -> None:
    told = s_client(start(tls()), version, *OLD)
    # Greetings of old versions lack what the edge looks at before the version.
    assert "alert handshake failure" in told or "alert protocol version" in told
    assert "served" not in told


def test_the_older_version_can_be_switched_off(start: Start, ca: Path) -> None:
    edge = start(tls('min_version: "1.3"'))
    assert "alert protocol version" in s_client(edge, "-tls1_2")
    assert "served" in s_client(edge, "-tls1_3")


@pytest.mark.parametrize(
    "cipher",
    ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256", "NULL"],
)
def test_weak_ciphers_are_refused(start: Start, ca: Path, cipher: str) -> None:
    told = s_client(start(tls()), "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
    assert "alert handshake failure" in told
    assert "served" not in told


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [("h2", "h2"), ("http/1.1", "http/1.1"), ("http/1.1,h2", "h2"), ("spdy/3,http/1.1", "http/1.1")],
)
def test_alpn(start: Start, ca: Path, offered: str, chosen: str) -> None:
    assert f"ALPN protocol: {chosen}\n" in s_client(start(tls()), "-alpn", offered, ask=False)


def test_without_a_common_protocol_there_is_no_connection(start: Start, ca: Path) -> None:
    edge = start(tls())
    assert "alert no application protocol" in s_client(edge, "-alpn", "ftp")
    told = s_client(edge)
    assert "No ALPN negotiated" in told and "served" in told


class TestCertificates:
    """One for each of several names."""

    @staticmethod
    def edge(start: Start, authority: trustme.CA, folder: Path, unknown: str) -> Edge:
        certificates.issue(authority, folder, "shop", "shop.example.com")
        certificates.issue(authority, folder, "rsa", HOST, kind=trustme.KeyType.RSA)
        pairs = ", ".join(f"{{ cert: {name}.pem, key: {name}.key }}" for name in ("site", "rsa", "shop"))
        keys = f"certificates: [{pairs}], unknown_sni: {unknown}"
        return start(f'listeners: {{ secure: {{ bind: "127.0.0.1:0", tls: {{ {keys} }} }} }}\n{ROUTES}\n')

    @pytest.mark.parametrize(
        ("asked", "shown"),
        [
            (["-servername", HOST], "site"),
            (["-servername", f"www.{HOST}"], "site"),
            (["-servername", "shop.example.com"], "shop"),
            (["-servername", "SHOP.example.com"], "shop"),
            (["-servername", "elsewhere.example.net"], "site"),
            (["-noservername"], "site"),
            (["-servername", HOST, "-sigalgs", "RSA-PSS+SHA256"], "rsa"),
        ],
    )
    def test_the_name_chooses(
        self, start: Start, authority: trustme.CA, ca: Path, tmp_path: Path, asked: list[str], shown: str
    ) -> None:
        edge = self.edge(start, authority, tmp_path, "default")
        told = s_client(edge, *asked, "-CAfile", ca, "-verify_return_error", ask=False)
        subject = next(line for line in told.splitlines() if line.startswith("subject="))
        assert f"CN = {shown}" in subject or f"CN={shown}" in subject
        assert "Verify return code: 0 (ok)" in told

    def test_an_unknown_name_can_be_refused(
        self, start: Start, authority: trustme.CA, ca: Path, tmp_path: Path
    ) -> None:
        edge = self.edge(start, authority, tmp_path, "reject")
        assert "unrecognized name" in s_client(edge, "-servername", "elsewhere.example.net")
        assert "CN" in s_client(edge, "-servername", "shop.example.com", ask=False)


class TestSessions:
    """Tickets."""

    @staticmethod
    def again(edge: Edge, folder: Path, version: str) -> str:
        session = folder / "session.pem"
        first = s_client(edge, version, "-servername", HOST, "-sess_out", session)
        assert "New, " in first and "served" in first
        return s_client(edge, version, "-servername", HOST, "-sess_in", session)

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_they_are_resumed(self, start: Start, ca: Path, tmp_path: Path, version: str) -> None:
        told = self.again(start(tls()), tmp_path, version)
        assert "Reused, " in told and "served" in told

    def test_tickets_can_be_switched_off(self, start: Start, ca: Path, tmp_path: Path) -> None:
        edge = start(tls("tickets: { rotate: 0s }"))
        assert "Reused" not in s_client(edge, "-tls1_2", "-reconnect")
        told = s_client(edge, "-tls1_3", "-sess_out", tmp_path / "none.pem")
        assert "served" in told and "New Session Ticket arrived" not in told

    def test_those_of_another_edge_are_not(self, start: Start, ca: Path, tmp_path: Path) -> None:
        session = tmp_path / "session.pem"
        first = start(tls())
        assert "served" in s_client(first, "-tls1_3", "-sess_out", session)
        other = start(tls().replace("listeners:", "server: { control_socket: other.sock }\nlisteners:"))
        told = s_client(other, "-tls1_3", "-sess_in", session)
        assert "New, " in told and "served" in told

    def test_early_data_is_not_taken(self, start: Start, ca: Path, tmp_path: Path) -> None:
        edge = start(tls())
        session, early = tmp_path / "session.pem", tmp_path / "early"
        s_client(edge, "-tls1_3", "-sess_out", session)
        assert "Max Early Data: 0" in s_client(edge, "-tls1_3", "-sess_in", session)
        early.write_text(REQUEST)
        assert "Early data was not sent" in s_client(
            edge, "-tls1_3", "-sess_in", session, "-early_data", early
        )


def staple(authority: trustme.CA, leaf: trustme.LeafCert) -> bytes:
    """An answer of the authority's OCSP responder: the certificate is good."""
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    key = load_pem_private_key(authority.private_key_pem.bytes(), None)
    cert = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    now = datetime.datetime.now(datetime.UTC)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=cert,
        issuer=issuer,
        algorithm=hashes.SHA1(),
        cert_status=ocsp.OCSPCertStatus.GOOD,
        this_update=now - datetime.timedelta(hours=1),
        next_update=now + datetime.timedelta(days=1),
        revocation_time=None,
        revocation_reason=None,
    )
    answer = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer).sign(key, hashes.SHA256())
    return answer.public_bytes(Encoding.DER)


def test_an_ocsp_response_is_stapled(start: Start, authority: trustme.CA, ca: Path, tmp_path: Path) -> None:
    leaf = certificates.issue(authority, tmp_path, "stapled", HOST)
    (tmp_path / "stapled.ocsp").write_bytes(staple(authority, leaf))
    pair = "{ cert: stapled.pem, key: stapled.key, ocsp: stapled.ocsp }"
    edge = start(tls().replace("{ cert: site.pem, key: site.key }", pair))
    told = s_client(edge, "-status", ask=False)
    assert "OCSP Response Status: successful" in told
    assert "Cert Status: good" in told
    assert "OCSP response" not in s_client(edge, ask=False)


class TestClientCertificates:
    """The alerts for what is missing and for what is wrong."""

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_alerts(
        self, start: Start, authority: trustme.CA, ca: Path, tmp_path: Path, version: str
    ) -> None:
        clients = trustme.CA()
        certificates.write_authority(clients, tmp_path, "clients")
        certificates.issue(clients, tmp_path, "ada", "ada@example.test")
        certificates.issue(authority, tmp_path, "mallory", "mallory@example.test")
        edge = start(tls("client_auth: { mode: require, ca: clients.pem }"))

        def shown(name: str) -> list[str | Path]:
            return ["-cert", tmp_path / f"{name}.pem", "-key", tmp_path / f"{name}.key"]

        assert "served" in s_client(edge, version, *shown("ada"))
        assert "alert certificate required" in self.silent(edge, version)
        assert "alert unknown ca" in self.silent(edge, version, *shown("mallory"))

    @staticmethod
    def silent(edge: Edge, *options: str | Path) -> str:
        """The same without a word of the client after the handshake, for which the edge may have closed its ears."""
        there = ["-connect", f"127.0.0.1:{edge.port('secure')}", "-ign_eof"]
        command = ["openssl", "s_client", *there, *options]
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        return ended.stdout


def is_closed(connection: socket.socket) -> bool:
    """Reads to the end of what the edge says."""
    connection.settimeout(PATIENCE)
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n",
        os.urandom(4096),
        b"\x16\x03\x01\xff\xff" + bytes(70000),
        b"\x16",
    ],
    ids=["plain", "random", "too-long", "one-byte"],
)
def test_what_is_no_tls_is_closed(start: Start, ca: Path, garbage: bytes) -> None:
    edge = start(tls().replace("tls: {", "limits: { handshake: 1s }, tls: {"))
    port = edge.port("secure")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(garbage)
        assert is_closed(connection)
    assert curl("--cacert", ca, *named(port), f"https://{HOST}:{port}/").body == "served"
