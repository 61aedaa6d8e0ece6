"""Reach: the JAX mask and the host's sparse sets, against networkx."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.graph.reach import reach_mask, reach_sets
from tests.graphs import compilations, graph_of, random_graphs
from tests.oracles import reach_by_bfs

Direction = Literal["in", "out", "both"]
directions = st.sampled_from(["in", "out", "both"])


@settings(deadline=None, max_examples=60)
@given(random_graphs(fixed_shape=True), st.integers(1, 5), directions)
def test_mask_of_every_candidate_is_bfs(graph: pj.KnowledgeGraph, hops: int, direction: Direction) -> None:
    mask = np.asarray(reach_mask(graph, np.arange(graph.num_nodes, dtype=np.int32)[:, None], hops, direction))
    np.testing.assert_array_equal(mask, pj.reach(graph, None, hops, direction))
    for node in range(graph.num_nodes):
        assert set(np.flatnonzero(mask[node]).tolist()) == reach_by_bfs(graph, [node], hops, direction)


@settings(deadline=None, max_examples=150)
@given(random_graphs(), st.integers(1, 5), directions, st.data())
def test_host_sets_of_combinations_are_unions_of_bfs(
    graph: pj.KnowledgeGraph, hops: int, direction: Direction, data: st.DataObject
) -> None:
    node = st.integers(0, graph.num_nodes - 1)
    pairs = data.draw(st.lists(st.tuples(node, node | st.just(-1)), max_size=4))
    members = np.array(pairs, np.int32).reshape(-1, 2)
    sets = reach_sets(graph, members, hops, direction)
    for row, pair in enumerate(pairs):
        reached = sets.indices[sets.indptr[row] : sets.indptr[row + 1]].tolist()
        assert len(set(reached)) == len(reached)
        assert set(reached) == reach_by_bfs(graph, [gene for gene in pair if gene >= 0], hops, direction)


def test_mask_of_a_combination_is_the_union() -> None:
    graph = graph_of(5, [(0, 1), (2, 3)])
    mask = np.asarray(pj.reach(graph, ["G1+G3", "G1", "G3"]))
    np.testing.assert_array_equal(mask[0], mask[1] | mask[2])


@pytest.mark.parametrize("direction", ["in", "out", "both"])
def test_without_edges_everything_reaches_itself_only(direction: Direction) -> None:
    graph = graph_of(4, [])
    np.testing.assert_array_equal(np.asarray(pj.reach(graph, None, 3, direction)), np.eye(4, dtype=bool))


def test_no_candidate_gives_no_row() -> None:
    assert pj.reach(graph_of(4, [(0, 1)]), []).shape == (0, 4)


def test_in_is_what_a_gene_reads_and_out_what_reads_it() -> None:
    graph = graph_of(3, [(0, 1), (1, 2)])
    assert np.asarray(pj.reach(graph, "G1", direction="in")).tolist() == [[True, True, False]]
    assert np.asarray(pj.reach(graph, "G1", direction="out")).tolist() == [[False, True, True]]
    assert np.asarray(pj.reach(graph, "G1", direction="both")).tolist() == [[True, True, True]]


def test_mask_and_sets_agree_at_size(at_size: tuple[pj.KnowledgeGraph, list[str]]) -> None:
    graph, candidates = at_size
    mask = np.asarray(reach_mask(graph, graph.index(candidates)[:, None], 2, "in"))
    sets = reach_sets(graph, graph.index(candidates)[:, None], hops=2)
    rows = np.repeat(np.arange(len(mask)), np.diff(sets.indptr))
    assert mask.sum() == len(sets.indices)
    assert mask[rows, sets.indices].all()


def test_more_hops_do_not_recompile() -> None:
    from perturb_jax.graph.reach import mask_by_steps

    graph = graph_of(6, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)])
    everyone = np.arange(6, dtype=np.int32)[:, None]
    reach_mask(graph, everyone, 1, "in")
    compiled = compilations(mask_by_steps)
    reach_mask(graph, everyone, 4, "in")
    assert compilations(mask_by_steps) == compiled


@pytest.mark.parametrize("hops", [0, -1, True])
def test_hops_that_are_not_a_positive_whole_number(hops: int) -> None:
    with pytest.raises(pj.InputError, match="hops: expected a whole number"):
        reach_sets(graph_of(3, []), np.zeros((1, 1), np.int32), hops)


@pytest.mark.parametrize("hops", [2**40, 2**70])
def test_hops_beyond_any_path_end(hops: int) -> None:
    graph = graph_of(3, [(0, 1), (1, 2)])
    assert np.asarray(pj.reach(graph, "G2", hops)).all()
    assert len(reach_sets(graph, np.array([[2]], np.int32), hops).indices) == 3
