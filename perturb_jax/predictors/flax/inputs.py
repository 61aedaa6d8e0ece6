"""What the Flax GEARS reads: operators of both graphs, and perturbations as rows of one of them."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from scipy import sparse

from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.predictors.flax.batches import Conditions, Member, expected_loss_weights
from perturb_jax.predictors.flax.early_stopping import Held
from perturb_jax.predictors.flax.layers import Edges
from perturb_jax.predictors.flax.model import Perturbed
from perturb_jax.predictors.moments_loss import PairMoments, pair_moments, unpaired
from perturb_jax.predictors.predictor import nodes_of
from perturb_jax.screen.screen import Screen
from perturb_jax.selection.operator import MessagePassing, gcn_norm, message_passing


def operator_of(graph: KnowledgeGraph) -> MessagePassing:
    """D^-1/2 A D^-1/2 with the self-loops of PyTorch Geometric's `gcn_norm`."""
    return gcn_norm(message_passing(graph))


def edges_of(operator: MessagePassing) -> Edges:
    """The operator on the device, sorted by receiver."""
    order = np.lexsort((operator.senders, operator.receivers))
    return Edges(
        jnp.asarray(operator.senders[order]),
        jnp.asarray(operator.receivers[order]),
        jnp.asarray(operator.weights[order], jnp.result_type(float)),
    )


def perturbed_rows(operator: MessagePassing, graph: KnowledgeGraph, perturbations: Sequence[str]) -> Perturbed:
    """Perturbations as rows of the operator, summed over a combination's genes.

    Memory: perturbations x nodes.

    Raises:
        InputError: genes that are not in the graph.
    """
    members = nodes_of(graph, perturbations).members
    rows, columns = np.nonzero(members >= 0)
    size = operator.num_nodes
    indicator = sparse.csr_array((np.ones(len(rows)), (rows, members[rows, columns])), shape=(len(members), size))
    matrix = sparse.csr_array((operator.weights, (operator.receivers, operator.senders)), shape=(size, size))
    real = jnp.result_type(float)
    return Perturbed(jnp.asarray((indicator @ matrix).toarray(), real), jnp.asarray((members >= 0).sum(1), real))


def conditions_of(
    screen: Screen, graph: KnowledgeGraph, operator: MessagePassing, perturbations: Sequence[str]
) -> Conditions:
    """Perturbations of a screen, and control in the last row.

    Memory: (17 genes + 4 nodes) bytes per perturbation in float32.

    Raises:
        InputError: genes that are not in the graph.
    """
    perturbed = perturbed_rows(operator, graph, perturbations)
    with_control = Perturbed(*(jnp.pad(part, [(0, 1), *[(0, 0)] * (part.ndim - 1)]) for part in perturbed))
    moments = pair_moments(screen, screen.index(tuple(perturbations)))
    control = unpaired(len(screen.genes))
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
    changes = np.take_along_axis(screen.change[outcomes], de_genes, 1)
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
