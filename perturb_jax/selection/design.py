"""The question that GraphDesign answers: which targets, how similar their effects are, and how noisy a measurement is.

And what given experiments tell of it, whoever chose them: in float64, on the host.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import scipy.linalg
from jaxtyping import Float

from perturb_jax.genes.perturbations import Perturbations, parse_perturbations
from perturb_jax.genes.symbols import GeneNames, Unknown
from perturb_jax.kernel.kernel import Kernel, Rows, as_dense
from perturb_jax.support.checks import is_number
from perturb_jax.support.errors import InputError

Real = int | float | np.integer | np.floating
Numbers = Mapping[str, Real] | pd.Series
Targets = Iterable[str] | Numbers | None


@dataclass(frozen=True, eq=False)
class DesignProblem:
    """What is to be learned, and how.

    Attributes:
        kernel: the prior covariance of effects.
        targets: the perturbations whose effects are wanted.
        rows: the targets as rows of the kernel.
        weights: what each target is worth; the largest is 1.
        noise: variance of a measurement, in the units of the kernel.
    """

    kernel: Kernel
    targets: Perturbations
    rows: Rows
    weights: Float[np.ndarray, " targets"]
    noise: float

    @property
    def prior(self) -> float:
        """The targets' prior variance, weighted and summed."""
        return float(self.weights @ self.rows.variance)


def state_problem(
    kernel: Kernel, targets: Perturbations, weights: Float[np.ndarray, " targets"], noise: Real = 2.0
) -> DesignProblem:
    """The problem of learning `targets`; `noise` is relative to their weighted mean prior variance."""
    if not is_number(noise) or noise <= 0:
        raise InputError(f"noise: expected a number above 0 (relative to the mean prior variance), got {noise!r}")
    if len(targets) == 0:
        raise InputError("targets: expected at least one gene, got none")
    rows = kernel.rows(targets.members)
    weights = weights / weights.max()
    mean = float(weights @ rows.variance) / float(weights.sum())
    return DesignProblem(kernel, targets, rows, weights, float(noise) * mean)


def explained_fractions(problem: DesignProblem, measured: Perturbations) -> Float[np.ndarray, " points"]:
    """The fraction of the targets' prior variance that the first 0, 1, ... of some experiments explain.

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


def explained_by_each(problem: DesignProblem, measured: Perturbations) -> Float[np.ndarray, "experiments targets"]:
    """The fraction of each target's prior variance that each experiment explains, beyond the ones before it.

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
    return scipy.linalg.cholesky(gram + problem.noise * np.eye(len(gram)), lower=True)


def parse_targets(
    known: GeneNames, targets: Targets | Perturbations, unknown: Unknown = "error"
) -> tuple[Perturbations, Float[np.ndarray, " targets"]]:
    """Targets and what each is worth: names count 1 each, a mapping gives a number per name."""
    if isinstance(targets, pd.Series) and pd.api.types.is_numeric_dtype(targets):
        targets = _by_name(targets)
    parsed = parse_perturbations(known, targets, unknown)
    if not isinstance(targets, Mapping):
        return parsed, np.ones(len(parsed))
    weights = _numbers_of("targets", targets, "of at least 0")
    kept = np.array([weights[name] for name in targets if name not in parsed.dropped], float)
    if len(kept) and not kept.any():
        raise InputError("targets: expected a weight above 0 for at least one target, got 0 for all")
    return parsed, kept


def parse_costs(
    known: GeneNames, costs: Numbers, pool: Perturbations, unknown: Unknown = "error"
) -> Float[np.ndarray, " candidates"]:
    """What each candidate costs: 1 where nothing is given; genes that are no candidates are passed over."""
    numbers = _numbers_of("costs", _by_name(costs), "above 0")
    priced = parse_perturbations(known, numbers, unknown)
    kept = [cost for name, cost in numbers.items() if name not in priced.dropped]
    cost_of = dict(zip(priced.gene_sets(), kept, strict=True))
    return np.array([cost_of.get(genes, 1.0) for genes in pool.gene_sets()])


def _by_name(numbers: Numbers) -> dict[str, Real]:
    return {str(name): value for name, value in numbers.items()}


def _numbers_of(option: str, given: Mapping[str, Real], limit: Literal["above 0", "of at least 0"]) -> dict[str, float]:
    """A mapping's values as floats; refuses what is not a finite number within the limit."""
    for name, value in given.items():
        if not is_number(value) or value < 0 or (limit == "above 0" and value == 0):
            raise InputError(f"{option}: expected a finite number {limit} for {name}, got {value!r}")
    return {name: float(value) for name, value in given.items()}
