"""Reading a perturbation screen from single cells, in one streaming pass."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import anndata
import numpy as np
from jaxtyping import Int
from scipy import sparse

from perturb_jax.screen import kernels
from perturb_jax.screen.cell_labels import Labels, TooFew, label_cells, label_genes
from perturb_jax.screen.cells import COUNTS_PER_CELL, Chunk, Matrix, open_cells
from perturb_jax.screen.coexpression import coexpression_graph
from perturb_jax.screen.screen import Moments, Screen, merged, top_genes, welch_t, with_zeros
from perturb_jax.screen.store import KEY
from perturb_jax.support.errors import InputError
from perturb_jax.support.progress import progress_bar


class Gathered(NamedTuple):
    """What the pass over the cells collects, by group."""

    sums: np.ndarray  # what `kernels.accumulate` gathers
    counts: np.ndarray  # cells
    groups: np.ndarray  # condition * cell types + cell type, sorted
    control: sparse.csr_array  # expression of the control cells, float32 [cells, genes]

    def moments(self, groups: np.ndarray | slice) -> Moments:
        """Those of some groups, their zeros included."""
        return with_zeros(self.sums[groups], self.counts[groups])


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
    if too_few not in ("error", "drop"):
        raise InputError(f"too_few: expected 'error' or 'drop', got {too_few!r}")
    path = Path(source) if isinstance(source, str | Path) else None
    with open_cells(source if path is None else path) as table:
        if KEY in table.uns:
            raise InputError("expected cells, got a saved screen; open it with load_screen")
        genes, gene_key = label_genes(table.var, gene_names)
        labels = label_cells(table.obs, where, condition, control, cell_type, too_few)
        gathered = gather(table.matrix(layer), labels, genes, normalize, progress)
        if not gathered.sums.any():
            raise InputError(
                "all values of these cells are 0; expected their expression: name the layer that holds it with "
                "layer=..."
            )
    settings = labels.settings | {
        "gene_names": gene_key,
        "guessed": labels.settings["guessed"] + ["gene_names"] * (gene_names is None),
        "layer": layer,
        "normalize": normalize,
        "num_de": num_de,
        "neighbors": neighbors,
        "min_correlation": min_correlation,
    }
    perturbed, control_moments, de_genes = _statistics(gathered, labels, num_de)
    control_cells = gathered.control
    del gathered  # the largest arrays: not needed while genes are correlated
    return Screen(
        perturbations=labels.perturbations,
        readouts=genes,
        perturbed=perturbed,
        control=control_moments,
        nonzero=perturbed.mean > 0,
        de_genes=de_genes,
        coexpression=coexpression_graph(control_cells, genes, neighbors, min_correlation),
        source=None if path is None else path.absolute(),
        settings=settings,
    )


def _statistics(gathered: Gathered, labels: Labels, num_de: int) -> tuple[Moments, Moments, np.ndarray]:
    """Moments and DE genes: groups of one perturbation merged over cell types, and tested against control."""
    condition, kind = np.divmod(gathered.groups, len(labels.cell_types))
    by_type = gathered.moments(condition == 0)
    count, num_genes = len(labels.perturbations), gathered.sums.shape[1]
    perturbed = Moments(np.zeros(count, np.int64), *(np.zeros((count, num_genes)) for _ in range(4)))
    de_genes = np.zeros((count, min(num_de, num_genes)), np.int64)
    starts = np.searchsorted(condition, np.arange(1, count + 2))
    for row, (first, stop) in enumerate(pairwise(starts)):
        parts = gathered.moments(slice(first, stop))
        for every, one in zip(perturbed, merged(parts), strict=True):
            every[row] = one
        testable = parts.cells >= 2
        control_rows = np.searchsorted(kind[condition == 0], kind[first:stop][testable])
        de_genes[row] = top_genes(welch_t(parts.of(testable), by_type.of(control_rows)), num_de)
    return perturbed, merged(by_type), de_genes


def gather(matrix: Matrix, labels: Labels, genes: tuple[str, ...], normalize: bool, progress: bool | None) -> Gathered:
    """Stream the matrix once (CSC to be normalised: twice)."""
    used = np.flatnonzero(labels.condition >= 0)
    group_of = labels.condition[used] * len(labels.cell_types) + labels.cell_type[used]
    groups, codes, counts = np.unique(group_of, return_inverse=True, return_counts=True)
    group = np.full(matrix.shape[0], -1, np.int64)
    group[used] = codes
    sums = np.zeros((len(groups), len(genes), 5))  # one gene's five numbers lie together
    totals = np.zeros(matrix.shape[0])
    control = []
    with progress_bar(progress) as bar:

        def advancing(what: str) -> Iterator[Chunk]:
            bar.begin(what, matrix.length)
            for chunk in _checked(matrix, group, genes, normalize):
                yield chunk
                bar.reach(chunk.first + len(chunk.indptr) - 1)
            bar.reach(matrix.length)

        if normalize and not matrix.by_cell:  # a cell's total is known when all its genes are read
            for chunk in advancing("totals"):
                kernels.add_totals(*chunk, totals)
        for chunk in advancing("reading"):
            if normalize:
                if matrix.by_cell:
                    kernels.add_totals(*chunk, totals)
                kernels.scale(*chunk, totals, COUNTS_PER_CELL)
            kernels.accumulate(*chunk, group, sums)
            control.append(chunk.cells(labels.condition == 0, matrix.num_minor).astype(np.float32))
    return Gathered(sums, counts, groups, matrix.joined(control))


def _checked(
    matrix: Matrix, group: Int[np.ndarray, " cells"], genes: tuple[str, ...], normalize: bool
) -> Iterator[Chunk]:
    """The chunks that hold cells of a group, each checked."""
    fractions = False
    for chunk in matrix.chunks(group >= 0):
        problem, position, whole, largest = kernels.inspect(*chunk, group)
        if problem == kernels.UNSORTED:
            chunk = chunk.canonical(matrix.num_minor)
            problem, position, whole, largest = kernels.inspect(*chunk, group)
        if problem != kernels.FINE:
            raise _refusal(chunk, genes, problem, position)
        if normalize and not whole:
            raise InputError(
                "normalize=True expects raw counts (whole numbers), got fractions; omit it if they are log1p already, "
                "or name the counts with layer=..."
            )
        if not normalize and whole and largest > 0 and not fractions:
            raise InputError(
                f"the values are whole numbers (up to {largest:g}), so raw counts; expected log1p of scaled counts: "
                "give normalize=True to do that, or another layer=..."
            )
        fractions |= not whole
        yield chunk


def _refusal(chunk: Chunk, genes: tuple[str, ...], problem: int, position: int) -> InputError:
    row = chunk.first + int(np.searchsorted(chunk.indptr, position, side="right")) - 1
    cell, gene = (row, chunk.minor[position]) if chunk.by_cell else (chunk.minor[position], row)
    value = f"{chunk.data[position]:.4g} for gene {genes[gene]} in cell {cell + 1}"
    if problem == kernels.NOT_FINITE:
        return InputError(f"expected finite values, got {value}; mend or leave out such cells")
    return InputError(
        f"expected log1p of scaled counts, got {value}; negative values come from scaling to unit variance: give the "
        "layer before that with layer=..."
    )
