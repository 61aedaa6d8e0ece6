"""The kernel that GEARS' perturbation branch implies: which effects are alike, before any is measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from perturb_jax.genes.perturbations import NO_MEMBER
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph, walk_edges
from perturb_jax.graph.operator import gcn_norm, message_passing
from perturb_jax.kernel.outer_products import sum_of_outer_products
from perturb_jax.support.checks import check_hops
from perturb_jax.support.errors import InputError

MAX_HOPS = 1_000
"""Steps of a walk that a kernel is computed for; it hardly changes long before."""

_CHUNK = 512  # rows of the kernel that are held at once
_DENSE = 0.1  # share of non-zeros from which on a dense product is faster

Block = sp.csr_array | np.ndarray


class Rows(NamedTuple):
    """Perturbations as rows of the kernel.

    Attributes:
        members: node numbers of their genes, filled with `NO_MEMBER`.
        scale: what their rows are multiplied with: 1 / their length where the kernel is normalised, else 1.
        variance: their prior variance, the kernel's diagonal: 1 where it is normalised.
    """

    members: Int[np.ndarray, "rows arity"]
    scale: Float[np.ndarray, " rows"]
    variance: Float[np.ndarray, " rows"]

    def take(self, rows: Int[np.ndarray, " some"]) -> "Rows":
        """Some of the rows, in the order given."""
        return Rows(self.members[rows], self.scale[rows], self.variance[rows])


@dataclass(frozen=True, eq=False)
class GraphKernel:
    """K = F F^T with F = P^k: two perturbations covary as much as the embeddings that they read overlap.

    A k-layer simple graph convolution (SGC, Wu et al. 2019) with a linear readout gives perturbation p the effect
    <row p of P^k, theta> on a gene, theta unknown; with theta ~ N(0, I) the effects have covariance K. A combination
    reads the sum of its genes' embeddings, as in GEARS. K itself is never held: blocks of rows are made when needed.

    Attributes:
        operator: P, one row per gene: what it reads.
        hops: k.
        normalize: scale K to unit diagonal, so that every perturbation has the same prior variance.
    """

    operator: sp.csr_array
    hops: int
    normalize: bool

    @property
    def num_nodes(self) -> int:
        """Genes of the graph."""
        return self.operator.shape[0]

    def rows(self, members: Int[np.ndarray, "rows arity"]) -> Rows:
        """Perturbations as rows of this kernel, with their prior variances. O(rows x edges within k hops)."""
        squares = [np.asarray((features * features).sum(1)) for _, features in self.features(members)]
        lengths = np.concatenate([np.zeros(0), *squares])
        ones = np.ones(len(members))
        return Rows(members, 1 / np.sqrt(lengths), ones) if self.normalize else Rows(members, ones, lengths)

    def features(self, members: Int[np.ndarray, "rows arity"]) -> Iterator[tuple[slice, Block]]:
        """The rows of F, not scaled: slice by slice, with the block [rows of the slice, nodes]."""
        for start in range(0, len(members), _CHUNK):
            block: Block = _incidence(members[start : start + _CHUNK], self.num_nodes)
            for _ in range(self.hops):
                block = _times(block, self.operator)
            yield slice(start, start + _CHUNK), block

    def between(self, some: Rows, others: Rows) -> Iterator[tuple[slice, Block]]:
        """The kernel, slice by slice of `some`: blocks [rows of the slice, others], scaled."""
        transposed = self.operator.T.tocsr()
        read = sp.csr_array(_incidence(others.members, self.num_nodes).T.multiply(others.scale[None, :]))
        for part, features in self.features(some.members):
            block = features
            for _ in range(self.hops):
                block = _times(block, transposed)
            block = _times(block, read)
            yield part, _scaled(block, some.scale[part])

    def covariance(self, some: Rows, others: Rows) -> Block:
        """The kernel between some perturbations and others, [some, others]: sparse where it is sparse."""
        blocks = [block for _, block in self.between(some, others)]
        sparse = [block for block in blocks if not isinstance(block, np.ndarray)]
        if len(sparse) < len(blocks):
            return np.concatenate([as_dense(block) for block in blocks])
        return sp.csr_array(sp.vstack(sparse))

    def gram(self, rows: Rows) -> Float[np.ndarray, "rows rows"]:
        """The kernel among some perturbations, dense."""
        gram = np.empty((len(rows.scale), len(rows.scale)))
        for part, block in self.between(rows, rows):
            gram[part] = as_dense(block)
        return gram

    def taught(
        self, rows: Rows, targets: Rows, weights: Float[np.ndarray, " targets"]
    ) -> Float[np.ndarray, "rows rows"]:
        """B = sum over targets t of w_t K_ut K_tv, dense: O(targets x rows^2), less where the kernel is sparse."""
        half = self.covariance(rows, targets) * np.sqrt(weights)[None, :]
        if isinstance(half, np.ndarray):
            return half @ half.T
        columns = half.tocsc()
        return sum_of_outer_products(columns.indptr, columns.indices, columns.data, len(rows.scale))

    def taught_alone(
        self, rows: Rows, targets: Rows, weights: Float[np.ndarray, " targets"]
    ) -> Float[np.ndarray, " rows"]:
        """The diagonal of `taught`, without the rest."""
        return np.concatenate([(block * block) @ weights for _, block in self.between(rows, targets)])


def graph_kernel(
    graph: KnowledgeGraph, hops: int, direction: Direction, weighted: bool = True, normalize: bool = True
) -> GraphKernel:
    """The kernel of a graph: P is gcn_norm of the graph ("in"), its transpose ("out"), or of the symmetrised ("both").

    Raises:
        InputError: hops below 1 or above `MAX_HOPS`, another direction.
    """
    check_hops(hops)
    if hops > MAX_HOPS:
        raise InputError(f"hops: expected at most {MAX_HOPS:,} for a kernel, got {hops:,}; models have 1 to 4 layers")
    walk_edges(graph, direction)  # refuses another direction
    edges = gcn_norm(message_passing(graph, weighted, symmetric=direction == "both"))
    shape = (edges.num_nodes, edges.num_nodes)
    operator = sp.csr_array((edges.weights, (edges.receivers, edges.senders)), shape=shape)
    return GraphKernel((operator.T if direction == "out" else operator).tocsr(), hops, normalize)


def _incidence(members: Int[np.ndarray, "rows arity"], num_nodes: int) -> sp.csr_array:
    """One row per perturbation, 1 at each of its genes."""
    rows, columns = np.nonzero(members != NO_MEMBER)
    return sp.csr_array((np.ones(len(rows)), (rows, members[rows, columns])), shape=(len(members), num_nodes))


def _times(block: Block, matrix: sp.csr_array) -> Block:
    product = block @ matrix
    if isinstance(product, np.ndarray):
        return product
    return product.toarray() if product.nnz > _DENSE * product.shape[0] * product.shape[1] else product


def _scaled(block: Block, scale: Float[np.ndarray, " rows"]) -> Block:
    return block * scale[:, None] if isinstance(block, np.ndarray) else block.multiply(scale[:, None]).tocsr()


def as_dense(block: Block) -> np.ndarray:
    """A block as a NumPy array."""
    return block if isinstance(block, np.ndarray) else block.toarray()
