"""GraphReach on noisy graphs: the mean of coverages, and how often each candidate is picked."""

from itertools import combinations

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.graph.knowledge_graph import GraphBatch
from perturb_jax.selection import pick_counts as module
from perturb_jax.selection.pick_counts import pick_counts
from tests.graphs import NUM_NODES, compilations, graph_of, random_graphs
from tests.oracles import reach_by_bfs

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
    assert compilations(module._all_picks) == 1


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
