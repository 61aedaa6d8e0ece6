"""Frank-Wolfe: few vectors whose weighted sum comes near to the sum of all (the algorithm of ACS-FW)."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


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


class Batch(NamedTuple):
    """What Frank-Wolfe found.

    Attributes:
        picks: rows, distinct, in the order found.
        left: |sum_n L_n - sum_n w_n L_n| / |sum_n L_n| after each pick.
    """

    picks: Int[Array, " picks"]
    left: Float[Array, " picks"]


@partial(jax.jit, static_argnames="batch")
def frank_wolfe(
    vectors: Float[Array | np.ndarray, "rows draws"], candidates: Bool[Array | np.ndarray, " rows"], batch: int
) -> Batch:
    """Approach the sum of the candidates' vectors by a weighted sum of few of them.

    Each step takes the candidate, not yet taken, whose direction is most along what is left, and goes to the best point
    of the line from the present sum to that direction times the sum of all lengths (not clipped to the segment, as in
    bmdal_reg). Ties go to the earliest row.

    Args:
        vectors: L_n.
        candidates: which rows may be picked and make up the sum.
        batch: how many picks, at most as many as there are candidates.
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
    return Batch(picks, left / jnp.where(size > 0, size, 1))
