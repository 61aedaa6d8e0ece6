"""Commands under test hear Control-C."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _hear_control_c() -> Iterator[None]:
    """Let the commands hear it, also where the tests run in the background of a shell, which lets them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
