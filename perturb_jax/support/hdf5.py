"""HDF5 files that appear whole or not at all, on a disk that may be full."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO, RawIOBase
from pathlib import Path
from typing import Any

import h5py

from perturb_jax.support.files import whole_file


@contextmanager
def whole_hdf5(path: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """An HDF5 file that appears at `path`, or replaces the one there, when the block ends without an error.

    Yields the file and what says during a long work that writing has failed already, by raising it.

    Raises:
        OutputError: it cannot be written; nothing is left then.
    """
    with whole_file(path) as whole, whole.open("w+b", buffering=0) as raw:
        disk = _Disk(raw)
        with h5py.File(disk, "w") as file:
            yield file, disk.check
        disk.check()


class _Disk(RawIOBase):
    """A file as HDF5 wants one, which never fails: HDF5 cannot close a file that it could not write, and crashes.

    What does not fit is kept in memory, so that the file can be closed; then `check` raises the error.
    """

    def __init__(self, raw: FileIO):
        self._raw, self._position = raw, 0
        self._error: OSError | None = None
        self._kept: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raise what a write raised."""
        if self._error is not None:
            raise self._error

    def seek(self, position: int, whence: int = 0) -> int:
        self._position = self._raw.seek(position, whence)
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, content: Any) -> int:
        rest, left = self._position, memoryview(content).cast("B")
        size = len(left)
        try:
            while len(left) and self._error is None:
                self._raw.seek(rest)
                done = self._raw.write(left) or 0
                rest, left = rest + done, left[done:]
        except OSError as error:
            self._error = error
        if len(left):
            self._kept.append((rest, bytes(left)))
        self._position += size
        return size

    def readinto(self, target: Any) -> int:
        view = memoryview(target).cast("B")
        size, start = len(view), self._position
        self._raw.seek(start)
        there = self._raw.readinto(view) or 0
        view[there:] = bytes(size - there)
        for begin, content in self._kept:
            first, last = max(begin, start), min(begin + len(content), start + size)
            if first < last:
                view[first - start : last - start] = content[first - begin : last - begin]
        self._position += size
        return size

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return self._raw.truncate(size)
        except OSError as error:
            self._error = error
            return size or 0

    def flush(self) -> None:
        """Nothing is held back."""
