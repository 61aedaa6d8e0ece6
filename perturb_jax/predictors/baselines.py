"""Baselines without which no table is credible: control mean, training mean, nearest neighbours in the graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

from perturb_jax.genes.perturbations import nodes_of
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.kernel.graph import GraphKernel
from perturb_jax.kernel.kernel import Rows, as_dense
from perturb_jax.predictors.predictor import Answers, Key, finite_changes, training_rows
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError


@dataclass(frozen=True)
class ControlMean:
    """Nothing changes: every effect is 0. The "no change" baseline of Ahlmann-Eltze et al. 2025."""

    name: str = "control mean"

    def fit(
        self,
        screen: Screen,
        graph: KnowledgeGraph,  # noqa: ARG002
        train: Sequence[str],
        validation: Sequence[str],
        key: Key = 0,  # noqa: ARG002
    ) -> Answers:
        """See `Predictor.fit`; neither graph nor key are read."""
        training_rows(screen, train, validation)
        return Answers(self.name, partial(_repeated, np.zeros(len(screen.readouts))))


@dataclass(frozen=True)
class TrainingMean:
    """Every perturbation does what the training perturbations do on average, each counting once.

    Hard to beat on correlations with control as the reference (Systema, Viñas Torné et al. 2025).
    """

    name: str = "training mean"

    def fit(
        self,
        screen: Screen,
        graph: KnowledgeGraph,  # noqa: ARG002
        train: Sequence[str],
        validation: Sequence[str],
        key: Key = 0,  # noqa: ARG002
    ) -> Answers:
        """See `Predictor.fit`; neither graph nor key are read."""
        rows, _ = training_rows(screen, train, validation)
        return Answers(self.name, partial(_repeated, finite_changes(screen, rows).mean(0)))


@dataclass(frozen=True)
class NearestNeighbours:
    """The mean effect of the training perturbations that are most alike in the graph.

    With S the cosine between rows of P^hops (the normalised graph kernel) and N the `neighbors` training perturbations
    with the largest S > 0, the effect of p is  sum_{q in N} S_pq y_q / sum_{q in N} S_pq;  the training mean where none
    is alike. Ties: the earlier training perturbation. A training perturbation is its own nearest neighbour.

    Complexity: fit O(k edges); effects O(k edges + P log P + P neighbors G) per perturbation asked for, P trained on.

    Attributes:
        neighbors: how many.
        hops: of the convolution whose embeddings are compared.
        direction: "in", "out" or "both", as for `graphreach`.
        weighted: use the edge weights.

    Raises:
        InputError: fewer than one neighbour; hops below 1; another direction (when fitted).
    """

    neighbors: int = 5
    hops: int = 1
    direction: Direction = "in"
    weighted: bool = True
    name: str = "nearest neighbours"

    def __post_init__(self) -> None:
        if isinstance(self.neighbors, bool) or not isinstance(self.neighbors, int) or self.neighbors < 1:
            raise InputError(f"neighbors: expected a whole number of at least 1, got {self.neighbors!r}")

    def fit(
        self,
        screen: Screen,
        graph: KnowledgeGraph,
        train: Sequence[str],
        validation: Sequence[str],
        key: Key = 0,  # noqa: ARG002
    ) -> Answers:
        """See `Predictor.fit`; the key is not read."""
        rows, _ = training_rows(screen, train, validation)
        changes = finite_changes(screen, rows)
        kernel = GraphKernel(graph, self.hops, self.direction, self.weighted, normalize=True)
        trained = kernel.rows(nodes_of(graph.names, train).members)
        predict = partial(_nearest, graph, kernel, trained, changes, self.neighbors)
        return Answers(self.name, predict, partial(embedded, graph, kernel))


def embedded(
    graph: KnowledgeGraph, kernel: GraphKernel, perturbations: Sequence[str]
) -> Float[np.ndarray, "perturbations nodes"]:
    """Rows of P^hops, summed over a combination's genes and scaled as the kernel is; dense."""
    rows = kernel.rows(nodes_of(graph.names, perturbations).members)
    blocks = [as_dense(block) for _, block in kernel.features(rows.members)]
    return np.concatenate([np.zeros((0, kernel.num_units)), *blocks]) * rows.scale[:, None]


def _nearest(
    graph: KnowledgeGraph,
    kernel: GraphKernel,
    trained: Rows,
    changes: Float[np.ndarray, "train genes"],
    neighbors: int,
    perturbations: Sequence[str],
) -> Float[np.ndarray, "perturbations genes"]:
    effects = np.tile(changes.mean(0), (len(perturbations), 1))
    asked = kernel.rows(nodes_of(graph.names, perturbations).members)
    for part, block in kernel.between(asked, trained):
        for row, alike in enumerate(as_dense(block), part.start):
            nearest = np.argsort(-alike, kind="stable")[:neighbors]
            nearest = nearest[alike[nearest] > 0]
            if len(nearest):
                effects[row] = alike[nearest] @ changes[nearest] / alike[nearest].sum()
    return effects


def _repeated(
    effect: Float[np.ndarray, " genes"], perturbations: Sequence[str]
) -> Float[np.ndarray, "perturbations genes"]:
    return np.tile(effect, (len(perturbations), 1))


control_mean = ControlMean
train_mean = TrainingMean
nearest_neighbours = NearestNeighbours
