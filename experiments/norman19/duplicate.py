"""The technical duplicate (Mejia et al. 2025): what one half of the cells predicts of the other half."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata
import numpy as np
import pandas as pd
from cells import CONDITION, chosen

from perturb_jax.evaluation.metrics import duplicate_ceiling
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.split import Split

DUPLICATE = "duplicate (half of the cells)"
"""What the table calls it."""

_HALF = "half"
_STREAM = 1  # its draws are not those of the splits, which have the same seeds


def duplicate_metrics(cells: Path, where: str, whole: Screen, split: Split, seed: int) -> pd.DataFrame:
    """Divide the cells, perturbed and control, and let one half's effects predict the other half's.

    The DE genes are those of the whole screen. They are the genes that every other predictor is evaluated on, and they
    favour neither half: they depend on the mean of the halves, their error on the difference. Chosen in the half that
    is predicted, they would be partly those that this half's noise raised, which the other half does not share.

    Args:
        cells: the `.h5ad` file.
        where: COLUMN=VALUE of the cells to read.
        whole: the screen of all these cells.
        split: the perturbations.
        seed: of the division.

    Raises:
        InputError: perturbations with too few cells for two halves.
    """
    ((column, value),) = chosen(where).items()
    table = anndata.read_h5ad(cells)
    table = table[(table.obs[column].astype(str).str.strip() == value).to_numpy()].copy()
    table.obs[_HALF] = halves(table.obs[CONDITION], seed)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "halves.h5ad"
        table.write_h5ad(path)
        first, second = (
            read_screen(path, {_HALF: half}, condition=CONDITION, progress=False) for half in ("first", "second")
        )
    return duplicate_ceiling(replace(first, de_genes=whole.de_genes), second, split.test, split.train)


def halves(conditions: pd.Series, seed: int) -> np.ndarray:
    """Which half, "first" or "second", each cell is in: random within each condition; an odd cell is in the second."""
    random = np.random.default_rng([_STREAM, seed])
    half = np.full(len(conditions), "second")
    codes, _ = pd.factorize(conditions, sort=True)
    for condition in range(codes.max(initial=-1) + 1):
        rows = random.permutation(np.flatnonzero(codes == condition))
        half[rows[: len(rows) // 2]] = "first"
    return half
