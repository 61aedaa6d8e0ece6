"""Top-degree: the genes that most other genes read."""

from dataclasses import dataclass

from perturb_jax.strategies.strategy import Ask, Strategy


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
