"""Uncertainty: the perturbations whose effects the predictor is least sure of."""

from dataclasses import dataclass

import numpy as np

from perturb_jax.strategies.strategy import Ask, Strategy
from perturb_jax.strategies.view import read_view


@dataclass(frozen=True)
class Uncertainty(Strategy):
    """Pick the candidates with the highest predicted log variance, mean over the measured genes.

    GEARS predicts log variances where it is trained with uncertainty. The number that it gives its user, the
    exponential of minus their mean, is a confidence, the other way round: high where it is sure. `GraphGP` ranks
    perturbations by its posterior variance: the genes' scales are the same for all of them.

    Each candidate is judged alone, so a batch may hold several that would tell the same. Ties go to the earliest
    candidate; nothing is drawn.

    Source: uncertainty sampling, Lewis and Gale 1994 (arXiv cmp-lg/9407020).
    Complexity: O(candidates log candidates).

    Examples:
        >>> import pandas as pd, numpy as np, perturb_jax as pj
        >>> from perturb_jax.strategies.view import View
        >>> graph = pj.graph_from_edges(pd.DataFrame({"source": ["A", "C"], "target": ["B", "A"], "importance": 1.0}))
        >>> view = View(("A", "B", "C"), log_variance=np.array([0.1, 0.5, 0.3]))
        >>> Uncertainty().choose(Ask.of(graph, ["A", "B", "C"], 2, view=view))
        ('B', 'C')
    """

    def parts(self, cycle: int) -> tuple[str, ...]:  # noqa: ARG002  (the contract's)
        """The log variance."""
        return ("log_variance",)

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """The least certain candidates, the least certain first.

        Raises:
            InputError: no log variance in the view, or one that is not a number.
        """
        log_variance = read_view(ask, "log_variance", ask.candidates)
        order = np.argsort(-log_variance, kind="stable")
        return ask.candidates.take(order[: int(ask.budget)]).labels
