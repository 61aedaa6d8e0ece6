"""Downloads that continue where they were cut off, and archives that are looked into before they are unpacked."""

import shutil
import zipfile
import zlib
from contextlib import closing
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import requests

from perturb_jax.support.errors import InputError
from perturb_jax.support.files import Progress

HDF5_START, ZIP_START = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
_CHUNK = 1 << 16
_TIMEOUT = (15.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes."""
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What zipfile raises for an archive that cannot be unpacked; RuntimeError is its word for an encrypted one."""


class ResumingDownloader:
    """A downloader for pooch that keeps what came of a cut-off download and asks only for the rest.

    pooch's own downloaders begin anew each time. This one collects the bytes in `part` and moves it to where pooch
    wants the file when it is whole. The rest is asked for with an HTTP Range request; a server that sends everything
    instead is understood. That both halves are of the same file is not known before the archive is unpacked: its
    checksums tell. Two downloads into one `part` at the same time disturb each other; those checksums tell that too.

    Args:
        part: the file that collects the bytes; kept when the download is cut off.
        remedy: what the user can do when the server does not give the file: the end of an error message.
        progress: told how far the download is.

    Raises:
        InputError: no connection, a refusal, something other than a zip archive, or a download that was cut off.
    """

    def __init__(self, part: Path, remedy: str, progress: Progress | None = None):
        self.part = part
        self.remedy = remedy
        self.progress = progress

    def __call__(self, url: str, output_file: str, _: object) -> None:
        """Download `url` to `output_file`."""
        with closing(self._answer(url)) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                whole = answer.headers.get("Content-Range") == f"bytes */{self._have()}"
                if not whole:
                    self.part.unlink()
                    raise InputError(f"{self.part}: does not fit what {shown(url)} has; deleted: run the command again")
            else:
                self._receive(url, answer)
        self.part.replace(output_file)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _answer(self, url: str) -> requests.Response:
        headers = {"User-Agent": "perturb-jax", "Accept-Encoding": "identity"}  # lengths are then those of the file
        if start := self._have():
            headers["Range"] = f"bytes={start}-"
        try:
            answer = requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise InputError(f"{shown(url)}: cannot be reached ({_reason(error)}); {self.remedy}") from None
        expected = [requests.codes.ok]
        if start:
            expected += [requests.codes.partial_content, requests.codes.requested_range_not_satisfiable]
        if answer.status_code not in expected:
            answer.close()
            got = f"HTTP {answer.status_code} {answer.reason}".strip()
            raise InputError(f"{shown(url)}: expected the file, got {got}; {self.remedy}")
        return answer

    def _receive(self, url: str, answer: requests.Response) -> None:
        start, total = self._range(url, answer)
        done = start
        try:
            for chunk in answer.iter_content(_CHUNK):
                if done == 0 and not chunk.startswith(ZIP_START):
                    raise InputError(f"{shown(url)}: expected a zip archive, got {described(chunk)}; {self.remedy}")
                with self.part.open("ab" if done else "wb") as file:
                    file.write(chunk)
                done += len(chunk)
                if self.progress is not None:
                    self.progress(done, total)
        except requests.RequestException as error:
            raise self._cut_off(url, done, total, _reason(error)) from None
        if done == 0:
            raise InputError(f"{shown(url)}: expected a zip archive, got nothing; {self.remedy}")
        if total is not None and done != total:
            raise self._cut_off(url, done, total, "the server stopped sending")

    def _range(self, url: str, answer: requests.Response) -> tuple[int, int | None]:
        """Where the bytes that come begin, and how many the whole file has."""
        if answer.status_code == requests.codes.ok:
            return 0, _number(answer.headers.get("Content-Length"))
        span = answer.headers.get("Content-Range", "")
        if not span.startswith(f"bytes {self._have()}-"):
            raise InputError(
                f"{shown(url)}: expected the bytes from {self._have()} on, got {span or 'others'}; delete {self.part} "
                "and run the command again"
            )
        return self._have(), _number(span.rpartition("/")[2])

    def _cut_off(self, url: str, done: int, total: int | None, reason: str) -> InputError:
        of = "" if total is None else f" of {total:,}"
        kept = f"they are kept in {self.part}: run the command again to get the rest" if done else self.remedy
        return InputError(f"{shown(url)}: cut off after {done:,}{of} bytes ({reason}); {kept}")


def unpack(archive: Path, name: str, target: Path) -> None:
    """Write the one file of the given name in a zip archive to `target`; other files in the archive stay there.

    Args:
        archive: the zip archive.
        name: the name of the wanted file, in whatever folder of the archive.
        target: where to write it.

    Raises:
        InputError: not a zip archive, a damaged or encrypted one, one whose paths lead outside of it, none or several
            files of that name, too little disk space, or a file that is not HDF5.
    """
    try:
        with zipfile.ZipFile(archive) as files:
            wanted = _only(archive, files, name)
            free = shutil.disk_usage(target.parent).free
            if wanted.file_size > free:
                raise InputError(f"{target.parent}: {name} needs {wanted.file_size:,} bytes, {free:,} are free")
            with files.open(wanted) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, _CHUNK)
    except _DAMAGE as error:
        what = described(_beginning(archive))
        raise InputError(f"{archive}: expected a whole zip archive, got {what} ({error})") from None
    check_hdf5(target, f"{name} in {archive}")


def check_hdf5(path: Path, called: str | None = None) -> None:
    """Refuse a file that is not HDF5, which every .h5ad is."""
    beginning = _beginning(path)
    if beginning[: len(HDF5_START)] != HDF5_START:
        raise InputError(f"{called or path}: expected an .h5ad file (HDF5), got {described(beginning)}")


def described(beginning: bytes) -> str:
    """What the first bytes of a file look like, for error messages."""
    if not beginning:
        return "an empty file"
    if beginning.startswith(ZIP_START):
        return "a damaged one"
    if beginning.startswith(HDF5_START):
        return "an HDF5 file"
    text = beginning[:60].decode("ascii", "replace").split()
    return f"a file that begins with {' '.join(text)!r}"


def shown(url: str) -> str:
    """An address without the passwords and tokens that may be in it.

    Examples:
        >>> shown("https://me:secret@mirror.org/norman.zip?token=1")
        'https://mirror.org/norman.zip'
    """
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _only(archive: Path, files: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    entries = files.infolist()
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or any(":" in part for part in path.parts[:1]):
            raise InputError(f"{archive}: holds a path that leads out of the archive, {entry.filename!r}; not unpacked")
    wanted = [entry for entry in entries if PurePosixPath(entry.filename).name == name and not entry.is_dir()]
    if len(wanted) != 1:
        inside = ", ".join(entry.filename for entry in (wanted or entries)[:5]) or "nothing"
        raise InputError(f"{archive}: expected exactly one {name} in it, got {len(wanted)} (it holds {inside})")
    return wanted[0]


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(60)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _reason(error: BaseException) -> str:
    """The innermost cause in a chain of errors, which is the one that says what happened."""
    seen = {id(error)}
    while (cause := error.__cause__ or error.__context__) is not None and id(cause) not in seen:
        error = cause
        seen.add(id(error))
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
