"""Reach on one graph or on every graph of a batch side by side: node u of graph i is column i x nodes + u."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph, walk_edges
from perturb_jax.graph.reach import ReachSets, mask_by_steps, reach_mask, reach_sets
from perturb_jax.graph.variants import GraphBatch
from perturb_jax.support.checks import check_hops


def sets_on(
    graph: KnowledgeGraph | GraphBatch, members: Int[np.ndarray, "candidates arity"], hops: int, direction: Direction
) -> ReachSets:
    """`reach_sets`; on a batch, each candidate's sets on all graphs together: O(edges visited) in all of them."""
    if isinstance(graph, KnowledgeGraph):
        return reach_sets(graph, members, hops, direction)
    nodes = graph.graph.num_nodes
    parts = [reach_sets(graph.variant(i), members, hops, direction) for i in range(len(graph))]
    lengths = np.stack([np.diff(part.indptr) for part in parts])
    indptr = np.concatenate([[0], np.cumsum(lengths.sum(0))]).astype(np.int64)
    indices = np.empty(indptr[-1], np.int32)
    start = indptr[:-1].copy()
    for i, (part, length) in enumerate(zip(parts, lengths, strict=True)):
        places = np.arange(len(part.indices)) + np.repeat(start - part.indptr[:-1], length)
        indices[places] = part.indices + i * nodes
        start += length
    return ReachSets(indptr, indices, len(graph) * nodes)


def mask_on(
    graph: KnowledgeGraph | GraphBatch, members: Int[np.ndarray, "candidates arity"], hops: int, direction: Direction
) -> Bool[Array, "candidates columns"]:
    """`reach_mask`; on a batch, the graphs' masks side by side. Compiled once for all graphs."""
    if isinstance(graph, KnowledgeGraph):
        return reach_mask(graph, members, hops, direction)
    check_hops(hops)
    nodes = graph.graph.num_nodes
    here, there = batch_steps(graph, direction)
    masks = [mask_by_steps(jnp.asarray(members), here, row, min(hops, nodes), nodes) for row in there]
    return jnp.concatenate(masks, axis=1)


def batch_steps(batch: GraphBatch, direction: Direction) -> tuple[Int[Array, " steps"], Int[Array, "graphs steps"]]:
    """The steps of `walk_edges`, in every graph as many: one that a graph lacks stays where it is."""
    here, there = walk_edges(batch.graph, direction)
    present = np.tile(batch.present, len(here) // max(1, batch.graph.num_edges))
    return jnp.asarray(here), jnp.asarray(np.where(present, there, here))
