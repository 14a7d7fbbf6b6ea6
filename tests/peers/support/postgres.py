"""A PostgreSQL server that answers with and without TLS."""

import signal
import tempfile
from pathlib import Path

import trustme

from . import certificates
from .programs import Program, free_port, give_away, run

# Debian has the server's programs beside the path, below a folder for each version.
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


class Postgres:
    """The server, and its clients as commands."""

    def __init__(self, authority: trustme.CA) -> None:
        # Servers that gave their rights away cannot look into the folders of pytest.
        self._folder = tempfile.TemporaryDirectory(prefix="postgres-")
        home = Path(self._folder.name)
        give_away(home)
        certificates.issue(authority, home, "server", "db.test")
        for file in ("server.pem", "server.key"):
            give_away(home / file)
            (home / file).chmod(0o600)
        data = home / "data"
        run(
            PROGRAMS[-1] / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", unprivileged=True
        )
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": str(home / "server.pem"),
            "ssl_key_file": str(home / "server.key"),
        }
        given = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        port = free_port()
        # Any other signal has it wait for its clients.
        self.server = Program(
            port,
            home,
            PROGRAMS[-1] / "postgres",
            "-D",
            data,
            "-p",
            str(port),
            *given,
            unprivileged=True,
            ends_on=signal.SIGINT,
        )

    def stop(self) -> None:
        """Ends the server and removes what it wrote."""
        self.server.stop()
        self._folder.cleanup()


def psql(port: int, query: str, **env: str) -> str:
    """What a query answers."""
    return run("psql", *_there(port), "-Atc", query, "postgres", **env).strip()


def pgbench(port: int, *arguments: str, **env: str) -> str:
    """Runs pgbench, which has to succeed."""
    return run("pgbench", *_there(port), *arguments, "postgres", **env)


def _there(port: int) -> list[str]:
    return ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
