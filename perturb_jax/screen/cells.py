"""Cells in a file or an AnnData in memory: their tables, their matrices, those of a screen."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd

from perturb_jax.screen.cell_labels import label_cells, label_genes
from perturb_jax.screen.matrix import Matrix, matrix_of
from perturb_jax.screen.repeated_genes import ColumnSums
from perturb_jax.screen.screen import Screen
from perturb_jax.support.cell_files import open_cell_file, read_cell_table
from perturb_jax.support.errors import InputError, prefixed

COUNTS_PER_CELL = 1e4
"""What counts are scaled to before log1p."""

CONTROL = "ctrl"
"""What the condition of control cells is called."""

RAW = "raw"
"""What scanpy calls the matrix from before scaling or choosing genes, and `layer` too where no layer is called so."""


class CellTable(NamedTuple):
    """What holds cells: their table, the genes', X and "layers/..." by name (HDF5 nodes, or arrays), and what else."""

    obs: pd.DataFrame
    var: pd.DataFrame
    matrices: Mapping[str, Any]
    uns: Collection[str]
    raw: "Callable[[], tuple[pd.DataFrame, Any]] | None"  # gives the genes' table and the matrix that `raw` holds

    def expression(self, layer: str | None, raw: bool = False) -> tuple[pd.DataFrame, Matrix]:
        """The genes' table and the matrix: X, a layer, or `raw`."""
        name = "X" if layer is None else f"layers/{layer}"
        if raw and layer is not None:
            raise InputError("both raw and layer say where the values are; give one")
        if raw or (layer == RAW and name not in self.matrices):
            if self.raw is None:
                raise InputError(f"no raw here; choose a matrix with layer=... (layers: {self._layers()})")
            name, (var, node) = "raw/X", self.raw()
        else:
            var, node = self.var, self.matrices.get(name)
        if node is None:
            held = " and raw, with raw=True" if self.raw is not None else ""
            raise InputError(f"no matrix {name}; choose one with layer=... (layers: {self._layers()}{held})")
        matrix = matrix_of(node)
        if isinstance(matrix, str):
            raise InputError(f"{name} is {matrix!r}; expected a dense, CSR or CSC matrix")
        shape = (len(self.obs), len(var))
        if matrix.shape != shape:
            raise InputError(f"{name} has the shape {matrix.shape}, obs and var say {shape}; the file is damaged")
        if matrix.values.dtype.kind not in "fiub":
            raise InputError(f"expected numbers in {name}, got {matrix.values.dtype}; store expression values there")
        return var, matrix

    def others(self, layer: str | None, raw: bool) -> str:
        """The other matrices, for people; empty if there is none."""
        names = [name for name in self.matrices if name != ("X" if layer is None else f"layers/{layer}") or raw]
        found = [f"layer {name.removeprefix('layers/')}" if name != "X" else "X" for name in names]
        found += ["raw, with raw=True"] if self.raw is not None and not raw else []
        return ", ".join(found)

    def _layers(self) -> str:
        return ", ".join(name.removeprefix("layers/") for name in self.matrices if name != "X") or "none"


@contextmanager
def open_cells(source: "Path | anndata.AnnData") -> Iterator[CellTable]:
    """The cells of a file, or of an AnnData in memory; messages begin with the path, or with "AnnData"."""
    if isinstance(source, anndata.AnnData):
        with prefixed("AnnData: "):
            yield _in_memory(source)
        return
    with open_cell_file(source) as file:
        matrices = {"X": file["X"]} if "X" in file else {}
        layers = file.get("layers", {})
        matrices |= {f"layers/{name}": layers[name] for name in layers}
        raw = None
        for x, var in (("raw/X", "raw/var"), ("raw.X", "raw.var")):  # the second before anndata 0.7
            if x in file and var in file:
                raw = partial(_raw, file, var, x)
        uns = file.get("uns", ())
        yield CellTable(read_cell_table(file, "obs"), read_cell_table(file, "var"), matrices, uns, raw)


def _raw(file: Any, var: str, x: str) -> tuple[pd.DataFrame, Any]:
    return read_cell_table(file, var), file[x]


def _in_memory(cells: anndata.AnnData) -> CellTable:
    if cells.isbacked and cells.is_view:
        raise InputError("a view of a file cannot be read; give view.to_memory(), or the path and where=...")
    x = cells.file["X"] if cells.isbacked else cells.X
    matrices = {"X": x} | {f"layers/{name}": matrix for name, matrix in cells.layers.items()}

    def raw() -> tuple[pd.DataFrame, Any]:
        held = cells.raw
        return held.var, cells.file["raw/X"] if cells.isbacked else held.X

    return CellTable(cells.obs, cells.var, matrices, cells.uns, None if cells.raw is None else raw)


class Cells(NamedTuple):
    """Cells of a screen."""

    expression: Any  # as the screen's moments have it, float32 CSR [cells, genes], columns as `Screen.readouts`
    conditions: np.ndarray  # of each cell: a name of `Screen.perturbations`, or "ctrl"


CellReader = Callable[[Screen, Sequence[str]], Cells]
"""Reads the cells of some perturbations of a screen, and its control cells."""


def read_cells(screen: Screen, perturbations: Sequence[str]) -> Cells:
    """Read the cells of some perturbations, and control cells, from the file of a screen, as `read_screen` read them.

    The file is read in chunks; in memory are the chosen cells, sparse.

    Args:
        screen: made by `read_screen`.
        perturbations: names of `Screen.perturbations`.

    Raises:
        InputError: the screen was not read from cells; the file is not there any more or has changed.
    """
    if screen.source is None:
        raise InputError(
            "this screen has no cells (Screen.source is None: it was simulated, or read from averages or from memory); "
            "expected one that read_screen made from an .h5ad file: read that, or use what needs moments only"
        )
    how = screen.settings  # what it does not say is guessed again
    where, condition, control, kind = (how.get(key) for key in ("where", "condition", "control", "cell_type"))
    if how.get("batch") is not None:
        raise InputError(
            "cells cannot be read as batch=... has their moments, against controls of the same batch; read the screen "
            "without it for what learns from cells"
        )
    separator = None if "separator" in how.get("guessed", ()) else how.get("separator")
    with open_cells(screen.source) as table:
        var, matrix = table.expression(how.get("layer"), how.get("raw", False))
        genes, _, _ = label_genes(var, how.get("gene_names"), how.get("repeated_genes", "error"))
        sums = ColumnSums(genes, logged=not how.get("normalize"))
        genes = tuple(name for name, kept in zip(genes, sums.kept, strict=True) if kept)
        # Perturbations that were too small for the screen are not wanted here, so there is no need to refuse them.
        labels = label_cells(table.obs, where, condition, control, kind, "drop", separator, genes=genes)
        if genes != screen.readouts:
            raise InputError("its genes are not the screen's; has the file changed since?")
        now = how.get("merged", {})
        names = np.array(["", CONTROL, *(now.get(one, one) for one in labels.perturbations)])[labels.condition + 1]
        wanted = np.isin(names, [CONTROL, *perturbations])
        expression = sums.of_rows(matrix.rows(wanted))[:, np.flatnonzero(sums.kept)]
    expression.sum_duplicates()
    if how.get("normalize"):
        totals = np.asarray(expression.sum(axis=1)).ravel()
        each = np.repeat(np.where(totals > 0, totals, 1), np.diff(expression.indptr))
        expression.data = np.log1p(expression.data * (COUNTS_PER_CELL / each))
    return Cells(expression.astype(np.float32), names[wanted])
