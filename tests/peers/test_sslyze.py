"""SSLyze: none of the weaknesses that it knows, and what Mozilla recommends for servers."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from conftest import Start
from support import certificates
from support.curl import HOST

REFUSED = ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"]
# What is found where all is well.
SAFE = {
    "heartbleed": {"is_vulnerable_to_heartbleed": False},
    "openssl_ccs_injection": {"is_vulnerable_to_ccs_injection": False},
    "robot": {"robot_result": "NOT_VULNERABLE_RSA_NOT_SUPPORTED"},
    "tls_1_3_early_data": {"supports_early_data": False},
    "tls_compression": {"supports_compression": False},
    "tls_extended_master_secret": {"supports_ems_extension": True},
    "tls_fallback_scsv": {"supports_fallback_scsv": True},
}
AEAD = re.compile("GCM|CHACHA20_POLY1305")


@pytest.mark.timeout(150)
def test_nothing_is_found(start: Start, authority: trustme.CA, ca: Path, tmp_path: Path) -> None:
    certificates.issue(authority, tmp_path, "rsa", HOST, kind=trustme.KeyType.RSA)
    edge = start("""
listeners:
  secure:
    bind: "127.0.0.1:0"
    tls: { certificates: [{ cert: site.pem, key: site.key }, { cert: rsa.pem, key: rsa.key }] }
routes:
  - respond: { body: served }
""")
    found, complaints = scan(edge.port("secure"), tmp_path / "scan.json")
    for version in REFUSED:
        assert found[f"{version}_cipher_suites"]["accepted_cipher_suites"] == [], version
    for name, expected in SAFE.items():
        assert found[name] == expected, name
    assert found["session_renegotiation"]["supports_secure_renegotiation"]
    assert not found["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"]
    assert len(suites(found, "tls_1_3")) == 3
    for suite in suites(found, "tls_1_2"):
        assert suite.startswith(("TLS_ECDHE_ECDSA_", "TLS_ECDHE_RSA_")) and AEAD.search(suite), suite
    # Nobody but this test trusts its authority.
    assert complaints == ["certificate_path_validation"]


def suites(found: dict[str, Any], version: str) -> list[str]:
    accepted = found[f"{version}_cipher_suites"]["accepted_cipher_suites"]
    assert accepted, version
    return [suite["cipher_suite"]["name"] for suite in accepted]


def scan(port: int, results: Path) -> tuple[dict[str, Any], list[str]]:
    """What is found, by the name of the check, and which of Mozilla's recommendations are not met."""
    checks = ["compression", "early_data", "ems", "fallback", "heartbleed", "openssl_ccs", "reneg", "robot"]
    options = ["--mozilla_config=intermediate", f"--json_out={results}", *(f"--{check}" for check in checks)]
    scanner = [sys.executable, "-W", "ignore", "-m", "sslyze", *options, f"{HOST}:{port}{{127.0.0.1}}"]
    ended = subprocess.run(scanner, capture_output=True, text=True, timeout=120)
    (server,) = json.loads(results.read_text())["server_scan_results"]
    assert server["scan_status"] == "COMPLETED", ended.stdout
    done = {
        name: check["result"] for name, check in server["scan_result"].items() if check["result"] is not None
    }
    compliance = ended.stdout.partition("COMPLIANCE AGAINST TLS CONFIGURATION")[2]
    assert compliance, ended.stdout
    return done, re.findall(r"^ +\* (\w+):", compliance, re.MULTILINE)
