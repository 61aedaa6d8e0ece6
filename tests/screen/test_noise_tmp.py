"""How noisy a measured effect is."""

from pathlib import Path

import anndata
import numpy as np
import pytest

import perturb_jax as pj


def screened(truth: np.ndarray, spread: float, cells: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, variances and counts of cells drawn around true effects."""
    draws = np.random.default_rng(seed).normal(truth[:, None], spread, (len(truth), cells, truth.shape[1]))
    return draws.mean(1), draws.var(1), np.full(len(truth), cells)


@pytest.mark.parametrize(("effect", "spread", "cells"), [(1.0, 4.0, 8), (2.0, 1.0, 3), (0.5, 1.0, 20)])
def test_the_ratio_that_made_the_cells_is_found(effect: float, spread: float, cells: int) -> None:
    truth = np.random.default_rng(1).normal(0, effect, (400, 60))
    expected = spread**2 / cells / effect**2
    assert pj.relative_noise(*screened(truth, spread, cells)) == pytest.approx(expected, rel=0.05)


def test_genes_with_large_effects_count_most() -> None:
    truth = np.random.default_rng(2).normal(0, [10.0, 0.01], (300, 2))
    assert pj.relative_noise(*screened(truth, 1.0, 10)) == pytest.approx(2 * 0.1 / 100, rel=0.2)


def test_what_cannot_be_estimated_is_refused() -> None:
    mean, variance, counts = screened(np.zeros((4, 3)), 1.0, 5, seed=3)
    with pytest.raises(pj.InputError, match="differ no more"):
        pj.relative_noise(np.zeros((4, 3)), variance, counts)
    with pytest.raises(pj.InputError, match="at least 2 cells of every perturbation, got 1"):
        pj.relative_noise(mean, variance, np.array([5, 5, 1, 5]))
    with pytest.raises(pj.InputError, match="at least 2 perturbations, got 1"):
        pj.relative_noise(mean[:1], variance[:1], counts[:1])
    with pytest.raises(pj.InputError, match="NaN"):
        pj.relative_noise(np.full((4, 3), np.nan), variance, counts)


def test_on_real_cells_it_says_how_halves_of_the_cells_differ(real_data: Path) -> None:
    """The mean squared difference of two halves' means is four times the error of the whole's."""
    cells = anndata.read_h5ad(real_data / "perturbench_devel_norman19_mcfaline23.h5ad")
    cells = cells[cells.obs["dataset"] == "norman19"]
    values, condition = np.asarray(cells.X.todense(), float), cells.obs["condition"].astype(str).to_numpy()
    groups = [values[condition == name] for name in sorted(set(condition) - {"control"})]
    mean, variance = (np.stack([getattr(np, part)(group, axis=0) for group in groups]) for part in ("mean", "var"))
    noise = pj.relative_noise(mean, variance, np.array([len(group) for group in groups]))
    rng, errors = np.random.default_rng(0), []
    for _ in range(20):
        halves = [np.array_split(group[rng.permutation(len(group))], 2) for group in groups]
        errors.append(np.mean([((one.mean(0) - other.mean(0)) ** 2).sum() / 4 for one, other in halves]))
    error = np.mean(errors)
    assert noise == pytest.approx(error / (mean.var(0, ddof=1).sum() - error), rel=0.03)
