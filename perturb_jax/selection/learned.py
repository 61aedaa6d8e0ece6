"""What given experiments teach, whoever chose them: in float64, on the host."""

import numpy as np
import scipy.linalg
from jaxtyping import Float

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.kernel.graph import Rows, as_dense
from perturb_jax.selection.design import DesignProblem


def explained_shares(problem: DesignProblem, measured: Perturbations) -> Float[np.ndarray, " points"]:
    """The share of the targets' prior variance that the first 0, 1, ... of some experiments explain.

    With R the Cholesky factor of K_SS + noise I and B = K_ST W K_TS, the j-th explains (R^-1 B R^-T)_jj: R's first rows
    belong to the first experiments alone.

    Complexity: O(experiments^3) and the kernel's non-zeros between experiments and targets.
    """
    if len(measured) == 0:
        return np.zeros(1)
    rows = problem.kernel.rows(measured.members)
    covariance, factor = problem.kernel.covariance(rows, problem.rows), _cholesky(problem, rows)
    together = as_dense((covariance * problem.weights[None, :]) @ covariance.T)
    half = scipy.linalg.solve_triangular(factor, together, lower=True)
    explained = scipy.linalg.solve_triangular(factor, half.T, lower=True).diagonal()
    return np.concatenate([[0.0], np.cumsum(explained) / problem.prior])


def teaching(problem: DesignProblem, measured: Perturbations) -> Float[np.ndarray, "experiments targets"]:
    """The share of each target's prior variance that each experiment explains, beyond the ones before it.

    Column sums are what is known of a target after all of them, so 1 - sum is what stays unknown.

    Complexity: O(experiments^2 x targets).
    """
    if len(measured) == 0:
        return np.zeros((0, len(problem.targets)))
    rows = problem.kernel.rows(measured.members)
    covariance = as_dense(problem.kernel.covariance(rows, problem.rows))
    scaled = scipy.linalg.solve_triangular(_cholesky(problem, rows), covariance, lower=True, overwrite_b=True)
    return scaled**2 / problem.rows.variance


def _cholesky(problem: DesignProblem, rows: Rows) -> Float[np.ndarray, "experiments experiments"]:
    gram = problem.kernel.gram(rows)
    factor: np.ndarray = scipy.linalg.cholesky(gram + problem.noise * np.eye(len(gram)), lower=True)
    return factor
