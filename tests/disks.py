"""A disk that is full after some bytes, for this process, without being root."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nearly_full(room: int) -> Iterator[None]:
    """Let no file become larger than `room` bytes: a write beyond is refused, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
