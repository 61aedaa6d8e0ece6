"""Linear predictors in closed form: bilinear on embeddings of measured genes, and ridge on graph features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.linalg
from jaxtyping import Float

from perturb_jax.genes.perturbations import identity, nodes_of
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.kernel.graph import GraphKernel
from perturb_jax.kernel.kernel import Rows, as_dense
from perturb_jax.predictors.baselines import embedded
from perturb_jax.predictors.predictor import Answers, Key, finite_changes, training_rows
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError, TooFewPerturbationsError

Embed = Callable[[Sequence[str]], np.ndarray]

_SHOWN = 5
PENALTIES = tuple(float(10.0**power) for power in range(-3, 4))
"""What `GraphRidge` tries unless told."""


@dataclass(frozen=True)
class BilinearRidge:
    """Effects bilinear in an embedding of the measured gene and one of the perturbed gene.

    y_gp = b_g + u_g^T W v_p, with u_g the scores of gene g in a PCA of the training means (genes are the samples),
    v_p = u_(the perturbed gene), summed over a combination's genes, b_g the mean effect in training, and

        W = (U^T U + penalty I)^-1 U^T (Y - b 1^T) V (V^T V + penalty I)^-1.

    Source: the linear model of Ahlmann-Eltze, Huber and Anders 2025 ("Deep-learning-based gene perturbation effect
    prediction does not yet outperform simple linear baselines"), with their defaults. Deviations: control is not one
    of the columns, neither of the PCA nor of Y; combinations are allowed; a perturbed gene that is not measured is
    refused instead of left out.

    Complexity: fit O(P^3 + P^2 G); effects O(G dimensions) per perturbation.

    Attributes:
        dimensions: of the embeddings; fewer where there are fewer training perturbations or measured genes.
        penalty: of both sides.

    Raises:
        InputError: dimensions below 1, a penalty that is not above 0; perturbed genes that are not measured.
    """

    dimensions: int = 10
    penalty: float = 0.1
    name: str = "bilinear ridge"

    def __post_init__(self) -> None:
        if isinstance(self.dimensions, bool) or not isinstance(self.dimensions, int) or self.dimensions < 1:
            raise InputError(f"dimensions: expected a whole number of at least 1, got {self.dimensions!r}")
        _check_penalty(self.penalty)

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
        changes = finite_changes(screen, rows)
        center = changes.mean(0)
        genes = gene_embeddings(screen.mean[rows].astype(np.float64), self.dimensions)
        column = {gene: place for place, gene in enumerate(screen.readouts)}
        perturbed = _summed(genes, column, train)
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
class GraphRidge:
    """Ridge regression of effects on graph features: a simple graph convolution with a linear readout.

    With X = rows of P^hops for the training perturbations (summed over a combination's genes), b the mean effect in
    training and K = X X^T:  effects = b + x X^T (K + penalty I)^-1 (Y - b). The penalty, in units of the mean diagonal
    of K, and the hops are those with the least leave-one-out error, which has a closed form: with A = K + penalty I,
    the residual of perturbation p is (A^-1 (Y - b))_p / (A^-1)_pp, b held. Neither reads the validation set.

    Source: Wu et al. 2019, "Simplifying Graph Convolutional Networks"; leave-one-out: Allen 1974 (PRESS).
    Complexity: O(P^2 G) once, O(P^3) per choice of hops and penalty.

    Attributes:
        hops: k, or several to choose from.
        penalties: to choose from.
        direction: "in", "out" or "both", as for `graphreach`.
        weighted: use the edge weights.
        normalize: scale features to unit length.

    Raises:
        InputError: nothing to choose from; penalties that are not above 0, or so small that K is singular; hops below
            1; another direction; perturbed genes that are not in the graph; fewer than two training perturbations
            where there is more than one choice.
    """

    hops: int | tuple[int, ...] = (1, 2, 3)
    penalties: tuple[float, ...] = PENALTIES
    direction: Direction = "in"
    weighted: bool = True
    normalize: bool = True
    name: str = "graph ridge"

    def __post_init__(self) -> None:
        if not hop_choices(self.hops) or not self.penalties:
            raise InputError("graph ridge: expected at least one choice of hops and of penalties, got none")
        for penalty in self.penalties:
            _check_penalty(penalty)

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
        center = changes.mean(0)
        members = nodes_of(graph.names, train).members
        choices = [(hops, penalty) for hops in hop_choices(self.hops) for penalty in self.penalties]
        if len(choices) > 1 and len(train) < 2:
            raise TooFewPerturbationsError(
                "train: expected at least 2 perturbations to choose hops and penalty, got 1; give one each"
            )
        residuals = changes - center
        outer = residuals @ residuals.T
        best: tuple[float, int, float, GraphKernel, Rows, np.ndarray] | None = None
        for hops in hop_choices(self.hops):
            kernel = GraphKernel(graph, hops, self.direction, self.weighted, self.normalize)
            trained = kernel.rows(members)
            gram = kernel.gram(trained)
            unit = float(gram.diagonal().mean())
            for penalty in self.penalties:
                try:
                    inverse, _ = inverse_of(gram + penalty * unit * np.eye(len(gram)))
                except np.linalg.LinAlgError:
                    raise InputError(
                        f"penalties: {penalty!r} is too small for training perturbations as alike as these (the kernel "
                        "is singular); give larger ones"
                    ) from None
                squares = ((inverse @ outer) * inverse).sum(1)  # of the rows of inverse @ residuals
                error = float(np.mean(squares / inverse.diagonal() ** 2)) / changes.shape[1]
                if best is None or error < best[0]:
                    best = error, hops, penalty, kernel, trained, inverse
        if best is None:
            raise InputError("graph ridge: every leave-one-out error is NaN; give larger penalties")
        error, hops, penalty, kernel, trained, inverse = best
        weights = inverse @ residuals
        return Answers(
            self.name,
            partial(_dual, graph, kernel, trained, weights, center),
            partial(embedded, graph, kernel),
            report={"hops": hops, "penalty": penalty, "leave-one-out error": error},
            learnt={"trained": np.array(train), "weights": weights, "center": center},
        )


def hop_choices(hops: int | tuple[int, ...]) -> tuple[int, ...]:
    """One number of hops, or several to choose from."""
    return (hops,) if isinstance(hops, int) else hops


def inverse_of(matrix: Float[np.ndarray, "n n"]) -> tuple[Float[np.ndarray, "n n"], float]:
    """The inverse of a positive definite matrix, and its log determinant. O(n^3), half of what `inv` needs.

    Raises:
        numpy.linalg.LinAlgError: a matrix that is not positive definite.
    """
    factor: np.ndarray = np.linalg.cholesky(matrix)
    lower = scipy.linalg.lapack.dpotri(factor, lower=1)[0]
    return np.tril(lower) + np.tril(lower, -1).T, float(2 * np.log(factor.diagonal()).sum())


def unmeasured(screen: Screen, perturbations: Sequence[str]) -> dict[str, list[str]]:
    """The perturbations with genes that the screen does not measure, and which: `BilinearRidge` refuses these."""
    measured = set(screen.readouts)
    missing = {name: sorted(identity(name) - measured) for name in perturbations}
    return {name: genes for name, genes in missing.items() if genes}


def _summed(
    genes: Float[np.ndarray, "genes dimensions"], column: dict[str, int], perturbations: Sequence[str]
) -> Float[np.ndarray, "perturbations dimensions"]:
    sets = [sorted(identity(name)) for name in perturbations]
    missing = list(dict.fromkeys(gene for names in sets for gene in names if gene not in column))
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise InputError(
            f"perturbed genes that the screen does not measure: {', '.join(missing[:_SHOWN])}{more}; bilinear ridge "
            "has no embedding for them: leave them out, or measure them"
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
    graph: KnowledgeGraph,
    kernel: GraphKernel,
    trained: Rows,
    weights: Float[np.ndarray, "train genes"],
    center: Float[np.ndarray, " genes"],
    perturbations: Sequence[str],
) -> Float[np.ndarray, "perturbations genes"]:
    asked = kernel.rows(nodes_of(graph.names, perturbations).members)
    blocks = [as_dense(block) @ weights for _, block in kernel.between(asked, trained)]
    return center + np.concatenate([np.zeros((0, len(center))), *blocks])


def _check_penalty(penalty: float) -> None:
    if isinstance(penalty, bool) or not isinstance(penalty, int | float) or not 0 < penalty < np.inf:
        raise InputError(f"penalty: expected a finite number above 0, got {penalty!r}")


bilinear_ridge = BilinearRidge
graph_ridge = GraphRidge
