"""TypiClust against hand-made blobs and a slow version of its rules."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.strategies.typiclust import TypiClust, cluster_order, k_means, typical
from perturb_jax.support.options import made_from
from tests.strategies.questions import question, rows_of

CENTRES = 100.0 * np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 2]])
SIZES = (9, 15, 5, 11, 7)


def blobs() -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Five blobs, each a line of points farther and farther apart on both sides of the middle one, shuffled.

    Returns:
        The points, each one's blob, and the middle point of each blob.
    """
    rows, blob, middles = list[np.ndarray](), list[int](), list[int]()
    for number, (centre, size) in enumerate(zip(CENTRES, SIZES, strict=True)):
        steps = np.arange(size) - size // 2
        rows += list(centre + 0.2 * np.outer(np.sign(steps) * steps**2, [1, 2]))
        middles.append(len(blob) + size // 2)
        blob += [number] * size
    order = np.random.default_rng(1).permutation(len(rows))
    return np.array(rows)[order], np.array(blob)[order], [int(np.flatnonzero(order == row)[0]) for row in middles]


def slow_picks(rows: np.ndarray, clusters: list[int], num_candidates: int, batch: int, neighbors: int) -> list[int]:
    """The rules one by one, over names of clusters and plain lists."""
    order = sorted(
        set(clusters),
        key=lambda name: (clusters[num_candidates:].count(name), -clusters.count(name), clusters.index(name)),
    )
    picks: list[int] = []
    while len(picks) < batch:
        for name in order:
            left = [i for i in range(num_candidates) if clusters[i] == name and i not in picks]
            if not left or len(picks) == batch:
                continue
            nearest = min(neighbors, len(left) // 2)
            means = []
            for i in left:
                distances = sorted(float(np.sqrt(((rows[i] - rows[j]) ** 2).sum())) for j in left if j != i)
                means.append(sum(distances[:nearest]) / nearest if nearest else 0.0)
            picks.append(left[means.index(min(means))])
    return picks


@pytest.mark.parametrize("seed", range(4))
def test_the_dense_middles_of_the_largest_blobs_come_first(seed: int) -> None:
    rows, blob, middles = blobs()
    # far from all blobs, so that what is selected has a cluster of its own
    picks = rows_of(TypiClust(neighbors=2).choose(question(rows, np.array([[900.0, -900.0]]), "embedding", 5, seed)))
    assert blob[picks].tolist() == [1, 3, 0, 4, 2]
    assert picks == [middles[number] for number in (1, 3, 0, 4, 2)]


def test_blobs_that_hold_a_selected_one_wait() -> None:
    rows, blob, _ = blobs()
    selected = np.array([CENTRES[1] + 0.1, CENTRES[1] - 0.1, CENTRES[3] + 0.1])
    picks = rows_of(TypiClust(max_clusters=5).choose(question(rows, selected, "embedding", 5)))
    assert blob[picks].tolist() == [0, 4, 2, 3, 1]


def test_clusters_are_visited_again_until_the_batch_is_full_and_exhausted_ones_passed_over() -> None:
    rows, blob, _ = blobs()
    picks = rows_of(TypiClust(max_clusters=5).choose(question(rows, rows[:0], "embedding", len(rows))))
    assert blob[picks[:25]].tolist() == [1, 3, 0, 4, 2] * 5
    assert sorted(picks) == list(range(len(rows)))


@settings(max_examples=40)
@given(st.data())
def test_order_and_typicality_are_the_rules_one_by_one(data: st.DataObject) -> None:
    candidates, selected = data.draw(st.integers(1, 14)), data.draw(st.integers(0, 5))
    clusters = data.draw(st.lists(st.integers(0, 4), min_size=candidates + selected, max_size=candidates + selected))
    batch, neighbors = data.draw(st.integers(1, candidates)), data.draw(st.integers(1, 4))
    rows = np.random.default_rng(data.draw(st.integers(0, 99))).standard_normal((candidates, 3))
    numbers = np.array(clusters)
    picks = typical(rows, numbers[:candidates], cluster_order(numbers, candidates), batch, neighbors)
    assert picks == slow_picks(rows, clusters, candidates, batch, neighbors)


@pytest.mark.parametrize("width", [3, 60])
def test_there_is_a_cluster_per_selected_one_and_pick_so_the_batch_comes_from_untouched_ones(width: int) -> None:
    rows = np.random.default_rng(0).standard_normal((40, width))
    picks = rows_of(TypiClust().choose(question(rows[:32], rows[32:], "embedding", 6, 5)))
    clusters = k_means(rows, 14, 5)
    if width <= len(rows):
        assert picks == slow_picks(rows, clusters.tolist(), 32, 6, 20)
        assert not set(clusters[picks]) & set(clusters[32:])
    assert len(set(picks)) == 6


def test_a_rotation_into_fewer_columns_changes_no_pick() -> None:
    rows = np.random.default_rng(0).standard_normal((40, 5))
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((90, 5)))[0].T
    narrow = TypiClust().choose(question(rows[:32], rows[32:], "embedding", 6, 5))
    assert TypiClust().choose(question(rows[:32] @ turn, rows[32:] @ turn, "embedding", 6, 5)) == narrow


def test_the_same_row_many_times_needs_no_cluster_of_its_own() -> None:
    rows = np.repeat(np.eye(3), 4, axis=0)
    picks = rows_of(TypiClust().choose(question(rows, rows[:1], "embedding", 12)))
    assert [pick // 4 for pick in picks[:3]] == [1, 2, 0]
    assert sorted(picks) == list(range(12))


def test_seeds_beyond_those_of_scikit_learn_are_seeds_too() -> None:
    rows = np.random.default_rng(0).standard_normal((30, 3))
    one, other = (
        TypiClust().choose(question(rows[:25], rows[25:], "embedding", 6, seed)) for seed in (2**40, 2**40 + 1)
    )
    assert one != other


def test_an_embedding_that_is_not_finite_is_refused() -> None:
    rows = np.zeros((4, 2))
    rows[2, 1] = np.nan
    with pytest.raises(pj.InputError, match="embedding: not finite for G2; the predictor's training has failed"):
        TypiClust().choose(question(rows, np.ones((1, 2)), "embedding", 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"representation": "log_variance"}, "representation: expected one of embedding, effect, features, got"),
        ({"max_clusters": 0}, "max_clusters: expected a whole number of at least 1, got 0"),
        ({"neighbors": -1}, "neighbors: expected a whole number of at least 1, got -1"),
    ],
)
def test_options_that_cannot_be_used_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        made_from(TypiClust, options)


def test_without_scikit_learn_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(pj.InputError, match=r"typiclust: scikit-learn missing in this installation; pip install"):
        TypiClust().choose(question(np.eye(3), np.eye(3)[:1], "embedding", 1))


def test_no_import_brings_scikit_learn() -> None:
    code = "import sys, perturb_jax.strategies.registry, perturb_jax.cli.app as cli; cli.command_line()"
    code += "; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
