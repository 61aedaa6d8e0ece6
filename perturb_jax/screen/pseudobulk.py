"""A screen from means per perturbation, where the cells themselves are not at hand."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from perturb_jax.genes.lists import read_csv
from perturb_jax.genes.perturbations import CONTROL_NAMES, condition_name
from perturb_jax.screen.cell_labels import (
    CELL_TYPE_COLUMNS,
    CONDITION_COLUMNS,
    INDEX,
    chosen_rows,
    guessed_column,
    label_genes,
    plain_where,
    text_column,
)
from perturb_jax.screen.cells import COUNTS_PER_CELL, CellTable, open_cells
from perturb_jax.screen.coexpression import no_coexpression
from perturb_jax.screen.screen import Moments, Screen, top_genes
from perturb_jax.screen.store import KEY
from perturb_jax.support.errors import InputError, prefixed

COUNT_COLUMNS = (
    "cells", "n_cells", "num_cells", "cell_counts", "cell_count", "ncells", "num_cells_filtered", "psbulk_cells",
    "psbulk_n_cells",
)  # fmt: skip
"""Columns that hold numbers of cells, in lower case; the last three are Replogle et al.'s and decoupler's."""

_POPULATION = re.compile(r"\d+_(?P<gene>.+)_[^_]+_(?:ENSG\d+|non-targeting|nan)")
"""How Replogle et al. name the rows of their pseudobulk files: number, gene, promoter, Ensembl identifier."""

LARGEST = np.log1p(1e6)
"""What no log1p of counts that were scaled to a million or less per cell exceeds."""


class _Means(NamedTuple):
    """The rows that are used: the condition and the cells of each, values as given [rows, genes]; and which keys."""

    labels: list[str]
    counts: np.ndarray
    genes: tuple[str, ...]
    values: np.ndarray
    keys: dict[str, Any]


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
    name = {pd.DataFrame: "pseudobulk table", anndata.AnnData: "AnnData"}.get(type(table)) or str(table)
    if isinstance(table, anndata.AnnData) or (not isinstance(table, pd.DataFrame) and ".h5ad" in Path(table).suffixes):
        with open_cells(table if isinstance(table, anndata.AnnData) else Path(table)) as held:
            means = _means_of_file(held, where, condition, cell_counts, gene_names, layer)
    else:
        if gene_names is not None or layer is not None:
            raise InputError(f"{name}: gene_names and layer are for .h5ad files; a table's columns are the genes")
        in_memory = isinstance(table, pd.DataFrame)
        rows = table if isinstance(table, pd.DataFrame) else read_csv(Path(table))
        with prefixed(f"{name}: "):
            means = _means_of_table(rows, where, condition, cell_counts, in_memory)
    given = {control.lower()} if isinstance(control, str) else {name.lower() for name in control or ()}
    with prefixed(f"{name}: "):
        names = [condition_name(label, CONTROL_NAMES | given) for label in means.labels]
        conditions, number = np.unique(np.array(names, object).astype(str), return_inverse=True)  # control ("") first
        if len(conditions) < 2 or conditions[0] != "":
            raise InputError(
                "expected rows for control and for at least one perturbation, got "
                f"{', '.join(means.labels[:6]) or 'none'}; name the control with control=..."
            )
        counts, mean = _averages(means, number, normalize)
    moments = Moments(counts.astype(np.int64), mean, *np.zeros((3, *mean.shape)))
    return Screen(
        perturbations=tuple(conditions[1:].tolist()),
        readouts=means.genes,
        perturbed=moments.of(slice(1, None)),
        control=moments.of(0),
        nonzero=mean[1:] > 0,
        de_genes=np.stack([top_genes(row - mean[0], min(num_de, len(means.genes))) for row in mean[1:]]),
        coexpression=no_coexpression(means.genes, "a pseudobulk holds no cells"),
        source=None,
        settings={
            "pseudobulk": name,
            "where": plain_where(where),
            **means.keys,
            "control": sorted({label for label, name in zip(means.labels, names, strict=True) if name == ""}),
            "normalize": normalize,
            "num_de": num_de,
        },
    )


def _averages(means: _Means, number: np.ndarray, normalize: bool) -> tuple[np.ndarray, np.ndarray]:
    """The cells of each condition, and the means of its rows, weighted by cells [conditions, genes]."""
    values = means.values
    if normalize:
        totals = values.sum(1, keepdims=True)
        if not totals.all():
            raise InputError(f"no count in row {int(totals.argmin()) + 1}; leave the row out")
        values = values * (COUNTS_PER_CELL / totals)
    elif values.max() > LARGEST or (values.any() and (values == np.floor(values)).all()):
        raise InputError(
            f"expected means of log1p of scaled counts, got values up to {values.max():.4g}, so raw counts: give "
            "normalize=True to scale them and take log1p"
        )
    counts = np.bincount(number, means.counts)
    weights = sparse.csr_array((means.counts, (number, np.arange(len(number)))))
    mean = weights @ values / counts[:, None]
    return counts, np.log1p(mean) if normalize else mean


def _means_of_table(
    table: pd.DataFrame,
    where: Mapping[str, object] | None,
    condition: str | None,
    cell_counts: str | None,
    in_memory: bool,
) -> _Means:
    """A table whose columns are the genes and some keys."""
    rows = table[chosen_rows(table, where)] if where else table
    if condition is not None and condition not in rows and not (in_memory and condition == INDEX):
        raise InputError(f"condition: no column {condition!r}; found {', '.join(map(str, rows.columns[:6]))}")
    key = condition or _only_column(rows, CONDITION_COLUMNS, "name the condition", "condition")
    key = key or (INDEX if in_memory else str(rows.columns[0]))
    labels = [str(name).strip() for name in rows.get(key, rows.index)]
    counts, count_key = _counts(rows, cell_counts)
    rows = rows.drop(columns=[name for name in {*(where or {}), key, count_key} if name in rows])
    genes = tuple(str(name).strip() for name in rows.columns)
    if not genes or "" in genes:
        raise InputError(f"expected a column with a name for every gene, got {len(genes)} columns")
    twice = next((gene for gene, times in Counter(genes).items() if times > 1), None)
    if twice is not None:
        raise InputError(f"the gene {twice} has several columns; keep one")
    values = rows.apply(pd.to_numeric, errors="coerce").to_numpy(float)
    _check_values(values, genes, rows.to_numpy())
    return _Means(labels, counts, genes, values, {"condition": key, "cell_counts": count_key})


def _means_of_file(
    table: CellTable,
    where: Mapping[str, object] | None,
    condition: str | None,
    cell_counts: str | None,
    gene_names: str | None,
    layer: str | None,
) -> _Means:
    """An `.h5ad` file or an AnnData whose observations are conditions."""
    if KEY in table.uns:
        raise InputError("expected a pseudobulk, got a saved screen; open it with load_screen")
    genes, gene_key = label_genes(table.var, gene_names)
    used = chosen_rows(table.obs, where)
    values = table.matrix(layer).rows(used).toarray()
    obs = table.obs[used]
    kind = guessed_column(obs, CELL_TYPE_COLUMNS, "where")
    kinds = [] if kind is None else sorted(set(text_column(obs, kind, "where")) - {""})
    if len(kinds) > 1:  # their means differ, and so would conditions that have other cell types than control
        raise InputError(
            f"expected rows of one cell type, got {len(kinds)} in {kind} ({', '.join(kinds[:6])}); choose one with "
            f"where={{{kind!r}: ...}}"
        )
    key = condition or guessed_column(obs, CONDITION_COLUMNS, "condition") or INDEX
    labels = list(obs.index.astype(str).str.strip()) if key == INDEX else list(text_column(obs, key, "condition"))
    matches = [_POPULATION.fullmatch(label) for label in labels]
    if all(matches):
        labels = [match["gene"] for match in matches if match]
    counts, count_key = _counts(obs, cell_counts)
    _check_values(values, genes, values)
    keys = {"condition": key, "cell_counts": count_key, "gene_names": gene_key, "layer": layer}
    return _Means(labels, counts, genes, values, keys)


def _only_column(rows: pd.DataFrame, known: Collection[str], what: str, argument: str) -> str | None:
    """The one column that is called like this, if any is."""
    found = [name for name in rows.columns.map(str) if name.strip().lower() in known]
    if len(found) > 1:
        raise InputError(f"the columns {', '.join(found)} may all {what}; choose one with {argument}=...")
    return found[0] if found else None


def _counts(rows: pd.DataFrame, column: str | None) -> tuple[np.ndarray, str | None]:
    """The cells of each row, and the column that holds them."""
    if column is not None and column not in rows:
        raise InputError(f"cell_counts: no column {column!r}; omit it or name the numbers of cells")
    column = column or _only_column(rows, COUNT_COLUMNS, "hold numbers of cells", "cell_counts")
    if column is None:
        return np.ones(len(rows)), None
    counts = pd.to_numeric(rows[column], errors="coerce").to_numpy(float)
    if not (np.isfinite(counts) & (counts >= 1) & (counts == np.floor(counts))).all():
        raise InputError(
            f"expected whole numbers >= 1 in {column}, the numbers of cells; correct them, or name another column with "
            "cell_counts=..."
        )
    return counts, str(column)


def _check_values(values: np.ndarray, genes: tuple[str, ...], given: np.ndarray) -> None:
    usable = np.isfinite(values) & (values >= 0)
    if usable.all() and values.any():
        return
    if usable.all():
        raise InputError("all values are 0; expected log1p expression, choose another layer or file")
    row, column = np.argwhere(~usable)[0]
    remedy = "mend it, or leave the row or the gene out"
    if values[row, column] < 0:
        remedy = "where values are scaled (z-scores), give those from before"
    raise InputError(
        f"expected finite log1p expression >= 0, got {given[row, column]!s} for gene {genes[column]} in row {row + 1}; "
        f"{remedy}"
    )
