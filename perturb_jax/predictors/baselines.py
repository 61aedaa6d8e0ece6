"""Baselines without which no table is credible: control mean, training mean, nearest neighbours in the graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

from perturb_jax.genes.perturbations import nodes_of
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.kernel.graph import as_kernel
from perturb_jax.kernel.kernel import Kernel, Rows, as_dense
from perturb_jax.predictors.predictor import Answers, ClosedForm, finite_changes, rows_of
from perturb_jax.screen.screen import Screen
from perturb_jax.support.options import option


@dataclass(frozen=True)
class ControlMean(ClosedForm):
    """Nothing changes: every effect is 0. The "no change" baseline of Ahlmann-Eltze et al. 2025."""

    name: str = "control mean"

    def _answers(self, screen: Screen, rows: np.ndarray, source: KnowledgeGraph | Kernel) -> Answers:  # noqa: ARG002
        return Answers(self.name, partial(_repeated, np.zeros(len(screen.readouts))))


@dataclass(frozen=True)
class TrainingMean(ClosedForm):
    """Every perturbation does what the training perturbations do on average, each counting once.

    Hard to beat on correlations with control as the reference (Systema, Viñas Torné et al. 2025).
    """

    name: str = "training mean"

    def _answers(self, screen: Screen, rows: np.ndarray, source: KnowledgeGraph | Kernel) -> Answers:  # noqa: ARG002
        return Answers(self.name, partial(_repeated, finite_changes(screen, rows).mean(0)))


@dataclass(frozen=True)
class NearestNeighbours(ClosedForm):
    """The mean effect of the training perturbations that are most similar in the graph.

    With S the cosine between rows of P^hops (the normalised graph kernel) and N the `neighbors` training perturbations
    with the largest S > 0, the effect of p is  sum_{q in N} S_pq y_q / sum_{q in N} S_pq;  the training mean where none
    is similar. Ties: the earlier training perturbation. A training perturbation is its own nearest neighbour.

    Complexity: fit O(k edges); effects O(k edges + P log P + P neighbors G) per perturbation, P trained on.

    Attributes:
        kernel: instead of the graph's, any other: hops, direction and weighted then count for nothing.

    Raises:
        InputError: settings that cannot be used; perturbed genes that the graph or kernel does not have.
    """

    neighbors: int = option(5, "How many training perturbations are averaged.", at_least=1)
    hops: int = option(1, "Graph-convolution layers whose embeddings are compared.", at_least=1)
    direction: Direction = option(
        "in", "A gene's embeddings: those that it reads ('in'), that read it ('out'), 'both'."
    )
    weighted: bool = option(True, "Use the edge weights; else every edge weighs 1.", negative="unweighted")
    kernel: Kernel | None = None
    name: str = "nearest neighbours"

    def _answers(self, screen: Screen, rows: np.ndarray, source: KnowledgeGraph | Kernel) -> Answers:
        changes = finite_changes(screen, rows)
        kernel = as_kernel(source, self.hops, self.direction, self.weighted) if self.kernel is None else self.kernel
        trained = rows_of(kernel, [screen.perturbations[row] for row in rows])
        predict = partial(_nearest, kernel, trained, changes, self.neighbors)
        return Answers(self.name, predict, partial(embedded, kernel))


def embedded(kernel: Kernel, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations features"]:
    """The kernel's features (of a graph: rows of P^hops), summed over a combination's genes and scaled as it is; dense.

    Raises:
        InputError: a kernel without a feature map; genes that it does not have.
    """
    members = nodes_of(kernel.names, perturbations).members
    if len(members) == 0:
        return embedded(kernel, kernel.genes[:1])[:0]
    blocks = [as_dense(block) for _, block in kernel.features(members)]
    return np.concatenate(blocks) * kernel.rows(members).scale[:, None]


def _nearest(
    kernel: Kernel,
    trained: Rows,
    changes: Float[np.ndarray, "train genes"],
    neighbors: int,
    perturbations: Sequence[str],
) -> Float[np.ndarray, "perturbations genes"]:
    effects = np.tile(changes.mean(0), (len(perturbations), 1))
    for row, similarity in enumerate(as_dense(kernel.covariance(rows_of(kernel, perturbations), trained))):
        nearest = np.argsort(-similarity, kind="stable")[:neighbors]
        nearest = nearest[similarity[nearest] > 0]
        if len(nearest):
            effects[row] = similarity[nearest] @ changes[nearest] / similarity[nearest].sum()
    return effects


def _repeated(
    effect: Float[np.ndarray, " genes"], perturbations: Sequence[str]
) -> Float[np.ndarray, "perturbations genes"]:
    return np.tile(effect, (len(perturbations), 1))
