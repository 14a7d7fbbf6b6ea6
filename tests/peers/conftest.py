"""The edge, the servers behind it and the authority that all tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from support import certificates
from support.background import Background
from support.edge import Edge
from support.origin import Origin

Start = Callable[[str], Edge]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an edge with a configuration, in the test's own folder, and ends it after the test."""
    running: list[Edge] = []

    def begin(config: str) -> Edge:
        running.append(Edge(tmp_path, config))
        return running[-1]

    yield begin
    for edge in running:
        edge.stop()


@pytest.fixture
def background() -> Iterator[Background]:
    """An event loop for servers."""
    background = Background()
    yield background
    background.stop()


@pytest.fixture
def origin(background: Background) -> Origin:
    """An HTTP/1.1 server to stand behind the edge."""
    return Origin(background)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The authority that clients are told to trust."""
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    """Its certificate in a file, beside `site.pem` and `site.key` for `example.test`."""
    certificates.issue(authority, tmp_path, "site", "example.test", "*.example.test", "127.0.0.1")
    return certificates.write_authority(authority, tmp_path, "ca")
