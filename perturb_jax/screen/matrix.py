"""Matrices of cells and genes, in a file or in memory, piece by piece."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool
from scipy import sparse

from perturb_jax.support.errors import InputError

CHUNK = 1 << 22
"""Values in memory at a time."""

_SPARSE = {"csr_matrix": True, "csc_matrix": False, "csr": True, "csc": False}


class Chunk(NamedTuple):
    """Some rows of a compressed matrix, from the row `first` on; they are cells (`by_cell`), or else genes."""

    data: np.ndarray
    minor: np.ndarray
    indptr: np.ndarray
    first: int
    by_cell: bool

    def part(self, num_minor: int) -> sparse.csr_array:
        """The rows, with `num_minor` columns."""
        return sparse.csr_array((self.data, self.minor, self.indptr), shape=(len(self.indptr) - 1, num_minor))

    def cells(self, chosen: Bool[np.ndarray, " cells"], num_minor: int) -> sparse.csr_array:
        """What it holds of the chosen cells, cells as rows."""
        part = self.part(num_minor)
        if self.by_cell:
            return part[np.flatnonzero(chosen[self.first : self.first + part.shape[0]])]
        return part.T.tocsr()[np.flatnonzero(chosen)]

    def canonical(self, num_minor: int) -> "Chunk":
        """The same with sorted positions, each once (values given twice are summed, as SciPy reads them)."""
        part = self.part(num_minor).copy()  # may be a user's arrays
        part.sum_duplicates()
        return self._replace(data=part.data, minor=part.indices.astype(np.int32), indptr=part.indptr.astype(np.int64))


class Matrix(NamedTuple):
    """A matrix [cells, genes], in a file or in memory, as its layout stores it; dense: without indices and indptr."""

    values: Any
    indices: Any  # along the other axis than that of the rows
    indptr: Any
    shape: tuple[int, int]
    by_cell: bool  # its rows are cells, or else genes (CSC)

    @property
    def length(self) -> int:
        """Rows to read: cells, or genes of a CSC matrix."""
        return self.shape[0] if self.by_cell else self.shape[1]

    @property
    def num_minor(self) -> int:
        """Columns of these rows."""
        return self.shape[1] if self.by_cell else self.shape[0]

    def chunks(self, chosen: Bool[np.ndarray, " cells"]) -> Iterator[Chunk]:
        """The matrix piece by piece, without the pieces that hold none of the chosen cells."""
        for first, stop in self._pieces():
            if not self.by_cell or chosen[first:stop].any():
                yield self._dense(first, stop) if self.indices is None else self._sparse(first, stop)

    def rows(self, chosen: Bool[np.ndarray, " cells"]) -> sparse.csr_array:
        """The chosen cells."""
        return self.joined([chunk.cells(chosen, self.num_minor) for chunk in self.chunks(chosen)])

    def joined(self, parts: list[Any]) -> sparse.csr_array:
        """What `Chunk.cells` gave of every chunk, together."""
        if self.by_cell:
            parts = [sparse.csr_array((0, self.shape[1]), dtype=np.float32), *parts]
            return sparse.csr_array(sparse.vstack(parts))
        return sparse.csr_array(sparse.hstack(parts, "csr"))

    def _pieces(self) -> Iterator[tuple[int, int]]:
        if self.indices is None:
            rows = max(1, CHUNK // max(self.num_minor, 1))
            for first in range(0, self.length, rows):
                yield first, min(first + rows, self.length)
            return
        indptr = self.indptr[:].astype(np.int64)
        whole = len(indptr) == self.length + 1 and indptr[0] == 0
        whole = whole and indptr[-1] == self.values.shape[0] == self.indices.shape[0]
        if not whole or (np.diff(indptr) < 0).any():
            raise InputError("the sparse matrix is damaged (indptr); write the file again")
        first = 0
        while first < self.length:
            stop = max(first + 1, int(np.searchsorted(indptr, indptr[first] + CHUNK, side="right")) - 1)
            yield first, stop
            first = stop

    def _dense(self, first: int, stop: int) -> Chunk:
        part = sparse.csr_array(np.asarray(self.values[first:stop]).astype(np.float64))
        return Chunk(part.data, part.indices.astype(np.int32), part.indptr.astype(np.int64), first, True)

    def _sparse(self, first: int, stop: int) -> Chunk:
        indptr = self.indptr[first : stop + 1].astype(np.int64)
        stored = slice(indptr[0], indptr[-1])
        minor = self.indices[stored].astype(np.int32, copy=False)
        if len(minor) and not 0 <= minor.min() <= minor.max() < self.num_minor:
            raise InputError("the sparse matrix is damaged (indices); write the file again")
        return Chunk(self.values[stored].astype(np.float64), minor, indptr - indptr[0], first, self.by_cell)


def matrix_of(node: Any) -> Matrix | str:
    """The parts of a matrix, of a file (HDF5, zarr) or in memory; what it is where it is none that can be read."""
    if isinstance(node, np.ndarray) or (hasattr(node, "shape") and hasattr(node, "chunks")):  # a dataset
        return Matrix(node, None, None, tuple(node.shape), True)
    if sparse.issparse(node) and getattr(node, "format", "") in _SPARSE:
        held: Any = node
        return Matrix(held.data, held.indices, held.indptr, held.shape, _SPARSE[held.format])
    if not (hasattr(node, "attrs") and hasattr(node, "keys")):  # no group
        return type(node).__name__
    kind = str(node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", "")))
    if kind not in _SPARSE:
        return kind or "unknown"
    shape: Any = tuple(int(n) for n in node.attrs.get("shape", node.attrs.get("h5sparse_shape", ())))
    return Matrix(node["data"], node["indices"], node["indptr"], shape, _SPARSE[kind])
