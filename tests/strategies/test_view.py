"""Uncertainty against the posterior variance of a Gaussian process, by the formula."""

import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.predictors.predictor import Answers
from perturb_jax.strategies.strategy import Ask
from perturb_jax.strategies.view import Uncertainty, view_of
from tests.oracles import dense_operator
from tests.screens import small_screen
from tests.strategies.questions import GRAPH, named, question, rows_of

NAMES = named(30)


def posterior_variances(screen: pj.Screen, fitted: Answers, trained: list[int]) -> np.ndarray:
    """Kriging: S_pp - s^T C^-1 s + (1 - 1^T C^-1 s)^2 / 1^T C^-1 1, with a mean that is fitted by plain averaging."""
    hops, signal, own = (float(fitted.report[name]) for name in ("hops", "signal", "own"))
    adjacency = dense_operator(GRAPH, weighted=True, symmetric=False)
    scale = 1 / np.sqrt(adjacency.sum(1))
    reads = np.linalg.matrix_power(scale[:, None] * adjacency * scale, int(hops))[: len(NAMES)]
    reads /= np.linalg.norm(reads, axis=1, keepdims=True)
    order = [screen.perturbations.index(name) for name in NAMES]
    noise = (screen.variance.mean(1) / (screen.cell_counts - 1))[order]
    prior = signal * reads @ reads.T + own * np.eye(len(NAMES))
    covariance = prior[np.ix_(trained, trained)] + np.diag(noise[trained])
    variances = []
    for row in range(len(NAMES)):
        weights = np.linalg.solve(covariance, prior[trained, row])
        weights += (1 - weights.sum()) / len(trained)
        variances.append(prior[row, row] - 2 * weights @ prior[trained, row] + weights @ covariance @ weights)
    return np.array(variances)


def test_the_ranking_is_that_of_a_gaussian_process_posterior_variance() -> None:
    screen = small_screen(NAMES, [f"M{i}" for i in range(12)], seed=3)
    trained = list(range(0, 30, 3))
    candidates = tuple(NAMES[i] for i in range(30) if i not in trained)
    selected = tuple(NAMES[i] for i in trained)
    fitted = pj.GraphGP(signal=1.0, own=0.05).fit(screen, GRAPH, selected, (), 0)
    view = view_of(fitted, NAMES, Uncertainty().parts(1))
    picks = Uncertainty().choose(Ask.of(GRAPH, candidates, len(candidates), selected, 0, view))
    variances = posterior_variances(screen, fitted, trained)[rows_of(picks)]
    assert variances[0] > 1.05 * variances[-1]
    assert (np.diff(variances) <= 1e-9).all()


def test_the_highest_log_variance_comes_first_and_ties_in_the_order_of_the_candidates() -> None:
    ask = question(np.array([0.1, 0.5, -2.0, 0.5, 0.3]), np.array([9.0]), "log_variance", 4)
    assert Uncertainty().choose(ask) == ("G1", "G3", "G4", "G0")


def test_a_predictor_that_is_certain_of_a_candidate_is_believed() -> None:
    ask = question(np.array([-np.inf, -3.0]), np.array([0.0]), "log_variance", 2)
    assert Uncertainty().choose(ask) == ("G1", "G0")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_log_variance_that_is_no_number_is_refused(bad: float) -> None:
    ask = question(np.array([0.0, bad, bad]), np.array([0.0]), "log_variance", 1)
    with pytest.raises(pj.InputError, match="log_variance: not finite for G1"):
        Uncertainty().choose(ask)
