"""Splits: disjoint sets of genes, by seed, whatever the order; leaks are refused; JSON there and back."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.genes.perturbations import identity
from perturb_jax.screen.split import Split, choose_test, read_split, remaining, split_selected

GENES = [f"G{i}" for i in range(12)]
POOL = [*GENES, *("+".join(pair) for pair in itertools.combinations(GENES[:6], 2))]

pools = st.lists(st.sampled_from(POOL), min_size=4, unique=True)
seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=50)
@given(pools, seeds, st.data())
def test_sets_are_disjoint_complete_and_do_not_depend_on_the_order(
    pool: list[str], seed: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(pool) - 2))
    test = choose_test(pool, count, seed)
    shuffled = data.draw(st.permutations(pool))
    assert len(test) == count
    assert set(choose_test(shuffled, count, seed)) == set(test)
    left = remaining(shuffled, test)
    assert [name for name in shuffled if name not in test] == list(left)
    split = split_selected(left, test, seed, screen=pool)
    again = split_selected(left[::-1], test, seed)
    assert set(split.train) == set(again.train) and set(split.validation) == set(again.validation)
    assert sorted(split.train + split.validation + split.test) == sorted(pool)
    assert len(split.validation) == max(1, round(0.1 * len(left)))
    assert split.train == tuple(name for name in left if name in split.train)


@pytest.mark.parametrize(("size", "expected"), [(8, 8), (0.1, 3), (0.01, 1), (100, None)])
def test_sizes_are_counts_or_shares(size: float, expected: int | None) -> None:
    if expected is None:
        with pytest.raises(pj.InputError, match=r"at least 102 perturbations .*got 27; hold out fewer"):
            choose_test(POOL, size, 0)
    else:
        assert len(choose_test(POOL, size, 0)) == expected


def test_the_draw_depends_on_the_seed() -> None:
    assert len({choose_test(POOL, 5, seed) for seed in range(20)}) > 15
    assert len({split_selected(POOL[:-1], POOL[-1:], seed).validation for seed in range(20)}) > 10


def test_every_perturbation_is_drawn_equally_often() -> None:
    draws = 2000
    counts = dict.fromkeys(GENES, 0)
    for seed in range(draws):
        for name in choose_test(GENES, 3, seed):
            counts[name] += 1
    assert all(abs(count - draws / 4) < 5 * (draws * 3 / 16) ** 0.5 for count in counts.values())


@pytest.mark.parametrize("size", [0, -1, 0.0, 1.0, 1.5, float("nan"), True])
def test_other_sizes_are_refused(size: float) -> None:
    with pytest.raises(pj.InputError, match="expected a count of at least 1, or a fraction between 0 and 1"):
        choose_test(POOL, size, 0)


def test_too_few_perturbations_are_refused() -> None:
    with pytest.raises(pj.InputError, match=r"at least 4 perturbations .*got 3"):
        choose_test(["A", "B", "C"], 2, 0)
    with pytest.raises(pj.InputError, match=r"at least 2 perturbations .*got 1"):
        split_selected(["A"], ["B"], 0)


def test_the_same_genes_in_another_order_leak() -> None:
    assert identity("A+B") == identity("B+A") == identity("B+ctrl+A") != identity("A")
    with pytest.raises(pj.InputError, match=r"'B\+A' in train and in test"):
        split_selected(["A+B", "C", "D"], ["B+A"], 0, validation=0.1)
    with pytest.raises(pj.InputError, match=r"'B\+A' in validation and in test"):
        Split(("C",), ("A+B",), ("B+A",), 0)
    with pytest.raises(pj.InputError, match=r"'B\+A' given twice in perturbations"):
        choose_test(["A+B", "C", "D", "B+A"], 1, 0)
    assert remaining(["A+B", "C"], ["B+A"]) == ("C",)


def test_bad_members_are_refused() -> None:
    with pytest.raises(pj.InputError, match="'ctrl' names no gene"):
        choose_test(["ctrl", "A", "B"], 1, 0)
    with pytest.raises(pj.InputError, match=r"'A\+' names no gene"):
        choose_test(["A+", "A", "B"], 1, 0)
    with pytest.raises(pj.InputError, match="not in the screen: 'X'"):
        split_selected(["X", "A", "B"], ["C"], 0, screen=["A", "B", "C"])
    with pytest.raises(pj.InputError, match="test: expected at least one"):
        split_selected(["A", "B"], [], 0)
    with pytest.raises(pj.InputError, match="seed: expected"):
        choose_test(POOL, 3, -1)
    with pytest.raises(pj.InputError, match="validation: expected a fraction"):
        split_selected(POOL, ["X"], 0, validation=1.0)


def test_a_large_validation_share_leaves_one_to_train() -> None:
    assert len(split_selected(["A", "B"], ["C"], 0, validation=0.99).train) == 1


def test_json_there_and_back(tmp_path: Path) -> None:
    split = split_selected(POOL[:10], POOL[10:], 7)
    split.write(tmp_path / "split.json")
    assert read_split(tmp_path / "split.json") == split


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a readable JSON file"),
        ("[1]", "expected a split with exactly train, validation, test and seed"),
        ('{"train": ["A"], "validation": [], "test": ["B"]}', "expected a split"),
        ('{"train": "A", "validation": [], "test": ["B"], "seed": 0}', "train: expected a list"),
        ('{"train": ["A+B"], "validation": [], "test": ["B+A"], "seed": 0}', "in train and in test"),
        ('{"train": ["A"], "validation": [], "test": ["B"], "seed": "0"}', "seed: expected a whole number"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(pj.InputError, match=message) as caught:
        read_split(path)
    assert str(path) in str(caught.value)
    with pytest.raises(pj.InputError, match="not a readable"):
        read_split(tmp_path / "absent.json")


def test_the_file_is_plain(tmp_path: Path) -> None:
    Split(("A",), (), ("B+C",), 3).write(tmp_path / "split.json")
    assert json.loads((tmp_path / "split.json").read_text()) == {
        "train": ["A"],
        "validation": [],
        "test": ["B+C"],
        "seed": 3,
    }
