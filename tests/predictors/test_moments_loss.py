"""GEARS' loss on moments against the mean over all pairs of cells, and against cell-gears' own loss of these pairs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from perturb_jax.predictors.gears_flax.moments_loss import (
    PairMoments,
    fourth_power,
    moments_loss,
    pair_moments,
    unpaired,
)
from perturb_jax.screen.screen import Screen
from tests.flax_oracles import CONTROL, WEIGHT, CellBatch, gears_loss, screen_of_cells
from tests.screens import with_moments

GENES = 4
NAMES = ["A", "A+B", "B"]


def cells_of(seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Cells of three perturbations and of control, 1 to 7 each, skewed; one gene of each is silent."""
    rng = np.random.default_rng(seed)

    def draw() -> np.ndarray:
        return rng.gamma(0.7, rng.uniform(0.1, 2), (rng.integers(1, 8), GENES)) + rng.uniform(0, 3)

    cells = {name: draw() for name in NAMES}
    for number, name in enumerate(NAMES):
        cells[name][:, number] = 0
    return cells, draw()


def all_pairs(screen: Screen, rows: list[int]) -> PairMoments:
    return pair_moments(screen, np.array(rows))


@jax.jit
def value_and_slope(effect: jax.Array, moments: PairMoments) -> tuple[jax.Array, jax.Array]:
    return fourth_power(effect, moments), jax.grad(lambda e: fourth_power(e, moments).sum())(effect)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-10, 10))
def test_it_is_the_mean_over_all_pairs_and_so_is_its_gradient(seed: int, size: float) -> None:
    cells, control = cells_of(seed)
    effect = size * np.random.default_rng(seed).normal(size=(len(NAMES), GENES))
    with jax.enable_x64(True):
        moments = all_pairs(screen_of_cells(cells, control), [0, 1, 2])
        value, slope = value_and_slope(jnp.asarray(effect), moments)
    for row, name in enumerate(NAMES):
        errors = (control[:, None] + effect[row] - cells[name][None]).reshape(-1, GENES)
        scale = 1 + np.abs(errors).max() ** 4
        np.testing.assert_allclose(value[row], (errors**4).mean(0), rtol=1e-8, atol=1e-10 * scale)
        np.testing.assert_allclose(slope[row], (4 * errors**3).mean(0), rtol=1e-8, atol=1e-10 * scale)
        np.testing.assert_array_equal(moments.counted[row], (cells[name] != 0).any(0))


def test_rows_are_those_that_are_wanted() -> None:
    screen = screen_of_cells(*cells_of(0))
    every, some = all_pairs(screen, [0, 1, 2]), all_pairs(screen, [2, 0])
    for part, chosen in zip(every, some, strict=True):
        np.testing.assert_array_equal(chosen, part[jnp.array([2, 0])])


def test_without_the_third_moment_it_would_be_least_elsewhere() -> None:
    """At the mean change of a skewed gene the loss still falls."""
    screen = screen_of_cells(*cells_of(1))
    with jax.enable_x64(True):
        moments = all_pairs(screen, [0, 1, 2])
        _, slope = value_and_slope(jnp.asarray(screen.effects), moments)
    third = np.asarray(moments.third)
    np.testing.assert_allclose(slope, -4 * third, rtol=1e-12)
    assert np.abs(third).max() > 0.1


def pairs_as_cells(cells: dict[str, np.ndarray], control: np.ndarray) -> CellBatch:
    """Every pair of a perturbed and a control cell; control cells are their own partners."""
    before = [np.repeat(control, len(own), 0) for own in cells.values()]
    after = [np.tile(own, (len(control), 1)) for own in cells.values()]
    names = [name for name, own in cells.items() for _ in range(len(own) * len(control))]
    return CellBatch(
        [*names, *[CONTROL] * len(control)],
        np.concatenate([*before, control]),
        np.concatenate([*after, control]),
        {name: (own != 0).any(0) for name, own in cells.items()},
    )


@pytest.mark.gears
@pytest.mark.parametrize("uncertainty", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_loss_of_cell_gears_with_every_pair_in_the_batch(seed: int, uncertainty: bool) -> None:
    """The mean over conditions, control among them; and the gradients by effect and log-variance."""
    torch = pytest.importorskip("torch")
    cells, control = cells_of(seed)
    batch = pairs_as_cells(cells, control)
    rng = np.random.default_rng(seed)
    effect, log_variance = rng.normal(size=(2, len(NAMES) + 1, GENES))
    row = torch.tensor([[*NAMES, CONTROL].index(name) for name in batch.names])
    given = torch.from_numpy(effect).requires_grad_()
    spread = torch.from_numpy(log_variance).requires_grad_()
    expected = gears_loss(
        torch.from_numpy(batch.before) + given[row], spread[row] if uncertainty else None, batch, control.mean(0)
    )
    expected.backward()
    with jax.enable_x64(True):
        pairs = zip(all_pairs(screen_of_cells(cells, control), [0, 1, 2]), unpaired(GENES), strict=True)
        moments = PairMoments(*(jnp.concatenate(both) for both in pairs))

        def loss(effect: jax.Array, log_variance: jax.Array) -> jax.Array:
            return moments_loss(effect, moments, log_variance if uncertainty else None, WEIGHT).mean()

        arguments = jnp.asarray(effect), jnp.asarray(log_variance)
        value, (by_effect, by_spread) = jax.value_and_grad(loss, argnums=(0, 1))(*arguments)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-8)
    np.testing.assert_allclose(by_effect, given.grad.numpy(), rtol=1e-8, atol=1e-10)
    if uncertainty:
        np.testing.assert_allclose(by_spread, spread.grad.numpy(), rtol=1e-8, atol=1e-10)
        assert (np.asarray(by_spread)[np.asarray(moments.counted)] < 0).all()
    else:
        assert spread.grad is None and not by_spread.any()


@pytest.mark.gears
@pytest.mark.parametrize("uncertainty", [False, True])
def test_the_term_on_signs_changes_the_loss_of_cell_gears_and_no_gradient(uncertainty: bool) -> None:
    torch = pytest.importorskip("torch")
    cells, control = cells_of(0)
    batch = pairs_as_cells(cells, control)
    effect = np.random.default_rng(0).normal(size=batch.before.shape)
    values, gradients = [], []
    for direction in (0.0, 0.1):
        given = torch.from_numpy(effect).requires_grad_()
        spread = 0.3 * given if uncertainty else None
        loss = gears_loss(torch.from_numpy(batch.before) + given, spread, batch, control.mean(0), direction)
        loss.backward()
        values.append(float(loss.detach()))
        gradients.append(given.grad.numpy())
    assert values[1] > values[0] + 1e-3
    np.testing.assert_array_equal(gradients[0], gradients[1])


def test_genes_that_do_not_count_have_no_part_in_it() -> None:
    moments = all_pairs(screen_of_cells(*cells_of(2)), [0, 1, 2])
    silent = ~np.asarray(moments.counted)
    assert silent.sum() == len(NAMES)
    effect = jnp.asarray(np.random.default_rng(0).normal(size=silent.shape), jnp.float32)
    other = jnp.where(silent, 1e3, effect)
    np.testing.assert_array_equal(moments_loss(effect, moments), moments_loss(other, moments))
    powers = np.asarray(fourth_power(effect, moments))
    expected = [powers[row][~silent[row]].mean() for row in range(len(NAMES))]
    np.testing.assert_allclose(moments_loss(effect, moments), expected, rtol=1e-5)
    none = moments._replace(counted=jnp.zeros(silent.shape, bool))
    np.testing.assert_array_equal(moments_loss(effect, none), 0)


def test_control_cells_are_their_own_pairs() -> None:
    effect = jnp.array([[0.5, -2.0, 1.0, 0.0]])
    np.testing.assert_allclose(moments_loss(effect, unpaired(4)), [(0.5**4 + 2**4 + 1) / 4], rtol=1e-6)


@pytest.mark.parametrize("level", [1.0, 8.0, 100.0])
@pytest.mark.parametrize("deviation", [1e-3, 0.1])
def test_float32_is_exact_enough_at_a_large_mean_and_a_small_variance(level: float, deviation: float) -> None:
    """Powers of expression itself would cancel: 100^4 has no digits left for 1e-12."""
    rng = np.random.default_rng(0)
    control = level + deviation * rng.gamma(1, 1, (40, GENES))
    cells = {name: level + deviation * rng.gamma(1, 1, (30, GENES)) for name in NAMES}
    screen = screen_of_cells(cells, control)
    effect = np.asarray(screen.effects + deviation * rng.normal(size=screen.effects.shape), np.float32)
    values: list[Any] = []
    for double in (False, True):
        with jax.enable_x64(double):
            values.append(value_and_slope(jnp.asarray(effect), all_pairs(screen, [0, 1, 2])))
            assert values[-1][0].dtype == (np.float64 if double else np.float32)
    exact = [(control[:, None] + effect[0].astype(float) - cells["A"][None]).reshape(-1, GENES)]
    np.testing.assert_allclose(values[1][0][0], (exact[0] ** 4).mean(0), rtol=1e-8)
    np.testing.assert_allclose(values[0][0], values[1][0], rtol=2e-5)
    slope = np.abs(values[1][1])
    assert (np.abs(values[0][1] - values[1][1]) / slope.max(1, keepdims=True)).max() < 2e-5
    assert (np.asarray(values[0][0]) >= 0).all()


def test_moments_of_a_float32_screen_are_computed_in_float64() -> None:
    """The change of two means of 1e4 that differ by 2^-10, as their float32 values have it."""
    cells, control = cells_of(3)
    screen = screen_of_cells(cells, control)
    mean = np.full_like(screen.mean, 1e4 + 2.0**-10, np.float32)
    wide = with_moments(screen, mean=mean, control_mean=np.full(GENES, 1e4, np.float32))
    np.testing.assert_array_equal(all_pairs(wide, [0, 1, 2]).mean, np.float32(2.0**-10))
