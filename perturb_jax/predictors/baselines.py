"""Predictors in closed form without uncertainties: means, nearest neighbours, ridge regressions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

import numpy as np
import scipy.linalg
from jaxtyping import Float

from perturb_jax.genes.perturbations import identity, nodes_of
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.kernel.graph import as_kernel, kernels_to_try
from perturb_jax.kernel.kernel import Kernel, Rows, as_dense
from perturb_jax.predictors.predictor import Answers, ClosedForm, finite_changes, rows_of
from perturb_jax.screen.screen import Screen
from perturb_jax.support.checks import listed
from perturb_jax.support.errors import InputError, TooFewPerturbationsError
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
    """The kernel's features (of a graph: rows of P^hops), summed over a combination's genes, scaled, dense."""
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


Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class BilinearRidge(ClosedForm):
    """Effects bilinear in an embedding of the measured gene and one of the perturbed gene.

    y_gp = b_g + u_g^T W v_p, with u_g the scores of gene g in a PCA of the training means (genes are the samples),
    v_p = u_(the perturbed gene), summed over a combination's genes, b_g the mean effect in training, and

        W = (U^T U + penalty I)^-1 U^T (Y - b 1^T) V (V^T V + penalty I)^-1.

    Source: the linear model of Ahlmann-Eltze, Huber and Anders 2025 ("Deep-learning-based gene perturbation effect
    prediction does not yet outperform simple linear baselines"), with their defaults. Deviations: control is not one
    of the columns, neither of the PCA nor of Y; combinations are allowed; a perturbed gene that is not measured is
    refused instead of left out.

    Complexity: fit O(P^3 + P^2 G); effects O(G dimensions) per perturbation.

    Raises:
        InputError: settings that cannot be used; perturbed genes that are not measured.
    """

    dimensions: int = option(
        10, "Of the embeddings; fewer where there are fewer training perturbations or measured genes.", at_least=1
    )
    penalty: float = option(0.1, "Ridge penalty of both sides.", above=0)
    name: str = "bilinear ridge"

    def _answers(self, screen: Screen, rows: np.ndarray, source: KnowledgeGraph | Kernel) -> Answers:  # noqa: ARG002
        changes = finite_changes(screen, rows)
        center = changes.mean(0)
        genes = gene_embeddings(screen.mean[rows].astype(np.float64), self.dimensions)
        column = {gene: number for number, gene in enumerate(screen.readouts)}
        perturbed = _summed(genes, column, [screen.perturbations[row] for row in rows])
        left, right = _ridge(genes, self.penalty), _ridge(perturbed, self.penalty)
        coefficients = genes @ (left @ (changes - center).T @ right.T)  # U W: genes x dimensions
        embed = partial(_summed, genes, column)
        learnt = {
            "coefficients": coefficients,
            "center": center,
            "embeddings": genes,
            "genes": np.array(screen.readouts),
        }
        return Answers(self.name, partial(_linear, coefficients, center, embed), embed, learnt=learnt)


def gene_embeddings(
    means: Float[np.ndarray, "perturbations genes"], dimensions: int
) -> Float[np.ndarray, "genes dimensions"]:
    """Scores of genes in a PCA where perturbations are the variables: R's ``prcomp(t(means))$x``, up to signs."""
    samples = means.T - means.T.mean(0)
    count = samples.shape[1]
    last = count - min(dimensions, count, len(samples))
    _, axes = scipy.linalg.eigh(samples.T @ samples, subset_by_index=[last, count - 1])
    return samples @ axes[:, ::-1]


@dataclass(frozen=True)
class GraphRidge(ClosedForm):
    """Ridge regression of effects on graph features: a simple graph convolution with a linear readout.

    With X = rows of P^hops for the training perturbations (summed over a combination's genes), b the mean effect in
    training and K = X X^T:  effects = b + x X^T (K + penalty I)^-1 (Y - b). The penalty, in units of the mean diagonal
    of K, and the hops are those with the least leave-one-out error, which has a closed form: with A = K + penalty I,
    the residual of perturbation p is (A^-1 (Y - b))_p / (A^-1)_pp, b held. Neither reads the validation set.

    Source: Wu et al. 2019, "Simplifying Graph Convolutional Networks"; leave-one-out: Allen 1974 (PRESS).
    Complexity: O(P^2 G) once, O(P^3) per choice of hops and penalty.

    Attributes:
        kernel: instead of the graph's, any other: only the penalty is then chosen.

    Raises:
        InputError: settings that cannot be used; penalties so small that K is singular; perturbed genes that the graph
            or kernel does not have; fewer than two training perturbations where there is more than one choice.
    """

    hops: int | tuple[int, ...] = option((1, 2, 3), "Graph-convolution layers, or several to choose from.", at_least=1)
    penalties: tuple[float, ...] = option(
        (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0),
        "Ridge penalties to choose from, in units of the kernel's mean diagonal.",
        above=0,
    )
    direction: Direction = option("in", "A gene's features: what it reads ('in'), what reads it ('out'), or 'both'.")
    weighted: bool = option(True, "Use the edge weights; else every edge weighs 1.", negative="unweighted")
    normalize: bool = option(True, "Scale features to unit length.", negative="unnormalized")
    kernel: Kernel | None = None
    name: str = "graph ridge"

    def _answers(self, screen: Screen, rows: np.ndarray, source: KnowledgeGraph | Kernel) -> Answers:
        changes = finite_changes(screen, rows)
        center = changes.mean(0)
        choices = 1 if isinstance(self.hops, int) or self.kernel or isinstance(source, Kernel) else len(self.hops)
        if choices * len(self.penalties) > 1 and len(rows) < 2:
            raise TooFewPerturbationsError(
                "train: expected at least 2 perturbations to choose hops and penalty, got 1; give one each"
            )
        residuals = changes - center
        outer = residuals @ residuals.T
        train = [screen.perturbations[row] for row in rows]

        def tried() -> Iterator[tuple[float, dict[str, int | str], float, Kernel, Rows, np.ndarray]]:
            for which, kernel in kernels_to_try(source, self):
                trained = rows_of(kernel, train)
                gram = kernel.gram(trained)
                unit = float(gram.diagonal().mean())
                for penalty in self.penalties:
                    try:
                        inverse, _ = inverse_of(gram + penalty * unit * np.eye(len(gram)))
                    except np.linalg.LinAlgError:
                        raise InputError(
                            f"penalties: {penalty!r} is too small for training perturbations as similar as these (the "
                            "kernel is singular); give larger ones"
                        ) from None
                    squares = ((inverse @ outer) * inverse).sum(1)  # of the rows of inverse @ residuals
                    error = float(np.mean(squares / inverse.diagonal() ** 2)) / changes.shape[1]
                    yield error, which, penalty, kernel, trained, inverse

        error, which, penalty, kernel, trained, inverse = min(tried(), key=itemgetter(0))
        weights = inverse @ residuals
        return Answers(
            self.name,
            partial(_dual, kernel, trained, weights, center),
            partial(embedded, kernel),
            report={**which, "penalty": penalty, "leave-one-out error": error},
            learnt={"trained": np.array(train), "weights": weights, "center": center},
        )


def inverse_of(matrix: Float[np.ndarray, "n n"]) -> tuple[Float[np.ndarray, "n n"], float]:
    """The inverse of a positive definite matrix, and its log determinant. O(n^3), half of what `inv` needs."""
    factor: np.ndarray = np.linalg.cholesky(matrix)
    lower = scipy.linalg.lapack.dpotri(factor, lower=1)[0]
    return np.tril(lower) + np.tril(lower, -1).T, float(2 * np.log(factor.diagonal()).sum())


def _summed(
    genes: Float[np.ndarray, "genes dimensions"], column: dict[str, int], perturbations: Sequence[str]
) -> Float[np.ndarray, "perturbations dimensions"]:
    sets = [sorted(identity(name)) for name in perturbations]
    missing = list(dict.fromkeys(gene for names in sets for gene in names if gene not in column))
    if missing:
        raise InputError(
            f"perturbed genes that the screen does not measure: {listed(missing)}; bilinear ridge has no embedding for "
            "them: leave them out, or measure them"
        )
    return np.array([genes[[column[gene] for gene in names]].sum(0) for names in sets]).reshape(-1, genes.shape[1])


def _ridge(features: Float[np.ndarray, "rows d"], penalty: float) -> Float[np.ndarray, "d rows"]:
    """(X^T X + penalty I)^-1 X^T."""
    gram = features.T @ features + penalty * np.eye(features.shape[1])
    solution: np.ndarray = np.linalg.solve(gram, features.T)
    return solution


def _linear(coefficients: np.ndarray, center: np.ndarray, embed: Embed, perturbations: Sequence[str]) -> np.ndarray:
    effects: np.ndarray = center + embed(perturbations) @ coefficients.T
    return effects


def _dual(
    kernel: Kernel,
    trained: Rows,
    weights: Float[np.ndarray, "train genes"],
    center: Float[np.ndarray, " genes"],
    perturbations: Sequence[str],
) -> Float[np.ndarray, "perturbations genes"]:
    return center + kernel.covariance(rows_of(kernel, perturbations), trained) @ weights
