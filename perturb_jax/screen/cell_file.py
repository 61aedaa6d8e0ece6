"""Reading an `.h5ad` file of cells in pieces: its tables, and its matrix in sparse chunks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from perturb_jax.support.errors import InputError

CHUNK = 1 << 22
"""Values in memory at a time."""

_SPARSE = {"csr_matrix": True, "csc_matrix": False, "csr": True, "csc": False}


class Chunk(NamedTuple):
    """Some rows of a compressed matrix.

    Attributes:
        data: values, float64.
        minor: the position of each along the other axis.
        indptr: where each row begins.
        first: the number of the first row.
        by_cell: whether the rows are cells; if not, they are genes.
    """

    data: np.ndarray
    minor: np.ndarray
    indptr: np.ndarray
    first: int
    by_cell: bool


class Matrix(NamedTuple):
    """A matrix in a file, [cells, genes]: its layout, and how to read it in chunks.

    Attributes:
        node: the HDF5 group (sparse) or data set (dense).
        shape: cells, genes.
        by_cell: whether its rows are cells; if not, they are genes (CSC).
    """

    node: Any
    shape: tuple[int, int]
    by_cell: bool

    @property
    def length(self) -> int:
        """Rows to read: cells, or genes of a CSC matrix."""
        return self.shape[0] if self.by_cell else self.shape[1]

    def chunks(self, wanted: Callable[[int, int], bool]) -> Iterator[Chunk]:
        """The matrix piece by piece, without the pieces of rows [first, stop) that are not wanted."""
        return _dense_chunks(self, wanted) if isinstance(self.node, h5py.Dataset) else _sparse_chunks(self, wanted)


@contextmanager
def open_cells(path: Path) -> Iterator[h5py.File]:
    """Open the file; whatever fails while it is open becomes one clear line."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of an .h5ad file") from None
    except (OSError, KeyError, EOFError, RuntimeError) as error:
        what = " ".join(str(error).split())[:150]
        raise InputError(
            f"{path}: not a readable .h5ad file ({what}); it may be truncated: fetch or write it again"
        ) from None


def read_table(file: h5py.File, name: str, path: Path) -> pd.DataFrame:
    """The table of cells ("obs") or of genes ("var")."""
    if name not in file:
        found = ", ".join(file) or "nothing"
        raise InputError(f"{path}: expected an .h5ad file with X, obs and var; {name} is missing (found: {found:.100})")
    try:
        table = anndata.io.read_elem(file[name])
    except (TypeError, ValueError, AttributeError, anndata.io.AnnDataReadError) as error:
        what = " ".join(str(error).split())[:150]
        raise InputError(f"{path}: the table {name} cannot be read ({what}); write it with anndata >= 0.8") from None
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"{path}: expected a table called {name}, got {type(table).__name__}; write it with anndata")
    return table


def open_matrix(file: h5py.File, layer: str | None, shape: tuple[int, int], path: Path) -> Matrix:
    """The matrix X, or a layer, checked against the tables' lengths [cells, genes]."""
    name = "X" if layer is None else f"layers/{layer}"
    if name not in file:
        layers = ", ".join(file["layers"]) if "layers" in file else ""
        raise InputError(f"{path}: no matrix {name}; choose one with --layer (layer=...) (layers: {layers or 'none'})")
    node = file[name]
    if isinstance(node, h5py.Dataset):
        found, by_cell = tuple(node.shape), True
    else:
        kind = str(node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", "")))
        if kind not in _SPARSE:
            raise InputError(f"{path}: {name} is {kind or 'unknown'!r}; expected a dense, CSR or CSC matrix")
        found = tuple(int(n) for n in node.attrs.get("shape", node.attrs.get("h5sparse_shape", ())))
        by_cell = _SPARSE[kind]
    if found != shape:
        raise InputError(f"{path}: {name} has the shape {found}, obs and var say {shape}; the file is damaged")
    values = node if isinstance(node, h5py.Dataset) else node["data"]
    if values.dtype.kind not in "fiub":
        raise InputError(f"{path}: expected numbers in {name}, got {values.dtype}; store expression values there")
    return Matrix(node, shape, by_cell)


def _sparse_chunks(matrix: Matrix, wanted: Callable[[int, int], bool]) -> Iterator[Chunk]:
    indptr = matrix.node["indptr"][:].astype(np.int64)
    data, indices = matrix.node["data"], matrix.node["indices"]
    whole = len(indptr) == matrix.length + 1 and indptr[0] == 0 and indptr[-1] == len(data) == len(indices)
    if not whole or (np.diff(indptr) < 0).any():
        raise InputError(f"{matrix.node.file.filename}: the sparse matrix is damaged (indptr); write the file again")
    first = 0
    while first < matrix.length:
        stop = max(first + 1, int(np.searchsorted(indptr, indptr[first] + CHUNK, side="right")) - 1)
        if wanted(first, stop):
            part = slice(indptr[first], indptr[stop])
            values, minor = data[part].astype(np.float64), indices[part]
            offsets = indptr[first : stop + 1] - indptr[first]
            yield Chunk(values, minor.astype(np.int32, copy=False), offsets, first, matrix.by_cell)
        first = stop


def _dense_chunks(matrix: Matrix, wanted: Callable[[int, int], bool]) -> Iterator[Chunk]:
    rows = max(1, CHUNK // max(matrix.shape[1], 1))
    for first in range(0, matrix.length, rows):
        stop = min(first + rows, matrix.length)
        if wanted(first, stop):
            part = sparse.csr_array(matrix.node[first:stop].astype(np.float64))
            yield Chunk(part.data, part.indices.astype(np.int32), part.indptr.astype(np.int64), first, True)


def canonical(chunk: Chunk, num_minor: int) -> Chunk:
    """The chunk with sorted positions, each once (values given twice are summed, as SciPy reads them)."""
    part = sparse.csr_array((chunk.data, chunk.minor, chunk.indptr), shape=(len(chunk.indptr) - 1, num_minor))
    part.sum_duplicates()
    return chunk._replace(data=part.data, minor=part.indices.astype(np.int32), indptr=part.indptr.astype(np.int64))
