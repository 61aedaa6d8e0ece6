"""Coverage as an objective: what it states about itself, and every path of greedy over it."""

from collections.abc import Sequence, Set
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.selection.coverage import cover_bounds, coverage, covered_after, fixed_point
from perturb_jax.selection.greedy import Objective, _search, greedy, upper_bounds
from perturb_jax.selection.host import coverage as coverage_host
from tests.graphs import compilations
from tests.oracles import CoverRun, best_cover, covered_weight, greedy_cover

CANDIDATES, NODES = 7, 9


class Case(NamedTuple):
    """A coverage problem of fixed shape."""

    sets: Sequence[Set[int]]
    weights: list[int]
    counts: list[int]

    def objective(self) -> Objective:
        mask = np.array([[node in covered for node in range(NODES)] for covered in self.sets])
        return coverage(jnp.asarray(mask), jnp.array(self.weights, jnp.int32), jnp.array(self.counts, jnp.int32))

    def reach_sets(self) -> sp.csr_array:
        return sp.csr_array(np.array([[node in covered for node in range(NODES)] for covered in self.sets]))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    covered = st.sets(st.integers(0, NODES - 1), max_size=6)
    weights = draw(st.just([1] * NODES) | st.lists(st.integers(0, 50), min_size=NODES, max_size=NODES))
    counts = draw(st.just([0] * NODES) | st.lists(st.integers(0, 3), min_size=NODES, max_size=NODES))
    return Case(draw(st.lists(covered, min_size=CANDIDATES, max_size=CANDIDATES)), weights, counts)


def run_host(case: Case, budget: int, unweighted: bool = False) -> CoverRun:
    sets, counts = case.reach_sets(), np.array(case.counts, np.int32)
    weights = None if unweighted else np.array(case.weights, np.int32)
    order = np.arange(CANDIDATES)
    picks, gains, layers, _ = coverage_host.lazy_greedy(
        sets.indptr, sets.indices, weights, counts.copy(), order, budget
    )
    values = covered_after(sets, counts, picks, weights)
    return CoverRun(picks.tolist(), gains.tolist(), values.tolist(), layers.tolist())


@settings(deadline=None, max_examples=150)
@given(cases())
def test_host_naive_and_lazy_make_the_picks_of_the_definition(case: Case) -> None:
    expected = greedy_cover(*case, budget=CANDIDATES)
    assert run_host(case, CANDIDATES) == expected
    for method in ("naive", "lazy"):
        run = greedy(case.objective(), CANDIDATES, jnp.ones(CANDIDATES, bool), method)
        assert CoverRun(*(np.asarray(part).tolist() for part in run[:4])) == expected, method


@settings(deadline=None, max_examples=60)
@given(cases())
def test_host_without_weights_is_host_with_unit_weights(case: Case) -> None:
    case = case._replace(weights=[1] * NODES)
    assert run_host(case, CANDIDATES, unweighted=True) == run_host(case, CANDIDATES)
    picks = np.array(run_host(case, CANDIDATES).picks)
    sets, counts = case.reach_sets(), np.array(case.counts, np.int32)
    np.testing.assert_array_equal(
        cover_bounds(sets, counts, picks), cover_bounds(sets, counts, picks, np.ones(NODES, np.int32))
    )


@settings(deadline=None, max_examples=100)
@given(cases(), st.integers(1, CANDIDATES))
def test_certificate_and_guarantee_hold_against_exhaustive_search(case: Case, budget: int) -> None:
    run = run_host(case, budget)
    bounds = cover_bounds(
        case.reach_sets(), np.array(case.counts, np.int32), np.array(run.picks), np.array(case.weights, np.int32)
    )
    start = covered_weight(case.sets, case.weights, case.counts, [])
    for picks in range(1, budget + 1):
        best = best_cover(case.sets, case.weights, case.counts, picks)
        assert bounds[picks - 1] >= best
        assert run.values[picks - 1] - start >= (1 - 1 / np.e) * (best - start)


@settings(deadline=None, max_examples=100)
@given(cases(), st.integers(1, CANDIDATES))
def test_certificate_is_its_formula_on_host_and_device(case: Case, budget: int) -> None:
    picks = run_host(case, budget).picks
    expected = []
    for size in range(1, budget + 1):
        at_states = []
        for state in range(budget + 1):
            value = covered_weight(case.sets, case.weights, case.counts, picks[:state])
            gains = sorted(
                (
                    covered_weight(case.sets, case.weights, case.counts, [*picks[:state], v]) - value
                    for v in range(CANDIDATES)
                ),
                reverse=True,
            )
            at_states.append(value + sum(gains[:size]))
        expected.append(min(at_states))
    weights, counts = np.array(case.weights, np.int32), np.array(case.counts, np.int32)
    assert cover_bounds(case.reach_sets(), counts, np.array(picks), weights).tolist() == expected
    # One budget for every example, so that JAX compiles once.
    padded = jnp.array(picks + [v for v in range(CANDIDATES) if v not in picks])
    on_device = upper_bounds(case.objective(), padded, CANDIDATES)
    everything = cover_bounds(case.reach_sets(), counts, np.asarray(padded), weights)
    assert on_device.tolist() == everything.tolist()


def test_a_second_objective_of_the_same_shapes_compiles_nothing() -> None:
    for kind in ("naive", "lazy"):
        for attempt, nodes in enumerate(({0, 1}, {2, 3})):
            case = Case([nodes] * CANDIDATES, [1] * NODES, [0] * NODES)
            greedy(case.objective(), 3, jnp.ones(CANDIDATES, bool), kind)
            if attempt == 0:
                compiled = compilations(_search)
        assert compilations(_search) == compiled


@settings(deadline=None)
@given(st.lists(st.just(0.0) | st.floats(1e-9, 1e6), min_size=1, max_size=40))
def test_fixed_point_keeps_weights_to_a_billionth_of_their_sum(weights: list[float]) -> None:
    numbers, unit = fixed_point(np.array(weights))
    assert numbers.dtype == np.int32
    assert numbers.sum(dtype=np.int64) < 2**31
    assert ((numbers > 0) == (np.array(weights) > 0)).all()
    assert np.abs(numbers * unit - weights).max() <= sum(weights) * 2**-30 * (1 + 1e-9)


def test_fixed_point_leaves_whole_numbers_alone() -> None:
    numbers, unit = fixed_point(np.array([0.0, 3.0, 2.0**29]))
    assert numbers.tolist() == [0, 3, 2**29]
    assert unit == 1


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_that_cannot_be_used(bad: float) -> None:
    with pytest.raises(pj.InputError, match="weights: expected finite numbers >= 0"):
        fixed_point(np.array([1.0, bad]))


def test_weights_whose_sum_is_infinite() -> None:
    with pytest.raises(pj.InputError, match="weights: expected a finite sum"):
        fixed_point(np.full(2, 1e308))
