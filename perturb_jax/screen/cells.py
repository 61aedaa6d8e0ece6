"""Cells in an `.h5ad` file or an AnnData in memory: their tables, their matrix in sparse chunks, those of a screen."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import h5py
import numpy as np
import pandas as pd
from jaxtyping import Bool
from scipy import sparse

from perturb_jax.screen.cell_labels import label_cells, label_genes
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError, prefixed

COUNTS_PER_CELL = 1e4
"""What counts are scaled to before log1p."""

CHUNK = 1 << 22
"""Values in memory at a time."""

CONTROL = "ctrl"
"""What the condition of control cells is called."""

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
        whole = whole and indptr[-1] == len(self.values) == len(self.indices)
        if not whole or (np.diff(indptr) < 0).any():
            raise InputError("the sparse matrix is damaged (indptr); write the file again")
        first = 0
        while first < self.length:
            stop = max(first + 1, int(np.searchsorted(indptr, indptr[first] + CHUNK, side="right")) - 1)
            yield first, stop
            first = stop

    def _dense(self, first: int, stop: int) -> Chunk:
        part = sparse.csr_array(self.values[first:stop].astype(np.float64))
        return Chunk(part.data, part.indices.astype(np.int32), part.indptr.astype(np.int64), first, True)

    def _sparse(self, first: int, stop: int) -> Chunk:
        indptr = self.indptr[first : stop + 1].astype(np.int64)
        stored = slice(indptr[0], indptr[-1])
        minor = self.indices[stored].astype(np.int32, copy=False)
        if len(minor) and not 0 <= minor.min() <= minor.max() < self.num_minor:
            raise InputError("the sparse matrix is damaged (indices); write the file again")
        return Chunk(self.values[stored].astype(np.float64), minor, indptr - indptr[0], first, self.by_cell)


class CellTable(NamedTuple):
    """What holds cells: their table, the genes', X and "layers/..." by name (HDF5 nodes, or arrays), and what else."""

    obs: pd.DataFrame
    var: pd.DataFrame
    matrices: Mapping[str, Any]
    uns: Collection[str]

    def matrix(self, layer: str | None) -> Matrix:
        """The matrix X, or a layer."""
        name = "X" if layer is None else f"layers/{layer}"
        node = self.matrices.get(name)
        if node is None:
            layers = ", ".join(name.removeprefix("layers/") for name in self.matrices if name != "X")
            raise InputError(f"no matrix {name}; choose one with layer=... (layers: {layers or 'none'})")
        matrix = _parts(node)
        if isinstance(matrix, str):
            raise InputError(f"{name} is {matrix!r}; expected a dense, CSR or CSC matrix")
        shape = (len(self.obs), len(self.var))
        if matrix.shape != shape:
            raise InputError(f"{name} has the shape {matrix.shape}, obs and var say {shape}; the file is damaged")
        if matrix.values.dtype.kind not in "fiub":
            raise InputError(f"expected numbers in {name}, got {matrix.values.dtype}; store expression values there")
        return matrix


def _parts(node: Any) -> Matrix | str:
    """The parts of a matrix, of a file or in memory; what it is where it is none that can be read."""
    if isinstance(node, h5py.Dataset | np.ndarray):
        return Matrix(node, None, None, tuple(node.shape), True)
    if sparse.issparse(node) and getattr(node, "format", "") in _SPARSE:
        held: Any = node
        return Matrix(held.data, held.indices, held.indptr, held.shape, _SPARSE[held.format])
    if not isinstance(node, h5py.Group):
        return type(node).__name__
    kind = str(node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", "")))
    if kind not in _SPARSE:
        return kind or "unknown"
    shape = tuple(int(n) for n in node.attrs.get("shape", node.attrs.get("h5sparse_shape", ())))
    return Matrix(node["data"], node["indices"], node["indptr"], shape, _SPARSE[kind])  # type: ignore[arg-type]


@contextmanager
def open_h5ad(path: Path) -> Iterator[h5py.File]:
    """Open the file; whatever fails while it is open becomes one clear line that begins with its path."""
    with prefixed(f"{path}: "):
        try:
            with h5py.File(path, "r") as file:
                yield file
        except FileNotFoundError:
            raise InputError("no such file; give the path of an .h5ad file") from None
        except (OSError, KeyError, EOFError, RuntimeError) as error:
            what = " ".join(str(error).split())[:150]
            raise InputError(
                f"not a readable .h5ad file ({what}); it may be truncated: fetch or write it again"
            ) from None


@contextmanager
def open_cells(source: "Path | anndata.AnnData") -> Iterator[CellTable]:
    """The cells of an `.h5ad` file, or of an AnnData in memory; messages begin with the path, or with "AnnData"."""
    if isinstance(source, anndata.AnnData):
        with prefixed("AnnData: "):
            if source.isbacked and source.is_view:
                raise InputError("a view of a file cannot be read; give view.to_memory(), or the path and where=...")
            x = source.file["X"] if source.isbacked else source.X
            matrices = {"X": x} | {f"layers/{name}": matrix for name, matrix in source.layers.items()}
            yield CellTable(source.obs, source.var, matrices, source.uns)
        return
    with open_h5ad(source) as file:
        matrices = {"X": file["X"]} if "X" in file else {}
        matrices |= {f"layers/{name}": node for name, node in file.get("layers", {}).items()}
        yield CellTable(_read_table(file, "obs"), _read_table(file, "var"), matrices, file.get("uns", ()))


def _read_table(file: h5py.File, name: str) -> pd.DataFrame:
    """The table of cells ("obs") or of genes ("var")."""
    if name not in file:
        found = ", ".join(file) or "nothing"
        raise InputError(f"expected an .h5ad file with X, obs and var; {name} is missing (found: {found:.100})")
    try:
        table = anndata.io.read_elem(file[name])
    except (TypeError, ValueError, AttributeError, anndata.io.AnnDataReadError) as error:
        what = " ".join(str(error).split())[:150]
        raise InputError(f"the table {name} cannot be read ({what}); write it with anndata >= 0.8") from None
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"expected a table called {name}, got {type(table).__name__}; write it with anndata")
    return table


class Cells(NamedTuple):
    """Cells of a screen."""

    expression: Any  # as the screen's moments have it, float32 CSR [cells, genes], columns as `Screen.readouts`
    conditions: np.ndarray  # of each cell: a name of `Screen.perturbations`, or "ctrl"


CellReader = Callable[[Screen, Sequence[str]], Cells]
"""Reads the cells of some perturbations of a screen, and its control cells."""


def read_cells(screen: Screen, perturbations: Sequence[str]) -> Cells:
    """Read the cells of some perturbations, and control cells, from the file of a screen, as `read_screen` read them.

    The file is read in chunks; in memory are the chosen cells, sparse.

    Args:
        screen: made by `read_screen`.
        perturbations: names of `Screen.perturbations`.

    Raises:
        InputError: the screen was not read from cells; the file is not there any more or has changed.
    """
    if screen.source is None:
        raise InputError(
            "this screen has no cells (Screen.source is None: it was simulated, or read from averages or from memory); "
            "expected one that read_screen made from an .h5ad file: read that, or use what needs moments only"
        )
    how = screen.settings  # what it does not say is guessed again
    where, condition, control, kind = (how.get(key) for key in ("where", "condition", "control", "cell_type"))
    with open_cells(screen.source) as table:
        # Perturbations that were too small for the screen are not wanted here, so there is no need to refuse them.
        labels = label_cells(table.obs, where, condition, control, kind, "drop")
        genes, _ = label_genes(table.var, how.get("gene_names"))
        if genes != screen.readouts:
            raise InputError("its genes are not the screen's; has the file changed since?")
        names = np.array(["", CONTROL, *labels.perturbations])[labels.condition + 1]
        wanted = np.isin(names, [CONTROL, *perturbations])
        matrix = table.matrix(how.get("layer"))
        expression = matrix.rows(wanted)
    expression.sum_duplicates()
    if how.get("normalize"):
        totals = np.asarray(expression.sum(axis=1)).ravel()
        each = np.repeat(np.where(totals > 0, totals, 1), np.diff(expression.indptr))
        expression.data = np.log1p(expression.data * (COUNTS_PER_CELL / each))
    return Cells(expression.astype(np.float32), names[wanted])
