"""The operator that GEARS' graph convolution applies: gcn_norm of the knowledge graph."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from perturb_jax.graph.knowledge_graph import KnowledgeGraph


class MessagePassing(NamedTuple):
    """Edges ``sender -> receiver`` with self-loops: a sparse matrix A, A[receiver, sender] = weight, on the host.

    Attributes:
        senders: columns.
        receivers: rows.
        weights: positive.
        num_nodes: rows and columns.
    """

    senders: Int[np.ndarray, " edges"]
    receivers: Int[np.ndarray, " edges"]
    weights: Float[np.ndarray, " edges"]
    num_nodes: int


def message_passing(graph: KnowledgeGraph, weighted: bool = True, symmetric: bool = False) -> MessagePassing:
    """The graph's adjacency with the self-loops that gcn_norm adds: weight 1 where a node has none.

    Args:
        graph: the knowledge graph.
        weighted: use the edge weights; else every edge weighs 1.
        symmetric: both directions of every edge, with the larger weight where both exist.
    """
    nodes = graph.num_nodes
    senders, receivers = np.asarray(graph.senders), np.asarray(graph.receivers)
    weights = np.asarray(graph.weights, np.float64) if weighted else np.ones(graph.num_edges)
    if symmetric:
        ends = np.concatenate([senders, receivers]).astype(np.int64), np.concatenate([receivers, senders])
        keys, place = np.unique(ends[0] * nodes + ends[1], return_inverse=True)
        largest = np.zeros(len(keys))
        np.maximum.at(largest, place, np.concatenate([weights, weights]))
        senders, receivers, weights = keys // nodes, keys % nodes, largest
    without_loop = np.setdiff1d(np.arange(nodes), senders[senders == receivers])
    return MessagePassing(
        np.concatenate([senders, without_loop]).astype(np.int32),
        np.concatenate([receivers, without_loop]).astype(np.int32),
        np.concatenate([weights, np.ones(len(without_loop))]),
        nodes,
    )


def gcn_norm(operator: MessagePassing) -> MessagePassing:
    """P = D^-1/2 A D^-1/2 with D the weighted in-degrees, as PyTorch Geometric's ``gcn_norm`` and so GEARS.

    A is not symmetric (each gene reads its own most similar ones), so the norm of P can exceed 1.
    """
    degrees = np.bincount(operator.receivers, operator.weights, operator.num_nodes)
    scale = 1 / np.sqrt(degrees)
    return operator._replace(weights=operator.weights * scale[operator.receivers] * scale[operator.senders])


def is_symmetric(operator: MessagePassing) -> bool:
    """Whether A equals its transpose."""
    forward = np.lexsort((operator.senders, operator.receivers))
    backward = np.lexsort((operator.receivers, operator.senders))
    return (
        np.array_equal(operator.senders[forward], operator.receivers[backward])
        and np.array_equal(operator.receivers[forward], operator.senders[backward])
        and np.array_equal(operator.weights[forward], operator.weights[backward])
    )
