"""Servers that others wrote, as processes on ports of this machine."""

import os
import pwd
import random
import signal
import socket
import subprocess
from pathlib import Path

from . import PATIENCE, eventually


class Program:
    """A server that runs until it is stopped."""

    def __init__(
        self,
        port: int,
        folder: Path,
        *command: str | Path,
        unprivileged: bool = False,
        ends_on: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self._ends_on = ends_on
        self._said = (folder / f"{Path(command[0]).name}-{port}.log").open("w+")
        self._process = subprocess.Popen(
            [*(_unprivileged() if unprivileged else []), *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
        )
        try:
            eventually(f"{command[0]} listens", self._listens)
        except AssertionError:
            self.stop()
            raise

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            self._said.seek(0)
            raise AssertionError(self._said.read())
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def stop(self) -> None:
        """Ends it, if it still runs."""
        if self._process.poll() is None:
            self._process.send_signal(self._ends_on)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
        self._said.close()


def free_port() -> int:
    """A port that nobody had a moment ago, for servers that do not choose one themselves. It is none of those that the
    system gives to clients, so that no connection gets it meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def run(*command: str | Path, text: str | None = None, unprivileged: bool = False, **env: str) -> str:
    """Runs a command, which has to succeed; what it printed."""
    ended = subprocess.run(
        [*(_unprivileged() if unprivileged else []), *command],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * PATIENCE,
        env={**os.environ, **env},
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def _unprivileged() -> list[str]:
    """What drops the rights of root, with which some servers refuse to run."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []


def give_away(path: Path) -> None:
    """Makes a file or a folder that of whoever runs without the rights of root."""
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
