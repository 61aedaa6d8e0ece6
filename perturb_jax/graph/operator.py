"""The operator P that a graph convolution applies: a sparse matrix on the host, its entries as edges on a device."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, Float, Int

from perturb_jax.graph.knowledge_graph import KnowledgeGraph


@jax.tree_util.register_static
@dataclass(frozen=True)
class Layout:
    """What of `Edges` is known when a program is compiled: how many nodes, and whether receivers never fall."""

    nodes: int
    by_receiver: bool = False


class Edges(NamedTuple):
    """An operator on a device: a pytree that can be multiplied."""

    senders: Int[Array, " edges"]  # the columns
    receivers: Int[Array, " edges"]  # the rows
    weights: Float[Array, " edges"]
    layout: Layout

    @classmethod
    def of(cls, matrix: sp.csr_array, size: int | None = None) -> "Edges":
        """The entries of a square matrix by receiver and then sender, on the default device and in its precision.

        Filled up to `size` with edges of weight 0, so that graphs of almost the same size share what is compiled.
        """
        entries = matrix.sorted_indices().tocoo()
        receivers, senders = entries.coords
        fill, nodes = (0, 0 if size is None else size - entries.nnz), matrix.shape[0]
        return cls(
            jnp.asarray(np.pad(senders, fill), jnp.int32),
            jnp.asarray(np.pad(receivers, fill, constant_values=max(nodes - 1, 0)), jnp.int32),
            jnp.asarray(np.pad(entries.data, fill), float),
            Layout(nodes, by_receiver=True),
        )

    def __matmul__(self, values: Float[Array, "nodes ..."]) -> Float[Array, "nodes ..."]:
        weights = self.weights if values.ndim == 1 else self.weights[:, None]
        return jax.ops.segment_sum(
            values[self.senders] * weights, self.receivers, self.layout.nodes, self.layout.by_receiver
        )

    @property
    def T(self) -> "Edges":
        """The transpose."""
        return Edges(self.receivers, self.senders, self.weights, Layout(self.layout.nodes))


def message_passing(graph: KnowledgeGraph, weighted: bool = True, symmetric: bool = False) -> sp.csr_array:
    """The adjacency A[receiver, sender] with the self-loops that gcn_norm adds: weight 1 where a node has none.

    Every edge weighs 1 if not `weighted`; if `symmetric`, both directions of an edge have the larger weight.
    """
    ends = np.asarray(graph.receivers), np.asarray(graph.senders)
    weights = np.asarray(graph.weights, np.float64) if weighted else np.ones(graph.num_edges)
    matrix = sp.csr_array((weights, ends), (graph.num_nodes, graph.num_nodes))
    if symmetric:
        matrix = matrix.maximum(matrix.T)
    return sp.csr_array(matrix + sp.diags_array((matrix.diagonal() == 0).astype(float)))


def gcn_norm(operator: sp.csr_array) -> sp.csr_array:
    """P = D^-1/2 A D^-1/2 with D the weighted in-degrees, as PyTorch Geometric's ``gcn_norm`` and so GEARS.

    A is not symmetric (each gene reads its own most similar ones), so the norm of P can exceed 1.
    """
    scale = 1 / np.sqrt(operator.sum(1))
    return sp.csr_array(operator * scale[:, None] * scale[None, :])


def is_symmetric(operator: sp.csr_array) -> bool:
    """Whether A equals its transpose."""
    return bool((operator - operator.T).count_nonzero() == 0)
