"""Files that appear whole or not at all, and what makes numbers traceable: checksums and versions."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from platform import python_version
from typing import Any

import perturb_jax
from perturb_jax.support.errors import InputError, OutputError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and how many there will be, as far as the server says."""


def sha256_of(path: str | Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room there, or choose another"),
    errno.ENAMETOOLONG: "choose a shorter name for the",
}


@contextmanager
def writing(path: Path, kind: str = "directory") -> Iterator[None]:
    """Say in one line that the system does not let something be written: a full disk, say; `kind` is what to choose.

    Raises:
        OutputError: in place of any OSError of the block.
    """
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "choose another")
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); {remedy} {kind}") from None


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file that appears at `path`, or replaces the one there, when the block ends without an error.

    Raises:
        OutputError: it cannot be written; nothing is left then.
    """
    path = path.expanduser()
    with writing(path, "path"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".perturb-jax-") as staging:
            whole = Path(staging, path.name)
            yield whole
            with whole.open("rb") as file:
                os.fsync(file.fileno())  # where a network's file system says that there was no room
            whole.replace(path)


def json_bytes(record: Any, indent: int | None = 2, **how: Any) -> bytes:
    r"""A record as a JSON file holds it, letters as they are.

    Bytes of a path that are not UTF-8, which Python keeps as lone surrogates, become JSON's escapes of these.

    Examples:
        >>> json_bytes({"path": "sc\udce9.h5ad"}, indent=None)
        b'{"path": "sc\\udce9.h5ad"}\n'
    """
    return (json.dumps(record, indent=indent, ensure_ascii=False, **how) + "\n").encode(errors="backslashreplace")


class OutputDirectory:
    """A directory that will receive a known set of files, checked before the work begins; made when they are written.

    With `force`, files of these names that exist are replaced, and removed where they are not written again.
    """

    def __init__(self, path: str | Path, names: Iterable[str], force: bool = False):
        if not str(path).strip():
            raise InputError(f"output: expected a directory to write to, got {str(path)!r}; '.' is the current one")
        self.path = Path(path).expanduser()
        self.names = tuple(names)
        self.force = force
        with writing(self.path):
            existing = [name for name in self.names if (self.path / name).exists()]
            if any((self.path / name).is_dir() for name in existing):
                raise InputError(
                    f"{self.path}: {', '.join(existing)} would replace a directory; choose another directory"
                )
            if existing and not force:
                raise InputError(
                    f"{self.path}: already holds {', '.join(existing)}; choose another directory, or force=True"
                )
            nearest = self.path
            while not nearest.exists() and nearest != nearest.parent:
                nearest = nearest.parent
            Path(tempfile.mkdtemp(dir=nearest, prefix=".perturb-jax-")).rmdir()

    def write(self, contents: Mapping[str, bytes]) -> list[Path]:
        """Write all files aside, then move them there; returns their paths.

        A new directory appears with all of its files at once. In a directory that exists each file is replaced at
        once; they are written inside of it first, which may be another file system than its parent's.
        """
        with writing(self.path):
            there = self.path.is_dir()
            parent = self.path if there else self.path.parent
            parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=parent, prefix=".perturb-jax-") as staging:
                whole = Path(staging, "whole")
                whole.mkdir()
                for name, content in contents.items():
                    (whole / name).write_bytes(content)
                if there:
                    self._move(whole, contents)
                else:
                    whole.rename(self.path)
        return [self.path / name for name in contents]

    def _move(self, whole: Path, names: Collection[str]) -> None:
        appeared = [name for name in names if (self.path / name).exists()]
        if appeared and not self.force:
            raise InputError(f"{self.path}: {', '.join(appeared)} appeared meanwhile; choose another directory")
        for name in names:
            (whole / name).replace(self.path / name)
        for stale in set(self.names) - set(names) if self.force else ():
            (self.path / stale).unlink(missing_ok=True)


_PACKAGES = (
    "jax", "numba", "numpy", "pandas", "scipy", "anndata", "torch", "torch_geometric", "cell-gears", "flax", "optax",
)  # fmt: skip


def checksums(inputs: Mapping[str, Path | None]) -> dict[str, dict[str, str | None]]:
    """The files that were read, by the option that named them, with their SHA-256; None for a pipe, read only once."""
    return {
        option: {"path": str(path), "sha256": sha256_of(path) if path.is_file() else None}
        for option, path in inputs.items()
        if path is not None
    }


def versions() -> dict[str, str]:
    """Versions of this package and of what its numbers depend on, where it is installed."""
    from importlib.metadata import PackageNotFoundError, version  # takes as long to load as all else here

    found = {"perturb_jax": perturb_jax.__version__, "python": python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
