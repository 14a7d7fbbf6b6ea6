"""PostgreSQL through a TCP listener: its own handshake comes before TLS, so that TLS passes as anything does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from conftest import Start
from support import eventually
from support.postgres import Postgres, pgbench, psql
from support.programs import run
from support.sites import TCP, passing


@pytest.fixture(scope="module")
def postgres(authority: trustme.CA) -> Iterator[Postgres]:
    """A server with the tables of pgbench."""
    postgres = Postgres(authority)
    pgbench(postgres.server.port, "-i", "-q")
    yield postgres
    postgres.stop()


@pytest.mark.parametrize("mode", ["disable", "require"])
def test_pgbench(start: Start, postgres: Postgres, mode: str) -> None:
    edge = start(passing(TCP, postgres.server.address))
    told = pgbench(edge.port("through"), "-c", "8", "-T", "3", PGSSLMODE=mode)
    assert "number of failed transactions: 0 " in told
    # One connection looks at the tables, eight do the work.
    eventually("all lines are there", lambda: len(edge.log()) >= 9)
    for line in edge.log():
        assert (line["attempts"], line["endpoint"]) == (1, postgres.server.address)
        # Who has said the last word of the protocol does not wait for that of TLS, and resets what comes later.
        assert line["ended"] == "finished" or (mode, line["ended"]) == ("require", "reset")


def test_tls_is_that_of_the_server(start: Start, postgres: Postgres, ca: Path) -> None:
    edge = start(passing(TCP, postgres.server.address))
    query = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
    verified = {"PGSSLMODE": "verify-ca", "PGSSLROOTCERT": str(ca)}
    assert psql(edge.port("through"), query, **verified) == "t"
    assert psql(edge.port("through"), query, PGSSLMODE="disable") == "f"


def test_large_rows(start: Start, postgres: Postgres) -> None:
    edge = start(passing(TCP, postgres.server.address))
    query = "select md5(string_agg(x::text, ',')), repeat('x', 50000000) from generate_series(1, 1000) x"
    direct = psql(postgres.server.port, query, PGSSLMODE="disable")
    assert len(direct) > 50_000_000
    for mode in ("disable", "require"):
        assert psql(edge.port("through"), query, PGSSLMODE=mode) == direct


def test_tls_that_the_edge_begins(start: Start, postgres: Postgres, tmp_path: Path, ca: Path) -> None:
    """A server that wants to be asked before TLS is none to begin TLS with."""
    pool = "tls: { ca: ca.pem, sni: db.test }, outlier: off"
    edge = start(passing(TCP, postgres.server.address, pool=pool))
    with pytest.raises(AssertionError):
        psql(edge.port("through"), "select 1")
    edge.logged(protocol="TCP", ended="tls_failed", closed_by="edge")


def test_openssl_sees_the_certificate_of_the_server(start: Start, postgres: Postgres) -> None:
    edge = start(passing("tcp: { sni: { other.test: app }, pool: app }", postgres.server.address))
    there = f"127.0.0.1:{edge.port('through')}"
    told = run("openssl", "s_client", "-connect", there, "-starttls", "postgres", text="")
    # How the parts of a name are set apart depends on the version of OpenSSL.
    assert "CN=server" in told.replace(" ", "")
