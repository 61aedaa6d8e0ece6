"""GraphReach as a strategy: the perturbations that together reach most of the knowledge graph."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from perturb_jax.strategies.strategy import Ask, WithinHops
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import option

if TYPE_CHECKING:
    from perturb_jax.graph.knowledge_graph import GraphBatch, KnowledgeGraph
    from perturb_jax.selection.selection import Selection

DROPOUT = 0.1
"""Probability that an edge is missing from a noisy copy, where none is given."""


@dataclass(frozen=True)
class GraphReach(WithinHops):
    """Pick the candidates that together reach the most genes: see `perturb_jax.graphreach`.

    With `robust`, coverage is the mean over so many noisy copies of the graph, each without some of its edges.
    """

    ties: Literal["rare", "first"] = option(
        "rare", "Equal gains go to the 'rare' (whose reach fewest have in common) or the 'first'."
    )
    robust: int | None = option(
        None, "Choose for the mean over this many noisy copies of the graph, each without some edges.", at_least=1
    )
    dropout: float | None = option(
        None, "With robust: probability that an edge is missing from a copy.", at_least=0, below=1, shown=str(DROPOUT)
    )
    dropout_seed: int | None = option(None, "With robust: seed of the noise.", at_least=0, shown="0")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.robust is None and (self.dropout is not None or self.dropout_seed is not None):
            raise InputError("dropout, dropout_seed: need robust, how many noisy copies of the graph to use")

    @property
    def evidence(self) -> str:  # type: ignore[override]  # of what is chosen on noisy copies, another kind
        """How the picks do on the noisy copies, where there are any."""
        return "coverage" if self.robust is None else "robust"

    def choose(self, ask: Ask) -> "Selection":
        """The picks with the coverage after each, and what no selection can exceed."""
        from perturb_jax.selection.graphreach import graphreach

        graph = ask.graph if self.robust is None else self.noisy(ask.graph)
        how = (self.hops, self.direction, ask.selected, ask.seed)
        return graphreach(graph, ask.candidates, int(ask.budget), *how, ties=self.ties)

    def noisy(self, graph: "KnowledgeGraph") -> "GraphBatch":
        """The noisy copies of a graph."""
        import jax

        from perturb_jax.graph.knowledge_graph import edge_dropout

        missing = DROPOUT if self.dropout is None else self.dropout
        return edge_dropout(graph, missing, self.robust or 0, jax.random.key(self.dropout_seed or 0))
