"""ACS-FW: the batch whose weighted log likelihoods come nearest to those of all candidates, by Frank-Wolfe."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.strategies.strategy import Ask, Strategy
from perturb_jax.strategies.view import Representation, isometric, read_view
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import option


@dataclass(frozen=True)
class ACSFW(Strategy):
    """Pick the batch that stands for all candidates in what they would tell a Bayesian linear readout.

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
        left = ask.candidates
        if not len(ask.selected):
            raise InputError("selected: expected at least one perturbation, got none; begin with another strategy")
        rows = isometric(read_view(ask, self.representation, [*left, *ask.selected]))
        draws = np.random.default_rng(ask.seed).standard_normal((rows.shape[1], self.random_features))
        # candidates and selected in one array, so that the shapes are those of every cycle: one compilation
        open_ = np.arange(len(rows)) < len(left)
        with jax.enable_x64(jax.config.read("jax_enable_x64") or jax.default_backend() == "cpu"):
            vectors = log_likelihoods(rows, ~open_, draws, float(self.sigma), self.scale)
            picks = np.asarray(frank_wolfe(vectors, open_, int(ask.budget))[0])
        return left.take(picks).labels


@jax.jit
def log_likelihoods(
    rows: Float[Array | np.ndarray, "rows features"],
    selected: Bool[Array | np.ndarray, " rows"],
    draws: Float[Array | np.ndarray, "features draws"],
    sigma: Float[Array, ""] | float,
    scale: Bool[Array, ""] | bool = True,
) -> Float[Array, "rows draws"]:
    """L_n at draws of the readout's weights: bmdal_reg's acs-rf, up to a factor common to all, which changes no pick.

    L_n(theta_j) = log(1 + k_n / sigma^2) / 2 - (z_nj^2 + k_n) / (2 sigma^2), z_nj = x_n . theta_j, k_n = x_n^T V x_n;
    V = (X^T X + sigma^2 I)^-1 over the selected rows X, theta_j = M^-T e_j, M M^T = V^-1 (Cholesky), e_j the draws.
    With prior covariance I, as this has it, the posterior covariance is sigma^2 V; bmdal_reg computes with V, and this
    is equal to it: what is not known counts for more.

    Args:
        rows: features of candidates and selected ones.
        selected: which rows are.
        draws: independent standard normal numbers.
        sigma: standard deviation of a measurement.
        scale: divide the features first by the root mean square length of the selected rows (where that is not 0).
    """
    mean_square = (selected * (rows**2).sum(1)).sum() / jnp.maximum(selected.sum(), 1)
    rows = rows / jnp.where(scale & (mean_square > 0), jnp.sqrt(mean_square), 1.0)
    known = rows * selected[:, None]
    factor = jnp.linalg.cholesky(known.T @ known + sigma**2 * jnp.eye(rows.shape[1]))
    solve = partial(jax.scipy.linalg.solve_triangular, factor, lower=True)
    variance = (solve(rows.T) ** 2).sum(0)
    projected = rows @ solve(draws, trans=1)
    gain = jnp.log1p(variance / sigma**2) / 2
    return gain[:, None] - (projected**2 + variance[:, None]) / (2 * sigma**2)


@partial(jax.jit, static_argnames="batch")
def frank_wolfe(
    vectors: Float[Array | np.ndarray, "rows draws"], candidates: Bool[Array | np.ndarray, " rows"], batch: int
) -> tuple[Int[Array, " picks"], Float[Array, " picks"]]:
    """Approach the sum of the candidates' vectors by a weighted sum of `batch` of them.

    Each step takes the candidate, not yet taken, whose direction is most along what is left, and goes to the best point
    of the line from the present sum to that direction times the sum of all lengths (not clipped to the segment, as in
    bmdal_reg). Ties go to the earliest row.

    Returns:
        The rows in the order found, and |sum_n L_n - sum_n w_n L_n| / |sum_n L_n| after each.
    """
    vectors = vectors * candidates[:, None]
    lengths = jnp.linalg.norm(vectors, axis=1)
    directions = vectors / jnp.where(lengths > 0, lengths, 1)[:, None]
    total, whole = lengths.sum(), vectors.sum(0)

    def step(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        reached, free = state
        pick = jnp.argmax(jnp.where(free, directions @ (whole - reached), -jnp.inf))
        toward = total * directions[pick] - reached
        square = toward @ toward
        along = toward @ (whole - reached) / jnp.where(square > 0, square, 1)
        reached = reached + along * toward
        return (reached, free.at[pick].set(False)), (pick, jnp.linalg.norm(whole - reached))

    start = jnp.zeros_like(whole), jnp.asarray(candidates)
    _, (picks, left) = jax.lax.scan(step, start, None, length=batch)
    size = jnp.linalg.norm(whole)
    return picks, left / jnp.where(size > 0, size, 1)
