"""The operator P that a graph convolution applies, in one form: entries on the host, rows of it, edges on a device."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, Float, Int

from perturb_jax.graph.knowledge_graph import KnowledgeGraph


class Operator(NamedTuple):
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

    @classmethod
    def of_rows(cls, matrix: sp.csr_array) -> "Operator":
        """A square sparse matrix, its entries by receiver and then sender."""
        entries = matrix.sorted_indices().tocoo()
        receivers, senders = (end.astype(np.int32) for end in entries.coords)
        return cls(senders, receivers, entries.data, matrix.shape[0])

    def rows(self) -> sp.csr_array:
        """The matrix, row by row: what each node reads. Entries that are there twice are summed."""
        shape = (self.num_nodes, self.num_nodes)
        return sp.csr_array((self.weights, (self.receivers, self.senders)), shape=shape)

    def transposed(self) -> "Operator":
        """The matrix with rows and columns exchanged."""
        return self._replace(senders=self.receivers, receivers=self.senders)

    def edges(self, size: int | None = None) -> "Edges":
        """The entries in their order, on the default device and in its precision.

        Filled up to `size` with edges of weight 0, so that graphs of almost the same size share what is compiled.
        """
        fill = (0, 0 if size is None else size - len(self.weights))
        receivers = np.pad(self.receivers, fill, constant_values=max(self.num_nodes - 1, 0))
        return Edges(
            jnp.asarray(np.pad(self.senders, fill), jnp.int32),
            jnp.asarray(receivers, jnp.int32),
            jnp.asarray(np.pad(self.weights, fill), float),
            Layout(self.num_nodes, bool((np.diff(receivers) >= 0).all())),
        )


@jax.tree_util.register_static
@dataclass(frozen=True)
class Layout:
    """What of `Edges` is known when a program is compiled: how many nodes, and whether receivers never fall."""

    nodes: int
    by_receiver: bool = False


class Edges(NamedTuple):
    """An operator on a device: a pytree that can be multiplied.

    Attributes:
        senders: columns.
        receivers: rows.
        weights: the entries.
        layout: of the matrix and its entries.
    """

    senders: Int[Array, " edges"]
    receivers: Int[Array, " edges"]
    weights: Float[Array, " edges"]
    layout: Layout

    def __matmul__(self, values: Float[Array, "nodes ..."]) -> Float[Array, "nodes ..."]:
        weights = self.weights if values.ndim == 1 else self.weights[:, None]
        return jax.ops.segment_sum(
            values[self.senders] * weights, self.receivers, self.layout.nodes, self.layout.by_receiver
        )

    @property
    def T(self) -> "Edges":
        """The transpose."""
        return Edges(self.receivers, self.senders, self.weights, Layout(self.layout.nodes))


def message_passing(graph: KnowledgeGraph, weighted: bool = True, symmetric: bool = False) -> Operator:
    """The graph's adjacency with the self-loops that gcn_norm adds: weight 1 where a node has none.

    Every edge weighs 1 if not `weighted`; if `symmetric`, both directions of an edge have the larger weight.
    """
    nodes = graph.num_nodes
    senders, receivers = np.asarray(graph.senders), np.asarray(graph.receivers)
    weights = np.asarray(graph.weights, np.float64) if weighted else np.ones(graph.num_edges)
    if symmetric:
        ends = np.concatenate([senders, receivers]).astype(np.int64), np.concatenate([receivers, senders])
        keys, position = np.unique(ends[0] * nodes + ends[1], return_inverse=True)
        largest = np.zeros(len(keys))
        np.maximum.at(largest, position, np.concatenate([weights, weights]))
        senders, receivers, weights = keys // nodes, keys % nodes, largest
    without_loop = np.setdiff1d(np.arange(nodes), senders[senders == receivers])
    return Operator(
        np.concatenate([senders, without_loop]).astype(np.int32),
        np.concatenate([receivers, without_loop]).astype(np.int32),
        np.concatenate([weights, np.ones(len(without_loop))]),
        nodes,
    )


def gcn_norm(operator: Operator) -> Operator:
    """P = D^-1/2 A D^-1/2 with D the weighted in-degrees, as PyTorch Geometric's ``gcn_norm`` and so GEARS.

    A is not symmetric (each gene reads its own most similar ones), so the norm of P can exceed 1.
    """
    degrees = np.bincount(operator.receivers, operator.weights, operator.num_nodes)
    scale = 1 / np.sqrt(degrees)
    return operator._replace(weights=operator.weights * scale[operator.receivers] * scale[operator.senders])


def is_symmetric(operator: Operator) -> bool:
    """Whether A equals its transpose."""
    matrix = operator.rows()
    return bool((matrix - matrix.T).count_nonzero() == 0)
