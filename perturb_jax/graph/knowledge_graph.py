"""The knowledge graph: genes and directed weighted edges between them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import jraph
import numpy as np
from jaxtyping import Array, Float, Int

from perturb_jax.genes.symbols import GeneNames
from perturb_jax.support.errors import InputError

Direction = Literal["in", "out", "both"]
DIRECTIONS: tuple[Direction, ...] = ("in", "out", "both")

Vector = Array | np.ndarray


class Provenance(NamedTuple):
    """Where a graph comes from: plain values, for reports.

    Attributes:
        source: the annotation or edge list, in words.
        settings: the (name, value) pairs that made the graph.
        renamed: (old symbol, current name) of names that were given.
        dropped: (name, reason) of names that were given and left out.
    """

    source: str = ""
    settings: tuple[tuple[str, str | int | float], ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()


@jax.tree_util.register_pytree_node_class
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

    def tree_flatten(self) -> tuple[tuple[jraph.GraphsTuple], tuple[GeneNames, Provenance]]:
        """Arrays as children, names and provenance as static data."""
        return (self.graph,), (self.names, self.provenance)

    @classmethod
    def tree_unflatten(
        cls, static: tuple[GeneNames, Provenance], children: tuple[jraph.GraphsTuple]
    ) -> "KnowledgeGraph":
        """The inverse of `tree_flatten`."""
        return cls(children[0], *static)


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
    """The graph's edges as steps ``here -> there`` of a walk, on the host.

    "in" walks from a gene to the genes whose embeddings its layer reads (target to source), "out" to the genes that
    read it, "both" either way.
    """
    if direction not in DIRECTIONS:
        raise InputError(f"direction: expected one of {', '.join(DIRECTIONS)}, got {direction!r}")
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
