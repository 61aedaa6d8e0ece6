"""The rows of a pseudobulk: what each is called, how many cells it stands for, its values; of a table or an `.h5ad`."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from perturb_jax.screen.cell_labels import (
    CELL_TYPE_COLUMNS,
    CONDITION_COLUMNS,
    INDEX,
    chosen_rows,
    guessed_column,
    label_genes,
    text_column,
)
from perturb_jax.screen.cell_table import Matrix, open_cells
from perturb_jax.screen.store import KEY
from perturb_jax.support.errors import InputError

COUNT_COLUMNS = (
    "cells", "n_cells", "num_cells", "cell_counts", "cell_count", "ncells", "num_cells_filtered", "psbulk_cells",
    "psbulk_n_cells",
)  # fmt: skip
"""Columns that hold numbers of cells, in lower case; the last three are Replogle et al.'s and decoupler's."""

_POPULATION = re.compile(r"\d+_(?P<gene>.+)_[^_]+_(?:ENSG\d+|non-targeting|nan)")
"""How Replogle et al. name the rows of their pseudobulk files: number, gene, promoter, Ensembl identifier."""


class Rows(NamedTuple):
    """The rows that are used.

    Attributes:
        labels: the condition of each, as given.
        counts: the cells of each.
        genes: the columns' names.
        values: as given [rows, genes].
        settings: the keys that were used: plain values.
    """

    labels: list[str]
    counts: np.ndarray
    genes: tuple[str, ...]
    values: np.ndarray
    settings: dict[str, object]


def rows_of_table(
    table: pd.DataFrame,
    where: Mapping[str, object] | None,
    condition: str | None,
    cell_counts: str | None,
    in_memory: bool,
    place: str,
) -> Rows:
    """A table whose columns are the genes and some keys. Arguments as for `read_pseudobulk`."""
    rows = table[chosen_rows(table, where or {}, place)] if where else table
    key = _condition_of_table(rows, condition, in_memory, place)
    labels = [str(name).strip() for name in rows.get(key, rows.index)]
    counts, count_key = _counts(rows, cell_counts, place)
    rows = rows.drop(columns=[name for name in {*(where or {}), key, count_key} if name in rows])
    genes = tuple(str(name).strip() for name in rows.columns)
    _check_genes(genes, place)
    values = rows.apply(pd.to_numeric, errors="coerce").to_numpy(float)
    _check_values(values, genes, rows.to_numpy(), place)
    return Rows(labels, counts, genes, values, {"condition": key, "cell_counts": count_key})


def rows_of_file(
    source: "Path | anndata.AnnData",
    where: Mapping[str, object] | None,
    condition: str | None,
    cell_counts: str | None,
    gene_names: str | None,
    layer: str | None,
) -> Rows:
    """An `.h5ad` file or an AnnData whose observations are conditions. Arguments as for `read_pseudobulk`."""
    with open_cells(source) as table:
        obs, place = table.obs, table.place
        if KEY in table.uns:
            raise InputError(f"{place}: expected a pseudobulk, got a saved screen; open it with load_screen")
        genes, gene_key = label_genes(table.var, gene_names, place)
        matrix = table.matrix(layer)
        used = chosen_rows(obs, where or {}, place)
        values = _dense(matrix, place)[used]
    obs = obs[used]
    _refuse_several_cell_types(obs, place)
    key = condition or guessed_column(obs, CONDITION_COLUMNS, "condition", place) or INDEX
    labels = list(obs.index.astype(str).str.strip()) if key == INDEX else text_column(obs, key, place, "condition")
    matches = [_POPULATION.fullmatch(label) for label in labels]
    if all(matches):
        labels = [match["gene"] for match in matches if match]
    counts, count_key = _counts(obs, cell_counts, place)
    _check_values(values, genes, values, place)
    settings: dict[str, object] = {"condition": key, "cell_counts": count_key, "gene_names": gene_key, "layer": layer}
    return Rows(list(labels), counts, genes, values, settings)


def _condition_of_table(rows: pd.DataFrame, condition: str | None, in_memory: bool, place: str) -> str:
    """The column with the conditions; "index" for the index of a table in memory."""
    if condition is not None and condition not in rows and not (in_memory and condition == INDEX):
        raise InputError(f"{place}: condition: no column {condition!r}; found {', '.join(map(str, rows.columns[:6]))}")
    known = [name for name in rows.columns.map(str) if name.strip().lower() in CONDITION_COLUMNS]
    if condition is None and len(known) > 1:
        raise InputError(
            f"{place}: the columns {', '.join(known)} may all name the condition; choose one with condition=..."
        )
    return condition or (known[0] if known else INDEX if in_memory else str(rows.columns[0]))


def _counts(rows: pd.DataFrame, column: str | None, place: str) -> tuple[np.ndarray, str | None]:
    """The cells of each row, and the column that holds them."""
    known = [name for name in rows.columns.map(str) if name.strip().lower() in COUNT_COLUMNS]
    if column is None and len(known) > 1:
        raise InputError(
            f"{place}: the columns {', '.join(known)} may all hold numbers of cells; choose one with cell_counts=..."
        )
    if column is not None and column not in rows:
        raise InputError(f"{place}: cell_counts: no column {column!r}; omit it or name the numbers of cells")
    column = column or (known[0] if known else None)
    if column is None:
        return np.ones(len(rows)), None
    counts = pd.to_numeric(rows[column], errors="coerce").to_numpy(float)
    if not (np.isfinite(counts) & (counts >= 1) & (counts == np.floor(counts))).all():
        raise InputError(
            f"{place}: expected whole numbers >= 1 in {column}, the numbers of cells; correct them, or name another "
            "column with cell_counts=..."
        )
    return counts, str(column)


def _refuse_several_cell_types(obs: pd.DataFrame, place: str) -> None:
    """Their means differ by cell type, and so would conditions that have other cell types than control."""
    column = guessed_column(obs, CELL_TYPE_COLUMNS, "where", place)
    kinds = [] if column is None else sorted(set(text_column(obs, column, place, "where")) - {""})
    if len(kinds) > 1:
        raise InputError(
            f"{place}: expected rows of one cell type, got {len(kinds)} in {column} ({', '.join(kinds[:6])}); choose "
            f"one with where={{{column!r}: ...}}"
        )


def _dense(matrix: Matrix, place: str) -> np.ndarray:
    """The whole matrix [rows, genes]."""
    values = np.zeros(matrix.shape)
    for chunk in matrix.chunks(lambda *_: True):
        shape = (len(chunk.indptr) - 1, matrix.shape[1 if chunk.by_cell else 0])
        if len(chunk.minor) and not 0 <= chunk.minor.min() <= chunk.minor.max() < shape[1]:
            raise InputError(f"{place}: the sparse matrix is damaged (indices); write the file again")
        part = sparse.csr_array((chunk.data, chunk.minor, chunk.indptr), shape=shape).toarray()
        (values if chunk.by_cell else values.T)[chunk.first : chunk.first + shape[0]] = part
    return values


def _check_genes(genes: tuple[str, ...], place: str) -> None:
    if not genes or "" in genes:
        raise InputError(f"{place}: expected a column with a name for every gene, got {len(genes)} columns")
    twice = next((gene for gene, times in Counter(genes).items() if times > 1), None)
    if twice is not None:
        raise InputError(f"{place}: the gene {twice} has several columns; keep one")


def _check_values(values: np.ndarray, genes: tuple[str, ...], given: np.ndarray, place: str) -> None:
    usable = np.isfinite(values) & (values >= 0)
    if usable.all() and values.any():
        return
    if usable.all():
        raise InputError(f"{place}: all values are 0; expected log1p expression, choose another layer or file")
    row, column = np.argwhere(~usable)[0]
    remedy = "mend it, or leave the row or the gene out"
    if values[row, column] < 0:
        remedy = "where values are scaled (z-scores), give those from before"
    raise InputError(
        f"{place}: expected finite log1p expression >= 0, got {given[row, column]!s} for gene {genes[column]} in row "
        f"{row + 1}; {remedy}"
    )
