"""The kernel that a graph convolution implies: P^k (P^k)^T, block by block on the host, by its edges on a device."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int

from perturb_jax.graph.knowledge_graph import DIRECTIONS, Direction, KnowledgeGraph
from perturb_jax.graph.operator import Edges, gcn_norm, message_passing
from perturb_jax.kernel.kernel import Block, FeatureMap, Kernel, Members, Rows, Source, incidence, on_device, scaled
from perturb_jax.support.checks import check_choice, check_count
from perturb_jax.support.errors import InputError

MAX_HOPS = 1_000
"""Steps of a walk that a kernel is computed for; it hardly changes long before."""

_DENSE = 0.1  # fraction of non-zeros from which on a dense product is faster


class GraphKernel(Source):
    """K = F F^T with F = P^k: two perturbations covary as much as the embeddings that they read overlap.

    A k-layer simple graph convolution (SGC, Wu et al. 2019) with a linear readout gives perturbation p the effect
    <row p of P^k, theta> on a gene, theta unknown; with theta ~ N(0, I) the effects have covariance K. A combination
    reads the sum of its genes' embeddings, as in GEARS. K itself is never held: blocks of rows are made when needed. A
    gene that is not in the graph is a node without neighbours, which reads itself alone.

    P is `gcn_norm` of the graph ("in"), its transpose ("out"), or that of the symmetrised graph ("both").

    Args:
        graph: the knowledge graph.
        hops: k.
        direction: "in": effects are similar where genes read the same embeddings, as in GEARS; "out": where the same
            genes read them; "both": over the symmetrised graph.
        weighted: use the edge weights; else every edge weighs 1.
        normalize: scale K to unit diagonal, so that every perturbation has the same prior variance.

    Raises:
        InputError: hops below 1 or above `MAX_HOPS`, another direction.

    Complexity: O(rows x edges within k hops) for blocks of K; 2 k passes over the edges for a product on a device.

    Examples:
        >>> import pandas as pd, perturb_jax as pj
        >>> edges = pd.DataFrame({"source": ["A", "A", "A"], "target": ["B", "C", "D"], "importance": 1.0})
        >>> kernel = pj.GraphKernel(pj.graph_from_edges(edges))
        >>> kernel.matrix(["B", "C", "B+C"]).round(2).tolist()
        [[1.0, 0.67, 0.91], [0.67, 1.0, 0.91], [0.91, 0.91, 1.0]]
    """

    def __init__(
        self,
        graph: KnowledgeGraph,
        hops: int = 1,
        direction: Direction = "in",
        weighted: bool = True,
        normalize: bool = True,
    ):
        check_count("hops", hops)
        if hops > MAX_HOPS:
            raise InputError(
                f"hops: expected at most {MAX_HOPS:,} for a kernel, got {hops:,}; models have 1 to 4 layers"
            )
        check_choice("direction", direction, DIRECTIONS)
        super().__init__(graph.names, normalize)
        self.graph, self.hops, self.direction, self.weighted = graph, hops, direction, weighted

    @cached_property
    def operator(self) -> sp.csr_array:
        """P, one row per unit: what it reads."""
        read = gcn_norm(message_passing(self.graph, self.weighted, symmetric=self.direction == "both"))
        read = read.T.tocsr() if self.direction == "out" else read
        alone = self.num_units - self.graph.num_nodes
        return sp.csr_array(sp.block_diag((read, sp.eye_array(alone)), format="csr")) if alone else read

    @cached_property
    def _transposed(self) -> sp.csr_array:
        return self.operator.T.tocsr()

    def features(self, members: Int[np.ndarray, "rows arity"]) -> Iterator[tuple[slice, Block]]:
        """The rows of F, not scaled: slice by slice, with the block [rows of the slice, nodes]."""
        return self._features(self.units_of(members))

    def _features(self, units: Int[np.ndarray, "rows arity"]) -> Iterator[tuple[slice, Block]]:
        for part, sums in self.sums(units):
            yield part, self._walked(sums, self.operator)

    def _walked(self, block: Block, operator: sp.csr_array) -> Block:
        for _ in range(self.hops):
            block = _times(block, operator)
        return block

    def _squares(self, members: Int[np.ndarray, "rows arity"]) -> Float[np.ndarray, " rows"]:
        squares = [np.asarray((features * features).sum(1)) for _, features in self._features(members)]
        return np.concatenate([np.zeros(0), *squares])

    def between(self, some: Rows, others: Rows) -> Iterator[tuple[slice, Block]]:
        """The kernel, slice by slice of `some`: blocks [rows of the slice, others], scaled, sparse where K is."""
        transposed = self._transposed
        read = sp.csr_array(incidence(others.members, self.num_units).T.multiply(others.scale[None, :]))
        for part, features in self._features(some.members):
            yield part, scaled(_times(self._walked(features, transposed), read), some.scale[part])

    def times(self, some: Rows, others: Rows) -> Partial:
        """The kernel on a device, F F^T, without anything of the size of genes x genes."""
        edges, hops = Edges.of(self.operator), jnp.int32(self.hops)
        return Partial(_graph_times, edges, hops, on_device(some, self), on_device(others, self))

    def feature_map(self, members: Int[np.ndarray, "rows arity"]) -> FeatureMap:
        """Rows of F on a device, each scaled so that its largest entry is 1: k passes over the edges."""
        units = self.units_of(members)
        peaks = np.concatenate([np.zeros(0), *[_largest(block) for _, block in self._features(units)]])
        edges, hops = Edges.of(self.operator), jnp.int32(self.hops)
        rows = on_device(Rows(units, 1 / peaks, np.ones(len(units))), self)
        return FeatureMap(Partial(_reads, edges, hops, rows), Partial(_read_by, edges, hops, rows))

    def description(self) -> dict[str, Any]:
        """What it is made of, in plain values."""
        settings = {name: getattr(self, name) for name in ("hops", "direction", "weighted", "normalize")}
        return {"kernel": "graph", "graph": self.graph.provenance.source} | settings


def as_kernel(
    source: KnowledgeGraph | Kernel,
    hops: int = 1,
    direction: Direction = "in",
    weighted: bool = True,
    normalize: bool = True,
) -> Kernel:
    """A kernel as it is; a graph alone means its `GraphKernel` with these settings."""
    if isinstance(source, KnowledgeGraph):
        return GraphKernel(source, hops, direction, weighted, normalize)
    check_source(source)
    usual = {"hops": hops == 1, "direction": direction == "in", "weighted": weighted, "normalize": normalize}
    changed = [name for name, is_usual in usual.items() if not is_usual]
    if changed:
        raise InputError(f"{', '.join(changed)}: only for a graph; the kernel given has its own")
    return source


def check_source(source: object) -> None:
    """Refuse what is neither a graph nor a kernel."""
    if not isinstance(source, KnowledgeGraph | Kernel):
        raise InputError(f"expected a KnowledgeGraph or a Kernel, got {type(source).__name__}")


def kernels_to_try(source: KnowledgeGraph | Kernel, predictor: Any) -> Iterator[tuple[dict[str, int | str], Kernel]]:
    """The kernels that a predictor with settings of a `GraphKernel` chooses from, each with what its report says of it.

    Those of a graph for every number of hops; a kernel that is given, to the predictor or instead of the graph, alone.
    """
    given = source if predictor.kernel is None else predictor.kernel
    if isinstance(given, Kernel):
        yield {"kernel": given.label}, given
        return
    for k in (predictor.hops,) if isinstance(predictor.hops, int) else predictor.hops:
        yield {"hops": k}, GraphKernel(given, k, predictor.direction, predictor.weighted, predictor.normalize)


def _times(block: Block, matrix: sp.csr_array) -> Block:
    product = block @ matrix
    if isinstance(product, np.ndarray):
        return product
    return product.toarray() if product.nnz > _DENSE * product.shape[0] * product.shape[1] else product


def _largest(features: Block) -> Float[np.ndarray, " rows"]:
    largest = features.max(axis=1)
    return largest if isinstance(largest, np.ndarray) else largest.toarray().ravel()


def _reads(
    edges: Edges, hops: Int[Array, ""], members: Members, values: Float[Array, " units"]
) -> Float[Array, " rows"]:
    """F x: what the rows of F = P^k read of `values`, scaled."""
    return members.gather(jax.lax.fori_loop(0, hops, lambda _, values: edges @ values, values))


def _read_by(
    edges: Edges, hops: Int[Array, ""], members: Members, values: Float[Array, " rows"]
) -> Float[Array, " units"]:
    """F^T y: what nodes are read, by all rows of F = P^k together, each multiplied with its value."""
    nodes = members.spread(values, edges.layout.nodes)
    return jax.lax.fori_loop(0, hops, lambda _, values: edges.T @ values, nodes)


def _graph_times(
    edges: Edges, hops: Int[Array, ""], some: Members, others: Members, values: Float[Array, " others"]
) -> Float[Array, " some"]:
    return _reads(edges, hops, some, _read_by(edges, hops, others, values))
