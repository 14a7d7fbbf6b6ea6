"""curl as a command."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import PATIENCE

HOST = "example.test"


@dataclass
class Answer:
    """What curl printed, and how it ended."""

    code: int
    body: str
    told: str


def curl(*arguments: str | Path, data: bytes | None = None) -> Answer:
    """Runs curl, which prints the body to one pipe and what it did to the other."""
    limit = ["--max-time", str(PATIENCE)]
    ended = subprocess.run(
        ["curl", "-sSv", "--noproxy", "*", *limit, *arguments],
        input=data,
        capture_output=True,
        timeout=2 * PATIENCE,
    )
    return Answer(
        ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")
    )


def streaming(*arguments: str | Path) -> subprocess.Popen[str]:
    """Starts curl and leaves it to the test to read what it prints, which is at once what it gets."""
    command = ["curl", "-sSN", "--noproxy", "*", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def named(port: int, host: str = HOST) -> list[str]:
    """Has curl find a host at the edge, as DNS would."""
    return ["--resolve", f"{host}:{port}:127.0.0.1"]
