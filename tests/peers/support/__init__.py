"""What the tests have in common: processes of Evener, servers behind it, and certificates."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

# How long anything may take that is sure to happen; reached only where it does not.
PATIENCE = 15.0


def eventually(what: str, holds: Callable[[], Value | None]) -> Value:
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := holds():
            return value
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")
