"""`evener run` as a process, on ports that the system chooses."""

import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import IO, Any

from . import PATIENCE, eventually

BINARY = Path(os.environ.get("EVENER", "target/debug/evener")).absolute()


class Edge:
    """A running edge, its access log and its messages."""

    def __init__(self, folder: Path, config: str) -> None:
        (folder / "edge.yaml").write_text(config)
        self._lines: list[str] = []
        self.messages: list[str] = []
        self._process = subprocess.Popen(
            [BINARY, "run", "-c", "edge.yaml"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        _keep(self._process.stdout, self._lines)
        _keep(self._process.stderr, self.messages)
        try:
            eventually("the edge is up", self._is_up)
        except AssertionError as error:
            self._process.kill()
            raise AssertionError("\n".join(self.messages)) from error

    def _is_up(self) -> bool:
        assert self._process.poll() is None, "\n".join(self.messages)
        # The banner ends with requests to try; there is a route for them in every configuration here.
        return any(line.startswith("  curl ") for line in list(self.messages))

    def port(self, listener: str) -> int:
        """The port of a listener, as the banner tells it."""
        words = [line.split() for line in self.messages]
        address = next(line[2] for line in words if line[:2] == ["listener", listener])
        return int(address.rsplit(":", 1)[1])

    def admin(self) -> str:
        """The address of the admin listener."""
        return next(line.split()[1] for line in self.messages if line.startswith("  admin "))

    def log(self) -> list[dict[str, Any]]:
        """The lines of the access log so far."""
        return [json.loads(line) for line in list(self._lines)]

    def logged(self, **fields: Any) -> dict[str, Any]:
        """Waits for a line with these fields."""

        def found() -> dict[str, Any] | None:
            return next((line for line in self.log() if fields.items() <= line.items()), None)

        return eventually(f"a line with {fields}", found)

    def drain(self) -> None:
        """Has the process end after the running requests, and waits until it is about to."""
        self._process.terminate()
        eventually("the edge drains", lambda: any("draining" in line for line in list(self.messages)))

    def ended(self) -> int:
        """Waits for the end of the process, and returns its exit status."""
        return self._process.wait(PATIENCE)

    def stop(self) -> None:
        """Ends the process, unless it has ended in peace."""
        status = self._process.poll()
        if status is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self.ended()
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        assert status in (None, 0), (status, self.messages)
        assert not [line for line in self.messages if "panicked" in line], self.messages


def _keep(stream: IO[str] | None, lines: list[str]) -> None:
    """Empties a pipe, so that what is written to it blocks nobody."""
    assert stream is not None
    threading.Thread(target=lambda: lines.extend(_stripped(stream)), daemon=True).start()


def _stripped(stream: IO[str]):
    for line in stream:
        yield line.rstrip("\n")
