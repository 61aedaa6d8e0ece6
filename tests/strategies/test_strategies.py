"""Every strategy through the one contract."""

from dataclasses import replace

import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.strategies.registry import make_strategy, one_shot_names
from perturb_jax.strategies.strategy import Strategy
from tests.graphs import graph_of
from tests.oracles import dense_operator, induced_norm
from tests.strategies.questions import pick

GRAPH = graph_of(8, [(0, 1), (0, 2), (0, 3), (4, 5), (4, 0), (6, 7), (3, 3)])
POOL = ["G7", "G6", "G5", "G4", "G3", "G2", "G1"]

every_strategy = pytest.mark.parametrize(
    "strategy", [make_strategy(name) for name in one_shot_names()], ids=one_shot_names()
)


@every_strategy
def test_picks_are_distinct_candidates_and_never_selected_ones(strategy: Strategy) -> None:
    picks = pick(strategy, GRAPH, POOL, 5, selected=["G5", "G0"])
    assert len(set(picks.genes)) == 5
    assert set(picks.genes) <= set(POOL) - {"G5"}
    assert [GRAPH.genes[i] for i in picks.indices] == list(picks.genes)


@every_strategy
@pytest.mark.parametrize("direction", ["in", "out", "both"])
def test_values_are_the_objective(strategy: Strategy, direction: str) -> None:
    walk = {"hops": 2, "direction": direction}
    strategy = replace(strategy, **{name: value for name, value in walk.items() if hasattr(strategy, name)})
    picks = pick(strategy, GRAPH, POOL, 7, 2, direction, selected=["G0"], seed=1)
    for size in range(1, 8):
        covered = np.asarray(pj.reach(GRAPH, ["G0", *picks.genes[:size]], 2, direction)).any(0)  # type: ignore[arg-type]
        if picks.objective == "coverage":
            assert picks.values[size - 1] == covered.sum()
        elif picks.objective == "spectral norm":
            adjacency = dense_operator(GRAPH, weighted=True, symmetric=False)
            norm = induced_norm(adjacency, np.flatnonzero(covered).tolist(), "graph")
            assert picks.values[size - 1] == pytest.approx(norm, rel=1e-5)
        else:
            explained = explained_share(GRAPH, direction, measured=["G0", *picks.genes[:size]])
            assert picks.values[size - 1] == pytest.approx(explained, rel=1e-9)


def explained_share(graph: pj.KnowledgeGraph, direction: str, measured: list[str]) -> float:
    """How much of the variance of `POOL` some genes explain: 2 hops, noise 2, unit prior variance."""
    adjacency = dense_operator(graph, weighted=True, symmetric=direction == "both")
    scale = 1 / np.sqrt(adjacency.sum(1))
    operator = scale[:, None] * adjacency * scale
    reads = np.linalg.matrix_power(operator.T if direction == "out" else operator, 2)
    reads /= np.linalg.norm(reads, axis=1, keepdims=True)
    some, of = reads[graph.index(measured)], reads[graph.index(POOL)]
    return float(np.trace(of @ some.T @ np.linalg.solve(some @ some.T + 2 * np.eye(len(some)), some @ of.T)) / len(of))


@every_strategy
def test_the_same_seed_gives_the_same_picks(strategy: Strategy) -> None:
    assert pick(strategy, GRAPH, POOL, 6, seed=5).genes == pick(strategy, GRAPH, POOL, 6, seed=5).genes


@every_strategy
def test_a_budget_above_the_candidates_is_refused(strategy: Strategy) -> None:
    with pytest.raises(pj.InputError, match="only 6 candidates"):
        pick(strategy, GRAPH, POOL, 7, selected=["G7"])


@every_strategy
def test_combinations_are_candidates_too(strategy: Strategy) -> None:
    assert set(pick(strategy, GRAPH, ["G1+G2", "G3", "G4+G6+G7"], 3).genes) == {"G1+G2", "G3", "G4+G6+G7"}


def test_random_differs_between_seeds_and_draws_every_candidate() -> None:
    draws = [pick(make_strategy("random"), GRAPH, POOL, 3, seed=seed).genes for seed in range(60)]
    assert len(set(draws)) > 40
    assert {draw[0] for draw in draws} == set(POOL)


def test_top_degree_counts_readers_without_self_loops() -> None:
    picks = pick(make_strategy("top-degree"), GRAPH, None, 8)
    assert picks.genes == ("G0", "G4", "G6", "G1", "G2", "G3", "G5", "G7")


@every_strategy
@pytest.mark.parametrize("seed", [-1, True])
def test_a_seed_that_is_no_whole_number_from_0_is_refused(strategy: Strategy, seed: int) -> None:
    with pytest.raises(pj.InputError, match="seed: expected a whole number"):
        pick(strategy, GRAPH, POOL, 2, seed=seed)


def test_random_without_a_seed_is_seed_0() -> None:
    picks = [pick(make_strategy("random"), GRAPH, POOL, 5, seed=seed).genes for seed in (None, None, 0)]
    assert picks[0] == picks[1] == picks[2]


def test_a_combination_s_degree_is_the_sum_over_its_genes() -> None:
    graph = graph_of(7, [(0, 4), (0, 5), (1, 4), (1, 6), (2, 3), (2, 4), (2, 5)])
    assert pick(make_strategy("top-degree"), graph, ["G2", "G3", "G0+G1"], 2).genes == ("G0+G1", "G2")


def test_top_degree_breaks_ties_by_the_seed() -> None:
    graph = graph_of(6, [])
    orders = {pick(make_strategy("top-degree"), graph, None, 6, seed=seed).genes for seed in range(20)}
    assert len(orders) > 10


@pytest.mark.parametrize("name", ["random", "top-degree"])
def test_gains_of_a_given_order_count_from_what_is_covered(name: str) -> None:
    picks = pick(make_strategy(name), GRAPH, POOL, 4, selected=["G0"], seed=2)
    start = np.asarray(pj.reach(GRAPH, "G0")).sum()
    assert picks.gains.tolist() == np.diff(picks.values, prepend=start).tolist()
    assert np.isnan(picks.bounds).all()
