"""Streaming moments against the definitions."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import sparse

from perturb_jax.screen.kernels import accumulate, inspect
from perturb_jax.screen.screen import Moments, merged, with_zeros
from tests.screen_oracles import central_moments


def streamed(values: np.ndarray, groups: np.ndarray, pieces: int = 1, by_cell: bool = True) -> Moments:
    """Moments of groups of the rows, the matrix given in pieces of rows or of columns."""
    sums = np.zeros((int(groups.max()) + 1, values.shape[1], 5))
    oriented, first = (values if by_cell else values.T), 0
    for piece in np.array_split(oriented, pieces):
        part = sparse.csr_array(piece.astype(float))
        accumulate(part.data, part.indices, part.indptr.astype(np.int64), first, by_cell, groups, sums)
        first += len(piece)
    return with_zeros(sums, np.bincount(groups))


def assert_close(found: np.ndarray, expected: np.ndarray, scale: np.ndarray, tolerance: float = 1e-5) -> None:
    """The m-th moment to `tolerance` of sigma^m; `found` and `expected` are [4, genes], sigma [genes]."""
    for power, (one, other) in enumerate(zip(found, expected, strict=True), start=1):
        np.testing.assert_array_less(np.abs(one - other), tolerance * scale**power + 1e-300)


@pytest.mark.parametrize("by_cell", [True, False])
@pytest.mark.parametrize("pieces", [1, 5])
def test_moments_are_those_of_the_definition(by_cell: bool, pieces: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(1.0, 2.0, (200, 15)) * (rng.random((200, 15)) < np.linspace(0, 1, 15))
    groups = rng.integers(0, 4, 200)
    found = streamed(values, groups, pieces, by_cell)
    for group in range(4):
        rows = values[groups == group]
        assert_close(np.stack([part[group] for part in found[1:]]), central_moments(rows), rows.std(0), 1e-12)
    np.testing.assert_array_equal(found.cells, np.bincount(groups))


@pytest.mark.parametrize(("mean", "deviation"), [(1e3, 1e-2), (1e4, 1e-4), (9.0, 1e-6), (1e6, 1e-1)])
@pytest.mark.parametrize("zeros", [0, 1])
def test_tiny_variances_around_large_means_keep_their_digits(mean: float, deviation: float, zeros: int) -> None:
    """The definition is evaluated on exactly shifted values, where float64 loses nothing."""
    rng = np.random.default_rng(1)
    values = mean + deviation * rng.standard_exponential((5000, 3))
    values[:zeros] = 0
    shifted = values - mean
    expected = central_moments(shifted)
    expected[0] += mean
    assert_close(np.stack([part[0] for part in streamed(values, np.zeros(5000, int), 7)[1:]]), expected, shifted.std(0))


def test_a_constant_has_no_variance_at_all() -> None:
    found = streamed(np.full((100, 1), 0.1), np.zeros(100, int))
    assert found.mean[0, 0] == 0.1
    assert found.variance[0, 0] == found.third[0, 0] == found.fourth[0, 0] == 0


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_groups_merge_to_the_moments_of_all_cells(seed: int, num_groups: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(num_groups), rng.integers(0, num_groups, 30)])
    values = rng.normal(groups[:, None], 1.0, (len(groups), 4)) * (rng.random((len(groups), 4)) < 0.7)
    whole = merged(streamed(values, groups))
    assert_close(np.stack(whole[1:]), central_moments(values), values.std(0), 1e-10)
    assert whole.cells == len(groups)


def test_cells_without_a_group_do_not_count_and_are_not_inspected() -> None:
    values, groups = np.array([[1.0, 2.0], [np.nan, -1.0]]), np.array([0, -1])
    part = sparse.csr_array(values)
    arrays = (part.data, part.indices, part.indptr.astype(np.int64))
    sums = np.zeros((1, 2, 5))
    accumulate(*arrays, 0, True, groups, sums)
    assert with_zeros(sums, np.array([1])).mean.tolist() == [[1.0, 2.0]]
    assert inspect(*arrays, 0, True, groups, 2) == (0, -1, True, 2.0)
