"""What a screen says of itself; its moments, DE genes and noise against the definitions, scipy and scanpy."""

from pathlib import Path

import anndata
import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import sparse
from scipy.stats import ttest_ind

import perturb_jax as pj
from perturb_jax.genes.perturbations import condition_name
from perturb_jax.genes.symbols import GeneNames
from perturb_jax.screen.kernels import accumulate, inspect
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.screen import Moments, Screen, merged, one_of_each, top_genes, welch_t, with_zeros
from tests.screen_oracles import central_moments, moments_of, random_cells, write_cells
from tests.screens import small_screen


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    """A small screen."""
    return read_screen(write_cells(tmp_path / "cells.h5ad", *random_cells()))


def test_rows_are_found_by_name(screen: Screen) -> None:
    assert len(screen) == 3
    assert screen.index(("B", "A")).tolist() == [2, 0]
    with pytest.raises(pj.InputError, match=r"1 of 2 names are no perturbations of this screen: B.X; expected .* 'A'"):
        screen.index(("A", "B+X"))
    assert screen.index(("B+A",)).tolist() == screen.index(("A+B",)).tolist() == [1]


def test_a_change_is_the_difference_from_control(screen: Screen) -> None:
    np.testing.assert_allclose(screen.effects + screen.control_mean[None, :], screen.mean, atol=1e-12)


def test_its_size_is_said_and_not_its_numbers(screen: Screen) -> None:
    said = repr(screen)
    assert said.startswith("Screen(3 perturbations x 12 genes, 45 perturbed and 15 control cells, from cells.h5ad")
    assert len(said) < 300


def streamed(values: np.ndarray, groups: np.ndarray, pieces: int = 1, by_cell: bool = True) -> Moments:
    """Moments of groups of the rows, the matrix given in pieces of rows or of columns."""
    sums = np.zeros((int(groups.max()) + 1, values.shape[1], 5))
    oriented, first = (values if by_cell else values.T), 0
    for piece in np.array_split(oriented, pieces):
        part = sparse.csr_array(piece.astype(float))
        accumulate(part.data, part.indices, part.indptr.astype(np.int64), first, by_cell, groups, sums)
        first += len(piece)
    return with_zeros(sums, np.bincount(groups))


def assert_close(found: np.ndarray, expected: np.ndarray, scale: np.ndarray, tolerance: float = 1e-5) -> None:
    """The m-th moment to `tolerance` of sigma^m; `found` and `expected` are [4, genes], sigma [genes]."""
    for power, (one, other) in enumerate(zip(found, expected, strict=True), start=1):
        np.testing.assert_array_less(np.abs(one - other), tolerance * scale**power + 1e-300)


@pytest.mark.parametrize("by_cell", [True, False])
@pytest.mark.parametrize("pieces", [1, 5])
def test_moments_are_those_of_the_definition(by_cell: bool, pieces: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(1.0, 2.0, (200, 15)) * (rng.random((200, 15)) < np.linspace(0, 1, 15))
    groups = rng.integers(0, 4, 200)
    found = streamed(values, groups, pieces, by_cell)
    for group in range(4):
        rows = values[groups == group]
        assert_close(np.stack([part[group] for part in found[1:]]), central_moments(rows), rows.std(0), 1e-12)
    np.testing.assert_array_equal(found.cells, np.bincount(groups))


@pytest.mark.parametrize(("mean", "deviation"), [(1e3, 1e-2), (1e4, 1e-4), (9.0, 1e-6), (1e6, 1e-1)])
@pytest.mark.parametrize("zeros", [0, 1])
def test_tiny_variances_around_large_means_keep_their_digits(mean: float, deviation: float, zeros: int) -> None:
    """The definition is evaluated on exactly shifted values, where float64 loses nothing."""
    rng = np.random.default_rng(1)
    values = mean + deviation * rng.standard_exponential((5000, 3))
    values[:zeros] = 0
    shifted = values - mean
    expected = central_moments(shifted)
    expected[0] += mean
    assert_close(np.stack([part[0] for part in streamed(values, np.zeros(5000, int), 7)[1:]]), expected, shifted.std(0))


def test_a_constant_has_no_variance_at_all() -> None:
    found = streamed(np.full((100, 1), 0.1), np.zeros(100, int))
    assert found.mean[0, 0] == 0.1
    assert found.variance[0, 0] == found.third[0, 0] == found.fourth[0, 0] == 0


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_groups_merge_to_the_moments_of_all_cells(seed: int, num_groups: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(num_groups), rng.integers(0, num_groups, 30)])
    values = rng.normal(groups[:, None], 1.0, (len(groups), 4)) * (rng.random((len(groups), 4)) < 0.7)
    whole = merged(streamed(values, groups))
    assert_close(np.stack(whole[1:]), central_moments(values), values.std(0), 1e-10)
    assert whole.cells == len(groups)


def test_cells_without_a_group_do_not_count_and_are_not_inspected() -> None:
    values, groups = np.array([[1.0, 2.0], [np.nan, -1.0]]), np.array([0, -1])
    part = sparse.csr_array(values)
    arrays = (part.data, part.indices, part.indptr.astype(np.int64))
    sums = np.zeros((1, 2, 5))
    accumulate(*arrays, 0, True, groups, sums)
    assert with_zeros(sums, np.array([1])).mean.tolist() == [[1.0, 2.0]]
    assert inspect(*arrays, 0, True, groups) == (0, -1, True, 2.0)


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


@pytest.fixture(params=["norman19", "mcfaline23", "made here"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A file of cells, and which of its data sets is meant."""
    if request.param != "made here":
        return request.getfixturevalue("real_data") / "perturbench_devel_norman19_mcfaline23.h5ad", request.param
    values, names = random_cells(cells=240, genes=60)
    plain = [name.replace("+ctrl", "").replace("ctrl+", "").replace("ctrl", "control") for name in names]
    types, made = np.resize(["K562", "RPE1", "K562"], len(names)).tolist(), ["made here"] * len(names)
    path = write_cells(tmp_path / "cells.h5ad", values, plain, cell_type=types, dataset=made)
    return path, "made here"


@pytest.mark.filterwarnings("ignore:DataFrame is highly fragmented")  # scanpy's result table
def test_the_top_twenty_are_those_of_scanpy(dataset: tuple[Path, str]) -> None:
    scanpy = pytest.importorskip("scanpy")
    path, which = dataset
    cells = anndata.read_h5ad(path)
    cells = cells[cells.obs["dataset"] == which]
    for cell_type in sorted(set(cells.obs["cell_type"])):
        chosen = cells[cells.obs["cell_type"] == cell_type].copy()
        where = {"dataset": which, "cell_type": cell_type}
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


def test_old_and_new_symbol_of_one_gene_are_merged() -> None:
    known = GeneNames(["G0", "SEPTIN9", "TP53"], {"SEPT9": ("SEPTIN9",), "P53": ("TP53",)})
    screen = small_screen(
        ["P53", "SEPT9", "SEPT9+TP53", "SEPTIN9", "TP53+SEPTIN9"], ["G0", "G1"], cells=[8, 5, 4, 7, 6]
    )
    one = one_of_each(screen, known)
    assert one.perturbations == ("P53", "SEPTIN9", "SEPTIN9+TP53")
    assert one.cell_counts.tolist() == [8, 12, 10]
    np.testing.assert_allclose(one.mean[1], (5 * screen.mean[1] + 7 * screen.mean[3]) / 12)
    expected = merged(screen.perturbed.of(np.array([1, 3])))
    np.testing.assert_array_equal(one.perturbed.fourth[1], expected.fourth)
    assert one.settings["merged"] == {"SEPT9": "SEPTIN9", "SEPT9+TP53": "SEPTIN9+TP53", "TP53+SEPTIN9": "SEPTIN9+TP53"}
    assert sorted(one.de_genes[1].tolist()) == [0, 1]
    assert one_of_each(one, known) is one
