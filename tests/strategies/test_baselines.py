"""K-center against networkx' distances and exhaustive search."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, strategies as st

import perturb_jax as pj
from perturb_jax.graph.knowledge_graph import make_graph
from perturb_jax.strategies.baselines import KCenter
from tests.graphs import graph_of
from tests.strategies.questions import pick

LINE = graph_of(6, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)])


@st.composite
def weighted_graphs(draw: st.DrawFn) -> pj.KnowledgeGraph:
    """Directed graphs with weights in (0, 1], self-loops, isolated nodes, several components."""
    num_nodes = draw(st.integers(2, 9))
    node = st.integers(0, num_nodes - 1)
    edges = draw(st.dictionaries(st.tuples(node, node), st.integers(1, 8), max_size=16))
    senders, receivers = np.array(list(edges), np.int32).reshape(-1, 2).T
    weights = np.array(list(edges.values())) / 8
    return make_graph(senders, receivers, weights, [f"G{i}" for i in range(num_nodes)])


def distances(graph: pj.KnowledgeGraph) -> np.ndarray:
    """Shortest paths between all nodes of the symmetrised graph with lengths 1 / weight, by networkx."""
    network = nx.Graph()
    network.add_nodes_from(range(graph.num_nodes))
    for sender, receiver, weight in zip(graph.senders, graph.receivers, graph.weights, strict=True):
        known = network.get_edge_data(int(sender), int(receiver), {"length": np.inf})["length"]
        network.add_edge(int(sender), int(receiver), length=min(known, 1 / float(weight)))
    table = np.full((graph.num_nodes, graph.num_nodes), np.inf)
    for source, lengths in nx.all_pairs_dijkstra_path_length(network, weight="length"):
        table[source, list(lengths)] = list(lengths.values())
    return table


def farthest_first(table: np.ndarray, groups: list[list[int]], selected: list[int], budget: int) -> list[int]:
    """Candidates (groups of nodes) by the definition: the farthest, then in order; those without a neighbour last."""
    apart = np.array([[table[np.ix_(one, other)].min() for other in groups] for one in groups])
    lonely = [
        np.isinf(np.delete(apart[v], v)).all() and np.isinf(table[np.ix_(groups[v], selected)]).all()
        for v in range(len(groups))
    ]
    picks: list[int] = []
    for _ in range(budget):
        near = [
            min(
                (table[u, w] for w in selected + [node for p in picks for node in groups[p]] for u in group),
                default=np.inf,
            )
            for group in groups
        ]
        left = [v for v in range(len(groups)) if v not in picks]
        picks.append(max(left, key=lambda v: (not lonely[v], near[v], -v)))
    return picks


@given(weighted_graphs(), st.data())
def test_picks_are_farthest_first(graph: pj.KnowledgeGraph, data: st.DataObject) -> None:
    nodes = data.draw(st.permutations(range(graph.num_nodes)))
    cut = data.draw(st.integers(0, graph.num_nodes - 1))
    selected, pool = list(nodes[:cut]), list(nodes[cut:])
    budget = data.draw(st.integers(1, len(pool)))
    picks = pick(KCenter(), graph, [f"G{i}" for i in pool], budget, selected=[f"G{i}" for i in selected])
    expected = farthest_first(distances(graph), [[v] for v in pool], selected, budget)
    assert picks.indices.tolist() == [pool[v] for v in expected]


@given(weighted_graphs(), st.data())
def test_combinations_are_as_near_as_their_nearest_gene(graph: pj.KnowledgeGraph, data: st.DataObject) -> None:
    node = st.integers(0, graph.num_nodes - 1)
    groups = data.draw(
        st.lists(st.lists(node, min_size=1, max_size=3, unique=True), min_size=1, max_size=5, unique_by=frozenset)
    )
    labels = ["+".join(f"G{i}" for i in group) for group in groups]
    picks = pick(KCenter(), graph, labels, len(labels))
    expected = farthest_first(distances(graph), groups, [], len(groups))
    assert list(picks.genes) == [labels[v] for v in expected]


@given(weighted_graphs(), st.integers(0, 3), st.data())
def test_no_candidate_is_farther_than_twice_the_best_possible(
    graph: pj.KnowledgeGraph, seed: int, data: st.DataObject
) -> None:
    table = distances(graph)
    reachable = np.isfinite(table).sum(1) > 1
    if not reachable.any():
        return
    nodes = np.flatnonzero(reachable).tolist()
    budget = data.draw(st.integers(1, len(nodes)))
    picks = pick(KCenter(), graph, None, budget, seed=seed).indices
    assert set(picks.tolist()) <= set(nodes)
    best = min(table[list(centres)][:, nodes].min(0).max() for centres in combinations(nodes, budget))
    assert table[picks][:, nodes].min(0).max() <= 2 * best + 1e-9


def test_the_first_pick_is_the_earliest_candidate_and_with_a_seed_a_random_one() -> None:
    assert pick(KCenter(), LINE, ["G3", "G0", "G5"], 1).genes == ("G3",)
    assert {pick(KCenter(), LINE, None, 1, seed=seed).genes[0] for seed in range(60)} == set(LINE.genes)


def test_both_ends_of_a_line_come_before_its_middle() -> None:
    assert pick(KCenter(), LINE, None, 4).genes == ("G0", "G5", "G2", "G1")


def test_what_is_selected_is_already_near() -> None:
    assert pick(KCenter(), LINE, None, 1, selected=["G0"]).genes == ("G5",)


def test_a_weak_edge_is_long() -> None:
    graph = make_graph(np.array([0, 0]), np.array([1, 2]), np.array([0.2, 0.5]), ["G0", "G1", "G2"])
    assert pick(KCenter(), graph, None, 2).genes == ("G0", "G1")


def test_genes_that_no_other_candidate_can_reach_come_last() -> None:
    graph = graph_of(7, [(1, 2), (2, 4), (5, 6)])
    assert pick(KCenter(), graph, None, 7).genes == ("G1", "G5", "G4", "G2", "G6", "G0", "G3")
    without_partner = pick(KCenter(), graph, ["G5", "G1", "G2"], 3)
    assert without_partner.genes == ("G1", "G2", "G5")


def test_an_isolated_gene_beside_a_selected_one_is_not_isolated() -> None:
    graph = graph_of(5, [(0, 1), (2, 3), (3, 4)])
    assert pick(KCenter(), graph, ["G1", "G2", "G4"], 3, selected=["G0"]).genes == ("G2", "G4", "G1")


def test_nothing_but_isolated_genes_is_the_given_order() -> None:
    assert pick(KCenter(), graph_of(4, []), ["G2", "G0", "G3"], 3).genes == ("G2", "G0", "G3")


def test_hops_and_direction_only_measure_coverage() -> None:
    one, two = pick(KCenter(), LINE, None, 3), pick(KCenter(), LINE, None, 3, hops=2, direction="both")
    assert one.genes == two.genes
    assert one.values.tolist() == [1, 3, 5]
    assert two.values.tolist() == [3, 6, 6]


@pytest.mark.parametrize("budget", [0, 7])
def test_a_budget_that_cannot_be_met_is_refused(budget: int) -> None:
    with pytest.raises(pj.InputError, match="budget"):
        pick(KCenter(), LINE, None, budget)
