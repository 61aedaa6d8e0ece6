"""Published perturbation screens: what they are, where a copy is, and how it gets there.

Downloads continue where they were cut off; archives are checked before they are unpacked.
"""

import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from perturb_jax.support.checks import check_choice
from perturb_jax.support.errors import InputError, OutputError
from perturb_jax.support.files import Progress, sha256_of, whole_file, writing

if TYPE_CHECKING:
    import requests

CACHE_VARIABLE = "PERTURB_JAX_CACHE"
"""The environment variable that names the cache directory."""
CELLS = "perturb_processed.h5ad"
"""The file of a data set."""
CHECKSUM = CELLS + ".sha256"
"""Its checksum, beside it, as `sha256sum` writes it."""
PROCESSED_BY = "Roohani et al., Nature Biotechnology 42, 927 (2024), doi:10.1038/s41587-023-01905-6"
"""What to cite for the processing that all of these data sets have in common."""

_DATAVERSE = "https://dataverse.harvard.edu"
_ARCHIVE = "download.zip"
_PART = _ARCHIVE + ".part"
HDF5_START, _ZIP_START = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
_CHUNK = 1 << 16
_TIMEOUT = (15.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes."""
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What zipfile raises for an archive that cannot be unpacked; RuntimeError is its word for an encrypted one."""
_REPLOGLE = "Replogle et al., Cell 185, 2559 (2022), doi:10.1016/j.cell.2022.05.013"


@dataclass(frozen=True)
class Dataset:
    """A published screen, as cell-gears names and distributes it: log-normalised, its most variable genes.

    cell-gears says of the two of Replogle et al. that they are filtered: not all that the authors measured.
    """

    name: str
    file_id: int  # at Harvard Dataverse
    about: str
    citation: str

    @property
    def url(self) -> str:
        """The address of the zip archive."""
        return f"{_DATAVERSE}/api/access/datafile/{self.file_id}"

    @property
    def page(self) -> str:
        """The page that states the file's licence; cell-gears states none."""
        return f"{_DATAVERSE}/file.xhtml?fileId={self.file_id}"


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "adamson", 6154417, "K562, CRISPRi, single genes of the unfolded protein response",
            "Adamson et al., Cell 167, 1867 (2016), doi:10.1016/j.cell.2016.11.048",
        ),
        Dataset("replogle_k562_essential", 7458695, "K562, CRISPRi, single essential genes", _REPLOGLE),
        Dataset("replogle_rpe1_essential", 7458694, "RPE1, CRISPRi, single essential genes", _REPLOGLE),
        Dataset(
            "norman", 6154020, "K562, CRISPRa, single genes and pairs",
            "Norman et al., Science 365, 786 (2019), doi:10.1126/science.aax4438",
        ),
        Dataset(
            "dixit", 6154416, "CRISPR knockout, transcription factors",
            "Dixit et al., Cell 167, 1853 (2016), doi:10.1016/j.cell.2016.11.038",
        ),
    )
}  # fmt: skip
"""The data sets by name."""


class Fetched(NamedTuple):
    """Where a data set is, and where it came from just now."""

    path: Path
    sha256: str
    origin: str  # "cache", an archive, or an address
    first: bool  # the checksum was recorded just now, so nothing vouches for the file but where it came from


class Holding(NamedTuple):
    """What the cache holds of a data set, None for what is not there."""

    cells: int | None  # bytes of the .h5ad file
    part: int | None  # bytes of a download that was cut off
    sha256: str | None  # as it was recorded, not verified


def cache_directory(cache: str | Path | None = None) -> Path:
    """The directory with the data sets: the given one, or PERTURB_JAX_CACHE, or the system's directory for caches."""
    if cache is None and not (cache := os.environ.get(CACHE_VARIABLE)):
        import pooch  # type: ignore[import-untyped]  # loading it takes longer than listing what is there

        cache = pooch.os_cache("perturb_jax")
    return Path(cache).expanduser()


def holding(name: str, cache: str | Path | None = None) -> Holding:
    """What the cache holds of a data set."""
    check_choice("data set", name, tuple(DATASETS))
    folder = cache_directory(cache) / name
    with _usable(folder):
        sizes = [path.stat().st_size if path.is_file() else None for path in (folder / CELLS, folder / _PART)]
        return Holding(sizes[0], sizes[1], _recorded(folder))


def fetch(
    name: str, cache: str | Path | None = None, mirror: str | None = None, progress: Progress | None = None
) -> Fetched:
    """A data set's file: verified if it is in the cache, else unpacked from an archive that is downloaded once.

    `<cache>/<name>/perturb_processed.h5ad` is where it ends up, and where cell-gears would look for it. It, or
    the archive as `<cache>/<name>.zip`, can also be placed there by hand. No checksum is published: the one of the
    first file that arrives is recorded and trusted, and every later one is compared with it. A `mirror` to download
    from instead of Harvard Dataverse that ends with "/" is a directory with `<name>.zip`; any other is the archive.

    Raises:
        InputError: an unknown name, no connection, a refusal, a cut-off download (which the next call continues),
            another content than expected or than recorded, a directory that cannot be written. The data set is then
            not there, or as it was.
    """
    check_choice("data set", name, tuple(DATASETS))
    root = cache_directory(cache)
    folder = root / name
    url = DATASETS[name].url if mirror is None else _mirrored(mirror, name)
    with _usable(folder):
        recorded = _recorded(folder)
        if (folder / CELLS).exists():
            return _verified(folder, recorded)
        by_hand = root / f"{name}.zip"
        if not by_hand.exists():
            return _downloaded(url, folder, recorded, by_hand, progress)
        try:
            return _unpacked(by_hand, folder, recorded, str(by_hand))
        except OutputError:
            raise
        except InputError as error:
            raise InputError(f"{error}; replace it, or delete it to download") from None


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Say in one line that a directory cannot be read or written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{folder}: cannot be used ({reason}); choose another directory with cache=...") from None


def _verified(folder: Path, recorded: str | None) -> Fetched:
    cells = folder / CELLS
    if recorded is None:
        _check_hdf5(cells)
    remedy = f"the file has changed; delete it and fetch it again, or delete {CHECKSUM} beside it to accept it as it is"
    return Fetched(cells, _vouched(cells, folder, recorded, str(cells), remedy), "cache", recorded is None)


def _downloaded(url: str, folder: Path, recorded: str | None, by_hand: Path, progress: Progress | None) -> Fetched:
    remedy = f"try again later, name a mirror=..., or get the archive with a browser and place it as {by_hand}"
    with _directory(folder):
        archive = folder / _ARCHIVE
        _download(url, folder / _PART, remedy, progress)
        (folder / _PART).replace(archive)
        try:
            return _unpacked(archive, folder, recorded, shown(url))
        except OutputError:
            raise
        except InputError as error:
            raise InputError(f"from {shown(url)}: {error}; the download is deleted: {remedy}") from None
        finally:
            archive.unlink()


def _unpacked(archive: Path, folder: Path, recorded: str | None, origin: str) -> Fetched:
    with _directory(folder), whole_file(folder / CELLS) as cells:
        _unpack(archive, cells)
        remedy = f"if the new one is right, delete {folder / CHECKSUM} first"
        checksum = _vouched(cells, folder, recorded, f"{archive}: {CELLS} in it", remedy)
    return Fetched(folder / CELLS, checksum, origin, recorded is None)


@contextmanager
def _directory(folder: Path) -> Iterator[None]:
    """A directory to put files in; when nothing is put there it goes again, with those made for its sake."""
    made = [folder, *(parent for parent in folder.parents if not parent.exists())]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):  # the first that is not empty
            for directory in made:
                directory.rmdir()


def _recorded(folder: Path) -> str | None:
    path = folder / CHECKSUM
    if not path.exists():
        return None
    checksum, _, name = path.read_text(errors="replace").partition(" ")
    if len(checksum) != 64 or not set(checksum) <= set("0123456789abcdef") or name.strip(" *\n") != CELLS:
        raise InputError(f"{path}: expected '<sha256>  {CELLS}', got something else; delete it to trust the file anew")
    return checksum


def _vouched(cells: Path, folder: Path, recorded: str | None, called: str, remedy: str) -> str:
    """The checksum of a file, which is the recorded one, or is recorded now."""
    checksum = sha256_of(cells)
    if recorded is None:
        with whole_file(folder / CHECKSUM) as whole:
            whole.write_text(f"{checksum}  {CELLS}\n")
    elif checksum != recorded:
        raise InputError(f"{called}: expected sha256 {recorded}, recorded the first time, got {checksum}; {remedy}")
    return checksum


def _mirrored(mirror: str, name: str) -> str:
    try:
        parts = urlsplit(mirror)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"mirror: expected an address that begins with http:// or https://, got {mirror!r}")
    return f"{mirror}{name}.zip" if mirror.endswith("/") else mirror


def _download(url: str, part: Path, remedy: str, progress: Progress | None = None) -> None:
    """Download what of a zip archive is not in `part` yet, which is kept when the download is cut off.

    The rest comes by an HTTP Range request; a server that sends everything instead is understood. That both halves are
    of the same file is not known before the archive is unpacked: its checksums tell. Two downloads into one `part` at
    the same time disturb each other; those checksums tell that too.
    """
    import requests  # loading it takes longer than listing what is there

    codes = requests.codes
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "perturb-jax", "Accept-Encoding": "identity"}  # lengths are then those of the file
    headers |= {"Range": f"bytes={have}-"} if have else {}
    try:
        answer = requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT)
    except requests.RequestException as error:
        raise InputError(f"{shown(url)}: cannot be reached ({_reason(error)}); {remedy}") from None
    with answer:
        whole_range = codes.requested_range_not_satisfiable
        if answer.status_code not in ([codes.ok, codes.partial_content, whole_range] if have else [codes.ok]):
            got = f"HTTP {answer.status_code} {answer.reason}".strip()
            raise InputError(f"{shown(url)}: expected the file, got {got}; {remedy}")
        if answer.status_code == whole_range:
            if answer.headers.get("Content-Range") != f"bytes */{have}":
                part.unlink()
                raise InputError(f"{part}: does not fit what {shown(url)} has; deleted: run the command again")
            return
        done, total = _range(url, answer, part, have)

        def cut_off(reason: str) -> InputError:
            of = "" if total is None else f" of {total:,}"
            kept = f"they are kept in {part}: run the command again to get the rest" if done else remedy
            return InputError(f"{shown(url)}: cut off after {done:,}{of} bytes ({reason}); {kept}")

        try:
            for chunk in answer.iter_content(_CHUNK):
                if done == 0 and not chunk.startswith(_ZIP_START):
                    raise InputError(f"{shown(url)}: expected a zip archive, got {_described(chunk)}; {remedy}")
                with writing(part), part.open("ab" if done else "wb") as file:
                    file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
        except OutputError:
            part.unlink(missing_ok=True)  # else the disk stays full
            raise
        except requests.RequestException as error:
            raise cut_off(_reason(error)) from None
        if done == 0:
            raise InputError(f"{shown(url)}: expected a zip archive, got nothing; {remedy}")
        if total is not None and done != total:
            raise cut_off("the server stopped sending")


def _range(url: str, answer: "requests.Response", part: Path, have: int) -> tuple[int, int | None]:
    """Where the bytes that come begin, and how many the whole file has."""
    if answer.status_code == 200:
        start, length = 0, answer.headers.get("Content-Length", "")
    else:
        start, span = have, answer.headers.get("Content-Range", "")
        if not span.startswith(f"bytes {have}-"):
            raise InputError(
                f"{shown(url)}: expected the bytes from {have} on, got {span or 'others'}; delete {part} and run the "
                "command again"
            )
        length = span.rpartition("/")[2]
    return start, int(length) if length.isdecimal() else None


def _unpack(archive: Path, target: Path) -> None:
    """Write the one file of the target's name in a zip archive, in whatever folder there; others stay in it."""
    try:
        with zipfile.ZipFile(archive) as files:
            wanted = _only(archive, files, target.name)
            free = shutil.disk_usage(target.parent).free
            if wanted.file_size > free:
                needed = f"{target.name} needs {wanted.file_size:,} bytes, {free:,} are free"
                raise OutputError(f"{target.parent}: {needed}; make room there")
            with files.open(wanted) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, _CHUNK)
    except _DAMAGE as error:
        what = _described(_beginning(archive))
        raise InputError(f"{archive}: expected a whole zip archive, got {what} ({error})") from None
    _check_hdf5(target, f"{target.name} in {archive}")


def _check_hdf5(path: Path, called: str | None = None) -> None:
    """Refuse a file that is not HDF5, which every .h5ad is."""
    beginning = _beginning(path)
    if not beginning.startswith(HDF5_START):
        raise InputError(f"{called or path}: expected an .h5ad file (HDF5), got {_described(beginning)}")


def _described(beginning: bytes) -> str:
    """What a file is by its first bytes, for error messages."""
    if not beginning:
        return "an empty file"
    if beginning.startswith(_ZIP_START):
        return "a damaged one"
    if beginning.startswith(HDF5_START):
        return "an HDF5 file"
    text = beginning[:60].decode("ascii", "replace").split()
    return f"a file that begins with {' '.join(text)!r}"


def shown(url: str) -> str:
    """An address without the passwords and tokens that may be in it."""
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


def _reason(error: BaseException) -> str:
    """The innermost cause in a chain of errors, which is the one that says what happened."""
    seen = {id(error)}
    while (cause := error.__cause__ or error.__context__) is not None and id(cause) not in seen:
        error = cause
        seen.add(id(error))
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
