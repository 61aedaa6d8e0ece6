"""GEARS' loss as a polynomial in the effect: exact over all pairs of cells, at a cost that does not grow with cells.

GEARS predicts a perturbed cell y as x + e, with x a control cell and e the effect, the same for every cell. For one
perturbation and gene, D = y - x over all pairs has mean d and central moments V, T, F, so that

    mean (x + e - y)^4 = u^4 + 6 V u^2 - 4 T u + F,   u = e - d,
    V = v + v',  T = t - t',  F = f + f' + 6 v v',

with v, t, f the central moments of the perturbed cells and v', t', f' those of the control cells, which are
independent of them in the set of all pairs. Its gradient, 4 u^3 + 12 V u - 4 T, has the third moment in it: the loss
is least where the fourth powers balance, not at the mean.

GEARS adds `direction_weight` times the squared difference of two signs. A sign has gradient 0 wherever it has one: the
term changes the loss that is reported and nothing that is learned, so it is left out here.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.screen.screen import Screen


class PairMoments(NamedTuple):
    """Moments of y - x over all pairs of a perturbed and a control cell, of each perturbation and gene: d, V, T, F.

    `counted` are the genes that the loss is taken over: any cell of the perturbation expresses them.
    """

    mean: Float[Array, "rows genes"]
    variance: Float[Array, "rows genes"]
    third: Float[Array, "rows genes"]
    fourth: Float[Array, "rows genes"]
    counted: Bool[Array, "rows genes"]


def pair_moments(screen: Screen, rows: Int[np.ndarray, " rows"]) -> PairMoments:
    """Of some perturbations of a screen, computed in float64.

    Complexity: O(rows x genes). Memory: 17 bytes (float32) per row and gene.
    """
    _, m, v, t, f = (part.astype(np.float64) for part in screen.perturbed.of(rows))
    _, m0, v0, t0, f0 = (np.asarray(part, np.float64)[None] for part in screen.control)
    real = jnp.result_type(float)
    mean, variance, third, fourth = (jnp.asarray(part, real) for part in (m - m0, v + v0, t - t0, f + f0 + 6 * v * v0))
    return PairMoments(mean, variance, third, fourth, jnp.asarray(screen.nonzero[rows]))


def unpaired(num_genes: int) -> PairMoments:
    """Of control cells, each of which is its own pair: differences are 0, and every gene counts. One row."""
    none = jnp.zeros((1, num_genes))
    return PairMoments(none, none, none, none, jnp.ones((1, num_genes), bool))


def fourth_power(effect: Float[Array, "rows genes"], moments: PairMoments) -> Float[Array, "rows genes"]:
    """The mean of (x + effect - y)^4 over all pairs."""
    error = effect - moments.mean
    square = error * error
    return square * (square + 6 * moments.variance) - 4 * moments.third * error + moments.fourth


def moments_loss(
    effect: Float[Array, "rows genes"],
    moments: PairMoments,
    log_variance: Float[Array, "rows genes"] | None = None,
    uncertainty_weight: float | Float[Array, ""] = 1.0,
) -> Float[Array, " rows"]:
    """GEARS' loss of each perturbation: the mean over its genes that count.

    With log-variances s, errors count 1 + uncertainty_weight exp(-s) times: as in cell-gears, without the term in s
    that a Gaussian likelihood has. So the loss falls as s grows, wherever and however wrong the effect is, and nothing
    but the L2 penalty and the clipped gradient hold it back: it tells how fast s grew, faster where errors are large.
    Use it to order genes and perturbations, not as a variance.

    Source: `loss_fct` and `uncertainty_loss_fct` of cell-gears 0.1.2, averaged over the pairing with control cells.
    """
    powers = fourth_power(effect, moments)
    if log_variance is not None:
        powers = powers * (1 + uncertainty_weight * jnp.exp(-log_variance))
    counted = jnp.where(moments.counted, powers, 0)
    return counted.sum(1) / jnp.maximum(moments.counted.sum(1), 1)
