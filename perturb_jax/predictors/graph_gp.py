"""A Gaussian process over perturbations with the graph kernel: effects with calibrated uncertainties, closed form."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize
from jaxtyping import Float

from perturb_jax.genes.perturbations import nodes_of
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.kernel.graph import kernels_to_try
from perturb_jax.kernel.kernel import Kernel, Rows, as_dense
from perturb_jax.predictors.baselines import embedded, inverse_of
from perturb_jax.predictors.predictor import Answers, ClosedForm, finite_changes, rows_of
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError, TooFewPerturbationsError
from perturb_jax.support.options import option

_RANGE = 1e-6, 1e3
"""The range in which scales are searched, relative to the mean variance of effects."""
_STOP = 1e-8
"""The search ends when the log likelihood per value rises by less."""


@dataclass(frozen=True)
class GraphGP(ClosedForm):
    """A Gaussian process over perturbations, with one covariance for all measured genes.

    The true effect of perturbation p on gene g is  m_g + t_g (f_p + o_p): f ~ N(0, signal K), K = P^k (P^k)^T the graph
    kernel (of unit diagonal where normalised) or any other, the part that the graph explains; o ~ N(0, own I),
    p's own part. It is measured with error t_g N(0, r_p), r_p the variance among p's cells / (cells - 1), averaged over
    genes (control's where there is one cell; 0 in a pseudobulk without variances). So with S = signal K + own I and
    C = S + diag(r),

        w = C^-1 s + (1 - 1^T C^-1 s) / P,   effect = w^T Y,   variance = t_g^2 (S_pp - s^T C^-1 s + 1^T C 1 b^2),

    s the covariance of p with the training perturbations, b = (1 - 1^T C^-1 s) / P: the mean is that of the training
    effects, and its own error is part of the variance. It is the posterior (kriging) of the model that `graphdesign`
    plans for, with `noise` = (own + r) / signal there, r averaged.

    signal, own and k are what is not given of them: by restricted marginal likelihood (Patterson and Thompson 1971),
    pooled over genes, as if these were independent. Genes with large effects count most; t_g^2, closed form, is a
    gene's restricted likelihood scale, and changes its uncertainties only.

    Source: Rasmussen and Williams 2006, eq. 2.25 and 2.42; Wu et al. 2019 for the kernel.
    Complexity: O(P^2 G) once, O(P^3) per likelihood, about 10 for every k; effects O(P G) per perturbation.
    Limits: genes correlate, so the likelihood is too sure of signal and own. One relative noise for all
    genes: where genes differ much in how noisy they are, intervals are right on average over genes, not for each.
    No estimate of `noise` for a plan: K of few genes is near the identity (on the human GO graph 0.002 off the diagonal
    on average), which own and signal fit equally well. The ratio above came out between 0.03 and 10^5 where 0.7 to 9
    was true in simulated screens of 20 to 150 perturbations, 1.6 to 4.5 times too large in those of 400; between 0.06
    and 13 from 32 of Norman et al.'s, by hops, the graph's genes, and with or without pairs.

    Attributes:
        kernel: instead of the graph's, any other: hops are then not searched.

    Raises:
        InputError: settings that cannot be used; perturbed genes that the graph or kernel does not have; fewer than 3
            training perturbations; a given `own` so small that C is singular.
    """

    hops: int | tuple[int, ...] = option(
        (1, 2, 3), "Graph-convolution layers, or several to choose from by likelihood.", at_least=1
    )
    signal: float | None = option(
        None, "Variance of what the graph explains, in squared units of the effects.", above=0, shown="by likelihood"
    )
    own: float | None = option(None, "Variance of what the graph does not explain.", above=0, shown="by likelihood")
    per_gene: bool = option(
        True, "Estimate how large each gene's effects are; else the same for all.", negative="pooled"
    )
    direction: Direction = option("in", "A gene's features: what it reads ('in'), what reads it ('out'), or 'both'.")
    weighted: bool = option(True, "Use the edge weights; else every edge weighs 1.", negative="unweighted")
    normalize: bool = option(True, "Scale the kernel to unit diagonal.", negative="unnormalized")
    kernel: Kernel | None = None
    name: str = "graph GP"

    def _answers(self, screen: Screen, rows: np.ndarray, source: KnowledgeGraph | Kernel) -> Answers:
        if len(rows) < 3:
            raise TooFewPerturbationsError(f"train: expected at least 3 perturbations, got {len(rows)}")
        changes, train = finite_changes(screen, rows), [screen.perturbations[row] for row in rows]
        residuals = changes - changes.mean(0)
        outer = residuals @ residuals.T
        noise = measurement_noise(screen, rows)
        candidates = []
        for which, kernel in kernels_to_try(source, self):
            trained = rows_of(kernel, train)
            evidence = Evidence(kernel.gram(trained), noise, outer, changes.shape[1])
            try:
                signal, own, value = _fitted_scales(evidence, self.signal, self.own)
            except np.linalg.LinAlgError:
                raise InputError(
                    f"own: {self.own!r} is too small beside signal {self.signal!r} for training perturbations as "
                    "similar as these (the covariance is singular); give a larger one, or None"
                ) from None
            candidates.append((value, which, signal, own, kernel, trained, evidence))
        value, which, signal, own, kernel, trained, evidence = max(candidates, key=lambda found: found[0])
        covariance = evidence.covariance(signal, own)
        factor = np.linalg.cholesky(covariance)
        scale = _gene_scales(factor, residuals) if self.per_gene else np.ones(changes.shape[1])
        identities = nodes_of(kernel.names, train).gene_sets()
        posterior = Posterior(kernel, trained, identities, signal, own, factor, float(covariance.sum()))
        weights, mean = scipy.linalg.cho_solve((factor, True), residuals), changes.mean(0)
        return Answers(
            self.name,
            partial(_effects, posterior, weights, mean),
            partial(embedded, kernel),
            partial(_deviations, posterior, scale),
            {**which, "signal": signal, "own": own, "log likelihood": value},
            {"trained": np.array(train), "weights": weights, "mean": mean, "scale": scale, "factor": factor},
        )


class Evidence(NamedTuple):
    """What the restricted likelihood of one kernel needs: K, r, and the centred effects times their transpose."""

    gram: Float[np.ndarray, "train train"]
    noise: Float[np.ndarray, " train"]
    outer: Float[np.ndarray, "train train"]
    num_genes: int

    def covariance(self, signal: float, own: float) -> Float[np.ndarray, "train train"]:
        """C = signal K + own I + diag(r)."""
        return signal * self.gram + np.diag(own + self.noise)

    def log_likelihood(self, signal: float, own: float) -> tuple[float, tuple[float, float]]:
        """The restricted log likelihood, and its derivatives by signal and own. O(P^3).

        With X a basis of contrasts (orthonormal, orthogonal to 1), the log density of X^T Y ~ N(0, X^T C X), and
        X (X^T C X)^-1 X^T = Q = C^-1 - C^-1 1 1^T C^-1 / (1^T C^-1 1). The derivative by signal needs no further
        product: signal K = C - D, D = own I + diag(r), and tr(Q C) = P - 1, tr(Q S Q C) = tr(Q S), S = `outer`.
        """
        count = len(self.gram)
        inverse, determinant = inverse_of(self.covariance(signal, own))
        sums = inverse.sum(0)
        projected = inverse - np.outer(sums, sums) / sums.sum()
        determinant += np.log(sums.sum() / count) + (count - 1) * np.log(2 * np.pi)
        quadratic = float(np.sum(projected * self.outer))
        value = -0.5 * (self.num_genes * determinant + quadratic)
        slopes = 0.5 * (((projected @ self.outer) * projected).sum(1) - self.num_genes * projected.diagonal())
        by_signal = 0.5 * (quadratic - self.num_genes * (count - 1)) - slopes @ (own + self.noise)
        return float(value), (float(by_signal / signal), float(slopes.sum()))


class Posterior(NamedTuple):
    """What predictions need.

    `identities` are the genes of each training perturbation, which has its own part in common with itself alone;
    `factor` is the lower Cholesky factor of C, `total` 1^T C 1.
    """

    kernel: Kernel
    trained: Rows
    identities: list[frozenset[int]]
    signal: float
    own: float
    factor: Float[np.ndarray, "train train"]
    total: float


def measurement_noise(screen: Screen, rows: np.ndarray) -> Float[np.ndarray, " rows"]:
    """The variance of the error of each perturbation's measured effect, averaged over genes.

    Among cells / (cells - 1); control's variance where a perturbation has one cell. The error of the control mean is
    the same for all perturbations, so it is not part of it.
    """
    counts = np.asarray(screen.cell_counts)[rows]
    if counts.min() < 1:
        raise InputError(f"{screen.perturbations[rows[counts.argmin()]]}: expected at least one cell, got none")
    among = np.asarray(screen.perturbed.variance, np.float64)[rows].mean(1)
    alone = float(np.asarray(screen.control.variance, np.float64).mean())
    noise = np.where(counts > 1, among / np.maximum(counts - 1, 1), alone)
    if not (np.isfinite(noise).all() and (noise >= 0).all()):
        raise InputError("variance: expected finite numbers of at least 0 in the screen; leave other genes out")
    return noise


def _fitted_scales(evidence: Evidence, signal: float | None, own: float | None) -> tuple[float, float, float]:
    """The scales with the largest likelihood, those that are given held, and that likelihood."""
    count = len(evidence.gram)
    typical = max(float(evidence.outer.trace()) / (evidence.num_genes * (count - 1)), 1e-12)
    units = np.array([typical / float(evidence.gram.diagonal().mean()), typical])
    given = np.array([np.nan if value is None else value for value in (signal, own)])
    free = np.isnan(given)

    def scales(logarithms: np.ndarray) -> np.ndarray:
        return np.where(free, np.exp(logarithms) * units, given)

    def loss(logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        values = scales(logarithms)
        likelihood, slopes = evidence.log_likelihood(*values.tolist())
        per_value = evidence.num_genes * count
        return -likelihood / per_value, np.where(free, -np.array(slopes) * values, 0) / per_value

    start, bounds = np.full(2, np.log(0.5)), [(np.log(_RANGE[0]), np.log(_RANGE[1]))] * 2
    found = scipy.optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": _STOP, "gtol": 1e-5}
    )
    signal, own = scales(found.x).tolist()
    return signal, own, evidence.log_likelihood(signal, own)[0]


def _gene_scales(
    factor: Float[np.ndarray, "train train"], residuals: Float[np.ndarray, "train genes"]
) -> Float[np.ndarray, " genes"]:
    """t_g: the root of y_g^T Q y_g / (P - 1)."""
    white = scipy.linalg.solve_triangular(factor, residuals, lower=True)
    ones = scipy.linalg.solve_triangular(factor, np.ones(len(factor)), lower=True)
    quadratic = (white**2).sum(0) - (ones @ white) ** 2 / (ones @ ones)
    return np.sqrt(np.maximum(quadratic, 0) / (len(factor) - 1))


def _between(posterior: Posterior, perturbations: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Each perturbation's covariances s, [perturbations, train], and S_pp."""
    named = nodes_of(posterior.kernel.names, perturbations)
    rows = posterior.kernel.rows(named.members)
    covariance = posterior.signal * as_dense(posterior.kernel.covariance(rows, posterior.trained))
    column_of = {genes: column for column, genes in enumerate(posterior.identities)}
    for row, genes in enumerate(named.gene_sets()):
        if genes in column_of:
            covariance[row, column_of[genes]] += posterior.own
    return covariance, posterior.signal * rows.variance + posterior.own


def _effects(
    posterior: Posterior,
    weights: Float[np.ndarray, "train genes"],
    mean: Float[np.ndarray, " genes"],
    perturbations: Sequence[str],
) -> Float[np.ndarray, "perturbations genes"]:
    return mean + _between(posterior, perturbations)[0] @ weights


def _deviations(
    posterior: Posterior, scale: Float[np.ndarray, " genes"], perturbations: Sequence[str]
) -> Float[np.ndarray, "perturbations genes"]:
    covariance, prior = _between(posterior, perturbations)
    solved = scipy.linalg.cho_solve((posterior.factor, True), covariance.T)
    known = np.einsum("pt,tp->p", covariance, solved)
    mean = (1 - solved.sum(0)) / len(posterior.factor)
    variance = np.maximum(prior - known + posterior.total * mean**2, 0)
    return np.sqrt(variance)[:, None] * scale[None, :]
