"""Reading a perturbation screen from single cells, in one streaming pass."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import anndata
import numpy as np
from jaxtyping import Int
from scipy import sparse

from perturb_jax.screen import kernels
from perturb_jax.screen.cell_labels import Labels, RepeatedGenes, TooFew, label_cells, label_genes
from perturb_jax.screen.cells import COUNTS_PER_CELL, open_cells
from perturb_jax.screen.coexpression import coexpression_graph
from perturb_jax.screen.matrix import Chunk, Matrix
from perturb_jax.screen.repeated_genes import ColumnSums
from perturb_jax.screen.scale import LARGEST, SAMPLE, Looked, Scale, check_scale
from perturb_jax.screen.screen import Guides, Moments, Screen, merged, top_genes, welch_t, with_zeros
from perturb_jax.support.cell_files import SCREEN_KEY
from perturb_jax.support.errors import InputError
from perturb_jax.support.progress import progress_bar


class Gathered(NamedTuple):
    """What the pass over the cells collects, by group."""

    sums: np.ndarray  # what `kernels.accumulate` gathers
    counts: np.ndarray  # cells
    groups: np.ndarray  # (condition * cell types + cell type) * batches + batch, sorted
    control: sparse.csr_array  # expression of the control cells, float32 [cells, genes]
    guides: np.ndarray  # sums of the cells of each guide [guides, genes]
    scale: Scale  # of the values as they are

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
    separator: str | None = None,
    batch: str | None = None,
    layer: str | None = None,
    raw: bool = False,
    repeated_genes: RepeatedGenes = "error",
    normalize: bool = False,
    too_few: TooFew = "error",
    num_de: int = 20,
    neighbors: int = 20,
    min_correlation: float = 0.4,
    progress: bool | None = None,
) -> Screen:
    """Read a screen from cells: moments, differentially expressed genes, co-expression.

    The matrix (CSR, CSC or dense) is read once, in chunks, and never as a whole; CSC with `normalize` twice, first for
    the cells' totals. Conditions are understood in GEARS' form ("KLF1+ctrl", "ctrl"), in the plain one ("KLF1",
    "control", "A+B"), in any order, of any number of genes, and as laboratories write them: pairs as "A_B" or "A|B",
    guides as "p-sgA-1" or "A_B__A_B", populations as "10005_ZBTB4_P1P2_ENSG00000174282" (see
    `perturb_jax.genes.conditions`). Words for missing values are missing: such cells are left out. Keys that are not
    given are guessed where that is unambiguous; `Screen.settings` and the screen's `repr` say what was used and what
    was left out.

    DE genes are those with the largest absolute t of Welch's test against control, within cell types (see `welch_t`):
    the ranking by which GEARS evaluates, from `scanpy.tl.rank_genes_groups`. Co-expression: see `coexpression_graph`.
    Everything else, `Screen.effects` above all, is of all cells and all control cells pooled: from a file with several
    cell types read one, with `where`. `Screen.settings["cell_types"]` holds them, `Screen.caution` says so.

    With `batch` each cell is compared with the control cells of its batch: their mean is replaced by that of all
    control cells (of the cell type). Moments and DE genes are of cells so shifted; co-expression is not.

    A column of guides is noticed: `Screen.guides` then holds each guide's mean, as replicates.

    Complexity: O(values) time; memory of 40 bytes per (perturbation, cell type, batch if named, gene), 32 per
    (perturbation, gene), 8 per (guide, gene) where perturbations have several, and the control cells, sparse.

    Args:
        source: the `.h5ad` file or zarr directory, or an AnnData in memory (or backed by a file), which stays as it is.
        where: column of the cells' table to the value, or values, of the cells to read, as {"dataset": "norman19"}.
        condition: the column with the conditions.
        gene_names: the genes' column with their names; "index" for the index.
        control: what control cells are called, one name or several; None: the usual names.
        cell_type: the column with the cell types; None: "cell_type" or "cell_line" if there is one.
        separator: what joins the genes of a combination, besides "+"; None: what shows from the labels.
        batch: the column with the batches; None: all control cells are one.
        layer: the layer with the values; None: X. "raw": as `raw`, where no layer is called so.
        raw: take the values from `raw` (scanpy's), with its genes.
        repeated_genes: what to do with names that several columns have: "error"; "sum" the columns (log1p values as the
            counts that they are of); "unique" numbers the names as scanpy does ("KLF1", "KLF1-1").
        normalize: the values are raw counts, whole or corrected ones, or scaled but not logged; scale them to 10,000
            per cell and take log1p. Without it they are refused.
        too_few: what to do with perturbations with fewer than 2 cells in every cell type: "error", or "drop", which
            reports them in `Screen.settings`.
        num_de: how many DE genes to keep.
        neighbors: the most co-expressed neighbours of a gene, besides itself.
        min_correlation: the absolute correlation that a co-expression edge has to exceed.
        progress: show a bar on standard error; None: if that is a terminal.

    Raises:
        InputError: a file that is missing, damaged, truncated or no `.h5ad`; unknown or ambiguous keys; no control
            cells, in all or in a batch; values that are not log1p without `normalize`, and the reverse (see `Scale`);
            values that are negative, NaN or infinite, or all 0; genes that share a name; perturbations with fewer than
            2 cells.

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
    if repeated_genes not in ("error", "sum", "unique"):
        raise InputError(f"repeated_genes: expected 'error', 'sum' or 'unique', got {repeated_genes!r}")
    path = Path(source) if isinstance(source, str | Path) else None
    with open_cells(source if path is None else path) as table:
        if SCREEN_KEY in table.uns:
            raise InputError("expected cells, got a saved screen; open it with load_screen")
        var, matrix = table.expression(layer, raw)
        named = label_genes(var, gene_names, repeated_genes)
        labels = label_cells(
            table.obs, where, condition, control, cell_type, too_few, separator, batch, genes=named.names
        )
        sums = ColumnSums(named.names, logged=not normalize)
        with naming_others(table.others(layer, raw)):
            gathered = gather(matrix, labels, sums, named.names, normalize, progress)
            if not gathered.sums.any():
                raise InputError(
                    "all values of these cells are 0; expected their expression: name the layer that holds it with "
                    "layer=..."
                )
    genes, ids = (tuple(np.array(part, object)[sums.kept]) if part else () for part in (named.names, named.ids))
    settings = labels.settings | {
        "gene_names": named.key,
        "guessed": labels.settings["guessed"] + ["gene_names"] * (gene_names is None),
        "layer": layer,
        "normalize": normalize,
        "num_de": num_de,
        "neighbors": neighbors,
        "min_correlation": min_correlation,
    }
    settings |= {"raw": True} if raw else {}
    settings |= {"scale": gathered.scale} if normalize else {}
    if repeated_genes != "error":
        settings |= {"repeated_genes": repeated_genes, "columns_summed": int((~sums.kept).sum())}
    perturbed, control_moments, de_genes, nonzero = _statistics(gathered, labels, num_de)
    guides = _guides(gathered.guides, labels) if labels.guides else None
    control_cells = gathered.control
    del gathered  # the largest arrays: not needed while genes are correlated
    return Screen(
        perturbations=labels.perturbations,
        readouts=genes,
        perturbed=perturbed,
        control=control_moments,
        nonzero=nonzero,
        de_genes=de_genes,
        coexpression=coexpression_graph(control_cells, genes, neighbors, min_correlation),
        source=None if path is None else path.absolute(),
        settings=settings,
        gene_ids=ids,
        guides=guides,
    )


def _guides(sums: np.ndarray, labels: Labels) -> Guides:
    """What each guide does, of the sums of its cells."""
    rows, names = zip(*labels.guides, strict=True)
    cells = np.bincount(labels.guide[labels.guide >= 0], minlength=len(names))
    return Guides(names, np.array(rows, np.int64), cells, sums / cells[:, None])


def _statistics(gathered: Gathered, labels: Labels, num_de: int) -> tuple[Moments, Moments, np.ndarray, np.ndarray]:
    """Moments, DE genes and which genes are expressed: groups of one perturbation merged over batches and cell types.

    DE genes are tested against control.
    """
    group, batch = np.divmod(gathered.groups, len(labels.batches))
    condition, kind = np.divmod(group, len(labels.cell_types))
    starts = np.searchsorted(condition, np.arange(len(labels.perturbations) + 2)).tolist()
    control_batches, control_kinds = batch[: starts[1]], kind[: starts[1]]
    by_batch = gathered.moments(slice(0, starts[1]))
    pooled = {one: merged(by_batch.of(control_kinds == one)).mean for one in set(control_kinds)}
    position = {pair: row for row, pair in enumerate(zip(control_kinds, control_batches, strict=True))}

    def by_type(first: int, stop: int) -> tuple[Moments, np.ndarray]:
        """The moments of a condition's cell types, against control of the same batch, and which types these are."""
        parts, kinds = gathered.moments(slice(first, stop)), kind[first:stop]
        if len(labels.batches) == 1:
            return parts, kinds
        pairs = zip(kinds, batch[first:stop], strict=True)
        shift = np.array([pooled[pair[0]] - by_batch.mean[position[pair]] for pair in pairs])
        parts = parts._replace(mean=parts.mean + shift)
        present = np.unique(kinds)
        whole = [merged(parts.of(kinds == one)) for one in present]
        return Moments(*(np.stack(part) for part in zip(*whole, strict=True))), present

    count, num_genes = len(labels.perturbations), gathered.sums.shape[1]
    control_by_type, types = by_type(0, starts[1])
    perturbed = Moments(np.zeros(count, np.int64), *(np.zeros((count, num_genes)) for _ in range(4)))
    de_genes = np.zeros((count, min(num_de, num_genes)), np.int64)
    nonzero = np.zeros((count, num_genes), bool)
    for row, (first, stop) in enumerate(pairwise(starts[1:])):
        nonzero[row] = (gathered.sums[first:stop, :, 0] > 0).any(0)
        parts, kinds = by_type(first, stop)
        for every, one in zip(perturbed, merged(parts), strict=True):
            every[row] = one
        testable = parts.cells >= 2
        control_rows = np.searchsorted(types, kinds[testable])
        de_genes[row] = top_genes(welch_t(parts.of(testable), control_by_type.of(control_rows)), num_de)
    return perturbed, merged(control_by_type), de_genes, nonzero


def gather(
    matrix: Matrix,
    labels: Labels,
    summed: ColumnSums,
    genes: tuple[str, ...],
    normalize: bool,
    progress: bool | None,
) -> Gathered:
    """Stream the matrix once (CSC to be normalised: twice)."""
    used = np.flatnonzero(labels.condition >= 0)
    types, batches = len(labels.cell_types), len(labels.batches)
    group_of = (labels.condition[used] * types + labels.cell_type[used]) * batches + labels.batch[used]
    groups, codes, counts = np.unique(group_of, return_inverse=True, return_counts=True)
    group = np.full(matrix.shape[0], -1, np.int64)
    group[used] = codes
    sums = np.zeros((len(groups), len(genes), 5))  # one gene's five numbers lie together
    guided = np.flatnonzero(labels.guide >= 0)
    of_guide = sparse.csr_array(
        (np.ones(len(guided)), (labels.guide[guided], guided)), shape=(len(labels.guides), matrix.shape[0])
    )
    guides = np.zeros((len(labels.guides), len(genes)))
    totals = np.zeros(matrix.shape[0])
    control = []
    with progress_bar(progress) as bar:

        def advancing(what: str, checked: Iterator[Chunk]) -> Iterator[Chunk]:
            bar.begin(what, matrix.length)
            for chunk in checked:
                yield chunk
                bar.reach(chunk.first + len(chunk.indptr) - 1)
            bar.reach(matrix.length)

        check = _Check(matrix, group, genes, normalize)
        if normalize and not matrix.by_cell:  # a cell's total is known when all its genes are read
            for chunk in advancing("totals", check.chunks()):
                kernels.add_totals(*chunk, totals)
        for chunk in advancing("reading", check.chunks()):
            if not summed.kept.all():
                chunk = summed.of_chunk(chunk, matrix.num_minor)
            if normalize:
                if matrix.by_cell:
                    kernels.add_totals(*chunk, totals)
                kernels.scale(*chunk, totals, COUNTS_PER_CELL)
            kernels.accumulate(*chunk, group, sums)
            control.append(chunk.cells(labels.condition == 0, matrix.num_minor).astype(np.float32))
            if labels.guides:
                part = chunk.part(matrix.num_minor)
                rows = slice(chunk.first, chunk.first + part.shape[0])
                if chunk.by_cell:
                    guides += (of_guide[:, rows] @ part).toarray()
                else:
                    guides[:, rows] += (of_guide @ part.T.tocsr()).toarray()
    joined = matrix.joined(control)
    if not summed.kept.all():
        kept = np.flatnonzero(summed.kept)
        sums, guides, joined = sums[:, kept], guides[:, kept], joined[:, kept]
    return Gathered(sums, counts, groups, joined, guides, check.scale)


class _Check:
    """The chunks that hold cells of a group, each checked, and the scale of their values."""

    def __init__(self, matrix: Matrix, group: Int[np.ndarray, " cells"], genes: tuple[str, ...], normalize: bool):
        self.matrix, self.group, self.genes, self.normalize = matrix, group, genes, normalize
        self.scale: Scale = "log1p"
        self._sampled = np.zeros(len(group), bool)
        self._sampled[np.flatnonzero(group >= 0)[:SAMPLE]] = True
        self._last = int(np.flatnonzero(self._sampled)[-1])

    def chunks(self) -> Iterator[Chunk]:
        """All of them, in order; those before a value that is refused come first."""
        whole, largest, looked = True, 0.0, False
        parts: list[sparse.csr_array] = []
        for chunk in self.matrix.chunks(self.group >= 0):
            chunk, all_whole, most = self._inspected(chunk)
            whole, largest = whole and all_whole, max(largest, most)
            if not looked:
                parts.append(chunk.cells(self._sampled, self.matrix.num_minor))
            complete = self.matrix.by_cell and chunk.first + len(chunk.indptr) - 1 > self._last
            if (complete and not looked) or (looked and most > LARGEST and not self.normalize):
                self._look(whole, largest, parts)
                looked = True
            yield chunk
        self._look(whole, largest, parts)

    def _look(self, whole: bool, largest: float, parts: list[sparse.csr_array]) -> None:
        """Check the scale, by all that was read so far."""
        self.scale = check_scale(Looked(whole, largest, self.matrix.joined(parts)), self.normalize)

    def _inspected(self, chunk: Chunk) -> tuple[Chunk, bool, float]:
        problem, position, whole, largest = kernels.inspect(*chunk, self.group)
        if problem == kernels.UNSORTED:
            chunk = chunk.canonical(self.matrix.num_minor)
            problem, position, whole, largest = kernels.inspect(*chunk, self.group)
        if problem != kernels.FINE:
            raise _refusal(chunk, self.genes, problem, position)
        return chunk, whole, largest


@contextmanager
def naming_others(others: str) -> Iterator[None]:
    """Where another layer is advised, say which there are."""
    try:
        yield
    except InputError as error:
        if "layer=..." not in str(error):
            raise
        raise InputError(f"{error} ({f'there are: {others}' if others else 'there is no other here'})") from None


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
