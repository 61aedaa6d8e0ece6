"""Files that appear whole or not at all, and the checksums that make numbers traceable."""

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from perturb_jax.errors import InputError


def sha256_of(path: str | Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class OutputDirectory:
    """A directory that will receive a known set of files, checked before the work begins.

    Args:
        path: the directory; made when the files are written.
        names: the files that will be written.
        force: replace files of these names that exist.

    Raises:
        InputError: a path that cannot be written, or that holds one of the files already.
    """

    def __init__(self, path: str | Path, names: Iterable[str], force: bool = False):
        self.path = Path(path)
        self.names = tuple(names)
        existing = [name for name in self.names if (self.path / name).exists()]
        if existing and not force:
            raise InputError(f"{self.path}: already holds {', '.join(existing)}; choose another directory or --force")
        place = self.path
        while not place.exists() and place != place.parent:
            place = place.parent
        try:
            Path(tempfile.mkdtemp(dir=place, prefix=".perturb-jax-")).rmdir()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}); choose another directory") from None

    def write(self, contents: Mapping[str, bytes]) -> list[Path]:
        """Write all files beside the directory, then move them into place; returns their paths."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=f".{self.path.name}-") as staging:
                for name, content in contents.items():
                    Path(staging, name).write_bytes(content)
                self.path.mkdir(exist_ok=True)
                for name in contents:
                    Path(staging, name).replace(self.path / name)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}); choose another directory") from None
        return [self.path / name for name in contents]
