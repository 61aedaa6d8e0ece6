"""Files that appear whole or not at all, and what makes numbers traceable: checksums and versions."""

import hashlib
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from platform import python_version

import perturb_jax
from perturb_jax.support.errors import InputError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and how many there will be, as far as the server says."""


def sha256_of(path: str | Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file that appears at `path`, or replaces the one there, when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".perturb-jax-") as staging:
        whole = Path(staging, path.name)
        yield whole
        whole.replace(path)


class OutputDirectory:
    """A directory that will receive a known set of files, checked before the work begins; made when they are written.

    With `force`, files of these names that exist are replaced, and removed where they are not written again.
    """

    def __init__(self, path: str | Path, names: Iterable[str], force: bool = False):
        if not str(path).strip():
            raise InputError(f"output: expected a directory to write to, got {str(path)!r}; '.' is the current one")
        self.path = Path(path)
        self.names = tuple(names)
        self.force = force
        try:
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
        except OSError as error:
            raise self._refusal(error) from None

    def write(self, contents: Mapping[str, bytes]) -> list[Path]:
        """Write all files aside, then move them there; returns their paths.

        A new directory appears with all of its files at once. In a directory that exists each file is replaced at
        once; they are written inside of it first, which may be another file system than its parent's.
        """
        try:
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
        except OSError as error:
            raise self._refusal(error) from None
        return [self.path / name for name in contents]

    def _move(self, whole: Path, names: Collection[str]) -> None:
        appeared = [name for name in names if (self.path / name).exists()]
        if appeared and not self.force:
            raise InputError(f"{self.path}: {', '.join(appeared)} appeared meanwhile; choose another directory")
        for name in names:
            (whole / name).replace(self.path / name)
        for stale in set(self.names) - set(names) if self.force else ():
            (self.path / stale).unlink(missing_ok=True)

    def _refusal(self, error: OSError) -> InputError:
        return InputError(f"{self.path}: cannot be written ({error.strerror}); choose another directory")


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
