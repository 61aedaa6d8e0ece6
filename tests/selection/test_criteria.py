"""GraphDesign's objectives against their definitions: the posterior that they keep, values, gains, certificates."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax.tree_util import Partial

import perturb_jax as pj
from perturb_jax.kernel.kernel import FeatureMap
from perturb_jax.selection.criteria import (
    ExplainedVariance,
    FacilityLocation,
    Information,
    Similarities,
    SoftCoverage,
    block_columns,
)
from perturb_jax.selection.greedy import Objective, _search, greedy, upper_bounds
from tests.design_oracles import (
    CANDIDATES,
    NODES,
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

COUNT, BUDGET = len(CANDIDATES), 6
CRITERIA = ["variance", "information", "facility", "soft"]
SUBMODULAR = ["information", "facility", "soft"]


def objective(design: DenseDesign, criterion: str, capacity: int = COUNT + 2) -> Objective:
    """The objective over the oracle's own numbers, in JAX' present precision; no shape depends on zeros."""
    before, candidates = jnp.array(design.before, int), len(design.candidates)
    if criterion == "facility":
        weights = jnp.asarray(design.weights, float)
        return FacilityLocation(similarities(design), weights / weights.sum(), before)
    if criterion == "soft":
        reads = jnp.asarray(design.reads)
        features = FeatureMap(Partial(jnp.matmul, reads), Partial(jnp.matmul, reads.T))
        return SoftCoverage(features, jnp.zeros(candidates), before)
    covariance, of_targets = (design.kernel[:candidates, part] for part in (slice(candidates), slice(candidates, None)))
    together = of_targets * design.weights @ of_targets.T
    total = design.weights @ np.diag(design.kernel)[candidates:]
    numbers = (covariance, together, np.diag(covariance), design.noise, np.diag(together), total)
    gram, block, variance, noise, informs, whole = (jnp.asarray(part, float) for part in numbers)
    if criterion == "information":
        return Information(Partial(block_columns, gram, None), variance, noise, before, capacity)
    return ExplainedVariance(Partial(block_columns, gram, block), variance, noise, before, capacity, informs, whole)


def similarities(design: DenseDesign) -> Similarities:
    """Each candidate's non-zero entries in a shuffled order, then what does not count."""
    between = design.kernel[: len(design.candidates), len(design.candidates) :]
    absent = len(design.targets)
    targets, values = np.full((len(between), absent + 1), absent), np.zeros((len(between), absent + 1))
    for v, row in enumerate(between):
        entries = np.random.default_rng(v).permutation(np.flatnonzero(row))
        targets[v, : len(entries)], values[v, : len(entries)] = entries, row[entries]
    values[targets == absent] = 7.0
    return Similarities(jnp.asarray(targets), jnp.asarray(values))


@jax.jit
def kept(objective: Objective, order: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The diagonals of C and B after each pick."""

    def step(state: Any, v: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        state = objective.update(state, v)
        return state, (state.variance, state.informs)

    return jax.lax.scan(step, objective.init(), order)[1]


def picks_of(
    objective: Objective,
    budget: int,
    available: np.ndarray,
    method: Literal["naive", "lazy"] = "naive",
    batch: int = 3,
) -> Any:
    return greedy(objective, budget, jnp.asarray(available), method, batch)


def not_before(design: DenseDesign) -> np.ndarray:
    return ~np.isin(np.arange(len(design.candidates)), design.before)


orders = st.permutations(range(COUNT)).map(lambda order: [v for v in order if v not in (4, 9)])
every_criterion = st.sampled_from(CRITERIA)


@settings(deadline=None, max_examples=30)
@given(dense_designs(), orders)
def test_the_diagonals_that_are_kept_are_those_of_the_posterior(design: DenseDesign, order: list[int]) -> None:
    with jax.enable_x64(True):
        variance, informs = (np.asarray(part) for part in kept(objective(design, "variance"), jnp.array(order)))
    for picks in range(1, len(order) + 1):
        posterior = np.diag(design.posterior(order[:picks]))[:COUNT]
        np.testing.assert_allclose(variance[picks - 1], posterior, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(informs[picks - 1], design.informs(order[:picks]), rtol=1e-8, atol=1e-10)
    assert (np.diff(variance, axis=0) <= 0).all()


@settings(deadline=None, max_examples=40)
@given(dense_designs(), orders, every_criterion)
def test_values_and_gains_are_their_definitions(design: DenseDesign, order: list[int], criterion: str) -> None:
    with jax.enable_x64(True):
        ours = path(objective(design, criterion), order)
    value = design.value(criterion)
    for picks in range(len(order) + 1):
        now = value(order[:picks])
        assert ours.values[picks] == pytest.approx(now, rel=1e-9, abs=1e-12)
        taken = {*order[:picks], *design.before}
        expected = [0 if v in taken else value([*order[:picks], v]) - now for v in range(COUNT)]
        np.testing.assert_allclose(ours.gains[picks], expected, rtol=1e-7, atol=1e-10)
    assert (ours.gains >= 0).all()
    assert criterion != "variance" or (ours.values <= 1 + 1e-12).all()


@settings(deadline=None, max_examples=40)
@given(dense_designs(), every_criterion)
def test_search_and_lazy_make_the_picks_of_the_definition(design: DenseDesign, criterion: str) -> None:
    available = not_before(design)
    expected = greedy_design(design.value(criterion), np.flatnonzero(available).tolist(), BUDGET)
    with jax.enable_x64(True):
        ours = objective(design, criterion)
        runs = [picks_of(ours, BUDGET, available)]
        if criterion in SUBMODULAR:
            runs.append(picks_of(ours, BUDGET, available, "lazy"))
    for run in runs:
        assert np.asarray(run.picks).tolist() == expected.picks
        np.testing.assert_allclose(run.gains, expected.gains, rtol=1e-6, atol=1e-10)
        np.testing.assert_allclose(run.values, expected.values, rtol=1e-9)


@pytest.mark.parametrize("criterion", SUBMODULAR)
def test_batches_of_stale_candidates_make_the_picks_of_one_at_a_time(criterion: str) -> None:
    genes = [(i,) for i in range(50)]
    design = dense_design(scattered_graph(0, 50, 120), genes, genes, weighted=False)
    with jax.enable_x64(True):
        ours, everyone = objective(design, criterion), np.ones(50, bool)
        naive = picks_of(ours, 20, everyone)
        for batch in (1, 1000):
            lazy = picks_of(ours, 20, everyone, "lazy", batch)
            assert lazy.picks.tolist() == naive.picks.tolist()
            assert lazy.evaluations <= naive.evaluations


@settings(deadline=None, max_examples=25)
@given(dense_designs(), st.sampled_from(SUBMODULAR))
def test_certificates_are_their_formula_and_hold_against_exhaustive_search(design: DenseDesign, criterion: str) -> None:
    value, available = design.value(criterion), not_before(design)
    with jax.enable_x64(True):
        ours = objective(design, criterion)
        run = picks_of(ours, BUDGET, available)
        bounds, rough = (np.asarray(upper_bounds(ours, run.picks, BUDGET, every)) for every in (1, 3))
    at_states = []
    for state in (0, 3, 6):
        picks = run.picks[:state].tolist()
        now = value(picks)
        gains = sorted(
            (value([*picks, v]) - now for v in np.flatnonzero(available).tolist() if v not in picks), reverse=True
        )
        at_states.append(now + np.cumsum(gains + [0.0] * BUDGET)[:BUDGET])
    np.testing.assert_allclose(rough, np.min(at_states, axis=0), rtol=1e-9)
    assert (rough >= bounds).all()
    start = value([])
    for size in range(1, 5):
        best = best_design(value, np.flatnonzero(available).tolist(), size)
        assert bounds[size - 1] >= best * (1 - 1e-9)
        assert float(run.values[size - 1]) - start >= (1 - 1 / np.e) * (best - start) * (1 - 1e-9)


def test_targets_that_no_candidate_is_like_gain_nothing() -> None:
    with jax.enable_x64(True):
        nothing = Similarities(jnp.zeros((3, 0), int), jnp.zeros((3, 0)))
        ours = FacilityLocation(nothing, jnp.full(NODES, 1 / NODES), jnp.zeros(0, int))
        run = picks_of(ours, 3, np.ones(3, bool), "lazy")
    assert run.picks.tolist() == [0, 1, 2]
    assert run.values.tolist() == [0, 0, 0]


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
        variance, informs = (np.asarray(part) for part in kept(ours, jnp.array(order)))
    for picks in (1, 10, 40):
        posterior = np.diag(design.posterior(order[:picks]))[:60]
        np.testing.assert_allclose(variance[picks - 1], posterior, rtol=1e-6, atol=1e-14 / noise)
        np.testing.assert_allclose(informs[picks - 1], design.informs(order[:picks]), rtol=1e-4, atol=1e-13 / noise)
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
        single = path(objective(design, criterion, 30), order)
    assert single.gains.dtype == np.float32
    error = np.abs(single.gains - double.gains).max()
    assert 0 < error <= 1e-6 * max(1, 1 / noise)


@settings(deadline=None, max_examples=15)
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
    for criterion in CRITERIA:
        for attempt in range(2):
            design = dense_design(scattered_graph(attempt, 8, 20), genes, genes, noise=1.0 + attempt, before=[attempt])
            with jax.enable_x64(True):
                picks_of(objective(design, criterion, 5), 4, not_before(design))
            if attempt == 0:
                compiled = compilations(_search)
        assert compilations(_search) == compiled
