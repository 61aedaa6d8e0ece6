"""Predictors of unseen perturbations from a kernel between perturbations: smoothing and ridge regression.

Both return, for each test perturbation and measured gene, what they add to the gene's own base rate. The base rate is
the mean label of the gene among the training pairs, drawn to the overall mean as if `PRIOR_PAIRS` more pairs had it.
Shrinkage is fixed beforehand, not tuned: smoothing trusts the base rate like one training perturbation of similarity 1,
ridge takes the noise to be as large as the prior variance.
"""

from collections.abc import Callable

import numpy as np
from data import Outcomes
from numba import njit

PRIOR_PAIRS = 2.0

Predictor = Callable[[np.ndarray, Outcomes, np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]


def base_rates(outcomes: Outcomes, train: np.ndarray) -> np.ndarray:
    """Each measured gene's share of positive labels among the training pairs, drawn to the overall share."""
    pairs = _pairs_of(outcomes, train)
    columns, labels = outcomes.columns[pairs], outcomes.labels[pairs].astype(float)
    size = len(outcomes.genes)
    positive, total = np.bincount(columns, labels, size), np.bincount(columns, minlength=size)
    return (positive + PRIOR_PAIRS * labels.mean()) / (total + PRIOR_PAIRS)


def smoothing(
    kernel: np.ndarray,
    outcomes: Outcomes,
    train: np.ndarray,
    test: np.ndarray,
    base: np.ndarray,
    shrinkage: float = 1.0,
) -> np.ndarray:
    """sum_s K(t, s) (y_sg - base_g) / (sum_s K(t, s) + shrinkage), s over training perturbations labelled for g."""
    weights = np.ascontiguousarray(kernel[np.ix_(test, train)], np.float32)
    return _smooth(weights, train, outcomes.indptr, outcomes.columns, outcomes.labels, base, shrinkage)


def ridge(
    kernel: np.ndarray,
    outcomes: Outcomes,
    train: np.ndarray,
    test: np.ndarray,
    base: np.ndarray,
    shrinkage: float = 1.0,
) -> np.ndarray:
    """Per gene K(t, S) (K(S, S) + shrinkage I)^-1 (y_S - base), S the training perturbations labelled for that gene.

    The kernel form of ridge regression on the features whose inner products the kernel holds; no label is filled in.
    """
    pairs = _pairs_of(outcomes, train)
    position = np.repeat(np.arange(len(train)), np.diff(outcomes.indptr)[train])
    order = np.argsort(outcomes.columns[pairs], kind="stable")
    columns, position = outcomes.columns[pairs][order], position[order]
    residual = outcomes.labels[pairs][order] - base[columns]
    starts = np.searchsorted(columns, np.arange(len(outcomes.genes) + 1))
    inner = np.ascontiguousarray(kernel[np.ix_(train, train)], np.float64)
    coefficients = _solve_each(inner, starts, position, residual, shrinkage)
    return _accumulate(np.ascontiguousarray(kernel[np.ix_(test, train)], np.float32), starts, position, coefficients)


def _pairs_of(outcomes: Outcomes, perturbations: np.ndarray) -> np.ndarray:
    starts, stops = outcomes.indptr[perturbations], outcomes.indptr[perturbations + 1]
    return np.concatenate([np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)])


@njit(cache=True, fastmath=True)
def _smooth(weights, train, indptr, columns, labels, base, shrinkage):  # type: ignore[no-untyped-def]
    tests, genes = len(weights), len(base)
    excess = np.zeros((tests, genes), np.float32)
    total = np.empty(genes, np.float32)
    for t in range(tests):
        total[:] = shrinkage
        for s in range(len(train)):
            weight = weights[t, s]
            if weight == 0:
                continue
            for pair in range(indptr[train[s]], indptr[train[s] + 1]):
                g = columns[pair]
                total[g] += weight
                excess[t, g] += weight * (labels[pair] - base[g])
        for g in range(genes):
            excess[t, g] /= total[g]
    return excess


@njit(cache=True)
def _solve_each(inner, starts, position, residual, shrinkage):  # type: ignore[no-untyped-def]
    coefficients = np.zeros(len(position))
    for g in range(len(starts) - 1):
        start, stop = starts[g], starts[g + 1]
        if stop == start:
            continue
        size = stop - start
        system = np.empty((size, size))
        for i in range(size):
            for j in range(size):
                system[i, j] = inner[position[start + i], position[start + j]]
            system[i, i] += shrinkage
        coefficients[start:stop] = np.linalg.solve(system, residual[start:stop])
    return coefficients


@njit(cache=True, fastmath=True)
def _accumulate(weights, starts, position, coefficients):  # type: ignore[no-untyped-def]
    tests, genes = len(weights), len(starts) - 1
    excess = np.zeros((tests, genes), np.float32)
    for t in range(tests):
        for g in range(genes):
            total = 0.0
            for pair in range(starts[g], starts[g + 1]):
                total += weights[t, position[pair]] * coefficients[pair]
            excess[t, g] = total
    return excess
