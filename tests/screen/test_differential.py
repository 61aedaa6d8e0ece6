"""Differentially expressed genes against scipy and scanpy."""

from pathlib import Path

import anndata
import numpy as np
import pytest
from scipy.stats import ttest_ind

from perturb_jax.genes.perturbations import condition_name
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.screen import top_genes, welch_t
from tests.screen_oracles import moments_of


def test_it_is_the_t_of_welch() -> None:
    rng = np.random.default_rng(0)
    perturbed, control = rng.normal(0.5, 2.0, (7, 40)), rng.normal(0, 1.0, (30, 40))
    expected = ttest_ind(perturbed, control, equal_var=False).statistic
    np.testing.assert_allclose(welch_t(moments_of(perturbed), moments_of(control)), expected, rtol=1e-9)


def test_a_perturbation_is_not_credited_with_what_its_cell_type_expresses() -> None:
    """Gene 0 differs between cell types, gene 1 by the perturbation, which is common in one type."""
    rng = np.random.default_rng(1)
    types = [rng.normal([0, 0], 0.1, (100, 2)), rng.normal([5, 0], 0.1, (20, 2))]
    perturbed = [rng.normal([0, 1], 0.1, (10, 2)), rng.normal([5, 1], 0.1, (90, 2))]
    score = welch_t(moments_of(*perturbed), moments_of(*types))
    assert abs(score[0]) < 4 < 40 < score[1]
    weight = np.array([0.1, 0.9])
    error = weight**2 @ np.array([p.var(0, ddof=1) / len(p) + c.var(0, ddof=1) / len(c)
                                  for p, c in zip(perturbed, types, strict=True)])  # fmt: skip
    difference = weight @ np.array([p.mean(0) - c.mean(0) for p, c in zip(perturbed, types, strict=True)])
    np.testing.assert_allclose(score, difference / np.sqrt(error), rtol=1e-9)


def test_genes_that_do_not_vary_are_ranked_by_whether_they_differ() -> None:
    perturbed, control = np.array([[1.0, 0.0, 3.0]] * 4), np.array([[1.0, 2.0, 0.0]] * 4)
    score = welch_t(moments_of(perturbed), moments_of(control))
    assert score.tolist() == [0.0, -np.inf, np.inf]
    assert top_genes(score, 2).tolist() == [1, 2]


def test_equal_scores_go_by_column() -> None:
    assert top_genes(np.array([1.0, -3.0, 3.0, 0.0, 1.0]), 4).tolist() == [1, 2, 0, 4]


@pytest.mark.filterwarnings("ignore:DataFrame is highly fragmented")  # scanpy's result table
@pytest.mark.parametrize("dataset", ["norman19", "mcfaline23"])
def test_the_top_twenty_are_those_of_scanpy_on_real_cells(real_data: Path, dataset: str) -> None:
    scanpy = pytest.importorskip("scanpy")
    path = real_data / "perturbench_devel_norman19_mcfaline23.h5ad"
    cells = anndata.read_h5ad(path)
    cells = cells[cells.obs["dataset"] == dataset]
    for cell_type in sorted(set(cells.obs["cell_type"])):
        chosen = cells[cells.obs["cell_type"] == cell_type].copy()
        where = {"dataset": dataset, "cell_type": cell_type}
        screen = read_screen(path, where=where, too_few="drop")
        names_of = chosen.obs["condition"].astype(str).map(condition_name)
        chosen = chosen[names_of.isin([*screen.perturbations, ""])].copy()
        scanpy.tl.rank_genes_groups(chosen, "condition", reference="control", method="t-test", rankby_abs=True,
                                    use_raw=False)  # fmt: skip
        names = chosen.uns["rank_genes_groups"]["names"]
        compared = {"+".join(sorted(group.split("+"))): names[group][:20] for group in names.dtype.names}
        assert set(compared) == set(screen.perturbations)
        for row, name in enumerate(screen.perturbations):
            assert {screen.readouts[column] for column in screen.de_genes[row]} == set(compared[name]), name
