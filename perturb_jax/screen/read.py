"""Reading a perturbation screen from single cells, in one streaming pass."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata
import numpy as np

from perturb_jax.screen.cell_labels import Cells, TooFew, label_cells, label_genes
from perturb_jax.screen.cell_table import open_cells
from perturb_jax.screen.coexpression import coexpression_graph
from perturb_jax.screen.differential import top_genes, welch_t
from perturb_jax.screen.gather import Gathered, gather, moments_of
from perturb_jax.screen.moments import MOMENTS, merged, select
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.store import KEY
from perturb_jax.support.errors import InputError


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
