"""The cells of a screen, read again from its file, for what moments do not hold."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from perturb_jax.screen.cell_labels import label_cells, label_genes
from perturb_jax.screen.cell_table import COUNTS_PER_CELL, open_cells
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError

CONTROL = "ctrl"
"""What the condition of control cells is called."""


class Cells(NamedTuple):
    """Cells of a screen.

    Attributes:
        expression: as the screen's moments have it, float32 CSR [cells, genes], columns as `Screen.readouts`.
        conditions: of each cell: a name of `Screen.perturbations`, or "ctrl".
    """

    expression: Any
    conditions: np.ndarray


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
    how = screen.how
    place = str(screen.source)
    with open_cells(screen.source) as table:
        obs, var = table.obs, table.var
        # Perturbations that were too small for the screen are not asked for, so there is no need to refuse them.
        # What is not known of how the screen was read is guessed again.
        labels = label_cells(obs, how.where, how.condition, how.control, how.cell_type, "drop", place)
        genes, _ = label_genes(var, how.gene_names, place)
        if genes != screen.readouts:
            raise InputError(f"{place}: its genes are not the screen's; has the file changed since?")
        names = np.array(["", CONTROL, *labels.perturbations])[labels.condition + 1]
        wanted = np.flatnonzero(np.isin(names, [CONTROL, *perturbations]))
        matrix = table.matrix(how.layer)
        parts = []
        for chunk in matrix.chunks(lambda first, stop: not matrix.by_cell or _any_within(wanted, first, stop)):
            rows, minor = len(chunk.indptr) - 1, len(var) if chunk.by_cell else len(obs)
            part = sparse.csr_array((chunk.data, chunk.minor, chunk.indptr), shape=(rows, minor))
            if chunk.by_cell:
                inside = wanted[(wanted >= chunk.first) & (wanted < chunk.first + rows)] - chunk.first
                parts.append(part[inside])
            else:
                parts.append(part[:, wanted])
        expression = sparse.csr_array(sparse.vstack(parts) if matrix.by_cell else sparse.vstack(parts).T)
    expression.sum_duplicates()
    if how.normalize:
        totals = np.asarray(expression.sum(axis=1)).ravel()
        each = np.repeat(np.where(totals > 0, totals, 1), np.diff(expression.indptr))
        expression.data = np.log1p(expression.data * (COUNTS_PER_CELL / each))
    return Cells(expression.astype(np.float32), names[wanted])


def _any_within(numbers: np.ndarray, first: int, stop: int) -> bool:
    return bool(((numbers >= first) & (numbers < stop)).any())
