"""The knowledge graph: genes, directed weighted edges between them, and several versions of one graph."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jraph
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.genes.symbols import GeneNames
from perturb_jax.support.checks import check_choice, check_count
from perturb_jax.support.errors import InputError

Direction = Literal["in", "out", "both"]
DIRECTIONS: tuple[Direction, ...] = ("in", "out", "both")

Vector = Array | np.ndarray


class Provenance(NamedTuple):
    """Where a graph comes from: plain values, for reports."""

    source: str = ""  # the annotation or edge list, in words
    settings: tuple[tuple[str, str | int | float], ...] = ()  # what made the graph, by name
    renamed: tuple[tuple[str, str], ...] = ()  # old symbols that were given, with the current names
    dropped: tuple[tuple[str, str], ...] = ()  # names that were given and left out, with the reason


@partial(jax.tree_util.register_dataclass, data_fields=["graph"], meta_fields=["names", "provenance"])
@dataclass(frozen=True, eq=False)
class KnowledgeGraph:
    """Genes and directed weighted edges: a `jraph.GraphsTuple`, with the gene names beside it.

    An edge ``source -> target`` means: source is one of the target's most similar genes, and a graph-convolution layer
    sends source's embedding to target. A pytree whose leaves are the arrays; names and provenance are static.
    The leaves are NumPy arrays when a graph is built and become device arrays with `jax.device_put`.

    Attributes:
        graph: edges = weights float32 [E], senders int32 [E], receivers int32 [E], n_node [1], n_edge [1].
        names: the gene names, which resolve old symbols.
        provenance: where the graph comes from.
    """

    graph: jraph.GraphsTuple
    names: GeneNames
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def genes(self) -> tuple[str, ...]:
        """Gene names; the position is the node's number."""
        return self.names.genes

    @property
    def num_nodes(self) -> int:
        """The number of genes."""
        return len(self.names)

    @property
    def num_edges(self) -> int:
        """The number of directed edges, self-loops included."""
        return len(self.graph.senders)

    @property
    def senders(self) -> Int[Vector, " edges"]:
        """The source of every edge."""
        return self.graph.senders

    @property
    def receivers(self) -> Int[Vector, " edges"]:
        """The target of every edge."""
        return self.graph.receivers

    @property
    def weights(self) -> Float[Vector, " edges"]:
        """The weight of every edge: Jaccard similarity in a GO graph, `importance` in an edge list."""
        return self.graph.edges

    def index(self, names: Iterable[str]) -> Int[np.ndarray, " names"]:
        """Node numbers of some genes; old symbols are resolved.

        Raises:
            InputError: unknown, ambiguous, blank or repeated names.
        """
        return self.names.index(names)

    def __repr__(self) -> str:
        return f"KnowledgeGraph({self.num_nodes} genes, {self.num_edges} edges, {self.provenance.source})"


def make_graph(
    senders: np.ndarray,
    receivers: np.ndarray,
    weights: np.ndarray,
    genes: Sequence[str],
    aliases: Mapping[str, tuple[str, ...]] | None = None,
    provenance: Provenance | None = None,
) -> KnowledgeGraph:
    """A `KnowledgeGraph` from edge arrays that are already right: no check, no reordering."""
    return KnowledgeGraph(
        jraph.GraphsTuple(
            nodes=None,
            edges=np.asarray(weights, np.float32),
            senders=np.asarray(senders, np.int32),
            receivers=np.asarray(receivers, np.int32),
            n_node=np.array([len(genes)], np.int32),
            n_edge=np.array([len(senders)], np.int32),
            globals=None,
        ),
        GeneNames(genes, aliases),
        provenance or Provenance(),
    )


def walk_edges(graph: KnowledgeGraph, direction: Direction) -> tuple[np.ndarray, np.ndarray]:
    """The graph's edges as steps ``here -> there`` of a walk: "in" from a gene to those whose embeddings it reads."""
    check_choice("direction", direction, DIRECTIONS)
    senders, receivers = np.asarray(graph.senders), np.asarray(graph.receivers)
    if direction == "in":
        return receivers, senders
    if direction == "out":
        return senders, receivers
    return np.concatenate([receivers, senders]), np.concatenate([senders, receivers])


def graph_record(graph: KnowledgeGraph) -> dict[str, Any]:
    """What a graph is and where it comes from."""
    return {
        "source": graph.provenance.source,
        "nodes": graph.num_nodes,
        "edges": graph.num_edges,
        **dict(graph.provenance.settings),
        "renamed": dict(graph.provenance.renamed),
        "dropped": dict(graph.provenance.dropped),
    }


def degrees(graph: KnowledgeGraph) -> tuple[Int[np.ndarray, " nodes"], Int[np.ndarray, " nodes"]]:
    """Incoming and outgoing edges of every gene, self-loops left out."""
    senders, receivers = np.asarray(graph.senders), np.asarray(graph.receivers)
    incoming, outgoing = (ends[senders != receivers] for ends in (receivers, senders))
    return np.bincount(incoming, minlength=graph.num_nodes), np.bincount(outgoing, minlength=graph.num_nodes)


def candidate_degrees(graph: KnowledgeGraph, pool: Perturbations) -> Int[np.ndarray, " candidates"]:
    """Outgoing edges of every candidate: a combination's is the sum over its genes."""
    outgoing = np.append(degrees(graph)[1], 0)  # the last for NO_MEMBER, -1
    return outgoing[pool.members].sum(1)


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
    check_count("variants", variants)
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
    position = {gene: i for i, gene in enumerate(genes)}
    keys = []
    for graph in graphs:
        number = np.array([position[gene] for gene in graph.genes], np.int64)
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
