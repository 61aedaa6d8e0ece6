"""A screen from a table of means per perturbation, where the cells themselves are not at hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from perturb_jax.errors import InputError
from perturb_jax.graph.edge_list import read_csv
from perturb_jax.screen.cell_labels import CONDITION_COLUMNS
from perturb_jax.screen.coexpression import no_coexpression
from perturb_jax.screen.conditions import CONTROL_NAMES, condition_name
from perturb_jax.screen.differential import top_genes
from perturb_jax.screen.screen import Screen

COUNT_COLUMNS = ("cells", "n_cells", "num_cells", "cell_counts", "cell_count", "ncells")
"""Columns that hold numbers of cells, in lower case."""


def read_pseudobulk(
    table: str | Path | pd.DataFrame,
    *,
    condition: str | None = None,
    cell_counts: str | None = None,
    control: str | Sequence[str] | None = None,
    num_de: int = 20,
) -> Screen:
    """Read a screen from mean expression: one row per perturbation or control, one column per gene.

    Moments 2 to 4 are zero: losses on such a screen measure the error of the mean alone. Several rows of one condition
    are averaged, weighted by their cells. DE genes are those whose mean changes most, as there is no variance to
    test against. There are no control cells to correlate, so the co-expression graph has no edge.

    Args:
        table: a table, or the path of a CSV or TSV file (.gz allowed), of log1p expression.
        condition: the column with the conditions, as for `read_screen`; None: the one that is called so, or the first
            column (of a table in memory: its index).
        cell_counts: the column with the numbers of cells; None: the one that is called so; without one, each row
            counts as 1 cell.
        control: what control rows are called; None: the usual names.
        num_de: how many DE genes to keep.

    Raises:
        InputError: files that are no such table; values that are not finite and >= 0; no control; no perturbation;
            genes that share a name.

    Example:
        >>> means = pd.DataFrame({"A": [1.0, 0.5], "B": [2.0, 2.5]}, index=["ctrl", "A+ctrl"])
        >>> screen = read_pseudobulk(means)
        >>> screen.perturbations, screen.change.tolist()
        (('A',), [[-0.5, 0.5]])
    """
    place = "pseudobulk table" if isinstance(table, pd.DataFrame) else str(table)
    rows = table.copy() if isinstance(table, pd.DataFrame) else read_csv(Path(table))
    labels, rows, key = _labels(rows, condition, isinstance(table, pd.DataFrame), place)
    counts, rows, count_key = _counts(rows, cell_counts, place)
    genes = tuple(str(name).strip() for name in rows.columns)
    _check_genes(genes, place)
    values = rows.apply(pd.to_numeric, errors="coerce").to_numpy(float)
    if not np.isfinite(values).all() or (values < 0).any():
        row, column = np.argwhere(~(np.isfinite(values) & (values >= 0)))[0]
        raise InputError(
            f"{place}: expected finite log1p expression >= 0, got {rows.iat[row, column]!s} for gene "
            f"{genes[column]} in row {row + 1}; mend it, or leave the row or the gene out"
        )
    given = {control.lower()} if isinstance(control, str) else {name.lower() for name in control or ()}
    try:
        names = [condition_name(label, CONTROL_NAMES | given) for label in labels]
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    frame = pd.DataFrame(values * counts[:, None]).groupby(names).sum()
    total = pd.Series(counts).groupby(names).sum()
    if "" not in frame.index or len(frame) < 2:
        raise InputError(
            f"{place}: expected rows for control and for at least one perturbation, got "
            f"{', '.join(labels[:6]) or 'none'}; name the control with control=..."
        )
    mean = frame.to_numpy() / total.to_numpy()[:, None]  # sorted: control ("") first
    none, no_genes = np.zeros((len(mean) - 1, len(genes))), np.zeros(len(genes))
    settings: dict[str, object] = {
        "pseudobulk": place,
        "condition": key,
        "cell_counts": count_key,
        "control": sorted({label for label, name in zip(labels, names, strict=True) if name == ""}),
        "num_de": num_de,
    }
    return Screen(
        perturbations=tuple(map(str, frame.index[1:])),
        genes=genes,
        cell_counts=total.to_numpy()[1:].astype(np.int64),
        mean=mean[1:],
        variance=none,
        third=none.copy(),
        fourth=none.copy(),
        nonzero=mean[1:] > 0,
        de_genes=np.stack([top_genes(row - mean[0], min(num_de, len(genes))) for row in mean[1:]]),
        control_count=int(total.iloc[0]),
        control_mean=mean[0],
        control_variance=no_genes,
        control_third=no_genes.copy(),
        control_fourth=no_genes.copy(),
        coexpression=no_coexpression(genes, "a pseudobulk table holds no cells"),
        source=None,
        settings=settings,
    )


def _labels(
    rows: pd.DataFrame, condition: str | None, in_memory: bool, place: str
) -> tuple[list[str], pd.DataFrame, str]:
    """The conditions, the other columns, and where the conditions stood."""
    if condition is not None and condition not in rows:
        raise InputError(f"{place}: condition: no column {condition!r}; found {', '.join(map(str, rows.columns[:6]))}")
    known = [name for name in rows.columns.map(str) if name.strip().lower() in CONDITION_COLUMNS]
    if condition is None and len(known) > 1:
        raise InputError(f"{place}: the columns {', '.join(known)} may all name the condition; choose condition=...")
    key = condition if condition is not None else known[0] if known else None if in_memory else rows.columns[0]
    if key is None:
        return [str(name).strip() for name in rows.index], rows, "index"
    return [str(name).strip() for name in rows[key]], rows.drop(columns=key), str(key)


def _counts(rows: pd.DataFrame, column: str | None, place: str) -> tuple[np.ndarray, pd.DataFrame, str | None]:
    """The cells of each row, the other columns, and the column that holds the cells."""
    if column is None:
        column = next((name for name in rows.columns.map(str) if name.strip().lower() in COUNT_COLUMNS), None)
    elif column not in rows:
        raise InputError(f"{place}: cell_counts: no column {column!r}; leave it away or name the numbers of cells")
    if column is None:
        return np.ones(len(rows)), rows, None
    counts = pd.to_numeric(rows[column], errors="coerce").to_numpy(float)
    if not (np.isfinite(counts) & (counts >= 1) & (counts == np.floor(counts))).all():
        raise InputError(f"{place}: expected whole numbers >= 1 in {column}, the numbers of cells; correct them")
    return counts, rows.drop(columns=column), str(column)


def _check_genes(genes: tuple[str, ...], place: str) -> None:
    if not genes or "" in genes:
        raise InputError(f"{place}: expected a column with a name for every gene, got {len(genes)} columns")
    twice = next((gene for gene in genes if genes.count(gene) > 1), None)
    if twice is not None:
        raise InputError(f"{place}: the gene {twice} has several columns; keep one")
