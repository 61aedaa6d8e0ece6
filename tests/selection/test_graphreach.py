"""GraphReach through its public functions, on real graphs, small ones and noisy copies."""

from itertools import combinations
from typing import Literal

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.graph.knowledge_graph import GraphBatch
from perturb_jax.selection.graphreach import _all_picks, pick_counts
from tests.graphs import NUM_NODES, compilations, graph_of, random_graphs
from tests.oracles import best_cover, greedy_cover, rarest_first, reach_by_bfs

Direction = Literal["in", "out", "both"]


@settings(deadline=None, max_examples=100)
@given(random_graphs(), st.integers(1, 3), st.sampled_from(["in", "out", "both"]), st.booleans(), st.data())
def test_picks_are_those_of_the_definition(
    graph: pj.KnowledgeGraph, hops: int, direction: Direction, rare: bool, data: st.DataObject
) -> None:
    nodes = data.draw(st.permutations(range(graph.num_nodes)))
    num_selected = data.draw(st.integers(0, graph.num_nodes - 1))
    selected, rest = nodes[:num_selected], nodes[num_selected:]
    budget = data.draw(st.integers(1, len(rest)))
    picks = pj.graphreach(
        graph,
        [f"G{i}" for i in nodes],
        budget,
        hops,
        direction,
        selected=[f"G{i}" for i in selected],
        ties="rare" if rare else "first",
        method="host",
    )
    counts = [0] * graph.num_nodes
    for node in selected:
        for reached in reach_by_bfs(graph, [node], hops, direction):
            counts[reached] += 1
    if rare:
        rest = rarest_first(rest, [reach_by_bfs(graph, [node], hops, direction) for node in rest], graph.num_nodes)
    sets = [reach_by_bfs(graph, [node], hops, direction) for node in rest]
    expected = greedy_cover(sets, [1] * graph.num_nodes, counts, budget)
    assert picks.indices.tolist() == [rest[v] for v in expected.picks]
    assert picks.genes == tuple(f"G{rest[v]}" for v in expected.picks)
    assert picks.gains.tolist() == expected.gains
    assert picks.values.tolist() == expected.values
    assert picks.layers.tolist() == expected.layers
    for size in range(1, min(budget, 4) + 1):
        assert picks.bounds[size - 1] >= best_cover(sets, [1] * graph.num_nodes, counts, size)
    everything = set().union(*sets, {node for node, count in enumerate(counts) if count})
    assert picks.reachable == len(everything)
    assert (picks.bounds <= picks.reachable).all()


@pytest.mark.parametrize(("hops", "direction", "budget"), [(1, "in", 120), (2, "in", 120), (2, "both", 120)])
@pytest.mark.parametrize("method", ["naive", "lazy"])
def test_device_and_host_agree_at_size(
    at_size: tuple[pj.KnowledgeGraph, list[str]],
    hops: int,
    direction: Direction,
    budget: int,
    method: Literal["naive", "lazy"],
) -> None:
    graph, candidates = at_size
    host = pj.graphreach(graph, candidates, budget, hops, direction, method="host")
    device = pj.graphreach(graph, candidates, budget, hops, direction, method=method)
    assert device.genes == host.genes
    for field in ("indices", "gains", "values", "layers", "bounds"):
        np.testing.assert_array_equal(getattr(device, field), getattr(host, field), field)
    assert device.reachable == host.reachable
    if direction == "both":
        assert host.layers[-1] > 1
    if method == "naive":
        assert device.info.evaluations >= device.info.naive_evaluations
    else:
        assert device.info.evaluations < device.info.naive_evaluations / 5


def test_device_and_host_agree_with_weights_and_selected(at_size: tuple[pj.KnowledgeGraph, list[str]]) -> None:
    graph, candidates = at_size
    weights = np.random.default_rng(0).gamma(0.5, size=graph.num_nodes)
    selected = candidates[:50]
    runs = [
        pj.graphreach(graph, candidates, 60, selected=selected, seed=7, weights=weights, method=method)
        for method in ("host", "naive", "lazy")
    ]
    assert runs[0].genes == runs[1].genes == runs[2].genes
    np.testing.assert_array_equal(runs[0].bounds, runs[1].bounds)
    mask = np.asarray(pj.reach(graph, [*selected, *runs[0].genes])).any(0)
    np.testing.assert_allclose(runs[0].values[-1], weights[mask].sum(), rtol=1e-6)


@pytest.mark.parametrize("ties", ["rare", "first"])
def test_at_size_picks_are_those_of_the_definition(
    at_size: tuple[pj.KnowledgeGraph, list[str]], ties: Literal["rare", "first"]
) -> None:
    graph, candidates = at_size
    nodes = [graph.genes.index(gene) for gene in candidates]
    reads: dict[int, set[int]] = {node: {node} for node in nodes}
    for sender, receiver in zip(graph.senders.tolist(), graph.receivers.tolist(), strict=True):
        if receiver in reads:
            reads[receiver].add(sender)
    if ties == "rare":
        nodes = rarest_first(nodes, [reads[node] for node in nodes], graph.num_nodes)
    ones, none = [1] * graph.num_nodes, [0] * graph.num_nodes
    expected = greedy_cover([reads[node] for node in nodes], ones, none, 100)
    picks = pj.graphreach(graph, candidates, 100, ties=ties)
    assert picks.genes == tuple(graph.genes[nodes[pick]] for pick in expected.picks)
    assert picks.values.tolist() == expected.values


def test_known_values_on_the_library_graph(library_graph: pj.KnowledgeGraph, candidates_1087: list[str]) -> None:
    picks = pj.graphreach(library_graph, candidates_1087, 100)
    assert picks.values[-1] == 2070
    assert picks.guarantee == 2070 / picks.bounds[-1] > 0.98
    assert pj.graphreach(library_graph, candidates_1087, 100, ties="first").values[-1] == 2057
    assert len(set(picks.genes)) == 100


def test_rare_ties_cover_more_of_the_genome_than_first_ones(genome: pj.KnowledgeGraph) -> None:
    rare, first = (pj.graphreach(genome, None, 1000, ties=ties) for ties in ("rare", "first"))
    assert rare.values[-1] > 1.01 * first.values[-1]


def test_ties_go_to_the_earliest_candidate_and_with_a_seed_to_a_seeded_one() -> None:
    graph = graph_of(6, [])
    order = ["G4", "G2", "G0", "G5", "G1", "G3"]
    assert pj.graphreach(graph, order, 6).genes == tuple(order)
    seeded = {pj.graphreach(graph, order, 6, seed=seed).genes for seed in range(20)}
    assert len(seeded) > 10
    assert pj.graphreach(graph, order, 6, seed=3).genes == pj.graphreach(graph, order, 6, seed=3).genes


def test_a_seed_only_decides_ties() -> None:
    graph = graph_of(5, [(0, 1), (2, 1), (3, 4)])
    for seed in range(10):
        assert pj.graphreach(graph, None, 2, seed=seed).genes == ("G1", "G4")


def test_picks_after_saturation_start_a_new_cover_layer() -> None:
    graph = graph_of(3, [(0, 1), (1, 0), (2, 0), (0, 2), (1, 2), (2, 1)])
    picks = pj.graphreach(graph, None, 3)
    assert picks.values.tolist() == [3, 3, 3]
    assert picks.gains.tolist() == [3, 3, 3]
    assert picks.layers.tolist() == [1, 2, 3]
    assert picks.layer_starts == {1: 0, 2: 1, 3: 2}


def test_selected_combinations_count_and_are_never_picked() -> None:
    graph = graph_of(6, [(0, 1), (2, 3)])
    picks = pj.graphreach(graph, ["G1+G3", "G5+G4", "G3+G1+G5", "G0"], 3, selected=["G3+G1"])
    assert picks.genes == ("G5+G4", "G3+G1+G5", "G0")
    assert picks.values[0] == 6
    assert picks.indices.tolist() == [[5, 4, -1], [3, 1, 5], [0, -1, -1]]


def test_old_symbols_come_back_as_current_names() -> None:
    graph = pj.load_go_graph(["AARS1", "TP53", "MYC"])
    assert set(pj.graphreach(graph, ["AARS", "TP53"], 2).genes) == {"AARS1", "TP53"}


@pytest.mark.parametrize(
    ("budget", "message"),
    [(0, "at least 1, got 0"), (-2, "at least 1, got -2"), (4, "at most 3, got 4: only 3")],
)
def test_a_budget_that_cannot_be_spent(budget: int, message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        pj.graphreach(graph_of(4, []), None, budget, selected=["G0"])


def test_bad_names_and_weights() -> None:
    graph = graph_of(3, [])
    with pytest.raises(pj.InputError, match="not in the graph: 'X'"):
        pj.graphreach(graph, ["G0", "X"], 1)
    with pytest.raises(pj.InputError, match=r"weights: expected one number per node, shape \(3,\), got \(2,\)"):
        pj.graphreach(graph, None, 1, weights=np.ones(2))


SUBSETS = [frozenset(subset) for size in range(5) for subset in combinations(range(5), size)]


def noisy(graph: pj.KnowledgeGraph, seed: int = 0, variants: int = 4) -> GraphBatch:
    return pj.edge_dropout(graph, 0.4, variants, jax.random.key(seed))


def mean_coverage(batch: GraphBatch, nodes: frozenset[int], hops: int) -> float:
    return float(np.mean([len(reach_by_bfs(batch.variant(i), nodes, hops, "in")) for i in range(len(batch))]))


@settings(deadline=None, max_examples=5)
@given(random_graphs(fixed_shape=True), st.integers(0, 9))
def test_robust_coverage_is_monotone_and_submodular_and_greedy_has_its_guarantee(
    graph: pj.KnowledgeGraph, seed: int
) -> None:
    batch = noisy(graph, seed)
    value = {subset: mean_coverage(batch, subset, 1) for subset in SUBSETS}
    for subset in SUBSETS:
        for node in set(range(5)) - subset:
            gain = value[subset | {node}] - value[subset] if len(subset) < 4 else 0.0
            assert gain >= -1e-9
            for other in set(range(5)) - subset - {node} if len(subset) < 3 else set():
                above = subset | {other}
                assert gain >= value[above | {node}] - value[above] - 1e-9
    picks = pj.graphreach(batch, [f"G{i}" for i in range(5)], 3, method="host")
    assert picks.objective == "mean coverage"
    for size in (1, 2, 3):
        chosen = frozenset(int(node) for node in picks.indices[:size])
        best = max(value[frozenset(subset)] for subset in combinations(range(5), size))
        np.testing.assert_allclose(picks.values[size - 1], value[chosen])
        assert picks.values[size - 1] >= (1 - 1 / np.e) * best
        assert picks.bounds[size - 1] >= best - 1e-9


def test_device_and_host_pick_the_same_on_many_graphs() -> None:
    edges = np.random.default_rng(1).integers(0, 40, (160, 2))
    batch = noisy(graph_of(40, [tuple(edge) for edge in edges.tolist()]), variants=5)
    host, device = (pj.graphreach(batch, None, 12, 2, selected=["G3"], method=method) for method in ("host", "naive"))
    assert host.genes == device.genes
    for field in ("gains", "values", "layers", "bounds"):
        np.testing.assert_array_equal(getattr(host, field), getattr(device, field), field)
    one, other = (pick_counts(batch, None, 12, 2, selected=["G3"], backend=backend) for backend in ("host", "jax"))
    np.testing.assert_array_equal(one.picks, other.picks)
    assert other.counts.sum() == 5 * 12
    for i in range(5):
        alone = pj.graphreach(batch.variant(i), None, 12, 2, selected=["G3"], method="host")
        assert tuple(one.candidates[pick] for pick in one.picks[i]) == alone.genes
    assert compilations(_all_picks) == 1


def test_a_batch_of_equal_graphs_is_that_graph() -> None:
    graph = graph_of(NUM_NODES, [(i, (3 * i + 1) % NUM_NODES) for i in range(NUM_NODES)])
    batch = pj.graph_batch([graph, graph, graph])
    alone, together = (pj.graphreach(each, None, 6, method="host") for each in (graph, batch))
    assert alone.genes == together.genes
    np.testing.assert_allclose(alone.values, together.values)
    np.testing.assert_allclose(alone.bounds, together.bounds)
    assert set(pick_counts(batch, None, 4).counts.tolist()) == {0, 3}


def test_another_backend_is_refused() -> None:
    with pytest.raises(Exception, match="backend"):  # the run-time type check comes first in tests
        pick_counts(noisy(graph_of(3, [(0, 1)])), None, 1, backend="gpu")  # type: ignore[arg-type]
