"""The streaming pass: chunks of cells in, moments per group and the control cells out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from perturb_jax.screen import moments
from perturb_jax.screen.cell_labels import Cells
from perturb_jax.screen.cell_table import Chunk, Matrix, canonical
from perturb_jax.screen.moments import Moments
from perturb_jax.support.errors import InputError
from perturb_jax.support.progress import progress_bar

COUNTS_PER_CELL = 1e4
"""What counts are scaled to before log1p."""


class Gathered(NamedTuple):
    """What the pass over the cells collects.

    Attributes:
        sums: see `moments.empty_sums`.
        counts: cells of each group.
        groups: condition * cell types + cell type, of each group; sorted.
        control: expression of the control cells.
    """

    sums: np.ndarray
    counts: np.ndarray
    groups: np.ndarray
    control: sparse.csr_array


def moments_of(gathered: Gathered, groups: np.ndarray) -> Moments:
    """The moments of some groups, their zeros included."""
    return moments.with_zeros(gathered.sums[groups], gathered.counts[groups])


def gather(
    matrix: Matrix, cells: Cells, genes: tuple[str, ...], normalize: bool, progress: bool | None, place: str
) -> Gathered:
    """Stream the matrix once (CSC to be normalised: twice). Arguments as for `read_screen`."""
    used = np.flatnonzero(cells.condition >= 0)
    group_of = cells.condition[used] * len(cells.cell_types) + cells.cell_type[used]
    groups, codes, counts = np.unique(group_of, return_inverse=True, return_counts=True)
    group = np.full(matrix.shape[0], -1, np.int64)
    group[used] = codes
    sums = moments.empty_sums(len(groups), len(genes))
    totals = np.zeros(matrix.shape[0])
    is_control = cells.condition == 0
    parts: list[Any] = [sparse.csr_array((0, len(genes)), dtype=np.float32)] if matrix.by_cell else []
    check = _Check(matrix, group, genes, normalize, place)
    with _advancing(progress) as advancing:
        if normalize and not matrix.by_cell:  # a cell's total is known when all its genes are read
            for chunk in advancing("totals", check.chunks(), matrix.length):
                moments.add_totals(*chunk, totals)
        for chunk in advancing("reading", check.chunks(), matrix.length):
            if normalize:
                if matrix.by_cell:
                    moments.add_totals(*chunk, totals)
                moments.scale(*chunk, totals, COUNTS_PER_CELL)
            moments.accumulate(*chunk, group, sums)
            parts.append(_control_part(chunk, is_control, len(genes)))
    control = sparse.csr_array(sparse.vstack(parts, "csr") if matrix.by_cell else sparse.hstack(parts, "csr"))
    return Gathered(sums, counts, groups, control)


class _Check:
    """The chunks of a matrix that hold cells of a group, each checked."""

    def __init__(self, matrix: Matrix, group: np.ndarray, genes: tuple[str, ...], normalize: bool, place: str):
        self.matrix, self.group, self.genes, self.normalize, self.place = matrix, group, genes, normalize, place
        self.fractions = False

    def chunks(self) -> Iterator[Chunk]:
        num_minor = self.matrix.shape[1 if self.matrix.by_cell else 0]
        for chunk in self.matrix.chunks(self._has_cells):
            found = moments.inspect(*chunk, self.group, num_minor)
            if found[0] == moments.UNSORTED:
                chunk = canonical(chunk, num_minor)
                found = moments.inspect(*chunk, self.group, num_minor)
            self._refuse(chunk, *found)
            yield chunk

    def _has_cells(self, first: int, stop: int) -> bool:
        return not self.matrix.by_cell or bool((self.group[first:stop] >= 0).any())

    def _refuse(self, chunk: Chunk, problem: int, position: int, whole: bool, largest: float) -> None:
        if problem == moments.OUTSIDE:
            raise InputError(f"{self.place}: the sparse matrix is damaged (indices); write the file again")
        if problem != moments.FINE:
            row = chunk.first + int(np.searchsorted(chunk.indptr, position, side="right")) - 1
            cell, gene = (row, chunk.minor[position]) if chunk.by_cell else (chunk.minor[position], row)
            value = f"{chunk.data[position]:.4g} for gene {self.genes[gene]} in cell {cell + 1}"
            if problem == moments.NOT_FINITE:
                raise InputError(f"{self.place}: expected finite values, got {value}; mend or leave out such cells")
            raise InputError(
                f"{self.place}: expected log1p of scaled counts, got {value}; negative values come from "
                "scaling to unit variance: give the layer before that with layer=..."
            )
        if self.normalize and not whole:
            raise InputError(
                f"{self.place}: normalize=True expects raw counts (whole numbers), got fractions; omit it "
                "if they are log1p already, or name the counts with layer=..."
            )
        if not self.normalize and whole and largest > 0 and not self.fractions:
            raise InputError(
                f"{self.place}: the values are whole numbers (up to {largest:g}), so raw counts; "
                "expected log1p of scaled counts: give normalize=True to do that, or another layer=..."
            )
        self.fractions |= not whole


def _control_part(chunk: Chunk, is_control: np.ndarray, num_genes: int) -> sparse.csr_array:
    """The control cells of a chunk [cells, genes], in single precision."""
    num_rows = len(chunk.indptr) - 1
    if chunk.by_cell:
        rows = np.flatnonzero(is_control[chunk.first : chunk.first + num_rows])
        part = sparse.csr_array((chunk.data, chunk.minor, chunk.indptr), shape=(num_rows, num_genes))
        return part[rows].astype(np.float32)
    columns = sparse.csc_array((chunk.data, chunk.minor, chunk.indptr), shape=(len(is_control), num_rows))
    return columns.tocsr()[np.flatnonzero(is_control)].astype(np.float32)


Advancing = Callable[[str, Iterator[Chunk], int], Iterator[Chunk]]


@contextmanager
def _advancing(shown: bool | None) -> Iterator[Advancing]:
    """A bar on standard error that follows an iteration over chunks."""
    with progress_bar(shown) as bar:

        def advancing(what: str, chunks: Iterator[Chunk], length: int) -> Iterator[Chunk]:
            bar.begin(what, length)
            for chunk in chunks:
                yield chunk
                bar.reach(chunk.first + len(chunk.indptr) - 1)
            bar.reach(length)

        yield advancing
