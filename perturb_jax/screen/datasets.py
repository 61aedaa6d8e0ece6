"""Published perturbation screens: what they are, and where a copy is."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from perturb_jax.support.errors import InputError
from perturb_jax.support.files import Progress, sha256_of

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
_REPLOGLE = "Replogle et al., Cell 185, 2559 (2022), doi:10.1016/j.cell.2022.05.013"


@dataclass(frozen=True)
class Dataset:
    """A published screen, as cell-gears distributes it: log-normalised, its most variable genes.

    cell-gears says of the two of Replogle et al. that they are filtered: not all that the authors measured.

    Attributes:
        name: what cell-gears calls it.
        file_id: the file's number at Harvard Dataverse.
        about: which cells and which perturbations.
        citation: the screen's paper.
    """

    name: str
    file_id: int
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
    """Where a data set is, and what is known about it.

    Attributes:
        path: the .h5ad file.
        sha256: its checksum.
        origin: where it came from just now: the cache, an archive placed by hand, or an address.
        first: its checksum was recorded just now, so nothing vouches for it but where it came from.
    """

    path: Path
    sha256: str
    origin: str
    first: bool


class Holding(NamedTuple):
    """What the cache holds of a data set: bytes; None for what is not there.

    Attributes:
        cells: the .h5ad file.
        part: the beginning of a download that was cut off.
        sha256: the recorded checksum, not verified.
    """

    cells: int | None
    part: int | None
    sha256: str | None


def cache_directory(cache: str | Path | None = None) -> Path:
    """The directory with the data sets: the given one, or PERTURB_JAX_CACHE, or the system's place for caches."""
    if cache is None and not (cache := os.environ.get(CACHE_VARIABLE)):
        import pooch  # type: ignore[import-untyped]  # loading it takes longer than listing what is there

        cache = pooch.os_cache("perturb_jax")
    return Path(cache)


def dataset_named(name: str) -> Dataset:
    """The data set of that name.

    Raises:
        InputError: no data set of that name.
    """
    if name not in DATASETS:
        raise InputError(f"data set: expected one of {', '.join(DATASETS)}, got {name!r}")
    return DATASETS[name]


def holding(name: str, cache: str | Path | None = None) -> Holding:
    """What the cache holds of a data set.

    Raises:
        InputError: an unknown name, a directory that cannot be read, a checksum file that is none.
    """
    place = cache_directory(cache) / dataset_named(name).name
    with _usable(place):
        sizes = [path.stat().st_size if path.is_file() else None for path in (place / CELLS, _part(place))]
        return Holding(sizes[0], sizes[1], _recorded(place))


def fetch(
    name: str, cache: str | Path | None = None, mirror: str | None = None, progress: Progress | None = None
) -> Fetched:
    """A data set's file: verified if it is in the cache, else unpacked from an archive that is downloaded once.

    `<cache>/<name>/perturb_processed.h5ad` is where it ends up, and where cell-gears would look for it. It, or
    the archive as `<cache>/<name>.zip`, can also be placed there by hand. No checksum is published: the one of the
    first file that arrives is recorded and trusted, and every later one is compared with it.

    Args:
        name: one of `DATASETS`.
        cache: the directory with the data sets; see `cache_directory`.
        mirror: where to download from instead of Harvard Dataverse: an address that ends with "/" is a directory that
            holds `<name>.zip`; any other is the archive's own.
        progress: told the bytes that are there, and how many there will be.

    Returns:
        Where the file is, its checksum, and whether that was compared with an earlier one.

    Raises:
        InputError: an unknown name, no connection, a refusal, a cut-off download (which the next call continues),
            another content than expected or than recorded, a directory that cannot be written. The data set is then
            not there, or as it was.
    """
    known = dataset_named(name)
    root = cache_directory(cache)
    place = root / known.name
    url = known.url if mirror is None else _mirrored(mirror, known.name)
    with _usable(place):
        recorded = _recorded(place)
        if (place / CELLS).exists():
            return _verified(place, recorded)
        by_hand = root / f"{known.name}.zip"
        if not by_hand.exists():
            return _downloaded(url, place, recorded, by_hand, progress)
        try:
            return _unpacked(by_hand, place, recorded, str(by_hand))
        except InputError as error:
            raise InputError(f"{error}; replace it, or delete it to download") from None


@contextmanager
def _usable(place: Path) -> Iterator[None]:
    """Say in one line that a directory cannot be read or written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{place}: cannot be used ({reason}); choose another directory with cache=...") from None


def _verified(place: Path, recorded: str | None) -> Fetched:
    cells = place / CELLS
    if recorded is None:
        from perturb_jax.screen.download import check_hdf5

        check_hdf5(cells)
    checksum = sha256_of(cells)
    if recorded is not None and checksum != recorded:
        raise InputError(
            f"{cells}: expected sha256 {recorded}, recorded when it was placed, got {checksum}: the file has changed; "
            f"delete it and fetch it again, or delete {CHECKSUM} beside it to accept it as it is"
        )
    if recorded is None:
        _record(place, checksum)
    return Fetched(cells, checksum, "cache", recorded is None)


def _downloaded(url: str, place: Path, recorded: str | None, by_hand: Path, progress: Progress | None) -> Fetched:
    import pooch

    from perturb_jax.screen.download import ResumingDownloader, shown

    remedy = f"try again later, name a mirror=..., or get the archive with a browser and place it as {by_hand}"
    pooch.get_logger().setLevel("WARNING")  # it prints each address and checksum, unasked
    with _directory(place):
        # no known_hash: what is recorded is the checksum of the cells, so that a mirror may pack them anew
        downloader = ResumingDownloader(_part(place), remedy, progress)
        archive = Path(pooch.retrieve(url, None, fname=_ARCHIVE, path=place, downloader=downloader))
        try:
            fetched = _unpacked(archive, place, recorded, shown(url))
        except InputError as error:
            archive.unlink()
            raise InputError(f"from {shown(url)}: {error}; the download is deleted: {remedy}") from None
        archive.unlink()
    return fetched


def _unpacked(archive: Path, place: Path, recorded: str | None, origin: str) -> Fetched:
    from perturb_jax.screen.download import unpack

    with _directory(place), tempfile.TemporaryDirectory(dir=place, prefix=".perturb-jax-") as staging:
        cells = Path(staging, CELLS)
        unpack(archive, CELLS, cells)
        checksum = sha256_of(cells)
        if recorded is not None and checksum != recorded:
            raise InputError(
                f"{archive}: expected {CELLS} with sha256 {recorded}, recorded the first time, got {checksum}; "
                f"if the new one is right, delete {place / CHECKSUM} first"
            )
        if recorded is None:
            _record(place, checksum)
        cells.replace(place / CELLS)
    return Fetched(place / CELLS, checksum, origin, recorded is None)


@contextmanager
def _directory(place: Path) -> Iterator[None]:
    """A directory to put files in; when nothing is put there it goes again, with those made for its sake."""
    made = [place, *(parent for parent in place.parents if not parent.exists())]
    place.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):  # the first that is not empty
            for directory in made:
                directory.rmdir()


def _recorded(place: Path) -> str | None:
    path = place / CHECKSUM
    if not path.exists():
        return None
    checksum, _, name = path.read_text(errors="replace").partition(" ")
    if len(checksum) != 64 or not set(checksum) <= set("0123456789abcdef") or name.strip(" *\n") != CELLS:
        raise InputError(f"{path}: expected '<sha256>  {CELLS}', got something else; delete it to trust the file anew")
    return checksum


def _record(place: Path, checksum: str) -> None:
    aside = place / f".{CHECKSUM}"
    aside.write_text(f"{checksum}  {CELLS}\n")
    aside.replace(place / CHECKSUM)


def _part(place: Path) -> Path:
    return place / f"{_ARCHIVE}.part"


def _mirrored(mirror: str, name: str) -> str:
    try:
        parts = urlsplit(mirror)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"mirror: expected an address that begins with http:// or https://, got {mirror!r}")
    return f"{mirror}{name}.zip" if mirror.endswith("/") else mirror
