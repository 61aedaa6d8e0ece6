"""Reading a perturbation screen from single cells, in one streaming pass."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import numpy as np
from scipy import sparse

from perturb_jax.screen import moments
from perturb_jax.screen.cell_labels import Cells, TooFew, label_cells, label_genes
from perturb_jax.screen.cell_table import COUNTS_PER_CELL, Chunk, Matrix, canonical, open_cells
from perturb_jax.screen.coexpression import coexpression_graph
from perturb_jax.screen.moments import MOMENTS, Moments, merged, select, top_genes, welch_t
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.store import KEY
from perturb_jax.support.errors import InputError
from perturb_jax.support.progress import progress_bar


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


def read_screen(
    source: "str | Path | anndata.AnnData",
    where: Mapping[str, object] | None = None,
    *,
    condition: str | None = None,
    gene_names: str | None = None,
    control: str | Sequence[str] | None = None,
    cell_type: str | None = None,
    layer: str | None = None,
    normalize: bool = False,
    too_few: TooFew = "error",
    num_de: int = 20,
    neighbors: int = 20,
    min_correlation: float = 0.4,
    progress: bool | None = None,
) -> Screen:
    """Read a screen from cells: moments, differentially expressed genes, co-expression.

    The matrix (CSR, CSC or dense) is read once, in chunks, and never as a whole; CSC with `normalize` twice, first for
    the cells' totals. Conditions are understood in GEARS' form ("KLF1+ctrl", "ctrl") and in the plain one ("KLF1",
    "control", "A+B"), in any order, of any number of genes. Keys that are not given are guessed where that is
    unambiguous; `Screen.settings` and the screen's `repr` say what was used and what was left out.

    DE genes are those with the largest absolute t of Welch's test against control, within cell types (see `welch_t`):
    the ranking by which GEARS evaluates, from `scanpy.tl.rank_genes_groups`. Co-expression: see `coexpression_graph`.
    Everything else, `Screen.effects` above all, is of all cells and all control cells pooled: from a file with several
    cell types read one, with `where`. `Screen.settings["cell_types"]` holds them, `Screen.caution` says so.

    Complexity: O(values) time; memory of 40 bytes per (perturbation, cell type, gene), 32 per (perturbation, gene), and
    the control cells, sparse.

    Args:
        source: the `.h5ad` file, or an AnnData in memory (or backed by a file), which stays as it is.
        where: column of the cells' table to the value, or values, of the cells to read, as {"dataset": "norman19"}.
        condition: the column with the conditions.
        gene_names: the genes' column with their names; "index" for the index.
        control: what control cells are called, one name or several; None: the usual names.
        cell_type: the column with the cell types; None: "cell_type" or "cell_line" if there is one.
        layer: the layer with the values; None: X.
        normalize: the values are raw counts; scale them to 10,000 per cell and take log1p. Without it whole numbers
            are refused.
        too_few: what to do with perturbations with fewer than 2 cells in every cell type: "error", or "drop", which
            reports them in `Screen.settings`.
        num_de: how many DE genes to keep.
        neighbors: the most co-expressed neighbours of a gene, besides itself.
        min_correlation: the absolute correlation that a co-expression edge has to exceed.
        progress: show a bar on standard error; None: if that is a terminal.

    Raises:
        InputError: a file that is missing, damaged, truncated or no `.h5ad`; unknown or ambiguous keys; no control
            cells; raw counts without `normalize` and the reverse; values that are negative, NaN or infinite, or all 0;
            genes that share a name; perturbations with fewer than 2 cells.

    Examples:
        >>> import tempfile, perturb_jax as pj
        >>> graph = pj.load_go_graph(["TP53", "MDM2", "GATA1", "MYC", "KLF1", "SPI1"])
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     _ = pj.simulate_screen(graph, ["TP53", "MYC"], 6, 5, path=f"{directory}/cells.h5ad")
        ...     screen = read_screen(f"{directory}/cells.h5ad")
        >>> screen.perturbations, screen.mean.shape, screen.cell_counts.tolist()
        (('MYC', 'TP53'), (2, 6), [5, 5])
    """
    if num_de < 1 or neighbors < 0 or not 0 <= min_correlation <= 1:
        raise InputError(
            f"expected num_de >= 1, neighbors >= 0 and min_correlation in [0, 1], got {num_de}, {neighbors} and "
            f"{min_correlation}"
        )
    path = Path(source) if isinstance(source, str | Path) else None
    with open_cells(source if path is None else path) as table:
        place = table.place
        if KEY in table.uns:
            raise InputError(f"{place}: expected cells, got a saved screen; open it with load_screen")
        genes, gene_key = label_genes(table.var, gene_names, place)
        cells = label_cells(table.obs, where, condition, control, cell_type, too_few, place)
        gathered = gather(table.matrix(layer), cells, genes, normalize, progress, place)
        if not gathered.sums.any():
            raise InputError(
                f"{place}: all values of these cells are 0; expected their expression: name the layer that holds it "
                "with layer=..."
            )
    guessed = [*cells.guessed, *(["gene_names"] if gene_names is None else [])]
    settings = {
        **cells.settings,
        "gene_names": gene_key,
        "guessed": guessed,
        "layer": layer,
        "normalize": normalize,
        "num_de": num_de,
        "neighbors": neighbors,
        "min_correlation": min_correlation,
    }
    statistics = _statistics(gathered, cells, num_de)
    control_cells = gathered.control
    del gathered  # the largest arrays: not needed while genes are correlated
    return Screen(
        perturbations=cells.perturbations,
        readouts=genes,
        **statistics,
        coexpression=coexpression_graph(control_cells, genes, neighbors, min_correlation),
        source=None if path is None else path.absolute(),
        settings=settings,
    )


def _statistics(gathered: Gathered, cells: Cells, num_de: int) -> dict[str, Any]:
    """The arrays of a screen: groups of one perturbation merged over cell types, and tested against control."""
    num_types, num_genes = len(cells.cell_types), gathered.sums.shape[1]
    condition, kind = np.divmod(gathered.groups, num_types)
    by_type = moments_of(gathered, condition == 0)
    position = {int(one): row for row, one in enumerate(kind[condition == 0])}
    shape = (len(cells.perturbations), num_genes)
    counts, nonzero = np.zeros(shape[0], np.int64), np.zeros(shape, bool)
    values = {name: np.zeros(shape) for name in MOMENTS}
    de_genes = np.zeros((shape[0], min(num_de, num_genes)), np.int64)
    starts = np.searchsorted(condition, np.arange(1, shape[0] + 2))
    for row, (first, stop) in enumerate(pairwise(starts)):
        groups = np.arange(first, stop)
        parts = moments_of(gathered, groups)
        whole = merged(parts)
        counts[row], nonzero[row] = whole.count, whole.expressing > 0
        for name in MOMENTS:
            values[name][row] = getattr(whole, name)
        testable = parts.count >= 2
        control_rows = np.array([position[int(one)] for one in kind[groups[testable]]])
        score = welch_t(select(parts, testable), select(by_type, control_rows))
        de_genes[row] = top_genes(score, num_de)
    control = merged(by_type)
    return {
        "cell_counts": counts,
        **values,
        "nonzero": nonzero,
        "de_genes": de_genes,
        "control_count": int(control.count),
        **{f"control_{name}": getattr(control, name) for name in MOMENTS},
    }


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
