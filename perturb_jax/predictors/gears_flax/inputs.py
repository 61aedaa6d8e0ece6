"""What the Flax GEARS reads: operators of both graphs, and perturbations as rows of one of them."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from perturb_jax.genes.perturbations import NO_MEMBER, nodes_of
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.graph.operator import Edges, Operator
from perturb_jax.kernel.graph import GraphKernel
from perturb_jax.kernel.kernel import as_dense
from perturb_jax.predictors.gears_flax.batches import Conditions, Member, expected_loss_weights
from perturb_jax.predictors.gears_flax.early_stopping import Held
from perturb_jax.predictors.gears_flax.model import Perturbed
from perturb_jax.predictors.gears_flax.moments_loss import PairMoments, pair_moments, unpaired
from perturb_jax.screen.screen import Screen


def convolution_of(graph: KnowledgeGraph) -> GraphKernel:
    """One graph convolution: D^-1/2 A D^-1/2 with the self-loops of PyTorch Geometric's `gcn_norm`."""
    return GraphKernel(graph, normalize=False)


def edges_of(convolution: GraphKernel) -> Edges:
    """Its operator on the device, sorted by receiver, then sender.

    At the end are edges of weight 0, up to a round number, so that graphs of almost the same size share what is
    compiled.
    """
    operator = Operator.of_rows(convolution.operator)
    return operator.edges(rounded_up(len(operator.weights)))


def rounded_up(count: int) -> int:
    """The next of 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, ...: four sizes from one power of two to the next.

    Examples:
        >>> [rounded_up(count) for count in (1, 8, 9, 17, 1_929, 17_966)]
        [8, 8, 10, 20, 2048, 20480]
    """
    step = 2 ** max(1, (count - 1).bit_length() - 3)
    return max(8, -(-count // step) * step)


def perturbed_rows(convolution: GraphKernel, graph: KnowledgeGraph, perturbations: Sequence[str]) -> Perturbed:
    """Perturbations as rows of the operator, summed over a combination's genes.

    Memory: perturbations x nodes.

    Raises:
        InputError: genes that are not in the graph.
    """
    members, real = nodes_of(graph.names, perturbations).members, jnp.result_type(float)
    reads = [jnp.asarray(as_dense(block), real) for _, block in convolution.features(members)]
    genes = (members != NO_MEMBER).sum(1)
    return Perturbed(jnp.concatenate([jnp.zeros((0, convolution.num_units)), *reads]), jnp.asarray(genes, real))


def conditions_of(
    screen: Screen, graph: KnowledgeGraph, convolution: GraphKernel, perturbations: Sequence[str]
) -> Conditions:
    """Perturbations of a screen, and control in the last row.

    Memory: (17 genes + 4 nodes) bytes per perturbation in float32.

    Raises:
        InputError: genes that are not in the graph.
    """
    perturbed = perturbed_rows(convolution, graph, perturbations)
    with_control = Perturbed(*(jnp.pad(part, [(0, 1), *[(0, 0)] * (part.ndim - 1)]) for part in perturbed))
    moments = pair_moments(screen, screen.index(tuple(perturbations)))
    control = unpaired(len(screen.readouts))
    return Conditions(
        with_control, PairMoments(*(jnp.concatenate(both) for both in zip(moments, control, strict=True)))
    )


def member_of(screen: Screen, perturbations: Sequence[str], train: Sequence[str], batch_size: int, size: int) -> Member:
    """What learns from `train`, padded to `size` perturbations, and control."""
    position = {name: row for row, name in enumerate(perturbations)}
    padding = (0, size - len(train))
    rows = np.pad([position[name] for name in train], padding)
    cells = np.pad(screen.cell_counts[screen.index(tuple(train))], padding)
    counts = np.append(cells, screen.control_count)
    return Member(
        jnp.asarray(np.append(rows, len(perturbations))),
        jnp.asarray(counts / counts.sum(), jnp.result_type(float)),
        jnp.asarray(expected_loss_weights(counts, batch_size), jnp.result_type(float)),
    )


def held_of(screen: Screen, perturbations: Sequence[str], validation: Sequence[str], size: int) -> Held:
    """What validates, padded to `size` rows."""
    position = {name: row for row, name in enumerate(perturbations)}
    outcomes = screen.index(tuple(validation))
    de_genes = screen.de_genes[outcomes]
    changes = np.take_along_axis(screen.effects[outcomes], de_genes, 1)
    padding = (0, size - len(validation))
    rows = np.pad(np.array([position[name] for name in validation], np.int64), padding)
    weights = np.pad(np.full(len(validation), 1 / max(len(validation), 1)), padding)
    real = jnp.result_type(float)
    return Held(
        jnp.asarray(rows),
        jnp.asarray(np.pad(de_genes, (padding, (0, 0)))),
        jnp.asarray(np.pad(changes, (padding, (0, 0))), real),
        jnp.asarray(weights, real),
    )
