"""A screen from means per perturbation, where the cells themselves are not at hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from perturb_jax.genes.perturbations import CONTROL_NAMES, condition_name
from perturb_jax.graph.edge_list import read_csv
from perturb_jax.screen.cell_labels import plain_where
from perturb_jax.screen.coexpression import no_coexpression
from perturb_jax.screen.differential import top_genes
from perturb_jax.screen.gather import COUNTS_PER_CELL
from perturb_jax.screen.pseudobulk_rows import Rows, rows_of_file, rows_of_table
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError

LARGEST = np.log1p(1e6)
"""What no log1p of counts that were scaled to a million or less per cell exceeds."""


def read_pseudobulk(
    table: "str | Path | pd.DataFrame | anndata.AnnData",
    where: Mapping[str, object] | None = None,
    *,
    condition: str | None = None,
    cell_counts: str | None = None,
    gene_names: str | None = None,
    control: str | Sequence[str] | None = None,
    layer: str | None = None,
    normalize: bool = False,
    num_de: int = 20,
) -> Screen:
    """Read a screen from mean expression: one row per perturbation or control, one column per gene.

    Moments 2 to 4 are zero: losses on such a screen measure the error of the mean alone. Several rows of one condition
    are averaged, weighted by their cells. DE genes are those whose mean changes most, as there is no variance to
    test against. There are no control cells to correlate, so the co-expression graph has no edge.

    Rows called as in the files of Replogle et al. 2022, "10005_ZBTB4_P1P2_ENSG00000174282", are perturbations of that
    gene ("non-targeting": control). Their files "raw_bulk" hold mean counts, which `normalize` takes; "normalized_bulk"
    holds z-scores, which are refused.

    Args:
        table: a table, an AnnData, or the path of a CSV, TSV (.gz allowed) or `.h5ad` file, of log1p expression.
        where: column to the value, or values, of the rows to read; such a column of a table is no gene.
        condition: the column with the conditions, as for `read_screen`; None: the one that is called so; else the index
            (of a CSV or TSV file: the first column). "index": the index.
        cell_counts: the column with the numbers of cells; None: the one that is called so; without one, each row
            counts as 1 cell.
        gene_names: of an `.h5ad` file: the genes' column with their names, as for `read_screen`.
        control: what control rows are called; None: the usual names.
        layer: of an `.h5ad` file: the layer with the values; None: X.
        normalize: the values are sums or means of raw counts; scale each row to 10,000, and take log1p of the averages.
            That is the log1p of a mean, which exceeds the mean of log1p that `read_screen` finds in cells.
        num_de: how many DE genes to keep.

    Raises:
        InputError: files that are no such table; values that are not finite and >= 0; raw counts without `normalize`,
            as far as they show; no control; no perturbation; genes that share a name; rows of several cell types.

    Examples:
        >>> means = pd.DataFrame({"A": [1.0, 0.5], "B": [2.0, 2.5]}, index=["ctrl", "A+ctrl"])
        >>> screen = read_pseudobulk(means)
        >>> screen.perturbations, screen.effects.tolist()
        (('A',), [[-0.5, 0.5]])
    """
    in_memory = {pd.DataFrame: "pseudobulk table", anndata.AnnData: "AnnData"}
    place = in_memory.get(type(table)) or str(table)
    if isinstance(table, anndata.AnnData):
        rows = rows_of_file(table, where, condition, cell_counts, gene_names, layer)
    elif not isinstance(table, pd.DataFrame) and ".h5ad" in Path(table).suffixes:
        rows = rows_of_file(Path(table), where, condition, cell_counts, gene_names, layer)
    elif gene_names is not None or layer is not None:
        raise InputError(f"{place}: gene_names and layer are for .h5ad files; a table's columns are the genes")
    elif isinstance(table, pd.DataFrame):
        rows = rows_of_table(table, where, condition, cell_counts, in_memory=True, place=place)
    else:
        rows = rows_of_table(read_csv(Path(table)), where, condition, cell_counts, in_memory=False, place=place)
    given = {control.lower()} if isinstance(control, str) else {name.lower() for name in control or ()}
    try:
        names = [condition_name(label, CONTROL_NAMES | given) for label in rows.labels]
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    conditions, number = np.unique(np.array(names, object).astype(str), return_inverse=True)  # control ("") first
    if len(conditions) < 2 or conditions[0] != "":
        raise InputError(
            f"{place}: expected rows for control and for at least one perturbation, got "
            f"{', '.join(rows.labels[:6]) or 'none'}; name the control with control=..."
        )
    counts, mean = _averages(rows, number, normalize, place)
    genes = rows.genes
    none, no_genes = np.zeros((len(mean) - 1, len(genes))), np.zeros(len(genes))
    settings: dict[str, object] = {
        "pseudobulk": place,
        "where": plain_where(where),
        **rows.settings,
        "control": sorted({label for label, name in zip(rows.labels, names, strict=True) if name == ""}),
        "normalize": normalize,
        "num_de": num_de,
    }
    return Screen(
        perturbations=tuple(conditions[1:].tolist()),
        readouts=genes,
        cell_counts=counts[1:].astype(np.int64),
        mean=mean[1:],
        variance=none,
        third=none.copy(),
        fourth=none.copy(),
        nonzero=mean[1:] > 0,
        de_genes=np.stack([top_genes(row - mean[0], min(num_de, len(genes))) for row in mean[1:]]),
        control_count=int(counts[0]),
        control_mean=mean[0],
        control_variance=no_genes,
        control_third=no_genes.copy(),
        control_fourth=no_genes.copy(),
        coexpression=no_coexpression(genes, "a pseudobulk holds no cells"),
        source=None,
        settings=settings,
    )


def _averages(rows: Rows, number: np.ndarray, normalize: bool, place: str) -> tuple[np.ndarray, np.ndarray]:
    """The cells of each condition, and the means of its rows, weighted by cells [conditions, genes]."""
    values = rows.values
    if normalize:
        totals = values.sum(1, keepdims=True)
        if not totals.all():
            raise InputError(f"{place}: no count in row {int(totals.argmin()) + 1}; leave the row out")
        values = values * (COUNTS_PER_CELL / totals)
    elif values.max() > LARGEST or (values.any() and (values == np.floor(values)).all()):
        raise InputError(
            f"{place}: expected means of log1p of scaled counts, got values up to {values.max():.4g}, so raw counts: "
            "give normalize=True to scale them and take log1p"
        )
    counts = np.bincount(number, rows.counts)
    weights = sparse.csr_array((rows.counts, (number, np.arange(len(number)))))
    mean = weights @ values / counts[:, None]
    return counts, np.log1p(mean) if normalize else mean
