"""Cells in an `.h5ad` file or an AnnData in memory: their tables, and their matrix in sparse chunks."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from perturb_jax.support.errors import InputError

COUNTS_PER_CELL = 1e4
"""What counts are scaled to before log1p."""

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
    """A matrix [cells, genes], in a file or in memory: its layout, and how to read it in chunks.

    Attributes:
        values: dense: all of them [cells, genes]; sparse: those that are stored.
        indices: sparse: the position of each along the other axis; None: dense.
        indptr: sparse: where each row begins.
        shape: cells, genes.
        by_cell: whether its rows are cells; if not, they are genes (CSC).
        place: what messages begin with.
    """

    values: Any
    indices: Any
    indptr: Any
    shape: tuple[int, int]
    by_cell: bool
    place: str

    @property
    def length(self) -> int:
        """Rows to read: cells, or genes of a CSC matrix."""
        return self.shape[0] if self.by_cell else self.shape[1]

    def chunks(self, wanted: Callable[[int, int], bool]) -> Iterator[Chunk]:
        """The matrix piece by piece, without the pieces of rows [first, stop) that are not wanted."""
        return _dense_chunks(self, wanted) if self.indices is None else _sparse_chunks(self, wanted)


class CellTable(NamedTuple):
    """What holds cells: an `.h5ad` file that is open, or an AnnData in memory.

    Attributes:
        obs: a row per cell.
        var: a row per gene.
        matrices: X and "layers/..." by name: HDF5 nodes, or arrays.
        uns: what else it holds, by name.
        place: what messages begin with.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    matrices: Mapping[str, Any]
    uns: Collection[str]
    place: str

    def matrix(self, layer: str | None) -> Matrix:
        """The matrix X, or a layer.

        Raises:
            InputError: no such matrix; one that is neither dense, CSR nor CSC, of another shape than the tables, or
                without numbers.
        """
        name = "X" if layer is None else f"layers/{layer}"
        node = self.matrices.get(name)
        if node is None:
            layers = ", ".join(name.removeprefix("layers/") for name in self.matrices if name != "X")
            raise InputError(f"{self.place}: no matrix {name}; choose one with layer=... (layers: {layers or 'none'})")
        parts = _parts(node)
        if isinstance(parts, str):
            raise InputError(f"{self.place}: {name} is {parts!r}; expected a dense, CSR or CSC matrix")
        matrix = parts._replace(place=self.place)
        shape = (len(self.obs), len(self.var))
        if matrix.shape != shape:
            raise InputError(
                f"{self.place}: {name} has the shape {matrix.shape}, obs and var say {shape}; the file is damaged"
            )
        if matrix.values.dtype.kind not in "fiub":
            raise InputError(
                f"{self.place}: expected numbers in {name}, got {matrix.values.dtype}; store expression values there"
            )
        return matrix


def _parts(node: Any) -> Matrix | str:
    """The parts of a matrix, of a file or in memory; what it is where it is none that can be read."""
    if isinstance(node, h5py.Dataset | np.ndarray):
        return Matrix(node, None, None, tuple(node.shape), True, "")
    if sparse.issparse(node) and getattr(node, "format", "") in _SPARSE:
        held: Any = node
        return Matrix(held.data, held.indices, held.indptr, held.shape, _SPARSE[held.format], "")
    if not isinstance(node, h5py.Group):
        return type(node).__name__
    kind = str(node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", "")))
    if kind not in _SPARSE:
        return kind or "unknown"
    shape = tuple(int(n) for n in node.attrs.get("shape", node.attrs.get("h5sparse_shape", ())))
    return Matrix(node["data"], node["indices"], node["indptr"], shape, _SPARSE[kind], "")  # type: ignore[arg-type]


@contextmanager
def open_h5ad(path: Path) -> Iterator[h5py.File]:
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


@contextmanager
def open_cells(source: "Path | anndata.AnnData") -> Iterator[CellTable]:
    """The cells of an `.h5ad` file, or of an AnnData in memory.

    Raises:
        InputError: a file that is missing, damaged or no `.h5ad`; a view of an AnnData that is backed by a file.
    """
    if isinstance(source, anndata.AnnData):
        yield _in_memory(source)
        return
    with open_h5ad(source) as file:
        matrices = {"X": file["X"]} if "X" in file else {}
        matrices |= {f"layers/{name}": node for name, node in file.get("layers", {}).items()}
        obs, var = (_read_table(file, name, source) for name in ("obs", "var"))
        yield CellTable(obs, var, matrices, file.get("uns", ()), str(source))


def _in_memory(cells: anndata.AnnData) -> CellTable:
    place = "AnnData"
    if cells.isbacked and cells.is_view:
        raise InputError(f"{place}: a view of a file cannot be read; give view.to_memory(), or the path and where=...")
    x = cells.file["X"] if cells.isbacked else cells.X
    matrices = {"X": x} | {f"layers/{name}": matrix for name, matrix in cells.layers.items()}
    return CellTable(cells.obs, cells.var, matrices, cells.uns, place)


def _read_table(file: h5py.File, name: str, path: Path) -> pd.DataFrame:
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


def _sparse_chunks(matrix: Matrix, wanted: Callable[[int, int], bool]) -> Iterator[Chunk]:
    indptr = matrix.indptr[:].astype(np.int64)
    data, indices = matrix.values, matrix.indices
    whole = len(indptr) == matrix.length + 1 and indptr[0] == 0 and indptr[-1] == len(data) == len(indices)
    if not whole or (np.diff(indptr) < 0).any():
        raise InputError(f"{matrix.place}: the sparse matrix is damaged (indptr); write the file again")
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
            part = sparse.csr_array(matrix.values[first:stop].astype(np.float64))
            yield Chunk(part.data, part.indices.astype(np.int32), part.indptr.astype(np.int64), first, True)


def canonical(chunk: Chunk, num_minor: int) -> Chunk:
    """The chunk with sorted positions, each once (values given twice are summed, as SciPy reads them)."""
    shape = (len(chunk.indptr) - 1, num_minor)
    part = sparse.csr_array((chunk.data, chunk.minor, chunk.indptr), shape=shape, copy=True)  # may be a user's arrays
    part.sum_duplicates()
    return chunk._replace(data=part.data, minor=part.indices.astype(np.int32), indptr=part.indptr.astype(np.int64))
