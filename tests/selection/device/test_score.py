"""Scores of many candidates, selections and graphs, against breadth-first search and dense SVD."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.graph.knowledge_graph import Direction, GraphBatch
from perturb_jax.selection.device import score as module
from perturb_jax.selection.device.bits import num_words, padded, walk_of
from perturb_jax.support.loops import Backend, on_host
from tests.graphs import NUM_NODES, compilations, graph_of, random_graphs
from tests.oracles import dense_operator, reach_by_bfs

SELECTIONS = [[], ["G0"], ["G3+G4", "G8", "G1"]]
MEMBERS = [[], [0], [3, 4, 8, 1]]
CANDIDATES = ["G2", "G0", "G5+G6", "G7"]
CANDIDATE_MEMBERS = [[2], [0], [5, 6], [7]]


def noisy(graph: pj.KnowledgeGraph, seed: int, variants: int = 3) -> GraphBatch:
    return pj.edge_dropout(graph, 0.4, variants, jax.random.key(seed))


@pytest.mark.parametrize("backend", ["host", "jax"])
@settings(deadline=None, max_examples=40)
@given(random_graphs(fixed_shape=True), st.integers(1, 3), st.sampled_from(["in", "out"]), st.integers(0, 99))
def test_gains_are_those_of_breadth_first_search(
    backend: Backend, graph: pj.KnowledgeGraph, hops: int, direction: Direction, seed: int
) -> None:
    batch = noisy(graph, seed)
    scores = pj.score(batch, CANDIDATES, SELECTIONS, hops, direction, backend=backend)
    for i in range(len(batch)):
        variant = batch.variant(i)
        for j, members in enumerate(MEMBERS):
            covered = reach_by_bfs(variant, members, hops, direction)
            assert scores.covered[i, j] == len(covered)
            gains = [len(reach_by_bfs(variant, genes, hops, direction) - covered) for genes in CANDIDATE_MEMBERS]
            assert scores.gains[i, j].tolist() == gains
    assert compilations(module._coverage) <= 2


def test_less_memory_gives_the_same_gains_on_a_graph_of_many_words() -> None:
    edges = np.random.default_rng(0).integers(0, 300, (900, 2))
    graph = graph_of(300, [tuple(edge) for edge in edges.tolist()])
    batch = noisy(graph, 1, 2)
    selections = [["G5", "G90"], ["G7"]]
    whole = pj.score(batch, None, selections, 2, "both")
    small = pj.score(batch, None, selections, 2, "both", backend="jax", memory=100_000)
    least = module._bytes_per_word(walk_of(batch, "both"), np.zeros((padded(300), 1)), np.zeros((2, 2)))
    assert least * num_words(300) > 100_000 > least
    np.testing.assert_array_equal(whole.gains, small.gains)
    masks = [np.asarray(pj.reach(batch.variant(i), None, 2, "both")) for i in range(2)]
    for i, j, names in [(0, 0, [5, 90]), (1, 1, [7])]:
        np.testing.assert_array_equal(whole.gains[i, j], (masks[i] & ~masks[i][names].any(0)).sum(1))
    with pytest.raises(pj.InputError, match=f"at least {least:,} bytes"):
        pj.score(batch, None, selections, 2, "both", backend="jax", memory=least - 1)


def test_norms_are_those_of_dense_svd() -> None:
    edges = np.random.default_rng(3).integers(0, NUM_NODES, (25, 2))
    batch = noisy(graph_of(NUM_NODES, [tuple(edge) for edge in edges.tolist()]), 2)
    scores = pj.score(batch, CANDIDATES, SELECTIONS, norms=True)
    assert scores.norms is not None
    for i in range(len(batch)):
        adjacency = dense_operator(batch.variant(i), weighted=True, symmetric=False)
        scale = 1 / np.sqrt(adjacency.sum(1))
        normalized = adjacency * scale[:, None] * scale[None, :]
        for j, members in enumerate(MEMBERS):
            for k, genes in enumerate(CANDIDATE_MEMBERS):
                nodes = sorted(reach_by_bfs(batch.variant(i), [*members, *genes], 1, "in"))
                expected = np.linalg.norm(normalized[np.ix_(nodes, nodes)], 2)
                np.testing.assert_allclose(scores.norms[i, j, k], expected, rtol=1e-4)


def test_other_candidates_hops_and_names_compile_nothing_new() -> None:
    graph = graph_of(50, [(i, (7 * i) % 50) for i in range(50)])
    pj.score(graph, [f"G{i}" for i in range(33)], ["G1", "G2"], backend="jax")
    before = compilations(module._coverage)
    for count, hops in ((34, 1), (36, 2), (35, 3)):
        pj.score(graph, [f"G{i}" for i in range(count)], ["G3", f"G{count}"], hops, backend="jax")
    assert compilations(module._coverage) == before


@pytest.mark.parametrize("size", [1, 7, 8, 9, 33, 1087, 20_728])
def test_padding_is_at_most_an_eighth_and_repeats(size: int) -> None:
    assert size <= padded(size) <= max(size * 9 / 8, size + 1)
    assert padded(padded(size)) == padded(size)


def test_one_list_of_names_and_names_is_refused() -> None:
    with pytest.raises(pj.InputError, match="list of lists of names"):
        pj.score(graph_of(3, []), None, ["G0", ["G1"]])


def test_another_backend_is_refused() -> None:
    with pytest.raises(pj.InputError, match="backend: expected one of auto, host, jax, got 'gpu'"):
        on_host("gpu")
