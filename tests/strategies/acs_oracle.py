"""ACS-FW as Pinsler et al. 2019 write it: weights, and inner products of all pairs; slow. And one problem a number."""

import numpy as np


def acs_problem(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of the candidates and of what is selected, and standard normal draws: seven clusters, several scales."""
    rng = np.random.default_rng(number)
    pool, train, width = 60 + 10 * number, 8 + 9 * number, (6, 24, 64, 12, 40)[number % 5]
    size = (1.0, 0.05, 30.0)[number % 3]
    centres = rng.standard_normal((7, width))
    rows = centres[rng.integers(0, 7, pool + train)] + 0.4 * rng.standard_normal((pool + train, width))
    draws = rng.standard_normal((width, 512))
    return size * rows[:pool], size * rows[pool:], draws


def expected_log_likelihoods(
    pool: np.ndarray, train: np.ndarray, draws: np.ndarray, sigma: float, scale: bool
) -> np.ndarray:
    """L_n at each draw of theta from a Gaussian of covariance (X^T X + sigma^2 I)^-1, X the training features."""
    if scale:
        length = np.sqrt(np.mean([x @ x for x in train]))
        pool, train = pool / length, train / length
    precision = sigma**2 * np.eye(pool.shape[1]) + sum(np.outer(x, x) for x in train)
    covariance = np.linalg.inv(precision)
    thetas = np.linalg.inv(np.linalg.cholesky(precision)).T @ draws
    rows = []
    for x in pool:
        variance = x @ covariance @ x
        # E[log N(y; theta^T x, sigma^2)] over y ~ N(0, sigma^2 + variance), plus that variable's entropy
        likelihood = -0.5 * np.log(2 * np.pi * sigma**2) - (sigma**2 + variance + (thetas.T @ x) ** 2) / (2 * sigma**2)
        entropy = 0.5 * np.log(2 * np.pi * np.e * (sigma**2 + variance))
        rows.append(likelihood + entropy)
    return np.array(rows)


def frank_wolfe_weights(likelihoods: np.ndarray, batch: int) -> tuple[list[int], np.ndarray]:
    """Algorithm 1: f with the largest <L - L(w), L_n> / sigma_n, and w <- (1 - gamma) w + gamma (sigma / sigma_f) 1_f.

    As in bmdal_reg f is never one that was taken before.
    """
    inner = likelihoods @ likelihoods.T
    sigmas = np.sqrt(np.diag(inner))
    sigma = sigmas.sum()
    weights, picks = np.zeros(len(inner)), list[int]()
    for _ in range(batch):
        scores = (1 - weights) @ inner / sigmas
        scores[picks] = -np.inf
        f = int(scores.argmax())
        vertex = np.zeros(len(inner))
        vertex[f] = sigma / sigmas[f]
        gamma = (vertex - weights) @ inner @ (1 - weights) / ((vertex - weights) @ inner @ (vertex - weights))
        weights = (1 - gamma) * weights + gamma * vertex
        picks.append(f)
    return picks, weights
