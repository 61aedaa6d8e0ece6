"""How noisy a measured effect is, from the cells that replicate it."""

import numpy as np
from jaxtyping import Float, Int

from perturb_jax.support.errors import InputError


def relative_noise(
    mean: Float[np.ndarray, "perturbations genes"],
    variance: Float[np.ndarray, "perturbations genes"],
    cell_counts: Int[np.ndarray, " perturbations"],
) -> float:
    """The variance of a measured effect around its true value, relative to the variance of true effects.

    A perturbation's effect is measured by its cells' mean, whose error has variance m2 / (n - 1), m2 the variance among
    the n cells. The means differ between perturbations by true effects and by that error, so the true effects have the
    variance between means less the mean error (the one-way random-effects estimate, as in analysis of variance).
    Summed over genes before the division, so that genes with large effects count most.

    For `graphdesign` this is the least that `noise` can be: there it also holds all that the graph does not explain of
    true effects.

    Args:
        mean: of each perturbation's cells.
        variance: second central moment of each perturbation's cells.
        cell_counts: cells of each perturbation, at least 2.

    Raises:
        InputError: fewer than 2 perturbations; one with fewer than 2 cells; values that are not finite; means that
            differ no more than their errors.

    Examples:
        >>> mean, variance = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]]), np.full((3, 2), 0.4)
        >>> round(relative_noise(mean, variance, np.array([5, 5, 5])), 3)
        0.25
    """
    if len(mean) < 2:
        raise InputError(f"noise: expected at least 2 perturbations, got {len(mean)}")
    if cell_counts.min() < 2:
        raise InputError(
            f"noise: expected at least 2 cells of every perturbation, got {cell_counts.min()}; leave it out"
        )
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise InputError("noise: expected finite means and variances, got NaN or infinity; leave such genes out")
    error = float((variance / (cell_counts[:, None] - 1.0)).mean(0).sum())
    between = float(mean.var(0, ddof=1).sum())
    if between <= error:
        raise InputError(
            f"noise: the perturbations' means differ no more ({between:.3g}) than their errors ({error:.3g}): no "
            "effect can be told from noise; use more cells or genes with larger effects"
        )
    return error / (between - error)
