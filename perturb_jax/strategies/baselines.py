"""What every other strategy has to beat: random, the most connected genes, and the genes spread over the graph."""

from dataclasses import dataclass
from typing import ClassVar

from perturb_jax.strategies.strategy import Ask, Strategy


@dataclass(frozen=True)
class Random(Strategy):
    """Pick candidates uniformly at random; without a seed, with seed 0."""

    needs_graph: ClassVar[bool] = False

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """The draw."""
        return ask.candidates.shuffled(ask.seed or 0).labels[: int(ask.budget)]


@dataclass(frozen=True)
class TopDegree(Strategy):
    """Pick the candidates with most outgoing edges; a combination's are the sum over its genes.

    Out-degree, because in-degree is capped by the graph's construction. Ties go to the earliest candidate, with a seed
    to a seeded random one.
    """

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """The most connected candidates, the most connected first."""
        from perturb_jax.graph.knowledge_graph import candidate_degrees

        pool = ask.candidates if ask.seed is None else ask.candidates.shuffled(ask.seed)
        order = (-candidate_degrees(ask.graph, pool)).argsort(kind="stable")
        return pool.take(order[: int(ask.budget)]).labels


@dataclass(frozen=True)
class KCenter(Strategy):
    """Pick, again and again, the candidate that is farthest from everything picked.

    The distance is that of the shortest path in the symmetrised graph, where an edge of weight w has length 1 / w. For
    single genes this is farthest-first traversal (Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5): the largest
    distance of a candidate to its nearest pick is at most twice the smallest that any `budget` candidates could have.
    A combination is as near as the nearest of its genes, which is no metric, so that bound does not hold for them.

    With nothing picked yet every candidate is equally far, and a candidate of another connected component is farther
    than any other. One that no other candidate can reach comes last, in tie order: a pick there stands for itself
    alone, and the bound is about the rest. Without that rule, isolated genes would use up the budget first.

    Ties go to the earliest candidate, with a seed to a seeded random one: the first pick is such a tie.

    Complexity: O(budget x edges log nodes), one Dijkstra search per pick, cut at the largest distance that is left.

    Examples:
        >>> import pandas as pd, perturb_jax as pj
        >>> edges = pd.DataFrame({"source": ["A", "B", "C"], "target": ["B", "C", "D"], "importance": 0.5})
        >>> KCenter().choose(Ask.of(pj.graph_from_edges(edges), None, budget=3))
        ('A', 'D', 'B')
    """

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """The picks, the farthest of what is left each time."""
        from perturb_jax.selection.farthest_first import farthest_first

        pool = ask.candidates if ask.seed is None else ask.candidates.shuffled(ask.seed)
        return pool.take(farthest_first(ask.graph, pool, ask.selected, int(ask.budget))).labels
