"""The spectral norm against dense singular values."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax.experimental.sparse import BCOO

import perturb_jax as pj

SIZE = 24


def _directed(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.random((SIZE, SIZE)) * (rng.random((SIZE, SIZE)) < 0.15))


def _signed(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(SIZE, SIZE))


def _symmetric(rng: np.random.Generator) -> np.ndarray:
    matrix = _directed(rng)
    return matrix + matrix.T


def _disconnected(rng: np.random.Generator) -> np.ndarray:
    matrix = np.zeros((SIZE, SIZE))
    half = SIZE // 2
    matrix[:half, :half], matrix[half:, half:] = _directed(rng)[:half, :half], _directed(rng)[half:, half:]
    return matrix


def _twins(rng: np.random.Generator) -> np.ndarray:
    matrix = _disconnected(rng)
    half = SIZE // 2
    matrix[half:, half:] = matrix[:half, :half] * (1 - 10.0 ** -rng.integers(2, 9))
    return matrix


def _isolated(rng: np.random.Generator) -> np.ndarray:
    matrix = _directed(rng)
    alone = rng.random(SIZE) < 0.7
    matrix[alone], matrix[:, alone] = 0, 0
    return matrix


def _close_gap(rng: np.random.Generator) -> np.ndarray:
    left, right = (np.linalg.qr(rng.normal(size=(SIZE, SIZE)))[0] for _ in range(2))
    values = np.concatenate([[1, 1 - 10.0 ** -rng.integers(1, 8)], rng.random(SIZE - 2)])
    return np.asarray((left * values) @ right)


def _triangular(rng: np.random.Generator) -> np.ndarray:
    return np.triu(_signed(rng))


def _rank_one(rng: np.random.Generator) -> np.ndarray:
    return np.outer(rng.normal(size=SIZE), rng.normal(size=SIZE))


def _tiny(rng: np.random.Generator) -> np.ndarray:
    return _directed(rng) * 1e-6


KINDS = (
    _directed, _signed, _symmetric, _disconnected, _twins, _isolated, _close_gap, _triangular, _rank_one, _tiny,
)  # fmt: skip
jitted = jax.jit(lambda matrix: pj.spectral_norm(matrix, return_info=True))


@pytest.mark.parametrize("kind", KINDS)
def test_norm_is_the_largest_singular_value(kind: Callable[[np.random.Generator], np.ndarray]) -> None:
    for seed in range(32):
        matrix = kind(np.random.default_rng(seed))
        expected = np.linalg.norm(matrix.astype(np.float32).astype(float), 2)
        norm, info = jitted(jnp.asarray(matrix, jnp.float32))
        assert bool(info.converged), (seed, info)
        assert abs(float(norm) - expected) <= 1e-4 * expected, (seed, float(norm), expected)
        assert abs(np.linalg.norm(info.vector) - 1) < 1e-5 or expected == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 3), (0, 0), (0, 3), (3, 0)])
def test_any_shape(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(0).normal(size=shape)
    expected = np.linalg.norm(matrix, 2) if matrix.size else 0.0
    norm, info = pj.spectral_norm(jnp.asarray(matrix, jnp.float32), return_info=True)
    assert float(norm) == pytest.approx(expected, rel=1e-5)
    assert bool(info.converged)


def test_zero_has_norm_zero() -> None:
    norm, info = pj.spectral_norm(jnp.zeros((4, 4)), return_info=True)
    assert float(norm) == 0
    assert bool(info.converged)


def test_sparse_matrix_and_functions_agree_with_the_dense_matrix() -> None:
    matrix = jnp.asarray(_directed(np.random.default_rng(3)), jnp.float32)
    products = (lambda x: matrix @ x), (lambda y: matrix.T @ y)
    dense = np.asarray(pj.spectral_norm(matrix))
    np.testing.assert_allclose(np.asarray(pj.spectral_norm(BCOO.fromdense(matrix))), dense, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(pj.spectral_norm(products, (SIZE, SIZE))), dense, rtol=1e-6)


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10_000))
def test_vmap_over_masks_is_the_norm_of_each_submatrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = _directed(rng).astype(np.float32)
    masks = rng.random((12, SIZE)) < rng.random((12, 1))
    masks[0] = False
    norms = jax.vmap(lambda mask: pj.spectral_norm(jnp.asarray(matrix), mask=mask))(jnp.asarray(masks))
    for mask, norm in zip(masks, norms, strict=True):
        part = matrix[mask][:, mask]
        assert float(norm) == pytest.approx(np.linalg.norm(part, 2) if part.size else 0, rel=1e-4, abs=1e-7)


def test_a_warm_start_needs_fewer_iterations() -> None:
    matrix = jnp.asarray(_signed(np.random.default_rng(5)), jnp.float32)
    norm, cold = pj.spectral_norm(matrix, return_info=True)
    again, warm = pj.spectral_norm(matrix, start=cold.vector, return_info=True)
    assert int(warm.iterations) < int(cold.iterations)
    assert float(again) == pytest.approx(float(norm), rel=1e-6)


def test_what_cannot_converge_is_reported() -> None:
    matrix = jnp.asarray(_signed(np.random.default_rng(5)), jnp.float32)
    norm, info = pj.spectral_norm(matrix, max_iterations=3, return_info=True)
    assert not bool(info.converged)
    assert int(info.iterations) == 3
    assert float(info.residual) > 1e-4
    assert float(norm) <= np.linalg.norm(matrix, 2) * (1 + 1e-6)


def test_input_that_cannot_be_used() -> None:
    with pytest.raises(pj.InputError, match=r"shape: expected \(rows, columns\)"):
        pj.spectral_norm((lambda x: x, lambda y: y))
    with pytest.raises(pj.InputError, match="mask: expected a square matrix"):
        pj.spectral_norm(jnp.ones((3, 2)), mask=jnp.ones(2, bool))
    with pytest.raises(pj.InputError, match="expected two dimensions"):
        pj.spectral_norm(jnp.ones((3, 2)), shape=(2, 2))
