"""What tests of screens have in common: small files of cells, and moments of them in dense float64 NumPy."""

from collections.abc import Sequence
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from perturb_jax.screen.screen import Moments, Screen


def write_cells(
    path: Path,
    values: np.ndarray,
    conditions: Sequence[str],
    layout: str = "csr",
    genes: list[str] | None = None,
    **obs: Sequence[object],
) -> Path:
    """An .h5ad file of cells; layout csr, csc or dense."""
    table = pd.DataFrame({"condition": conditions, **obs}, index=[f"cell{i}" for i in range(len(conditions))])
    var = pd.DataFrame(index=genes or [f"G{i}" for i in range(values.shape[1])])
    stored = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}.get(layout, np.asarray)(values)
    anndata.AnnData(stored, obs=table, var=var).write_h5ad(path)
    return path


def random_cells(seed: int = 0, cells: int = 60, genes: int = 12) -> tuple[np.ndarray, list[str]]:
    """Sparse positive values, and conditions in which control, singles and a double occur in mixed order."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, 1.0, (cells, genes)) * (rng.random((cells, genes)) < rng.uniform(0, 1, genes))
    names = np.resize(["ctrl", "A+ctrl", "ctrl+B", "B+A"], cells)
    return values, rng.permutation(names).tolist()


def central_moments(values: np.ndarray) -> np.ndarray:
    """Mean and central moments 2 to 4 of the rows, [4, columns], from the definitions."""
    mean = values.mean(0)
    return np.stack([mean, *(((values - mean) ** power).mean(0) for power in (2, 3, 4))])


def moments_of(*groups: np.ndarray) -> Moments:
    """Moments of groups of cells, from the definitions."""
    parts = np.stack([central_moments(group) for group in groups], axis=1)
    return Moments(np.array([len(group) for group in groups]), *parts)


def assert_same_screen(one: Screen, other: Screen, settings: bool = True) -> None:
    """Equal in everything but where the cells are."""
    assert one.perturbations == other.perturbations and one.readouts == other.readouts
    assert one.coexpression.num_edges == other.coexpression.num_edges
    for name in ("nonzero", "de_genes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for group in ("perturbed", "control"):
        for name, ours, theirs in zip(Moments._fields, getattr(one, group), getattr(other, group), strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=f"{name}, {group}")
    assert not settings or one.settings == other.settings
