"""Top-degree: the genes that most other genes read."""

from dataclasses import dataclass

import numpy as np

from perturb_jax.strategies.strategy import Ask, Strategy


@dataclass(frozen=True)
class TopDegree(Strategy):
    """Pick the candidates with most outgoing edges; a combination's are the sum over its genes.

    Out-degree, because in-degree is capped by the graph's construction. Ties go to the earliest candidate, with a seed
    to a seeded random one.
    """

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """The most connected candidates, the most connected first."""
        from perturb_jax.graph.degrees import candidate_degrees

        pool = ask.candidates
        if ask.seed is not None:
            pool = pool.take(np.random.default_rng(ask.seed).permutation(len(pool)))
        order = np.argsort(-candidate_degrees(ask.graph, pool), kind="stable")
        return pool.take(order[: int(ask.budget)]).labels
