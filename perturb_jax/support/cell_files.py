"""Opening files of cells (`.h5ad`, zarr) and reading their tables; what cannot be read is said in one line."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EAGAIN
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perturb_jax.support.errors import InputError, prefixed

if TYPE_CHECKING:
    import pandas as pd

CELLS = (".h5ad", ".zarr", ".h5")
"""Suffixes of files of cells, in lower case."""

SCREEN_KEY = "perturb_jax_screen"
"""Where in `uns` a saved screen says what it is."""

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_OTHER_FILES = (
    (rb"\x1f\x8b", "compressed with gzip: unpack it (gunzip) and give the .h5ad file"),
    (rb"PK\x03\x04", "a zip archive: unpack it (unzip) and give the .h5ad file or zarr directory in it"),
    (rb"BZh", "compressed with bzip2: unpack it (bunzip2) and give the .h5ad file"),
    (rb"\xfd7zXZ", "compressed with xz: unpack it (unxz) and give the .h5ad file"),
    (rb"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it (unzstd) and give the .h5ad file"),
    (rb"version https://git-lfs", "a Git LFS pointer, not the file itself: fetch that with git lfs pull"),
    (rb"(?i)\s*(<!--.*?-->\s*)?<(!doctype\s+html|html)", "a web page: fetch the file itself, by its direct link"),
    (rb"(?i)\s*<\?xml", "XML, such as a server's error message: fetch the file again"),
    (rb"\s*\{", "JSON, such as a server's error message: fetch the file again"),
    (rb"(RDX|X\n|RDA)", "an R object: write it as .h5ad, with zellkonverter or sceasy"),
    (rb"%%MatrixMarket", "a MatrixMarket table: read it with scanpy, add the labels and write .h5ad"),
)  # fmt: skip
"""How files begin that people have in place of an `.h5ad` file, and what to do."""

_OTHER_GROUPS = {
    "matrix": "10x Genomics' format without labels: read it with scanpy.read_10x_h5, add the labels, write .h5ad",
    "row_attrs": "a loom file: read it with scanpy.read_loom and write .h5ad",
    "mod": "a MuData file: write the modality with expression, mdata['rna'].write_h5ad(...)",
}


def is_cell_file(path: Path) -> bool:
    """Whether a path is called like a file of cells, whatever compressed it, or is a zarr directory."""
    return bool({suffix.lower() for suffix in path.suffixes} & set(CELLS)) or _is_zarr(path)


@contextmanager
def open_cell_file(path: Path) -> Iterator[Any]:
    """Open an `.h5ad` file or a zarr directory to read; yields its root, an `h5py.File` or a `zarr.Group`.

    Whatever fails while it is open becomes one clear line that begins with the path.

    Raises:
        InputError: a file that is missing, locked, unreadable, damaged or something else, with what to do.
    """
    import h5py  # takes long to load

    with prefixed(f"{path}: "):
        try:
            if path.is_dir():
                yield _open_zarr(path)
            else:
                with h5py.File(path, "r") as file:
                    yield file
        except FileNotFoundError:
            raise InputError("no such file; give the path of an .h5ad file") from None
        except PermissionError:
            raise InputError("may not be read (permission denied); ask its owner, or copy it") from None
        except (OSError, KeyError, EOFError, RuntimeError) as error:
            raise InputError(_why_not(path, error)) from None


def read_cell_table(file: Any, name: str) -> "pd.DataFrame":
    """The table of cells ("obs") or of genes ("var", "raw/var") of an open file, in AnnData's encodings old and new."""
    import anndata  # takes long to load
    import pandas as pd

    if name not in file:
        other = next((said for group, said in _OTHER_GROUPS.items() if group in file), "")
        found = ", ".join(sorted(file)) or "nothing"
        raise InputError(
            f"expected an .h5ad file with X, obs and var; {name} is missing (found: {found:.100})"
            f"{other and f'; this is {other}'}"
        )
    try:
        node = file[name]
        if getattr(node, "dtype", None) is not None and node.dtype.names:  # as anndata before 0.7 wrote it
            return _table_of_records(node[()], file.get("uns", {}))
        with warnings.catch_warnings(action="ignore"):  # about the age of an encoding
            table = anndata.io.read_elem(node)
    except Exception as error:  # noqa: BLE001  (anndata raises what its version happens to, also private types)
        what = " ".join(str(error).split())[:150]
        raise InputError(
            f"the table {name} cannot be read ({what}); it may come from a newer anndata: update the one here, or "
            "write the file again with it"
        ) from None
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"expected a table called {name}, got {type(table).__name__}; write it with anndata")
    return table


def _table_of_records(records: Any, uns: Any) -> "pd.DataFrame":
    """A table of one record per row, its categories in `uns`."""
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {}
    for name in records.dtype.names:
        values = records[name]
        if f"{name}_categories" in uns:
            categories = np.atleast_1d(uns[f"{name}_categories"][()])
            known = pd.Index([_text(word) for word in categories])
            columns[name] = pd.Categorical.from_codes(values.astype(int), known.astype(str))
        else:
            columns[name] = [_text(value) for value in values] if values.dtype.kind in "SO" else values
    index = next((name for name in ("index", "_index") if name in columns), records.dtype.names[0])
    labels = pd.Index(columns.pop(index)).astype(str)
    return pd.DataFrame(columns, index=labels)


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _is_zarr(path: Path) -> bool:
    return any((path / name).is_file() for name in (".zgroup", ".zattrs", "zarr.json"))


def _open_zarr(path: Path) -> Any:
    if not _is_zarr(path):
        if (path / "matrix.mtx").exists() or (path / "matrix.mtx.gz").exists():
            raise InputError(
                "a directory of 10x Genomics' tables: read it with scanpy.read_10x_mtx, add the labels, write .h5ad"
            )
        raise InputError("not a readable .h5ad file: it is a directory, and no zarr store; give a file of cells")
    try:
        import zarr
    except ImportError:
        raise InputError("a zarr store: install the package zarr to read it, or write .h5ad") from None
    try:
        return zarr.open_group(str(path), mode="r")
    except Exception as error:  # noqa: BLE001  (zarr's versions raise types of their own)
        raise InputError(f"not a readable zarr store ({' '.join(str(error).split())[:150]}); write it again") from None


def _why_not(path: Path, error: Exception) -> str:
    """Why a file could not be read, by its first bytes where the error does not say."""
    said = " ".join(str(error).split())[:150]
    if getattr(error, "errno", None) == EAGAIN or "unable to lock" in said:
        return (
            "is locked: another program has it open to write, wait for that; or the file system has no locks, set "
            "HDF5_USE_FILE_LOCKING=FALSE"
        )
    try:
        with path.open("rb") as file:
            beginning = file.read(1024)
    except OSError:
        beginning = _SIGNATURE
    if not beginning:
        return "not a readable .h5ad file: it is empty (0 bytes); fetch or write it again"
    if not beginning.startswith(_SIGNATURE):
        for pattern, advice in _OTHER_FILES:
            if re.match(pattern, beginning, re.DOTALL):
                return f"not a readable .h5ad file but {advice}"
        if "signature not found" in said:
            return "not a readable .h5ad file: it is no HDF5 file at all; fetch or write it again"
    return f"not a readable .h5ad file ({said}); it may be truncated: fetch or write it again"
