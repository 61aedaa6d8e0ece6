"""Differentially expressed genes from moments: Welch's t against control."""

import numpy as np
from jaxtyping import Float, Int

from perturb_jax.screen.moments import Moments


def welch_t(perturbed: Moments, control: Moments) -> Float[np.ndarray, " genes"]:
    """Welch's t of each gene against control, within cell types.

    One cell type: t = (m - m0) / sqrt(s^2 / n + s0^2 / n0), s^2 with n - 1 in the denominator; what
    `scanpy.tl.rank_genes_groups(method="t-test", reference=control)` calls the score. Several: differences and squared
    errors are taken within each cell type c and summed with the weights w_c = n_c / sum(n) and w_c^2, so that a
    perturbation which is common in one cell type is not credited with that type's expression. Where the error is 0, t
    is 0 for equal means (as in scanpy) and infinite for different ones.

    Args:
        perturbed: moments per cell type [types, genes], at least 2 cells in each.
        control: of control cells in the same cell types, at least 2 in each.
    """
    weight = (perturbed.count / perturbed.count.sum())[:, None]
    difference = (weight * (perturbed.mean - control.mean)).sum(0)
    squared_error = sum(part.variance / (part.count[:, None] - 1.0) for part in (perturbed, control))
    error = np.sqrt((weight**2 * squared_error).sum(0))
    signed = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
    return np.divide(difference, error, out=signed, where=error > 0)


def top_genes(score: Float[np.ndarray, " genes"], number: int) -> Int[np.ndarray, " top"]:
    """The columns of the largest absolute scores, the largest first; of equal ones the first column."""
    return np.argsort(-np.abs(score), kind="stable")[:number]
