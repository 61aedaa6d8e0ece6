"""Which genes a perturbation reaches within k hops: a mask on a device, or sparse sets by search on the host.

On a batch of graphs reach is that on all of them side by side: node u of graph i is column i x nodes + u.
"""

from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, Bool, Int

from perturb_jax.genes.perturbations import NO_MEMBER, parse_perturbations
from perturb_jax.graph.knowledge_graph import Direction, GraphBatch, KnowledgeGraph, as_batch, walk_edges
from perturb_jax.support.checks import check_count
from perturb_jax.support.loops import breadth_first, group_by

_CHUNK_BYTES = 2**27


def reach(
    graph: KnowledgeGraph, genes: Iterable[str] | None, hops: int = 1, direction: Direction = "in"
) -> Bool[Array, "candidates nodes"]:
    """The nodes within `hops` steps of each candidate, itself included.

    With A the boolean adjacency (A_vu: v reads u), row v of (I + A)^k > 0, computed as k sparse matrix-vector products
    for all candidates at once: the genes whose embeddings a k-layer graph convolution reads for v, so the ones that
    training on v updates (Panagopoulos et al., arXiv 2503.14571, section on GraphReach).

    Args:
        graph: the knowledge graph.
        genes: one name, or many; "A+B" is a combination, whose reach is the union. None: every gene.
        hops: the number k of graph-convolution layers, at least 1.
        direction: "in", what v reads; "out", what reads v; "both", the symmetrised graph.

    Returns:
        One row per candidate, in the order given.

    Raises:
        InputError: unknown names, hops below 1, another direction.

    Complexity: candidates x nodes bytes; on a CPU O(edges visited) per candidate, by breadth-first search; elsewhere
        O(hops x edges), candidates in chunks, so about 128 MB more.

    Examples:
        >>> import pandas as pd
        >>> from perturb_jax import graph_from_edges
        >>> graph = graph_from_edges(pd.DataFrame({"source": ["A", "B"], "target": ["B", "C"], "importance": 1.0}))
        >>> reach(graph, "C", hops=1).tolist()
        [[False, True, True]]
        >>> reach(graph, "C", hops=2).tolist()
        [[True, True, True]]
    """
    members = parse_perturbations(graph.names, genes).members
    if jax.default_backend() == "cpu":
        return jnp.asarray(reach_sets(graph, members, hops, direction).toarray())
    return reach_mask(graph, members, hops, direction)


def reach_mask(
    graph: KnowledgeGraph | GraphBatch, members: Int[np.ndarray, "candidates arity"], hops: int, direction: Direction
) -> Bool[Array, "candidates columns"]:
    """`reach`, for candidates given as node numbers. Compiled once for all graphs of a batch."""
    check_count("hops", hops)
    batch = as_batch(graph)
    nodes = batch.graph.num_nodes
    here, each = batch_steps(batch, direction)
    masks = [mask_by_steps(jnp.asarray(members), here, there, min(hops, nodes), nodes) for there in each]
    return jnp.concatenate(masks, axis=1)


def reach_sets(
    graph: KnowledgeGraph | GraphBatch,
    members: Int[np.ndarray, "candidates arity"],
    hops: int = 1,
    direction: Direction = "in",
) -> sp.csr_array:
    """`reach_mask` as a sparse matrix, by breadth-first search on the host: O(edges visited) per candidate."""
    check_count("hops", hops)
    if isinstance(graph, GraphBatch):
        each = [reach_sets(graph.variant(i), members, hops, direction) for i in range(len(graph))]
        return sp.csr_array(sp.hstack(each, "csr"))
    here, there = walk_edges(graph, direction)
    indptr, indices = breadth_first(*group_by(here, there, graph.num_nodes), members, min(hops, graph.num_nodes))
    indptr = indptr.astype(sp.get_index_dtype(maxval=len(indices)))  # as narrow as `indices`, which SciPy would widen
    return sp.csr_array((np.ones(len(indices), bool), indices, indptr), (len(members), graph.num_nodes))


def batch_walk(
    batch: GraphBatch, direction: Direction
) -> tuple[Int[np.ndarray, " steps"], Int[np.ndarray, " steps"], Bool[np.ndarray, "graphs steps"]]:
    """The steps ``here -> there`` of all graphs of a batch together, and which of them each graph has."""
    here, there = walk_edges(batch.graph, direction)
    return here, there, np.tile(batch.present, len(here) // max(1, batch.graph.num_edges))


def batch_steps(batch: GraphBatch, direction: Direction) -> tuple[Int[Array, " steps"], Int[Array, "graphs steps"]]:
    """`batch_walk` with as many steps in every graph: one that a graph lacks stays where it is."""
    here, there, present = batch_walk(batch, direction)
    return jnp.asarray(here), jnp.asarray(np.where(present, there, here))


@partial(jax.jit, static_argnames="num_nodes")
def mask_by_steps(
    members: Int[Array, "candidates arity"],
    here: Int[Array, " steps"],
    there: Int[Array, " steps"],
    hops: int | Int[Array, ""],
    num_nodes: int,
) -> Bool[Array, "candidates nodes"]:
    """`reach`, for candidates given as node numbers and edges given as steps ``here -> there``."""

    def one_hop(_: Int[Array, ""], reached: Bool[Array, " nodes"]) -> Bool[Array, " nodes"]:
        arrived = jax.ops.segment_max(reached[here].astype(jnp.int8), there, num_segments=num_nodes)
        return reached | (arrived > 0)

    def one_candidate(genes: Int[Array, " arity"]) -> Bool[Array, " nodes"]:
        numbers = jnp.where(genes == NO_MEMBER, num_nodes, genes)
        start = jnp.zeros(num_nodes, bool).at[numbers].set(True, mode="drop")
        return jax.lax.fori_loop(0, hops, one_hop, start)

    return jax.lax.map(one_candidate, members, batch_size=max(1, _CHUNK_BYTES // max(1, len(here))))
