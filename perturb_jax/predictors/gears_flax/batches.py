"""What the Flax GEARS learns from: operators of both graphs, perturbations of a screen, and batches of them.

cell-gears draws batches of cells. A condition (a perturbation, or control) counts by its cells in the statistics of
batch normalisation, and once, if it is there at all, in the loss, which is the mean over the batch's conditions. A
batch here is of perturbations, and what the reference's batches are in expectation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Float, Int

from perturb_jax.genes.perturbations import NO_MEMBER, nodes_of
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.graph.operator import Edges
from perturb_jax.kernel.graph import GraphKernel
from perturb_jax.kernel.kernel import as_dense
from perturb_jax.predictors.gears_flax.model import Perturbed, Rows
from perturb_jax.predictors.gears_flax.moments_loss import PairMoments, pair_moments, unpaired
from perturb_jax.screen.screen import Screen

CHUNK = 32
"""Perturbations that are predicted at once."""


class Conditions(NamedTuple):
    """Perturbations of a screen and, in the last row, control: what is perturbed, and the pairs' moments."""

    perturbed: Perturbed
    moments: PairMoments


class Member(NamedTuple):
    """What one model of an ensemble learns from: rows of the conditions, control's last, before it perhaps padding.

    `cells` are fractions of the training cells, 0 for padding; `loss_weights` those of the conditions' losses, as
    batches of cells have them in expectation. Both have sum 1.
    """

    rows: Int[Array, " used"]
    cells: Float[Array, " used"]
    loss_weights: Float[Array, " used"]


class Held(NamedTuple):
    """The validation perturbations of one member: rows of the conditions, DE genes, and these genes' changes.

    `weights` have sum 1, and are 0 for padding; all 0 where nothing validates.
    """

    rows: Int[Array, " held"]
    de_genes: Int[Array, "held de"]
    changes: Float[Array, "held de"]
    weights: Float[Array, " held"]


class Batch(NamedTuple):
    """Some conditions, what each counts for in statistics, and in the loss, which is in expectation that of all."""

    conditions: Conditions
    rows: Rows
    loss_weights: Float[Array, " rows"]


def convolution_of(graph: KnowledgeGraph) -> GraphKernel:
    """One graph convolution: D^-1/2 A D^-1/2 with the self-loops of PyTorch Geometric's `gcn_norm`."""
    return GraphKernel(graph, normalize=False)


def edges_of(convolution: GraphKernel) -> Edges:
    """Its operator on the device, sorted by receiver, then sender; at the end edges of weight 0, up to a round number.

    So graphs of almost the same size have the same compiled code.
    """
    return Edges.of(convolution.operator, rounded_up(convolution.operator.nnz))


def rounded_up(count: int) -> int:
    """The next of 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, ...: four sizes from one power of two to the next.

    Examples:
        >>> [rounded_up(count) for count in (1, 8, 9, 17, 1_929, 17_966)]
        [8, 8, 10, 20, 2048, 20480]
    """
    step = 2 ** max(1, (count - 1).bit_length() - 3)
    return max(8, -(-count // step) * step)


def perturbed_rows(convolution: GraphKernel, graph: KnowledgeGraph, perturbations: Sequence[str]) -> Perturbed:
    """Perturbations as rows of the operator, summed over a combination's genes: dense [perturbations, nodes]."""
    members, real = nodes_of(graph.names, perturbations).members, jnp.result_type(float)
    reads = [jnp.asarray(as_dense(block), real) for _, block in convolution.features(members)]
    genes = (members != NO_MEMBER).sum(1)
    return Perturbed(jnp.concatenate([jnp.zeros((0, convolution.num_units)), *reads]), jnp.asarray(genes, real))


def conditions_of(screen: Screen, convolution: GraphKernel, used: Int[np.ndarray, " used"]) -> Conditions:
    """Some rows of a screen, and control in the last row: (17 genes + 4 nodes) bytes each in float32."""
    perturbed = perturbed_rows(convolution, convolution.graph, [screen.perturbations[row] for row in used])
    with_control = Perturbed(*(jnp.pad(part, [(0, 1), *[(0, 0)] * (part.ndim - 1)]) for part in perturbed))
    moments, control = pair_moments(screen, used), unpaired(len(screen.readouts))
    return Conditions(
        with_control, PairMoments(*(jnp.concatenate(both) for both in zip(moments, control, strict=True)))
    )


def member_of(
    screen: Screen, used: Int[np.ndarray, " used"], train: Int[np.ndarray, " train"], batch_size: int, size: int
) -> Member:
    """What learns from `train`, rows of the screen, padded to `size`, and control; `used` are the conditions' rows."""
    padding = (0, size - len(train))
    counts = np.append(np.pad(screen.cell_counts[train], padding), screen.control.cells)
    return Member(
        jnp.asarray(np.append(np.pad(np.searchsorted(used, train), padding), len(used))),
        jnp.asarray(counts / counts.sum(), jnp.result_type(float)),
        jnp.asarray(expected_loss_weights(counts, batch_size), jnp.result_type(float)),
    )


def held_of(
    screen: Screen, used: Int[np.ndarray, " used"], validation: Int[np.ndarray, " validation"], size: int
) -> Held:
    """What validates, padded to `size` rows, which is 1, up to a chunk, or whole chunks."""
    de_genes = screen.de_genes[validation]
    changes = np.take_along_axis(screen.effects[validation], de_genes, 1)
    padding, real = (0, size - len(validation)), jnp.result_type(float)
    return Held(
        jnp.asarray(np.pad(np.searchsorted(used, validation), padding)),
        jnp.asarray(np.pad(de_genes, (padding, (0, 0)))),
        jnp.asarray(np.pad(changes, (padding, (0, 0))), real),
        jnp.asarray(np.pad(np.full(len(validation), 1 / max(len(validation), 1)), padding), real),
    )


def padded_size(count: int) -> int:
    """How many rows `Held` needs for so many perturbations: at least 1, and whole chunks where there are several."""
    return max(count, 1) if count <= CHUNK else -(-count // CHUNK) * CHUNK


def expected_loss_weights(
    counts: Int[np.ndarray, " conditions"], batch_size: int, nodes: int = 64
) -> Float[np.ndarray, " conditions"]:
    """What each condition's loss weighs on average in batches of cells drawn at random.

    E[1{in the batch} / conditions in the batch], with 1/d = integral over t from 0 to 1 of t^(d - 1), and presence of
    the conditions taken as independent, each with the probability p that a batch drawn without replacement has it
    (hypergeometric):

        w_j = p_j * integral of prod_{i != j} (1 - p_i + p_i t) dt,

    scaled to sum 1, by Gauss-Legendre quadrature. Conditions without cells weigh 0. Complexity: O(conditions x nodes).
    """
    present = np.asarray(scipy.stats.hypergeom.sf(0, counts.sum(), counts, min(batch_size, counts.sum())))
    points, weights = np.polynomial.legendre.leggauss(nodes)
    absent = (1 - points) / 2  # 1 - t
    logs = np.log(np.maximum(1 - present[:, None] * absent[None], 1e-300))  # finite
    result = present * (np.exp(logs.sum(0) - logs) @ weights)
    return result / result.sum()


def draw_batch(conditions: Conditions, member: Member, key: Array, size: int, cells: int) -> Batch:
    """`size` of a member's perturbations, without replacement and all equally likely, and control; others count 0.

    Which ones follows from the key alone, however much padding there is; `cells` are those of the batch that it stands
    for. Control keeps its fraction of the cells, the perturbations divide the others in proportion to theirs. In
    expectation the loss is that of the reference's batches of cells, and so are the fractions where all perturbations
    have equally many cells; else small ones are a little too large, by a few percent in a batch of 32.
    """
    fractions = member.cells[:-1]
    unused = fractions <= 0
    drawn = jnp.argsort(jax.random.uniform(key, fractions.shape) + unused)[:size]
    rows = jnp.append(member.rows[drawn], member.rows[-1])
    each, control = fractions[drawn], member.cells[-1]
    weights = jnp.append((1 - control) * each / each.sum(), control)
    scale = jnp.maximum((~unused).sum() / size, 1)
    losses = jnp.append(member.loss_weights[drawn] * scale, member.loss_weights[-1])
    return Batch(jax.tree.map(lambda part: part[rows], conditions), Rows(weights, float(cells)), losses)
