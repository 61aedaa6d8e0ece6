"""Batches of perturbations against batches of cells drawn as the reference draws them."""

from collections.abc import Sequence
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from perturb_jax.predictors.gears_flax.batches import Batch, Conditions, Member, draw_batch, expected_loss_weights
from perturb_jax.predictors.gears_flax.model import Perturbed
from perturb_jax.predictors.gears_flax.moments_loss import PairMoments
from perturb_jax.predictors.gears_reference import private as gears_private
from tests.flax_oracles import weights_by_counting
from tests.graphs import compilations

CELL_COUNTS = {
    "equal, few": [30] * 12,
    "equal, more than a batch holds": [100] * 60,
    "control has most": [*[40] * 20, 800],
    "unequal": [*np.linspace(10, 300, 30).astype(int).tolist(), 400],
    "one rare": [1, *[200] * 8],
    "one has nearly all": [*[5] * 10, 5000],
    "two": [70, 900],
}
BATCH = 32
PERTURBATIONS, SIZE, DRAWS = 11, 4, 4000
UNEQUAL = [*range(20, 130, 10), 300]
"""Cells of the perturbations and, last, of control."""


@pytest.mark.parametrize("counts", CELL_COUNTS.values(), ids=CELL_COUNTS.keys())
def test_loss_weights_are_those_of_batches_of_cells(counts: Sequence[int]) -> None:
    exact = weights_by_counting(counts, BATCH)
    np.testing.assert_allclose(exact.sum(), 1, rtol=1e-10)
    ours = expected_loss_weights(np.array(counts), BATCH)
    np.testing.assert_allclose(ours.sum(), 1, rtol=1e-10)
    np.testing.assert_allclose(ours, exact, rtol=0.02)


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=2, max_size=6))
def test_loss_weights_are_larger_where_there_are_more_cells(counts: list[int]) -> None:
    weights = expected_loss_weights(np.array(counts), 8)
    order = np.argsort(counts)
    assert (np.diff(weights[order]) >= -1e-12).all() and (weights > 0).all()
    np.testing.assert_allclose(weights.sum(), 1)


def test_conditions_without_cells_weigh_nothing() -> None:
    with_none = expected_loss_weights(np.array([0, 50, 0, 20, 0]), BATCH)
    np.testing.assert_array_equal(with_none[[0, 2, 4]], 0)
    np.testing.assert_allclose(with_none[[1, 3]], expected_loss_weights(np.array([50, 20]), BATCH), rtol=1e-12)


def test_the_exact_weights_are_those_of_every_batch_that_there_is() -> None:
    """The oracle itself: six cells of three conditions, all 20 batches of three."""
    cells = np.repeat([0, 1, 2], [1, 2, 3])
    total = np.zeros(3)
    batches = list(combinations(cells, 3))
    for batch in batches:
        total[np.unique(batch)] += 1 / len(np.unique(batch))
    np.testing.assert_allclose(weights_by_counting([1, 2, 3], 3), total / len(batches), rtol=1e-12)


@pytest.mark.gears
def test_loss_weights_and_fractions_in_the_loader_of_the_reference() -> None:
    """Shuffled every epoch, the incomplete last batch dropped."""
    pytest.importorskip("torch")
    gears_private.import_gears()  # without the warnings of its imports
    counts = [10, 20, 40, 40, 80, 170]
    cells = np.repeat(np.arange(len(counts)), counts).tolist()
    loader = gears_private.data_loaders({"train_loader": cells}, BATCH, 0)["train_loader"]
    loss_weights, fractions, batches = np.zeros(len(counts)), np.zeros(len(counts)), 0
    for _ in range(250):
        for batch in loader:
            present, cells_of = np.unique(batch.numpy(), return_counts=True)
            loss_weights[present] += 1 / len(present)
            fractions[present] += cells_of / BATCH
            batches += 1
    assert batches == 250 * (sum(counts) // BATCH)
    np.testing.assert_allclose(weights_by_counting(counts, BATCH), loss_weights / batches, rtol=0.02)
    np.testing.assert_allclose(np.array(counts) / sum(counts), fractions / batches, rtol=0.02)


def conditions_of(count: int) -> Conditions:
    """Perturbations and control whose numbers tell them apart."""
    number = jnp.arange(count + 1.0)[:, None]
    return Conditions(
        Perturbed(jnp.tile(number, (1, 3)), jnp.append(jnp.ones(count), 0.0)),
        PairMoments(number, number + 0.1, number + 0.2, number + 0.3, number % 2 == 0),
    )


def member_of(counts: Sequence[int]) -> Member:
    """Of cells of perturbations and, last, of control."""
    cells = np.array(counts)
    return Member(
        jnp.arange(len(cells)),
        jnp.asarray(cells / cells.sum(), jnp.float32),
        jnp.asarray(expected_loss_weights(cells, BATCH), jnp.float32),
    )


@jax.jit
def many_batches(member: Member, key: jax.Array) -> Batch:
    """`DRAWS` batches of `SIZE` perturbations."""
    conditions = conditions_of(PERTURBATIONS)
    return jax.vmap(lambda one: draw_batch(conditions, member, one, SIZE, BATCH))(jax.random.split(key, DRAWS))


def numbers_of(batch: Batch) -> np.ndarray:
    """Which condition each row is."""
    return np.asarray(batch.conditions.moments.mean)[..., 0].astype(int)


def average(batch: Batch, values: jax.Array) -> np.ndarray:
    """The mean over batches of what each condition gets."""
    total = np.zeros(PERTURBATIONS + 1)
    np.add.at(total, numbers_of(batch), np.asarray(values, float))
    return total / DRAWS


def test_a_batch_has_distinct_perturbations_and_then_control() -> None:
    batch = many_batches(member_of(UNEQUAL), jax.random.key(0))
    numbers = numbers_of(batch)
    assert numbers.shape == (DRAWS, SIZE + 1) and (numbers[:, -1] == PERTURBATIONS).all()
    assert (np.diff(np.sort(numbers, axis=1), axis=1) > 0).all()
    np.testing.assert_array_equal(batch.conditions.perturbed.reads[..., 0], numbers)
    np.testing.assert_array_equal(batch.conditions.perturbed.genes, numbers < PERTURBATIONS)
    np.testing.assert_array_equal(batch.conditions.moments.fourth[..., 0], (numbers + 0.3).astype(np.float32))
    np.testing.assert_array_equal(batch.conditions.moments.counted[..., 0], numbers % 2 == 0)
    np.testing.assert_allclose(batch.rows.weights.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(batch.rows.cells, BATCH)


def test_with_equal_counts_rows_weigh_what_their_cells_do() -> None:
    """In every batch: control its fraction, each perturbation the same part of the rest; all equally often there."""
    batch = many_batches(member_of([30] * PERTURBATIONS + [110]), jax.random.key(1))
    np.testing.assert_allclose(batch.rows.weights[:, :-1], 0.75 / SIZE, rtol=1e-5)
    np.testing.assert_allclose(batch.rows.weights[:, -1], 0.25, rtol=1e-5)
    often = np.bincount(numbers_of(batch)[:, :-1].ravel(), minlength=PERTURBATIONS) / DRAWS
    chance = SIZE / PERTURBATIONS
    assert np.abs(often - chance).max() < 4 * (chance * (1 - chance) / DRAWS) ** 0.5


def test_the_loss_is_on_average_that_of_all_conditions() -> None:
    """Exactly in expectation: a perturbation is drawn with chance SIZE / PERTURBATIONS, and then counts more."""
    member = member_of(UNEQUAL)
    batch = many_batches(member, jax.random.key(2))
    weights = np.asarray(member.loss_weights)
    scaled = weights * np.append(np.full(PERTURBATIONS, PERTURBATIONS / SIZE), 1)
    np.testing.assert_allclose(batch.loss_weights, scaled[numbers_of(batch)], rtol=1e-6)
    means = average(batch, batch.loss_weights)
    error = weights[:-1] * ((PERTURBATIONS / SIZE - 1) / DRAWS) ** 0.5
    assert (np.abs(means - weights)[:-1] < 4 * error).all()
    np.testing.assert_allclose(means[-1], weights[-1], rtol=1e-5)


def test_with_unequal_counts_rows_weigh_nearly_what_their_cells_do() -> None:
    """Small fractions are a little too large, as a ratio's mean is: within a fifth where cells differ sixfold
    and few are drawn. Expected over all draws that there are, and found in those that are drawn.
    """
    fractions = np.array(UNEQUAL) / sum(UNEQUAL)
    expected = np.zeros(PERTURBATIONS + 1)
    draws = [list(drawn) for drawn in combinations(range(PERTURBATIONS), SIZE)]
    for drawn in draws:
        expected[drawn] += (1 - fractions[-1]) * fractions[drawn] / fractions[drawn].sum() / len(draws)
    expected[-1] = fractions[-1]
    batch = many_batches(member_of(UNEQUAL), jax.random.key(3))
    np.testing.assert_allclose(average(batch, batch.rows.weights), expected, rtol=0.1)
    assert expected[0] > fractions[0] and expected[-2] < fractions[-2]
    np.testing.assert_allclose(expected, fractions, rtol=0.2)


def test_where_there_are_fewer_perturbations_the_rest_counts_nothing() -> None:
    counts = np.zeros(PERTURBATIONS + 1, int)
    counts[[1, 3, 5, -1]] = 30, 50, 20, 100
    member = member_of(counts.tolist())
    batch = many_batches(member, jax.random.key(4))
    used = counts[numbers_of(batch)] > 0
    assert (used.sum(1) == 4).all()
    np.testing.assert_array_equal(np.asarray(batch.rows.weights)[~used], 0)
    np.testing.assert_array_equal(np.asarray(batch.loss_weights)[~used], 0)
    for values, expected in ((batch.rows.weights, member.cells), (batch.loss_weights, member.loss_weights)):
        np.testing.assert_allclose(average(batch, values), expected, rtol=1e-5)


def test_padding_changes_nothing() -> None:
    """A member that names six of the conditions, with padding after them or without."""
    chosen, cells = [4, 0, 9, 2, 7, 5, PERTURBATIONS], np.array([30, 60, 90, 20, 50, 40, 110])
    weights = expected_loss_weights(cells, BATCH)
    conditions, batches = conditions_of(PERTURBATIONS), []
    for padding in (0, 5):
        place = len(chosen) - 1
        rows = np.insert(chosen, place, [3] * padding)
        fractions, losses = (np.insert(part, place, [0.0] * padding) for part in (cells / cells.sum(), weights))
        member = Member(jnp.asarray(rows), jnp.asarray(fractions, jnp.float32), jnp.asarray(losses, jnp.float32))
        keys = jax.random.split(jax.random.key(5), 200)
        batches.append(jax.vmap(lambda key, one=member: draw_batch(conditions, one, key, SIZE, BATCH))(keys))
    jax.tree.map(np.testing.assert_array_equal, *batches)
    numbers = numbers_of(batches[0])
    assert set(numbers.ravel().tolist()) == set(chosen) and (numbers[:, -1] == PERTURBATIONS).all()
    of_number = dict(zip(chosen, weights * np.array([6 / SIZE] * 6 + [1]), strict=True))
    expected = np.vectorize(of_number.__getitem__)(numbers)
    np.testing.assert_allclose(batches[0].loss_weights, expected, rtol=1e-5)


def test_members_of_one_screen_share_a_compilation() -> None:
    before = compilations(many_batches)
    for seed, chosen in enumerate((range(12), [0, 11], [2, 3, 4, 5, 11])):
        counts = [UNEQUAL[number] if number in chosen else 0 for number in range(12)]
        many_batches(member_of(counts), jax.random.key(seed))
    assert compilations(many_batches) <= before + 1
