"""ACS-FW: the batch whose weighted log likelihoods come nearest to those of all candidates, by Frank-Wolfe."""

from dataclasses import dataclass

import numpy as np

from perturb_jax.strategies.strategy import Ask, Strategy
from perturb_jax.strategies.view import Representation, isometric, read_view
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import option


@dataclass(frozen=True)
class ACSFW(Strategy):
    """Pick the batch that stands for all candidates in what they would teach a Bayesian linear readout.

    With x_n the features of perturbation n and theta the readout's weights, given what is selected, let L_n(theta) be
    the expected log likelihood of measuring n. The batch is the sparse w >= 0 with which sum_n w_n L_n is nearest to
    sum_n L_n over all candidates, distances taken over draws of theta, found by Frank-Wolfe.

    Equal to bmdal_reg's selection "fw" with base kernel "linear" and transformation ("acs-rf", [512, 0.1, None]),
    which IterPert ran (without `scale`: ("acs-rf", [512, 0.1])), given the same draws. Hence also where that differs
    from the paper: a step may not return to a candidate that is in the batch, so there are always `batch` distinct
    picks, but a weight may become negative; and see `log_likelihoods`. Where candidates are exhausted, because what is
    picked already matches all, the rest follows in the order of the candidates (bmdal_reg there divides 0 by 0).

    Source: Pinsler et al. 2019 (arXiv 1908.02144), algorithm 1 with random projections; Holzmueller et al. 2023 (JMLR
        24:164).
    Complexity: O(R D^2 + D^3 + (R + D) D J + batch R J) for R perturbations, J draws, D = min(features, R).

    Attributes:
        representation: the part of the view that is x. The derivation wants the input of a linear last layer:
            "features", for GEARS the cross-gene state, which is all of a perturbation that the readouts of all genes
            share.
        random_features: J.
        sigma: the standard deviation of a measurement; with `scale`, relative to the features' root mean square length.
        scale: divide the features by the root mean square length of the selected ones' first.

    Raises:
        InputError: an option that cannot be used.
    """

    representation: Representation = option("features", "What the linear readout reads of a perturbation.")
    random_features: int = option(512, "Draws of the readout's weights.", at_least=1)
    sigma: float = option(0.1, "Standard deviation of a measurement.", above=0)
    scale: bool = option(
        True, "Divide the features by the root mean square length of the selected.", negative="unscaled"
    )

    def parts(self, cycle: int) -> tuple[str, ...]:  # noqa: ARG002  (the contract's)
        """The representation."""
        return (self.representation,)

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """The batch, in the order in which Frank-Wolfe finds it.

        Raises:
            InputError: no such part in the view, or one that is not finite; nothing selected.
        """
        import jax

        from perturb_jax.selection.frank_wolfe import frank_wolfe, log_likelihoods

        left = ask.candidates
        if not len(ask.selected):
            raise InputError("selected: expected at least one perturbation, got none; begin with another strategy")
        rows = isometric(read_view(ask, self.representation, [*left, *ask.selected]))
        draws = np.random.default_rng(ask.seed).standard_normal((rows.shape[1], self.random_features))
        # candidates and selected in one array, so that the shapes are those of every cycle: one compilation
        open_ = np.arange(len(rows)) < len(left)
        with jax.enable_x64(jax.config.read("jax_enable_x64") or jax.default_backend() == "cpu"):
            vectors = log_likelihoods(rows, ~open_, draws, float(self.sigma), self.scale)
            picks = np.asarray(frank_wolfe(vectors, open_, int(ask.budget)).picks)
        return left.take(picks).labels
