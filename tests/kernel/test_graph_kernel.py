"""The kernel of a graph, block by block, against dense matrices."""

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.genes.perturbations import NO_MEMBER
from perturb_jax.graph.knowledge_graph import DIRECTIONS, Direction
from perturb_jax.kernel import graph as module, kernel as contract
from perturb_jax.kernel.kernel import as_dense
from tests.design_oracles import Genes, dense_gcn_norm, graph_with, scattered_graph

Options = dict[str, Any]
options = st.fixed_dictionaries(
    {
        "hops": st.integers(1, 3),
        "direction": st.sampled_from(["in", "out", "both"]),
        "weighted": st.booleans(),
        "normalize": st.booleans(),
    }
)


def members_of_genes(perturbations: list[Genes]) -> np.ndarray:
    members = np.full((len(perturbations), max(map(len, perturbations), default=1)), NO_MEMBER, np.int32)
    for row, genes in enumerate(perturbations):
        members[row, : len(genes)] = genes
    return members


def some_perturbations(rng: np.random.Generator, num_nodes: int, count: int) -> list[Genes]:
    """Single genes and combinations of up to 3, which share genes."""
    return [tuple(rng.choice(num_nodes, rng.integers(1, min(3, num_nodes) + 1), False).tolist()) for _ in range(count)]


def dense_features(graph: pj.KnowledgeGraph, perturbations: list[Genes], chosen: Options) -> np.ndarray:
    power = np.linalg.matrix_power(dense_gcn_norm(graph, chosen["direction"], chosen["weighted"]), chosen["hops"])
    features = np.array([np.sum([power[gene] for gene in genes], axis=0) for genes in perturbations])
    return features / np.linalg.norm(features, axis=1)[:, None] if chosen["normalize"] else features


def assert_close(actual: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-13)


def check_blocks(kernel: pj.GraphKernel, graph: pj.KnowledgeGraph, rng: np.random.Generator, chosen: Options) -> None:
    ours, theirs = (some_perturbations(rng, graph.num_nodes, count) for count in (23, 31))
    features, of_targets = dense_features(graph, ours, chosen), dense_features(graph, theirs, chosen)
    weights = rng.uniform(0, 2, len(theirs)) * (rng.random(len(theirs)) < 0.8)
    rows, targets = kernel.rows(members_of_genes(ours)), kernel.rows(members_of_genes(theirs))

    gram, between = features @ features.T, features @ of_targets.T
    assert_close(rows.variance, np.diag(gram))
    blocks = list(kernel.between(rows, targets))
    assert [part.start for part, _ in blocks] == list(range(0, len(ours), vars(contract)["CHUNK"]))
    assert_close(np.concatenate([as_dense(block) for _, block in blocks]), between)
    assert_close(as_dense(kernel.covariance(rows, targets)), between)
    unscaled = np.concatenate([as_dense(block) for _, block in kernel.features(rows.members)])
    assert_close(rows.scale[:, None] * unscaled, features)
    assert_close(kernel.gram(rows), gram)
    target_gram = between @ np.diag(weights) @ between.T
    assert_close(kernel.target_gram(rows, targets, weights), target_gram)
    assert_close(kernel.target_gram_diagonal(rows, targets, weights), np.diag(target_gram))
    some = rng.permutation(len(ours))[:5]
    assert_close(kernel.gram(rows.take(some)), gram[np.ix_(some, some)])


@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 0), (5, 4), (40, 20), (40, 300), (150, 500)]),
    options,
    st.sampled_from([(512, 0.1), (7, 0.1), (7, -1.0), (10, 2.0)]),
)
def test_blocks_sparse_and_dense_are_those_of_the_dense_kernel(
    seed: int, size: tuple[int, int], chosen: Options, inside: tuple[int, float]
) -> None:
    graph = scattered_graph(seed, *size)
    with patch.object(contract, "CHUNK", inside[0]), patch.object(module, "_DENSE", inside[1]):
        check_blocks(pj.GraphKernel(graph, **chosen), graph, np.random.default_rng(seed), chosen)


@pytest.mark.parametrize("direction", ["in", "out", "both"])
@pytest.mark.parametrize("num_edges", [300, 8000])
def test_blocks_of_400_nodes(direction: Direction, num_edges: int) -> None:
    graph = scattered_graph(num_edges, 400, num_edges)
    for hops in (1, 2, 3):
        chosen: Options = {"hops": hops, "direction": direction, "weighted": True, "normalize": hops != 2}
        with patch.object(contract, "CHUNK", 10):
            check_blocks(pj.GraphKernel(graph, **chosen), graph, np.random.default_rng(hops), chosen)


def test_blocks_stay_sparse_where_the_graph_is_and_become_dense_where_it_is_not() -> None:
    for num_edges, sparse in ((100, True), (8000, False)):
        kernel = pj.GraphKernel(scattered_graph(0, 200, num_edges))
        rows = kernel.rows(np.arange(200, dtype=np.int32)[:, None])
        ((_, block),) = kernel.between(rows, rows)
        assert isinstance(block, np.ndarray) != sparse


def test_many_hops_on_any_graph_neither_overflow_nor_vanish() -> None:
    edges = [(i, i + 1) for i in range(7)] + [(7, 0), (3, 0)]
    graph = graph_with(9, edges, [1e-6, 1, 1e3, 1, 1e6, 1, 1e-3, 1, 1])
    for direction in DIRECTIONS:
        rows = pj.GraphKernel(graph, 500, direction, normalize=False).rows(np.arange(9, dtype=np.int32)[:, None])
        assert np.isfinite(rows.variance).all()
        assert (rows.variance > 0).all()


@pytest.mark.parametrize("hops", [0, -1, True])
def test_hops_that_cannot_be_used(hops: int) -> None:
    with pytest.raises(pj.InputError, match="hops: expected a whole number of at least 1"):
        pj.GraphKernel(graph_with(2, [(0, 1)], [1]), hops)
