"""The Gaussian process against scikit-learn, dense linear algebra, finite differences, and data drawn from it."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import given, settings, strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct

import perturb_jax as pj
from perturb_jax.predictors.graph_gp import Evidence, GraphGP, measurement_noise
from perturb_jax.screen.screen import Screen
from tests.design_oracles import dense_gcn_norm
from tests.graphs import graph_of
from tests.screens import small_screen, with_moments

NAMES = ["G0", "G1", "G2", "G3", "G0+G4", "G5"]
ASKED = ["G7", "G1+G8", "G0", "G4+G0", "G6"]
GRAPH = graph_of(9, [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (7, 0), (8, 2), (1, 7)])
SCALES = st.sampled_from([0.01, 0.3, 4.0])


def features(graph: pj.KnowledgeGraph, hops: int, names: list[str], normalize: bool = True) -> np.ndarray:
    power = np.linalg.matrix_power(dense_gcn_norm(graph, "in", True), hops)
    rows = np.array([power[[int(gene[1:]) for gene in name.split("+")]].sum(0) for name in names])
    return rows / np.linalg.norm(rows, axis=1)[:, None] if normalize else rows


def same(first: list[str], second: list[str]) -> np.ndarray:
    return np.array([[set(a.split("+")) == set(b.split("+")) for b in second] for a in first], float)


def fit(screen: Screen, **options: Any) -> Any:
    return GraphGP(**options).fit(screen, GRAPH, list(screen.perturbations), [])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 3), st.booleans(), SCALES, SCALES)
def test_scikit_learn_agrees(seed: int, hops: int, normalize: bool, signal: float, own: float) -> None:
    screen = small_screen(NAMES, ("M0", "M1"), seed, cells=[3, 5, 8, 13, 2, 6])
    names = list(screen.perturbations)
    fitted = fit(screen, hops=hops, normalize=normalize, signal=signal, own=own, per_gene=False)
    noise = (screen.perturbed.variance / (screen.cell_counts[:, None] - 1)).mean(1)
    wanted = ["G7", "G1+G8", "G6"]  # not trained on, so that `own` is noise to scikit-learn
    center = screen.effects.mean(0)
    model = GaussianProcessRegressor(
        ConstantKernel(signal, "fixed") * DotProduct(0.0, "fixed"), alpha=noise + own, optimizer=None
    )
    train, new = (features(GRAPH, hops, some, normalize) for some in (names, wanted))
    mean, deviation = model.fit(train, screen.effects - center).predict(new, return_std=True)
    assert np.allclose(fitted.effects(wanted), center + mean, rtol=1e-7, atol=1e-9)
    covariance = signal * train @ train.T + np.diag(noise + own)
    left = 1 - np.linalg.solve(covariance, signal * train @ new.T).sum(0)
    of_mean = (left / len(names)) ** 2 * covariance.sum()
    assert np.allclose(fitted.uncertainties(wanted) ** 2, deviation**2 + own + of_mean[:, None], rtol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), SCALES, SCALES)
def test_variances_are_those_of_the_error_of_a_linear_predictor(seed: int, signal: float, own: float) -> None:
    """Effects are W Y: read W off unit vectors, and compute the variance of W Y - truth without any of the formulas."""
    count = len(NAMES)
    screen = small_screen(NAMES, [f"M{i}" for i in range(count)], seed)
    unit = with_moments(screen, mean=screen.control_mean[None, :] + np.eye(count))
    fitted = fit(unit, hops=2, signal=signal, own=own, per_gene=False)
    names = list(unit.perturbations)
    weights = fitted.effects(ASKED)
    assert np.allclose(weights.sum(1), 1)  # whatever the mean is, it is not biased
    rows = features(GRAPH, 2, [*names, *ASKED])
    joint = signal * rows @ rows.T + own * same([*names, *ASKED], [*names, *ASKED])
    joint[:count, :count] += np.diag(measurement_noise(unit, np.arange(count)))
    error = np.concatenate([weights, -np.eye(len(ASKED))], axis=1)
    assert np.allclose(fitted.uncertainties(ASKED)[:, 0] ** 2, np.diag(error @ joint @ error.T))


def evidence_of(seed: int) -> tuple[Evidence, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows, changes = rng.normal(size=(6, 9)), rng.normal(size=(6, 4))
    residuals = changes - changes.mean(0)
    return Evidence(rows @ rows.T, rng.uniform(0.1, 1, 6), residuals @ residuals.T, 4), changes


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), SCALES, SCALES)
def test_the_likelihood_is_the_density_of_contrasts(seed: int, signal: float, own: float) -> None:
    evidence, changes = evidence_of(seed)
    basis = scipy.linalg.null_space(np.ones((1, 6)))
    covariance = basis.T @ evidence.covariance(signal, own) @ basis
    density = scipy.stats.multivariate_normal(np.zeros(5), covariance).logpdf((basis.T @ changes).T).sum()
    value, slopes = evidence.log_likelihood(signal, own)
    assert value == pytest.approx(density)
    step = 1e-5
    by_signal = (
        evidence.log_likelihood(signal * (1 + step), own)[0] - evidence.log_likelihood(signal * (1 - step), own)[0]
    )
    by_own = evidence.log_likelihood(signal, own * (1 + step))[0] - evidence.log_likelihood(signal, own * (1 - step))[0]
    assert slopes == pytest.approx((by_signal / (2 * step * signal), by_own / (2 * step * own)), rel=1e-4, abs=1e-4)


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 200))
def test_the_scales_found_are_better_than_others(seed: int) -> None:
    screen = small_screen(NAMES, [f"M{i}" for i in range(20)], seed)
    report = fit(screen).report
    for hops in (1, 2, 3):
        for signal in (0.1, 1.0):
            for own in (0.1, 1.0):
                other = fit(screen, hops=hops, signal=signal, own=own).report["log likelihood"]
                assert report["log likelihood"] >= other - 1e-3 * abs(other)


def ring(count: int) -> pj.KnowledgeGraph:
    return graph_of(count, [(i, (i + step) % count) for i in range(count) for step in (1, 2, 5)])


def drawn(
    seed: int, count: int, num_genes: int, signal: float, own: float, scale: np.ndarray
) -> tuple[pj.KnowledgeGraph, Screen, np.ndarray]:
    """A graph, a screen drawn from the model with 2 hops, and the true effects in the screen's order."""
    rng = np.random.default_rng(seed)
    graph, names = ring(count), sorted(f"G{i}" for i in range(count))
    rows = features(graph, 2, names)
    effects = np.sqrt(signal) * rows @ rng.normal(size=(rows.shape[1], num_genes))
    effects += np.sqrt(own) * rng.normal(size=effects.shape)
    truth = scale * effects + rng.normal(size=num_genes)
    cells = rng.integers(3, 30, count)
    screen = small_screen(names, [f"M{i}" for i in range(num_genes)], seed, truth, deviation=scale, cells=cells)
    base = np.random.default_rng(seed).uniform(1, 4, num_genes)  # what `small_screen` draws first
    return graph, with_moments(screen, control_mean=base), truth


@pytest.mark.parametrize("per_gene", [False, True])
@pytest.mark.parametrize(("signal", "own"), [(1.0, 0.05), (0.5, 0.5)])
def test_intervals_cover_what_they_say(per_gene: bool, signal: float, own: float) -> None:
    num_genes = 150
    scale = np.ones(num_genes)
    if per_gene:
        scale = np.exp(np.random.default_rng(9).normal(size=num_genes))
        scale /= np.sqrt(np.mean(scale**2))
    standard = []
    for seed in range(4):
        graph, screen, truth = drawn(seed, 90, num_genes, signal, own, scale)
        train = [name for i, name in enumerate(screen.perturbations) if i % 3]
        fitted = GraphGP(per_gene=per_gene).fit(screen, graph, train, [])
        error = fitted.effects(screen.perturbations) - truth
        standard.append(np.abs(error / fitted.uncertainties(screen.perturbations)))
    for fraction in (0.5, 0.9, 0.95):
        inside = np.array(standard) < scipy.stats.norm.ppf((1 + fraction) / 2)
        trained = np.arange(90) % 3 > 0
        assert inside[:, ~trained].mean() == pytest.approx(fraction, abs=0.02)
        assert inside[:, trained].mean() == pytest.approx(fraction, abs=0.02)


def test_scales_and_hops_are_found_again() -> None:
    graph, screen, _ = drawn(0, 120, 400, 1.0, 0.2, np.ones(400))
    report = GraphGP().fit(screen, graph, list(screen.perturbations), []).report
    assert report["hops"] == 2
    assert report["signal"] == pytest.approx(1.0, rel=0.15)
    assert report["own"] == pytest.approx(0.2, rel=0.15)


def test_the_graph_predicts_better_than_the_mean_and_knows_when() -> None:
    graph, screen, truth = drawn(1, 120, 100, 1.0, 0.05, np.ones(100))
    train = [name for i, name in enumerate(screen.perturbations) if i % 4]
    test = [name for i, name in enumerate(screen.perturbations) if i % 4 == 0]
    fitted = GraphGP().fit(screen, graph, train, [])
    rows = screen.index(tuple(test))
    mean = screen.effects[screen.index(tuple(train))].mean(0)
    assert np.mean((fitted.effects(test) - truth[rows]) ** 2) < 0.6 * np.mean((mean - truth[rows]) ** 2)
    spread = fitted.uncertainties([*train, *test]).mean(1)
    assert spread[: len(train)].max() < spread[len(train) :].min()


def test_scales_of_genes_change_uncertainties_only() -> None:
    screen = small_screen(NAMES, ("M0", "M1", "M2"))
    one, each = (fit(screen, per_gene=per_gene) for per_gene in (False, True))
    assert np.array_equal(one.effects(ASKED), each.effects(ASKED))
    ratio = each.uncertainties(ASKED) / one.uncertainties(ASKED)
    assert np.allclose(ratio, ratio[0]) and len(set(ratio[0].round(6).tolist())) == 3


def test_units_do_not_matter() -> None:
    screen = small_screen(NAMES, ("M0", "M1", "M2"))
    scaled = with_moments(
        screen,
        mean=screen.mean * 10,
        control_mean=screen.control_mean * 10,
        variance=screen.perturbed.variance * 100,
        control_variance=screen.control.variance * 100,
    )
    assert np.allclose(fit(scaled).effects(ASKED), 10 * fit(screen).effects(ASKED), rtol=1e-3, atol=1e-3)


def test_noise_is_that_of_means() -> None:
    screen = small_screen(["A", "B", "C"], ("M0", "M1"), cells=[1, 2, 9])
    expected = [screen.control.variance.mean(), *(screen.perturbed.variance[1:].mean(1) / [1, 8])]
    assert np.allclose(measurement_noise(screen, np.arange(3)), expected)
    with pytest.raises(pj.InputError, match="B: expected at least one cell"):
        measurement_noise(with_moments(screen, cells=np.array([1, 0, 9])), np.arange(3))
    with pytest.raises(pj.InputError, match="variance: expected finite"):
        measurement_noise(with_moments(screen, variance=screen.perturbed.variance * np.nan), np.arange(3))


def test_a_pseudobulk_is_interpolated() -> None:
    screen = small_screen(NAMES, ("M0", "M1"))
    bulk = with_moments(screen, variance=np.zeros_like(screen.mean))
    fitted = fit(bulk)
    names = list(bulk.perturbations)
    assert np.allclose(fitted.effects(names), bulk.effects, atol=1e-5)
    assert np.allclose(fitted.uncertainties(names), 0, atol=1e-2)


def test_equal_effects_are_predicted_as_such() -> None:
    screen = small_screen(NAMES, ("M0", "M1"), change=np.ones((6, 2)), deviation=0.0)
    fitted = fit(screen)
    assert np.allclose(fitted.effects(ASKED), 1) and (fitted.uncertainties(ASKED) < 1e-4).all()


def test_bad_options_are_refused() -> None:
    for options in ({"signal": 0.0}, {"own": -1.0}, {"own": float("nan")}, {"hops": ()}):
        with pytest.raises(pj.InputError, match="expected"):
            GraphGP(**options)
    screen = small_screen(NAMES, ("M0", "M1"))
    with pytest.raises(pj.InputError, match="at least 3 perturbations, got 2"):
        GraphGP().fit(screen, GRAPH, ["G0", "G1"], [])
    with pytest.raises(pj.InputError, match="hops"):
        GraphGP(hops=0).fit(screen, GRAPH, NAMES, [])


def test_a_singular_covariance_is_refused() -> None:
    names = [f"G{i}" for i in range(5)]
    everything = graph_of(5, [(i, j) for i in range(5) for j in range(5)])  # all read the same
    screen = small_screen(names, ("M0",), deviation=0.0)
    with pytest.raises(pj.InputError, match="own: 1e-300 is too small beside signal"):
        GraphGP(signal=1.0, own=1e-300).fit(screen, everything, names, [])
    assert np.isfinite(GraphGP().fit(screen, everything, names, []).effects(names)).all()
