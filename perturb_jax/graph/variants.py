"""Several versions of one knowledge graph: noisy copies, or graphs by different rules over the same genes."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from perturb_jax.graph.knowledge_graph import KnowledgeGraph, Provenance, make_graph
from perturb_jax.support.errors import InputError


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """Graphs over the same nodes, as one list of edges and a weight of every edge in every graph: one shape for all.

    Attributes:
        graph: the edges of all graphs together, each with its largest weight.
        weights: the edges' weights in each graph; 0 where a graph does not have the edge.
    """

    graph: KnowledgeGraph
    weights: Float[np.ndarray, "graphs edges"]

    def __len__(self) -> int:
        return len(self.weights)

    def __repr__(self) -> str:
        return f"GraphBatch({len(self)} graphs, {self.graph!r})"

    @property
    def present(self) -> Bool[np.ndarray, "graphs edges"]:
        """Which edges each graph has."""
        return self.weights > 0

    def variant(self, number: int) -> KnowledgeGraph:
        """One of the graphs, with its own edges only."""
        weights = self.weights[number]
        kept = weights > 0
        settings = (*self.graph.provenance.settings, ("variant", number))
        return make_graph(
            np.asarray(self.graph.senders)[kept],
            np.asarray(self.graph.receivers)[kept],
            weights[kept],
            self.graph.genes,
            self.graph.names.aliases,
            self.graph.provenance._replace(settings=settings),
        )


def edge_dropout(graph: KnowledgeGraph, rate: float, variants: int, key: Key[Array, ""]) -> GraphBatch:
    """Noisy copies of a graph: each edge is missing from each copy with probability `rate`, independently.

    Self-loops stay, since a graph convolution adds them anyway. Copy i depends on the key and on i alone, so that more
    copies repeat the first ones.

    Args:
        graph: the knowledge graph.
        rate: probability that an edge is missing, in [0, 1).
        variants: number of copies.
        key: a key of `jax.random.key`; equal keys give equal copies on every device.

    Raises:
        InputError: a rate or a number of copies that cannot be used.

    Complexity: O(variants x edges).
    """
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise InputError(f"dropout: expected a probability in [0, 1), got {rate!r}")
    if isinstance(variants, bool) or not isinstance(variants, int | np.integer) or variants < 1:
        raise InputError(f"variants: expected a whole number of at least 1, got {variants!r}")
    draw = jax.jit(lambda i: jax.random.bernoulli(jax.random.fold_in(key, i), 1 - rate, (graph.num_edges,)))
    loops = np.asarray(graph.senders) == np.asarray(graph.receivers)
    weights = np.asarray(graph.weights, np.float32)
    return GraphBatch(
        graph, np.stack([np.where(np.asarray(draw(i)) | loops, weights, np.float32(0)) for i in range(variants)])
    )


def graph_batch(graphs: Sequence[KnowledgeGraph]) -> GraphBatch:
    """Graphs of `load_go_graph` or `graph_from_edges` by different rules (neighbours, namespaces), as one batch.

    The nodes are the genes of all of them in sorted order (in their own where all agree); a gene that a graph lacks has
    no edge in it. Edges that a graph has twice count with the sum of their weights, as in message passing.

    Raises:
        InputError: no graph.

    Complexity: O(E log E) for E edges in all graphs together.
    """
    graphs = tuple(graphs)
    if not graphs:
        raise InputError("graphs: expected at least one knowledge graph, got none")
    first = graphs[0]
    same = all(graph.genes == first.genes for graph in graphs)
    genes = first.genes if same else tuple(sorted({gene for graph in graphs for gene in graph.genes}))
    place = {gene: i for i, gene in enumerate(genes)}
    keys = []
    for graph in graphs:
        number = np.array([place[gene] for gene in graph.genes], np.int64)
        keys.append(number[np.asarray(graph.senders)] * len(genes) + number[np.asarray(graph.receivers)])
    edges, positions = np.unique(np.concatenate(keys), return_inverse=True)
    weights = np.zeros((len(graphs), len(edges)), np.float32)
    parts = np.split(positions, np.cumsum([len(part) for part in keys])[:-1])
    for row, graph, part in zip(weights, graphs, parts, strict=True):
        np.add.at(row, part, np.asarray(graph.weights, np.float32))
    aliases: dict[str, tuple[str, ...]] = {}
    for graph in reversed(graphs):
        aliases |= graph.names.aliases
    settings = tuple(
        (f"graph {i}: {key}", value) for i, graph in enumerate(graphs) for key, value in graph.provenance.settings
    )
    source = f"{len(graphs)} graphs, the first: {first.provenance.source}"
    joined = make_graph(
        edges // len(genes), edges % len(genes), weights.max(0), genes, aliases, Provenance(source, settings)
    )
    return GraphBatch(joined, weights)


def as_batch(graph: "KnowledgeGraph | GraphBatch | Sequence[KnowledgeGraph]") -> GraphBatch:
    """One graph as a batch of one, a batch as it is, several graphs as a batch."""
    if isinstance(graph, GraphBatch):
        return graph
    if isinstance(graph, KnowledgeGraph):
        return GraphBatch(graph, np.asarray(graph.weights, np.float32)[None])
    return graph_batch(graph)
