"""MaxSpec: the operator, the property that makes lazy exact, and every path against the definition."""

from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.graph.knowledge_graph import make_graph
from perturb_jax.graph.operator import Edges, gcn_norm, is_symmetric, message_passing
from perturb_jax.selection.greedy import greedy
from perturb_jax.selection.host.spectral import InducedMatrix
from perturb_jax.selection.spectral import TIE, Spectral
from tests.graphs import graph_of
from tests.oracles import dense_operator, induced_norm, reach_by_bfs

NODES = 12


@st.composite
def weighted_graphs(draw: st.DrawFn) -> pj.KnowledgeGraph:
    node = st.integers(0, NODES - 1)
    edges = draw(st.lists(st.tuples(node, node), min_size=1, max_size=40, unique=True))
    weights = draw(st.lists(st.floats(0.05, 1), min_size=len(edges), max_size=len(edges)))
    senders, receivers = np.array(edges, np.int32).T
    return make_graph(senders, receivers, np.array(weights), [f"G{i}" for i in range(NODES)])


Options = dict[str, Any]
options = st.fixed_dictionaries(
    {"symmetric": st.booleans(), "weighted": st.booleans(), "direction": st.sampled_from(["in", "out", "both"])}
)


def greedy_values(
    graph: pj.KnowledgeGraph, picks: pj.Selection, hops: int, chosen: Options, normalization: str, sense: str
) -> list[tuple[float, float]]:
    """At each pick: the norm that it has by dense SVD, and the best that any candidate had."""
    adjacency = dense_operator(graph, chosen["weighted"], chosen["symmetric"])
    reached: set[int] = set()
    left = set(range(graph.num_nodes))
    pairs = []
    for pick in picks.indices.tolist():
        norms = {}
        for v in left:
            nodes = reached | reach_by_bfs(graph, [v], hops, chosen["direction"])
            norms[v] = induced_norm(adjacency, sorted(nodes), normalization)
        best = min(norms.values()) if sense == "min" else max(norms.values())
        pairs.append((norms[pick], best))
        first = min(v for v in left if abs(norms[v] - best) <= 0.5 * TIE * best)
        assert pick <= first, "an earlier candidate ties with the pick"
        left.remove(pick)
        reached |= reach_by_bfs(graph, [pick], hops, chosen["direction"])
    return pairs


@settings(deadline=None, max_examples=40)
@given(weighted_graphs(), st.integers(1, 2), options, st.sampled_from(["lazy", "naive"]))
def test_each_pick_has_the_least_norm_and_values_are_dense_singular_values(
    graph: pj.KnowledgeGraph, hops: int, chosen: Options, method: Literal["lazy", "naive"]
) -> None:
    picks = pj.maxspec(graph, None, 6, hops, method=method, **chosen)
    pairs = greedy_values(graph, picks, hops, chosen, "graph", "min")
    np.testing.assert_allclose(picks.values, [norm for norm, _ in pairs], rtol=1e-5)
    for norm, best in pairs:
        assert norm <= best * (1 + 1.1 * TIE)
    assert (np.diff(picks.values) >= -1e-9).all()
    np.testing.assert_allclose(np.cumsum(picks.gains), picks.values)


@settings(deadline=None, max_examples=30)
@given(weighted_graphs(), st.sampled_from([("subgraph", "min"), ("subgraph", "max"), ("graph", "max")]))
def test_renormalised_and_maximised_picks_are_the_best_by_definition(
    graph: pj.KnowledgeGraph, how: tuple[Literal["subgraph", "graph"], Literal["min", "max"]]
) -> None:
    normalization, sense = how
    if normalization == "subgraph" and is_symmetric(message_passing(graph)):
        return
    chosen = {"symmetric": False, "weighted": True, "direction": "in"}
    picks = pj.maxspec(graph, None, 5, normalization=normalization, sense=sense, method="naive")
    assert picks.info.method == "host, naive"
    pairs = greedy_values(graph, picks, 1, chosen, normalization, sense)
    np.testing.assert_allclose(picks.values, [norm for norm, _ in pairs], rtol=1e-5)
    for norm, best in pairs:
        assert abs(norm - best) <= 1.1 * TIE * best


@settings(deadline=None, max_examples=100)
@given(weighted_graphs(), options, st.sets(st.integers(0, NODES - 1), min_size=1), st.sets(st.integers(0, NODES - 1)))
def test_the_norm_never_falls_as_nodes_are_added(
    graph: pj.KnowledgeGraph, chosen: Options, some: set[int], more: set[int]
) -> None:
    adjacency = dense_operator(graph, chosen["weighted"], chosen["symmetric"])
    small = induced_norm(adjacency, sorted(some), "graph")
    assert induced_norm(adjacency, sorted(some | more), "graph") >= small * (1 - 1e-12)


@settings(deadline=None, max_examples=100)
@given(weighted_graphs(), st.lists(st.sets(st.integers(0, NODES - 1), min_size=1), min_size=2, max_size=4))
def test_bounds_and_norms_of_a_growing_submatrix(graph: pj.KnowledgeGraph, parts: list[set[int]]) -> None:
    adjacency = dense_operator(graph, weighted=True, symmetric=False)
    matrix = InducedMatrix(gcn_norm(message_passing(graph)), renormalize=False)
    reached: set[int] = set()
    for part in parts:
        new = np.array(sorted(part), np.int32)
        expected = induced_norm(adjacency, sorted(reached | part), "graph")
        assert matrix.lower_bound(new) <= expected * (1 + 1e-9)
        norm, converged = matrix.with_nodes(new)
        assert converged
        assert norm == pytest.approx(expected, rel=1e-6)
        given_up, exact = matrix.with_nodes(new, reject=expected * 0.9)
        assert exact or expected * 0.9 < given_up <= expected * (1 + 1e-9)
        assert matrix.extend(new)
        assert matrix.norm == pytest.approx(expected, rel=1e-6)
        reached |= part


def real_subgraph(symbols: list[str]) -> tuple[pj.KnowledgeGraph, list[str]]:
    graph = pj.load_go_graph(sorted(symbols)[1000:1150], unknown="drop")
    return graph, list(graph.genes)[::3]


@pytest.mark.parametrize(
    "chosen",
    [{}, {"hops": 2}, {"direction": "both"}, {"symmetric": True}, {"weighted": False}, {"selected": (20, 40)}],
    ids=str,
)
def test_lazy_naive_and_device_make_the_same_picks_on_a_real_graph(symbols: list[str], chosen: Options) -> None:
    graph, candidates = real_subgraph(symbols)
    if "selected" in chosen:
        chosen = {"selected": [graph.genes[node] for node in chosen["selected"]]}
    lazy = pj.maxspec(graph, candidates, 25, **chosen)
    naive = pj.maxspec(graph, candidates, 25, method="naive", **chosen)
    assert lazy.genes == naive.genes
    np.testing.assert_allclose(lazy.values, naive.values, rtol=1e-6)
    assert lazy.info.method == "host, lazy"
    assert lazy.info.evaluations < naive.info.evaluations / 2
    assert naive.info.evaluations == lazy.info.naive_evaluations
    for method in ("lazy", "naive"):
        device = pj.maxspec(graph, candidates, 6, method=method, backend="jax", **chosen)
        assert device.info.method == f"jax, {method}"
        np.testing.assert_allclose(device.values, lazy.values[:6], rtol=2 * TIE)
        assert device.genes == lazy.genes[:6]


def test_the_heuristic_on_the_renormalised_operator_is_called_so(symbols: list[str]) -> None:
    graph, candidates = real_subgraph(symbols)
    lazy = pj.maxspec(graph, candidates, 10, normalization="subgraph")
    naive = pj.maxspec(graph, candidates, 10, normalization="subgraph", method="naive")
    assert lazy.info.method == "host, lazy (heuristic)"
    assert naive.info.method == "host, naive"
    assert lazy.info.evaluations < naive.info.evaluations
    device = pj.maxspec(graph, candidates, 5, normalization="subgraph", backend="jax")
    assert device.info.method == "jax, naive"
    np.testing.assert_allclose(device.values, naive.values[:5], rtol=2 * TIE)


def test_maximisation_is_naive_whatever_is_asked() -> None:
    graph = graph_of(6, [(0, 1), (1, 2), (2, 0), (3, 4)])
    for backend in ("host", "jax"):
        picks = pj.maxspec(graph, None, 3, sense="max", backend=backend)
        assert picks.info.method == f"{backend}, naive"
        assert picks.info.evaluations == picks.info.naive_evaluations


def test_batches_of_stale_candidates_make_the_picks_of_one_at_a_time(symbols: list[str]) -> None:
    graph, candidates = real_subgraph(symbols)
    edges = Edges.of(gcn_norm(message_passing(graph)))
    objective = Spectral(pj.reach(graph, candidates), edges, jnp.zeros(graph.num_nodes, bool))
    available = jnp.ones(len(candidates), bool)
    runs = [greedy(objective, 8, available, "lazy", batch) for batch in (1, 16, 10_000)]
    assert runs[0].picks.tolist() == runs[1].picks.tolist() == runs[2].picks.tolist()
    assert int(runs[0].evaluations) <= int(runs[1].evaluations) <= int(runs[2].evaluations)


def test_the_operator_is_gears_gcn_norm(symbols: list[str]) -> None:
    torch_geometric = pytest.importorskip("torch_geometric")
    import torch

    graph, _ = real_subgraph(symbols)
    index, weights = torch_geometric.nn.conv.gcn_conv.gcn_norm(
        torch.tensor(np.stack([graph.senders, graph.receivers])).long(),
        torch.tensor(np.asarray(graph.weights)), graph.num_nodes, add_self_loops=True,
    )  # fmt: skip
    expected = np.zeros((graph.num_nodes, graph.num_nodes))
    np.add.at(expected, (index[1].numpy(), index[0].numpy()), weights.numpy())
    ours = gcn_norm(message_passing(graph))
    np.testing.assert_allclose(ours.toarray(), expected, atol=1e-6)


def test_ties_go_to_the_earliest_and_with_a_seed_to_a_seeded_one() -> None:
    graph = graph_of(8, [])
    order = [f"G{i}" for i in (5, 2, 7, 0)]
    assert pj.maxspec(graph, order, 4).genes == tuple(order)
    assert pj.maxspec(graph, order, 4, backend="jax").genes == tuple(order)
    assert len({pj.maxspec(graph, order, 4, seed=seed).genes for seed in range(12)}) > 5


def test_on_a_symmetric_graph_the_renormalised_norm_is_one_and_refused() -> None:
    graph = graph_of(4, [(0, 1), (1, 0), (2, 3), (3, 2), (1, 2), (2, 1)])
    adjacency = dense_operator(graph, weighted=True, symmetric=True)
    for nodes in ([0], [0, 1], [0, 3], [0, 1, 2, 3]):
        assert induced_norm(adjacency, nodes, "subgraph") == pytest.approx(1)
    with pytest.raises(pj.InputError, match="has norm 1 for every selection"):
        pj.maxspec(graph, None, 2, normalization="subgraph")
    with pytest.raises(pj.InputError, match="has norm 1 for every selection"):
        pj.maxspec(graph_of(3, [(0, 1)]), None, 2, normalization="subgraph", symmetric=True)


def test_names_and_budgets_that_cannot_be_used() -> None:
    graph = graph_of(3, [(0, 1)])
    with pytest.raises(pj.InputError, match="only 2 candidates"):
        pj.maxspec(graph, None, 3, selected=["G0"])
    with pytest.raises(pj.InputError, match="not in the graph: 'X'"):
        pj.maxspec(graph, ["X"], 1)
    with pytest.raises(pj.InputError, match="hops"):
        pj.maxspec(graph, None, 1, hops=0)
