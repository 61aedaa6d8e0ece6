"""Greedy under a budget of costs, against exhaustive search and against plain greedy."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from perturb_jax.selection.coverage import coverage
from perturb_jax.selection.greedy import NO_PICK, KnapsackRun, Objective, Properties, greedy, knapsack
from tests.design_oracles import SAME, best_affordable, first_best_by_definition
from tests.graphs import compilations

COUNT, NODES = 7, 10


def covering(sets: list[set[int]]) -> Objective:
    """Plain coverage: monotone, submodular, whole numbers."""
    mask = np.array([[node in covered for node in range(NODES)] for covered in sets])
    objective = coverage(jnp.asarray(mask), None, jnp.zeros(NODES, jnp.int32))
    return replace(objective, properties=Properties(True, True, True, tie=SAME))


def covered(sets: list[set[int]], picks: list[int] | tuple[int, ...]) -> int:
    return len(set().union(*(sets[v] for v in picks)))


def spend(sets: list[set[int]], costs: list[float], budget: float, available: list[bool] | None = None) -> KnapsackRun:
    with jax.enable_x64(True):
        run = knapsack(
            covering(sets), jnp.array(costs), jnp.asarray(budget), jnp.array(available or [True] * len(sets)), COUNT
        )
    return KnapsackRun(*(np.asarray(part) for part in run))  # type: ignore[arg-type]


def by_definition(sets: list[set[int]], costs: list[float], budget: float, per_cost: bool) -> list[int]:
    picks: list[int] = []
    while True:
        left = budget * (1 + SAME) - sum(costs[v] for v in picks)
        gains = {
            v: (covered(sets, [*picks, v]) - covered(sets, picks)) / (costs[v] if per_cost else 1)
            for v in range(len(sets))
            if v not in picks and costs[v] <= left
        }
        if not gains:
            return picks
        picks.append(first_best_by_definition(gains))


some_sets = st.lists(st.sets(st.integers(0, NODES - 1), max_size=5), min_size=COUNT, max_size=COUNT)
some_costs = st.lists(st.integers(1, 40).map(lambda tenths: tenths / 10), min_size=COUNT, max_size=COUNT)


@settings(deadline=None, max_examples=150)
@given(some_sets, some_costs, st.integers(1, 80).map(lambda tenths: tenths / 10))
def test_it_is_the_better_of_both_rules_within_the_budget_and_near_the_best(
    sets: list[set[int]], costs: list[float], budget: float
) -> None:
    run = spend(sets, costs, budget)
    runs = {per_cost: by_definition(sets, costs, budget, per_cost) for per_cost in (True, False)}
    values = {per_cost: covered(sets, picks) for per_cost, picks in runs.items()}
    assert bool(run.per_cost) == (values[True] >= values[False])
    expected = runs[bool(run.per_cost)]
    assert run.picks.tolist() == expected + [NO_PICK] * (COUNT - len(expected))
    assert run.values.tolist() == [covered(sets, expected[: i + 1]) for i in range(COUNT)]
    assert run.gains.tolist() == np.diff([0, *run.values]).tolist()
    assert sum(costs[v] for v in expected) <= budget * (1 + 1e-6)
    best = best_affordable(lambda picks: float(covered(sets, tuple(picks))), costs, budget * (1 + SAME))
    assert max(values.values()) >= (1 - 1 / np.e) / 2 * best


@settings(deadline=None, max_examples=60)
@given(some_sets, st.integers(1, COUNT))
def test_at_unit_costs_it_is_plain_greedy(sets: list[set[int]], budget: int) -> None:
    run = spend(sets, [1.0] * COUNT, float(budget))
    plain = greedy(covering(sets), COUNT, jnp.ones(COUNT, bool))
    assert run.picks[:budget].tolist() == plain.picks[:budget].tolist()
    assert run.values[:budget].tolist() == plain.values[:budget].tolist()
    assert (run.picks[budget:] == NO_PICK).all()
    assert run.evaluations == 2 * sum(COUNT - i for i in range(budget))


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize(("cost", "count"), [(0.1, 10), (1 / 3, 300)])
def test_equal_costs_that_add_up_to_the_budget_are_all_affordable(cost: float, count: int, double: bool) -> None:
    with jax.enable_x64(double):
        sets = jnp.eye(count + 1, dtype=bool)
        objective = coverage(sets, None, jnp.zeros(count + 1, jnp.int32))
        costs = jnp.full(count + 1, cost)
        run = knapsack(objective, costs, jnp.asarray(cost * count), jnp.ones(count + 1, bool), count + 1)
    assert run.picks.tolist() == [*range(count), NO_PICK]


def test_what_is_not_available_is_never_bought() -> None:
    run = spend([{0, 1, 2}, {3}, {4, 5}] + [set()] * 4, [1.0] * COUNT, 2.0, [False, True, True] + [False] * 4)
    assert run.picks.tolist() == [2, 1] + [NO_PICK] * 5


def test_either_rule_alone_can_be_bad() -> None:
    dear = spend([{0, 1, 2, 3, 4}, {5}] + [set()] * 5, [10.0, 1.0] + [20.0] * 5, 10.0)
    assert dear.picks[0] == 0
    assert not dear.per_cost
    cheap = spend([{0, 1}, {2}, {3}, {4}, {5}, {6}, {7}], [6.0] + [1.0] * 6, 6.0)
    assert cheap.values[-1] == 6
    assert cheap.per_cost


def test_costs_and_a_budget_of_other_sizes_compile_nothing() -> None:
    for attempt, (costs, budget) in enumerate([([1.0] * COUNT, 3.0), ([0.5, 2.0] + [7.0] * 5, 11.0)]):
        spend([{0}] * COUNT, costs, budget)
        if attempt == 0:
            compiled = compilations(knapsack)
    assert compilations(knapsack) == compiled
