"""What a batch of the reference is made of in expectation, and batches of perturbations made alike.

cell-gears draws batches of cells. A condition (a perturbation, or control) counts by its cells in the statistics of
batch normalisation, and once, if it is there at all, in the loss, which is the mean over the batch's conditions.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Float, Int

from perturb_jax.predictors.gears_flax.model import Perturbed, Rows
from perturb_jax.predictors.gears_flax.moments_loss import PairMoments

PRESENT_AT_LEAST = 1e-300
"""Keeps logarithms finite."""


class Conditions(NamedTuple):
    """Perturbations of a screen and, in the last row, control.

    Attributes:
        perturbed: what is perturbed.
        moments: of the differences to control cells.
    """

    perturbed: Perturbed
    moments: PairMoments


class Member(NamedTuple):
    """What one model of an ensemble learns from: which of the conditions, and how much each counts.

    Attributes:
        rows: of the conditions, control's last; the first are its perturbations, the others padding.
        shares: of the training cells; 0 for padding; sum 1.
        loss_weights: of the conditions' losses, as batches of cells have them in expectation; sum 1.
    """

    rows: Int[Array, " used"]
    shares: Float[Array, " used"]
    loss_weights: Float[Array, " used"]


class Batch(NamedTuple):
    """Some conditions.

    Attributes:
        conditions: of each row.
        rows: what each counts for in statistics.
        loss_weights: of each row's loss; a batch's loss is, in expectation over batches, that of all conditions.
    """

    conditions: Conditions
    rows: Rows
    loss_weights: Float[Array, " rows"]


def expected_loss_weights(
    counts: Int[np.ndarray, " conditions"], batch_size: int, nodes: int = 64
) -> Float[np.ndarray, " conditions"]:
    """What each condition's loss weighs on average in batches of cells drawn at random.

    E[1{in the batch} / conditions in the batch], with 1/d = integral over t from 0 to 1 of t^(d - 1), and presence of
    the conditions taken as independent, each with the probability p that a batch drawn without replacement has it
    (hypergeometric):

        w_j = p_j * integral of prod_{i != j} (1 - p_i + p_i t) dt,

    scaled to sum 1, by Gauss-Legendre quadrature. Conditions without cells weigh 0. Complexity: O(conditions x nodes).

    Examples:
        >>> expected_loss_weights(np.array([10, 10, 10, 10]), 8).round(3).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    present = np.asarray(scipy.stats.hypergeom.sf(0, counts.sum(), counts, min(batch_size, counts.sum())))
    points, weights = np.polynomial.legendre.leggauss(nodes)
    absent = (1 - points) / 2  # 1 - t
    logs = np.log(np.maximum(1 - present[:, None] * absent[None], PRESENT_AT_LEAST))
    result = present * (np.exp(logs.sum(0) - logs) @ weights)
    return result / result.sum()


def draw_batch(conditions: Conditions, member: Member, key: Array, size: int, cells: int) -> Batch:
    """Some of a member's perturbations, without replacement and all equally likely, and control.

    Which ones follows from the key alone, however much padding there is.

    Control keeps its share of the cells, the perturbations divide the others in proportion to theirs. In expectation
    the loss is that of the reference's batches of cells, and so are the shares where all perturbations have equally
    many cells; else small shares are a little too large, by a few percent in a batch of 32.

    Args:
        conditions: to draw from.
        member: which of them.
        key: of the draw.
        size: perturbations; where the member has fewer, the rest count 0.
        cells: of the batch that it stands for.
    """
    shares = member.shares[:-1]
    unused = shares <= 0
    drawn = jnp.argsort(jax.random.uniform(key, shares.shape) + unused)[:size]
    rows = jnp.append(member.rows[drawn], member.rows[-1])
    each, control = shares[drawn], member.shares[-1]
    weights = jnp.append((1 - control) * each / each.sum(), control)
    scale = jnp.maximum((~unused).sum() / size, 1)
    losses = jnp.append(member.loss_weights[drawn] * scale, member.loss_weights[-1])
    return Batch(jax.tree.map(lambda part: part[rows], conditions), Rows(weights, float(cells)), losses)
