"""Facility location and soft coverage as objectives: their definitions, what they state, lazy greedy, certificates."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax.tree_util import Partial

from perturb_jax.kernel.kernel import FeatureMap
from perturb_jax.selection.greedy import greedy, upper_bounds
from perturb_jax.selection.objective import Objective
from perturb_jax.selection.representation import Similarities, facility_location, soft_coverage
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
)

COUNT = len(CANDIDATES)
TIE = 1e-9
CRITERIA = ["facility", "soft"]


def objective(design: DenseDesign, criterion: str) -> Objective:
    """The objective over the oracle's own numbers, with shapes that do not depend on zeros."""
    before = jnp.array(design.before, int)
    if criterion == "facility":
        return facility_location(similarities(design), jnp.asarray(design.weights), before, TIE)
    reads = jnp.asarray(design.reads)
    features = FeatureMap(Partial(jnp.matmul, reads), Partial(jnp.matmul, reads.T))
    return soft_coverage(features, len(design.reads), before, TIE)


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


@settings(deadline=None, max_examples=40)
@given(dense_designs(), st.permutations(range(COUNT)), st.sampled_from(CRITERIA))
def test_values_and_gains_are_their_definitions(design: DenseDesign, order: list[int], criterion: str) -> None:
    order = [v for v in order if v not in (4, 9)]
    with jax.enable_x64(True):
        ours = path(objective(design, criterion), order)
    value = design.value(criterion)
    for picks in range(len(order) + 1):
        now = value(order[:picks])
        assert ours.values[picks] == pytest.approx(now, rel=1e-11, abs=1e-13)
        taken = {*order[:picks], *design.before}
        expected = [0 if v in taken else value([*order[:picks], v]) - now for v in range(COUNT)]
        np.testing.assert_allclose(ours.gains[picks], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.gain, ours.gains[np.arange(len(order)), order], rtol=1e-12, atol=1e-15)


@settings(deadline=None, max_examples=60)
@given(dense_designs(), st.permutations(range(COUNT)), st.sampled_from(CRITERIA))
def test_they_are_monotone_submodular_and_lazy_as_they_state(
    design: DenseDesign, order: list[int], criterion: str
) -> None:
    with jax.enable_x64(True):
        ours = objective(design, criterion)
        along = path(ours, order)
    assert (ours.properties.monotone, ours.properties.submodular, ours.properties.lazy) == (True, True, True)
    assert (np.diff(along.values) >= -1e-13).all()
    assert (np.diff(along.gains, axis=0) <= 1e-13).all()
    assert (along.gains >= 0).all()


@settings(deadline=None, max_examples=40)
@given(dense_designs(), st.sampled_from(CRITERIA))
def test_naive_and_lazy_make_the_picks_of_the_definition(design: DenseDesign, criterion: str) -> None:
    budget, available = 6, not_before(design)
    expected = greedy_design(design.value(criterion), np.flatnonzero(available).tolist(), budget)
    with jax.enable_x64(True):
        ours = objective(design, criterion)
        runs = [picks_of(ours, budget, available), picks_of(ours, budget, available, "lazy")]
    for run in runs:
        assert np.asarray(run.picks).tolist() == expected.picks
        np.testing.assert_allclose(run.gains, expected.gains, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(run.values, expected.values, rtol=1e-11)


@pytest.mark.parametrize("criterion", CRITERIA)
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


@settings(deadline=None, max_examples=20)
@given(dense_designs(), st.sampled_from(CRITERIA))
def test_certificates_and_guarantee_hold_against_exhaustive_search(design: DenseDesign, criterion: str) -> None:
    value, available = design.value(criterion), not_before(design)
    with jax.enable_x64(True):
        ours = objective(design, criterion)
        run = picks_of(ours, 4, available)
        bounds = np.asarray(upper_bounds(ours, run.picks, 4))
    start = value([])
    for picks in range(1, 5):
        best = best_design(value, np.flatnonzero(available).tolist(), picks)
        assert bounds[picks - 1] >= best * (1 - 1e-9)
        assert float(run.values[picks - 1]) - start >= (1 - 1 / np.e) * (best - start) * (1 - 1e-9)


@settings(deadline=None, max_examples=15)
@given(dense_designs(), st.sampled_from(CRITERIA))
def test_the_certificate_is_its_formula_over_every_third_state(design: DenseDesign, criterion: str) -> None:
    value, picks = design.value(criterion), [v for v in range(COUNT) if v not in design.before][:8]
    with jax.enable_x64(True):
        bounds = np.asarray(upper_bounds(objective(design, criterion), jnp.array(picks), 8, 3))
    at_states = []
    for state in (0, 3, 6):
        now = value(picks[:state])
        left = [v for v in range(COUNT) if v not in picks[:state]]
        gains = sorted((value([*picks[:state], v]) - now for v in left if v not in design.before), reverse=True)
        at_states.append(now + np.cumsum([*gains, *[0.0] * 8])[:8])
    np.testing.assert_allclose(bounds, np.min(at_states, axis=0), rtol=1e-10)


def test_targets_that_no_candidate_is_like_gain_nothing() -> None:
    with jax.enable_x64(True):
        nothing = Similarities(jnp.zeros((3, 0), int), jnp.zeros((3, 0)))
        run = picks_of(facility_location(nothing, jnp.ones(NODES), jnp.zeros(0, int), TIE), 3, np.ones(3, bool), "lazy")
    assert run.picks.tolist() == [0, 1, 2]
    assert run.values.tolist() == [0, 0, 0]
