"""Information and explained variance as objectives: the posterior that they keep, and what they state."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.selection.greedy import _naive, greedy, upper_bounds
from perturb_jax.selection.objective import Objective
from perturb_jax.selection.posterior import block_columns, information, variance_reduction
from tests.design_oracles import (
    CANDIDATES,
    DenseDesign,
    best_design,
    dense_design,
    dense_designs,
    greedy_design,
    path,
    scattered_graph,
    weighted_graphs,
)
from tests.graphs import compilations, graph_of

COUNT = len(CANDIDATES)
TIE = 1e-9


def objective(design: DenseDesign, criterion: str, capacity: int = COUNT + 2, tie: float = TIE) -> Objective:
    """The objective over the oracle's own kernel, in JAX' present precision."""
    covariance = design.kernel[: len(design.candidates), : len(design.candidates)]
    of_targets = design.kernel[: len(design.candidates), len(design.candidates) :]
    taught = of_targets * design.weights @ of_targets.T
    variance, noise = jnp.asarray(np.diag(covariance), float), jnp.asarray(design.noise, float)
    before = jnp.array(design.before, int)
    if criterion == "information":
        columns = block_columns(jnp.asarray(covariance, float), None)
        return information(columns, variance, noise, before, capacity, tie)
    columns = block_columns(jnp.asarray(covariance, float), jnp.asarray(taught, float))
    total = jnp.asarray(design.weights @ np.diag(design.kernel)[len(design.candidates) :], float)
    return variance_reduction(
        columns, variance, jnp.asarray(np.diag(taught), float), total, noise, before, capacity, tie
    )


@jax.jit
def kept(objective: Objective, order: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The diagonals of C and B after each pick."""

    def step(state: Any, v: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        state = objective.update(state, v)
        return state, (state.posterior.variance, state.taught)

    return jax.lax.scan(step, objective.init(), order)[1]


def picks_of(
    objective: Objective, budget: int, available: np.ndarray, method: Literal["naive", "lazy"] = "naive"
) -> Any:
    return greedy(objective, budget, jnp.asarray(available), method, 3)


def not_before(design: DenseDesign) -> np.ndarray:
    return ~np.isin(np.arange(len(design.candidates)), design.before)


orders = st.permutations(range(COUNT))


@settings(deadline=None, max_examples=40)
@given(dense_designs(), orders)
def test_the_diagonals_that_are_kept_are_those_of_the_posterior(design: DenseDesign, order: list[int]) -> None:
    order = [v for v in order if v not in (4, 9)][: COUNT - 2]
    with jax.enable_x64(True):
        variance, taught = (np.asarray(part) for part in kept(objective(design, "variance"), jnp.array(order)))
    for picks in range(1, len(order) + 1):
        posterior = np.diag(design.posterior(order[:picks]))[:COUNT]
        np.testing.assert_allclose(variance[picks - 1], posterior, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(taught[picks - 1], design.taught(order[:picks]), rtol=1e-8, atol=1e-10)


@settings(deadline=None, max_examples=40)
@given(dense_designs(), orders, st.sampled_from(["variance", "information"]))
def test_values_and_gains_are_their_definitions(design: DenseDesign, order: list[int], criterion: str) -> None:
    order = [v for v in order if v not in (4, 9)]
    with jax.enable_x64(True):
        ours = path(objective(design, criterion), order)
    value = design.value(criterion)
    for picks in range(len(order) + 1):
        now = value(order[:picks])
        assert ours.values[picks] == pytest.approx(now, rel=1e-9, abs=1e-12)
        taken = {*order[:picks], *design.before}
        expected = [0 if v in taken else value([*order[:picks], v]) - now for v in range(COUNT)]
        np.testing.assert_allclose(ours.gains[picks], expected, rtol=1e-7, atol=1e-10)
    np.testing.assert_array_equal(ours.gain, ours.gains[np.arange(len(order)), order])
    np.testing.assert_allclose(np.diff(ours.values), ours.gain, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(dense_designs(), orders)
def test_information_is_monotone_submodular_and_lazy_as_it_states(design: DenseDesign, order: list[int]) -> None:
    with jax.enable_x64(True):
        ours = objective(design, "information")
        along = path(ours, order)
    assert (ours.properties.monotone, ours.properties.submodular, ours.properties.lazy) == (True, True, True)
    assert (np.diff(along.values) >= 0).all()
    assert (np.diff(along.gains, axis=0) <= 0).all()


@settings(deadline=None, max_examples=60)
@given(dense_designs(), orders)
def test_explained_variance_is_monotone_and_at_most_everything(design: DenseDesign, order: list[int]) -> None:
    with jax.enable_x64(True):
        ours = objective(design, "variance")
        values = path(ours, order).values
        variance, _ = kept(ours, jnp.array(order))
    assert (ours.properties.monotone, ours.properties.submodular, ours.properties.lazy) == (True, False, False)
    assert (np.diff(values) >= 0).all()
    assert (values <= 1 + 1e-12).all()
    assert (np.diff(np.asarray(variance), axis=0) <= 0).all()


def test_two_measurements_explain_what_neither_does_alone() -> None:
    design = dense_design(graph_of(2, []), [(0, 1), (1,)], [(0,)], noise=0.01)
    nothing, first, second, both = (design.variance(picks) for picks in ([], [0], [1], [0, 1]))
    assert second == nothing == 0
    assert both - first > 0.4
    with jax.enable_x64(True):
        gains = path(objective(design, "variance"), [0, 1]).gains
    assert gains[0, 1] == 0
    assert gains[1, 1] == pytest.approx(both - first)


@pytest.mark.parametrize("noise", [1e-3, 1e-6])
@pytest.mark.parametrize("hops", [1, 2])
def test_tiny_noise_in_double_precision(noise: float, hops: int) -> None:
    """After 40 of 60 picks from a singular kernel: 20 perturbations are sums of others."""
    genes = [(i,) for i in range(40)]
    design = dense_design(
        scattered_graph(hops, 40, 150), [*genes, *((i, i + 1) for i in range(20))], genes, hops=hops, noise=noise
    )
    order = np.random.default_rng(0).permutation(60)[:40].tolist()
    with jax.enable_x64(True):
        ours = objective(design, "variance", 40)
        values = path(ours, order).values
        variance, taught = (np.asarray(part) for part in kept(ours, jnp.array(order)))
    for picks in (1, 10, 40):
        posterior = np.diag(design.posterior(order[:picks]))[:60]
        np.testing.assert_allclose(variance[picks - 1], posterior, rtol=1e-6, atol=1e-14 / noise)
        np.testing.assert_allclose(taught[picks - 1], design.taught(order[:picks]), rtol=1e-4, atol=1e-13 / noise)
        assert values[picks] == pytest.approx(design.variance(order[:picks]), rel=1e-9)


@pytest.mark.parametrize("noise", [2.0, 0.1, 0.01])
@pytest.mark.parametrize("criterion", ["variance", "information"])
def test_errors_in_single_precision_are_what_the_documentation_says(noise: float, criterion: str) -> None:
    genes = [(i,) for i in range(60)]
    design = dense_design(scattered_graph(1, 60, 400), genes, genes, noise=noise)
    order = np.random.default_rng(1).permutation(60)[:30].tolist()
    with jax.enable_x64(True):
        double = path(objective(design, criterion, 30), order)
    with jax.enable_x64(False):
        single = path(objective(design, criterion, 30, tie=1e-5), order)
    assert single.gains.dtype == np.float32
    error = np.abs(single.gains - double.gains).max()
    assert 0 < error <= 1e-6 * max(1, 1 / noise)


@settings(deadline=None, max_examples=40)
@given(dense_designs(), st.sampled_from(["variance", "information"]))
def test_greedy_picks_are_those_of_the_definition(design: DenseDesign, criterion: str) -> None:
    budget, available = COUNT - 2, not_before(design)
    expected = greedy_design(design.value(criterion), np.flatnonzero(available).tolist(), budget)
    with jax.enable_x64(True):
        run = picks_of(objective(design, criterion), budget, available)
    assert np.asarray(run.picks).tolist() == expected.picks
    np.testing.assert_allclose(run.gains, expected.gains, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(run.values, expected.values, rtol=1e-9)


@settings(deadline=None, max_examples=40)
@given(dense_designs())
def test_lazy_is_naive_for_information(design: DenseDesign) -> None:
    with jax.enable_x64(True):
        ours, available = objective(design, "information"), not_before(design)
        runs = [picks_of(ours, 6, available), picks_of(ours, 6, available, "lazy")]
    assert runs[0].picks.tolist() == runs[1].picks.tolist()
    for naive, lazy in zip(runs[0][1:3], runs[1][1:3], strict=True):
        np.testing.assert_allclose(naive, lazy, rtol=1e-12)
    assert runs[1].evaluations <= runs[0].evaluations + COUNT


@settings(deadline=None, max_examples=20)
@given(dense_designs())
def test_certificate_and_guarantee_of_information_hold_against_exhaustive_search(design: DenseDesign) -> None:
    value, available = design.information, not_before(design)
    with jax.enable_x64(True):
        ours = objective(design, "information")
        run = picks_of(ours, 4, available)
        bounds, rough = (np.asarray(upper_bounds(ours, run.picks, 4, every)) for every in (1, 3))
    assert (rough >= bounds).all()
    start = value([])
    for picks in range(1, 5):
        best = best_design(value, np.flatnonzero(available).tolist(), picks)
        assert bounds[picks - 1] >= best * (1 - 1e-9)
        assert float(run.values[picks - 1]) - start >= (1 - 1 / np.e) * (best - start) * (1 - 1e-9)


@settings(deadline=None, max_examples=20)
@given(weighted_graphs(), st.permutations(range(9)), st.sampled_from([0.01, 2.0]))
def test_variance_is_that_of_a_gaussian_process(graph: pj.KnowledgeGraph, order: list[int], noise: float) -> None:
    """scikit-learn's, with the rows of P^2 as features and their inner product as kernel."""
    process = pytest.importorskip("sklearn.gaussian_process")
    genes = [(node,) for node in range(9)]
    design = dense_design(graph, genes, genes, hops=2, noise=noise, normalize=False)
    features = np.linalg.cholesky(design.kernel[:9, :9] + 1e-12 * np.eye(9))
    with jax.enable_x64(True):
        variance, _ = kept(objective(design, "variance", 9), jnp.array(order))
    for picks in (1, 4, 9):
        linear = process.kernels.DotProduct(sigma_0=0, sigma_0_bounds="fixed")
        fitted = process.GaussianProcessRegressor(linear, alpha=design.noise, optimizer=None)
        fitted.fit(features[order[:picks]], np.zeros(picks))
        deviation = fitted.predict(features, return_std=True)[1]
        np.testing.assert_allclose(variance[picks - 1], deviation**2, rtol=1e-6, atol=1e-10)


def test_a_second_objective_of_the_same_shapes_compiles_nothing() -> None:
    genes = [(i,) for i in range(8)]
    for criterion in ("variance", "information"):
        for attempt in range(2):
            design = dense_design(scattered_graph(attempt, 8, 20), genes, genes, noise=1.0 + attempt, before=[attempt])
            with jax.enable_x64(True):
                picks_of(objective(design, criterion, 5), 4, not_before(design))
            if attempt == 0:
                compiled = compilations(_naive)
        assert compilations(_naive) == compiled
