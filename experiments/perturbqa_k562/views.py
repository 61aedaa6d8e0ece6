"""What a strategy that asks the model sees of a kernel predictor: the view of the product's contract.

A kernel predictor has no layers, so each part of the view is what comes closest:

- embedding, features: the rows of F with F F^T = K, the predictor's kernel: up to a rotation the rows of P^k for
  "ridge go k=1". Both are the same, as for any linear model, and neither depends on any outcome.
- effect: the predicted probability that each measured gene responds.
- log_variance: one of `UNSURE`, by which `Uncertainty` ranks. "variance": the logarithm of the posterior variance
  K_tt - K_tS (K_SS + I)^-1 K_St of the Gaussian process whose mean kernel ridge regression is (also taken for the
  smoother on the same kernel), every gene taken as measured in all of S: no outcome enters. "entropy": that of the mean
  entropy of the predicted probabilities.
"""

from typing import Literal, NamedTuple

import numpy as np
from data import Outcomes
from distance import remaining_variance
from predictors import Predictor, base_rates

from perturb_jax.strategies.view import View

Unsure = Literal["variance", "entropy"]
CERTAIN = 1e-3  # probabilities are kept this far from 0 and 1: ridge and smoothing can leave the unit interval


class Seen(NamedTuple):
    """A predictor as strategies see it: it can be fitted to any perturbations, and shown for some.

    Attributes:
        method: the predictor.
        kernel: between all perturbations.
        factor: F [perturbations, rank].
        outcomes: of which only those of the perturbations fitted to are read.
        shown: selected ones and candidates, as numbers: no test perturbation.
    """

    method: Predictor
    kernel: np.ndarray
    factor: np.ndarray
    outcomes: Outcomes
    shown: np.ndarray

    def view(self, selected: np.ndarray, parts: tuple[str, ...], unsure: Unsure) -> View:
        """Fitted to what is selected: the parts asked for, read-only."""
        held: dict[str, np.ndarray] = {}
        for part in parts:
            if part in ("embedding", "features"):
                held[part] = self.factor[self.shown]
            elif part == "effect":
                held[part] = self._probabilities(selected)
            elif unsure == "variance":
                held[part] = np.log(np.maximum(remaining_variance(self.kernel, selected, self.shown, 1.0), 1e-12))
            else:
                p = np.clip(self._probabilities(selected), CERTAIN, 1 - CERTAIN)
                held[part] = np.log(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean(1))
            held[part].setflags(write=False)
        return View(tuple(self.outcomes.perturbations[i] for i in self.shown), **held)

    def _probabilities(self, selected: np.ndarray) -> np.ndarray:
        base = base_rates(self.outcomes, selected)
        return base + self.method(self.kernel, self.outcomes, selected, self.shown, base, 1.0)


def factor(kernel: np.ndarray) -> np.ndarray:
    """F [perturbations, rank] with F F^T = the kernel, which is positive semidefinite up to rounding. O(n^3)."""
    values, vectors = np.linalg.eigh(kernel)
    kept = values > 1e-9 * values[-1]
    return vectors[:, kept] * np.sqrt(values[kept])
