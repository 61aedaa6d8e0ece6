"""A screen from means per perturbation, where the cells themselves are not at hand."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from perturb_jax.genes.conditions import CONDITION_COLUMNS, condition_column, find, some, text_column, understood
from perturb_jax.genes.perturbations import control_kind
from perturb_jax.genes.tables import matching_columns, read_table, to_numbers
from perturb_jax.screen.cell_labels import (
    CELL_TYPE_COLUMNS,
    INDEX,
    RepeatedGenes,
    chosen_rows,
    guessed_column,
    label_genes,
    plain_where,
)
from perturb_jax.screen.cells import COUNTS_PER_CELL, CellTable, open_cells
from perturb_jax.screen.coexpression import no_coexpression
from perturb_jax.screen.repeated_genes import ColumnSums
from perturb_jax.screen.scale import SAMPLE, Looked, check_scale
from perturb_jax.screen.screen import Moments, Screen, top_genes
from perturb_jax.support.cell_files import SCREEN_KEY, is_cell_file
from perturb_jax.support.errors import InputError, prefixed

COUNT_COLUMNS = (
    "cells", "n_cells", "num_cells", "cell_counts", "cell_count", "ncells", "num_cells_filtered", "psbulk_cells",
    "psbulk_n_cells",
)  # fmt: skip
"""Columns that hold numbers of cells, in lower case; the last three are Replogle et al.'s and decoupler's."""


class _Means(NamedTuple):
    """The rows that are used: the condition and the cells of each, values as given [rows, genes]; and which keys."""

    labels: list[str]
    counts: np.ndarray
    genes: tuple[str, ...]
    values: np.ndarray
    keys: dict[str, Any]
    ids: tuple[str, ...] = ()  # Ensembl identifiers of the genes, where they have others


def read_pseudobulk(
    table: "str | Path | pd.DataFrame | anndata.AnnData",
    where: Mapping[str, object] | None = None,
    *,
    condition: str | None = None,
    cell_counts: str | None = None,
    gene_names: str | None = None,
    control: str | Sequence[str] | None = None,
    separator: str | None = None,
    layer: str | None = None,
    raw: bool = False,
    repeated_genes: RepeatedGenes = "error",
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
        table: a table, an AnnData, or the path of a table (CSV, TSV, Excel; see `read_table`) or an `.h5ad` file, of
            log1p expression.
        where: column to the value, or values, of the rows to read; such a column of a table is no gene.
        condition: the column with the conditions, as for `read_screen`; None: the one that is called so; else the index
            (of a CSV or TSV file: the first column). "index": the index.
        cell_counts: the column with the numbers of cells; None: the one that is called so; without one, each row
            counts as 1 cell.
        gene_names: of an `.h5ad` file: the genes' column with their names, as for `read_screen`.
        control: what control rows are called; None: the usual names.
        separator: what joins the genes of a combination, as for `read_screen`.
        layer: of an `.h5ad` file: the layer with the values; None: X.
        raw: of an `.h5ad` file: take the values from `raw`, as for `read_screen`.
        repeated_genes: of an `.h5ad` file: what to do with names that several columns have, as for `read_screen`.
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
    given = [control] if isinstance(control, str) else list(control or ())
    if isinstance(table, anndata.AnnData) or (not isinstance(table, pd.DataFrame) and is_cell_file(Path(table))):
        with open_cells(table if isinstance(table, anndata.AnnData) else Path(table)) as held:
            means = _means_of_file(
                held, where, condition, cell_counts, gene_names, layer, raw, repeated_genes, given, not normalize
            )
    else:
        if gene_names is not None or layer is not None or raw or repeated_genes != "error":
            raise InputError(
                f"{name}: gene_names, layer, raw, repeated_genes are for .h5ad files; a table's columns are the genes"
            )
        in_memory = isinstance(table, pd.DataFrame)
        if isinstance(table, pd.DataFrame):
            rows, commas = table, False
        else:
            read_as = read_table(Path(table))
            rows, commas = read_as.cells, read_as.decimal_commas
        with prefixed(f"{name}: "):
            means = _means_of_table(rows, where, condition, cell_counts, in_memory, commas)
    with prefixed(f"{name}: "):
        if columns := [gene for gene in means.genes if control_kind(gene)]:
            raise InputError(
                "expected a row per condition and a column per gene, got columns called like controls "
                f"({some(columns)}); if genes are in rows, turn the table round (transpose it)"
            )
        read = understood(np.array(means.labels, object), "the rows' names", given, separator, means.genes)
        used = np.flatnonzero([one is not None for one in read.names])
        names = read.names[used]
        conditions, number = np.unique(names.astype(str), return_inverse=True)  # control ("") first
        if len(conditions) < 2 or conditions[0] != "":
            raise InputError(
                "expected rows for control and for at least one perturbation, got "
                f"{', '.join(means.labels[:6]) or 'none'}; name the control with control=..."
            )
        means = means._replace(
            labels=[means.labels[row] for row in used], counts=means.counts[used], values=means.values[used]
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
            **({"rows_left_out": read.left_out} if read.left_out else {}),
            **{key: read.settings[key] for key in ("separator", "conventions") if key in read.settings},
        },
        gene_ids=means.ids,
    )


def _averages(means: _Means, number: np.ndarray, normalize: bool) -> tuple[np.ndarray, np.ndarray]:
    """The cells of each condition, and the means of its rows, weighted by cells [conditions, genes]."""
    values = means.values
    if normalize:
        totals = values.sum(1, keepdims=True)
        if not totals.all():
            raise InputError(f"no count in row {int(totals.argmin()) + 1}; leave the row out")
        values = values * (COUNTS_PER_CELL / totals)
    else:
        sample = sparse.csr_array(values[:SAMPLE])
        check_scale(Looked(bool((values == np.floor(values)).all()), float(values.max()), sample), False)
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
    decimal_commas: bool = False,
) -> _Means:
    """A table whose columns are the genes and some keys."""
    rows = table[chosen_rows(table, where)] if where else table
    if condition is not None and not (in_memory and condition == INDEX):
        condition = find(rows, condition, "condition")
    key = condition or _only_column(rows, CONDITION_COLUMNS, "name the condition", "condition")
    key = key or (INDEX if in_memory else str(rows.columns[0]))
    labels = text_column(rows, key).tolist() if key in rows else [str(name).strip() for name in rows.index]
    counts, count_key = _counts(rows, cell_counts)
    rows = rows.drop(columns=[name for name in {*(where or {}), key, count_key} if name in rows])
    genes = tuple(str(name).strip() for name in rows.columns)
    if not genes or "" in genes:
        raise InputError(f"expected a column with a name for every gene, got {len(genes)} columns")
    twice = next((gene for gene, times in Counter(genes).items() if times > 1), None)
    if twice is not None:
        raise InputError(f"the gene {twice} has several columns; keep one")
    if decimal_commas:
        values = np.stack([to_numbers(rows.iloc[:, i].tolist(), True) for i in range(len(genes))], 1)
    else:
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
    raw: bool,
    repeated_genes: RepeatedGenes,
    controls: Sequence[str],
    logged: bool,
) -> _Means:
    """An `.h5ad` file or an AnnData whose observations are conditions."""
    if SCREEN_KEY in table.uns:
        raise InputError("expected a pseudobulk, got a saved screen; open it with load_screen")
    var, matrix = table.expression(layer, raw)
    named = label_genes(var, gene_names, repeated_genes)
    used = chosen_rows(table.obs, where)
    values = matrix.rows(used)
    obs = table.obs[used]
    kind = guessed_column(obs, CELL_TYPE_COLUMNS, "where")
    kinds = [] if kind is None else sorted(set(text_column(obs, kind)) - {""})
    if len(kinds) > 1:  # their means differ, and so would conditions that have other cell types than control
        raise InputError(
            f"expected rows of one cell type, got {len(kinds)} in {kind} ({', '.join(kinds[:6])}); choose one with "
            f"where={{{kind!r}: ...}}"
        )
    if condition is None:
        known = matching_columns(obs.columns, CONDITION_COLUMNS)
        key = condition_column(obs[known], controls, named.names) if known else INDEX
    else:
        key = condition if condition == INDEX else find(obs, condition, "condition")
    labels = list(obs.index.astype(str).str.strip()) if key == INDEX else list(text_column(obs, key))
    counts, count_key = _counts(obs, cell_counts)
    dense = values.toarray()
    _check_values(dense, named.names, dense)
    sums = ColumnSums(named.names, logged)
    kept = np.flatnonzero(sums.kept)
    dense = dense if len(kept) == len(named.names) else sums.of_rows(values)[:, kept].toarray()
    genes, ids = (tuple(part[column] for column in kept) if part else () for part in (named.names, named.ids))
    keys: dict[str, Any] = {
        "condition": key, "cell_counts": count_key, "gene_names": named.key, "layer": layer,
    }  # fmt: skip
    keys |= {"raw": True} if raw else {}
    keys |= {"repeated_genes": repeated_genes} if repeated_genes != "error" else {}
    return _Means(labels, counts, genes, dense, keys, ids)


def _only_column(rows: pd.DataFrame, known: Collection[str], what: str, argument: str) -> str | None:
    """The one column that is called like this, if any is."""
    found = matching_columns(rows.columns, known)
    if len(found) > 1:
        raise InputError(f"the columns {', '.join(found)} may all {what}; choose one with {argument}=...")
    return found[0] if found else None


def _counts(rows: pd.DataFrame, column: str | None) -> tuple[np.ndarray, str | None]:
    """The cells of each row, and the column that holds them."""
    if column is not None:
        column = find(rows, column, "cell_counts")
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
