"""ACS-FW against bmdal_reg's own picks, the paper's algorithm in weights, and random batches."""

import jax
import numpy as np
import pytest
import scipy.optimize

import perturb_jax as pj
from perturb_jax.strategies.acs_fw import ACSFW, frank_wolfe, log_likelihoods
from perturb_jax.strategies.view import isometric
from perturb_jax.support.options import made_from
from tests.graphs import compilations
from tests.strategies.acs_oracle import acs_problem, expected_log_likelihoods, frank_wolfe_weights
from tests.strategies.questions import question, rows_of

BMDAL_REG = {
    (0, True): [34, 14, 30, 39, 15, 41, 27, 10, 29, 0, 26, 55, 54, 36, 22],
    (0, False): [34, 14, 30, 39, 36, 0, 1, 15, 24, 17, 23, 41, 59, 26, 32],
    (1, True): [7, 13, 49, 39, 29, 59, 16, 4, 40, 62, 10, 50, 6, 48, 66],
    (1, False): [0, 12, 20, 46, 48, 41, 51, 49, 44, 64, 36, 7, 8, 47, 53],
    (2, True): [23, 65, 43, 71, 69, 67, 74, 25, 59, 13, 37, 56, 53, 24, 6],
    (2, False): [15, 78, 5, 56, 71, 37, 52, 38, 12, 48, 47, 13, 68, 72, 67],
    (4, True): [52, 41, 37, 14, 48, 50, 34, 78, 49, 77, 6, 80, 70, 91, 26],
    (4, False): [8, 19, 17, 30, 67, 83, 39, 4, 89, 74, 93, 24, 97, 29, 49],
}
"""Picks of bmdal_reg 3.0.2 (numpy 1.26.4, torch 2.13.0) by problem and scaling: select_batch(15, ..., None,
base_kernel="linear", kernel_transforms=[("acs-rf", [512, 0.1, None])], selection_method="fw", sel_with_train=False),
without None where not scaled, on float64 tensors, torch.randn replaced by a function that
returns the problem's draws."""

every_problem = pytest.mark.parametrize(("number", "scale"), BMDAL_REG, ids=str)


def ours(number: int, scale: bool, batch: int) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Log likelihoods of the candidates, picks, and what is left after each."""
    pool, train, draws = acs_problem(number)
    rows, candidates = np.concatenate([pool, train]), np.arange(len(pool) + len(train)) < len(pool)
    with jax.enable_x64(True):
        vectors = log_likelihoods(rows, ~candidates, draws, 0.1, scale)
        picks, left = frank_wolfe(vectors, candidates, batch)
    return np.asarray(vectors)[: len(pool)], np.asarray(picks).tolist(), np.asarray(left)


@every_problem
def test_the_picks_are_those_of_bmdal_reg(number: int, scale: bool) -> None:
    assert ours(number, scale, 15)[1] == BMDAL_REG[number, scale]


@every_problem
def test_the_algorithm_is_the_paper_s_in_weights(number: int, scale: bool) -> None:
    pool, train, draws = acs_problem(number)
    likelihoods = expected_log_likelihoods(pool, train, draws, 0.1, scale)
    vectors, picks, left = ours(number, scale, 15)
    np.testing.assert_allclose(vectors, likelihoods, rtol=1e-8, atol=1e-8 * np.abs(likelihoods).max())
    for size in (1, 6, 15):
        expected, weights = frank_wolfe_weights(likelihoods, size)
        assert picks[:size] == expected
        residual = (1 - weights) @ likelihoods
        assert left[size - 1] == pytest.approx(np.linalg.norm(residual) / np.linalg.norm(likelihoods.sum(0)), rel=1e-6)


@pytest.mark.parametrize("number", range(5))
def test_the_batch_stands_for_all_candidates_better_than_random_ones(number: int) -> None:
    vectors, picks, _ = ours(number, True, 10)

    def error(batch: list[int]) -> float:
        return float(scipy.optimize.nnls(vectors[batch].T, vectors.sum(0))[1])

    rng = np.random.default_rng(0)
    draws = [error(rng.permutation(len(vectors))[:10].tolist()) for _ in range(30)]
    assert error(picks) < np.quantile(draws, 0.1)


def test_the_strategy_draws_from_the_seed_alone() -> None:
    pool, train, _ = acs_problem(0)
    for seed in (0, 7):
        draws = np.random.default_rng(seed).standard_normal((6, 512))
        expected, _ = frank_wolfe_weights(expected_log_likelihoods(pool, train, draws, 0.1, scale=True), 8)
        assert rows_of(ACSFW().choose(question(pool, train, "features", 8, seed))) == expected


def test_features_wider_than_the_rows_are_rotated_and_nothing_else() -> None:
    pool, train, _ = acs_problem(0)
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((200, 6)))[0].T
    wide = np.concatenate([pool, train]) @ turn
    rows = isometric(wide)
    assert rows.shape == (68, 68)
    np.testing.assert_allclose(rows @ rows.T, wide @ wide.T, atol=1e-9)
    assert isometric(pool) is pool
    draws = np.random.default_rng(3).standard_normal((68, 512))
    likelihoods = expected_log_likelihoods(rows[:60], rows[60:], draws, 0.1, scale=True)
    picks = rows_of(ACSFW().choose(question(wide[:60], wide[60:], "features", 8, 3)))
    assert picks == frank_wolfe_weights(likelihoods, 8)[0]


def test_candidates_that_are_all_the_same_are_picked_in_order() -> None:
    same = np.ones((6, 3))
    assert rows_of(ACSFW().choose(question(same, np.eye(3), "features", 5))) == [0, 1, 2, 3, 4]
    assert rows_of(ACSFW().choose(question(0 * same, np.eye(3), "features", 5))) == [0, 1, 2, 3, 4]
    assert rows_of(ACSFW().choose(question(0 * same, np.zeros((2, 3)), "features", 6))) == [0, 1, 2, 3, 4, 5]


def test_what_the_selected_ones_already_tell_is_not_bought_again() -> None:
    pool = np.array([[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 5)
    for known, new in (([1.0, 0.0], range(5, 10)), ([0.0, 1.0], range(5))):
        picks = rows_of(ACSFW().choose(question(pool, np.array([known] * 20), "features", 1)))
        assert picks[0] in new


def test_cycles_of_one_experiment_are_compiled_once() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((30, 4))
    ACSFW().choose(question(rows[:20], rows[20:], "features", 3))
    before = compilations(frank_wolfe), compilations(log_likelihoods)
    for candidates in (17, 14, 11):
        ACSFW().choose(question(rows[:candidates], rows[candidates:], "features", 3))
    assert (compilations(frank_wolfe), compilations(log_likelihoods)) == before


def test_without_anything_selected_it_says_what_to_do() -> None:
    with pytest.raises(pj.InputError, match="selected: expected at least one perturbation, got none"):
        ACSFW().choose(question(np.ones((3, 2)), np.ones((0, 2)), "features", 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"representation": "state"}, "representation: expected one of embedding, effect, features, got 'state'"),
        ({"random_features": 0}, "random_features: expected a whole number of at least 1, got 0"),
        ({"sigma": -0.1}, "sigma: expected a finite number above 0, got -0.1"),
    ],
)
def test_options_that_cannot_be_used_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        made_from(ACSFW, options)
