"""Intervals, paired differences and ranks, against scipy's."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from perturb_jax.analysis.results import complete_runs
from perturb_jax.analysis.summary import differences, estimates, mean_ranks, summarise, verdicts
from tests.made_results import made_results, row_of, without

NUMBERS = st.floats(-100, 100).map(lambda value: round(value, 3))

ERRORS = {"mse_de", "mse", "weighted_mse"}


def series(values: np.ndarray, names: list[str], metric: str = "mse_de") -> "pd.Series[float]":
    """Values [strategies, seeds] as run means."""
    index = pd.MultiIndex.from_product(
        [["d"], ["p"], [metric], names, range(values.shape[1])],
        names=["data", "predictor", "metric", "strategy", "seed"],
    )
    return pd.Series(values.ravel(), index, dtype=float)


@settings(max_examples=40, deadline=None)
@given(arrays(float, st.tuples(st.just(2), st.integers(2, 9)), elements=NUMBERS))
def test_a_paired_difference_is_that_of_the_t_test(values: np.ndarray) -> None:
    found = estimates(differences(series(values, ["random", "other"]), "random")).iloc[0]
    gap = values[1] - values[0]
    assert found["mean"] == pytest.approx(gap.mean(), abs=1e-9)
    assert found["seeds"] == values.shape[1]
    if np.ptp(gap) > 1e-6:
        expected = stats.ttest_rel(values[1], values[0]).confidence_interval(0.95)
        assert found[["low", "high"]].tolist() == pytest.approx([expected.low, expected.high], abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    arrays(float, st.tuples(st.integers(2, 5), st.integers(1, 6)), elements=NUMBERS),
    st.sampled_from(["mse_de", "pearson_de"]),
)
def test_ranks_are_scipys_mean_over_seeds(values: np.ndarray, metric: str) -> None:
    names = [f"s{place}" for place in range(len(values))]
    found = mean_ranks(series(values, names, metric), ERRORS).reset_index().set_index("strategy").loc[names]
    expected = stats.rankdata(values if metric == "mse_de" else -values, axis=0).mean(1)
    np.testing.assert_allclose(found["rank"], expected)
    assert (found["rank_seeds"] == values.shape[1]).all()


def test_only_seeds_that_both_have_are_paired_and_only_seeds_that_all_have_are_ranked() -> None:
    values = np.array([[1.0, 2, 3, 4], [0, np.nan, 1, 9], [5, 6, np.nan, 0]])
    made = series(values, ["random", "a", "b"])
    found = row_of(estimates(differences(made, "random")).reset_index(), strategy="a")
    assert (found["seeds"], found["mean"]) == (3, pytest.approx((-1 - 2 + 5) / 3))
    ranks = mean_ranks(made, ERRORS).reset_index()
    expected = {"random": 2.0, "a": 2.0, "b": 2.0}  # of the first seed and of the last
    for name, rank in expected.items():
        row = row_of(ranks, strategy=name)
        assert (row["rank"], row["rank_seeds"]) == (rank, 2)


def test_one_seed_has_no_interval_and_no_verdict() -> None:
    found = estimates(differences(series(np.array([[1.0], [0.5]]), ["random", "a"]), "random"))
    assert found["mean"].tolist() == [-0.5] and found[["sd", "low", "high"]].isna().all(axis=None)
    assert verdicts(found, ERRORS).tolist() == [""]


@pytest.mark.parametrize(
    ("metric", "gap", "verdict"),
    [("mse_de", -1, "better"), ("mse_de", 1, "worse"), ("pearson", 1, "better"), ("centroid_accuracy", -1, "worse"),
     ("weighted_mse", -1, "better"), ("mse", 0, "")],
)  # fmt: skip
def test_the_verdict_knows_which_way_a_metric_is_good(metric: str, gap: float, verdict: str) -> None:
    noise = np.array([0.1, -0.1, 0.05, -0.05])
    found = estimates(differences(series(np.stack([noise * 0, gap + noise]), ["random", "a"], metric), "random"))
    assert verdicts(found, ERRORS).tolist() == [verdict]


def test_the_table_at_the_last_cycle_is_that_of_the_rows() -> None:
    results = without(
        made_results(data=("a", "b"), predictors=("p", "q"), seeds=5), data="b", strategy="random", seed=4
    )
    summary, rows = summarise(results), results.metrics
    for data, predictor, strategy in (("a", "q", "graphreach"), ("b", "p", "uncertainty")):
        last = rows[(rows["data"] == data) & (rows["predictor"] == predictor) & (rows["cycle"] == 3)]
        seeds = {
            name: np.array([own["pearson_de"].to_numpy().mean() for _, own in part.groupby("seed")])
            for name, part in last.groupby("strategy")
        }
        place = {"data": data, "predictor": predictor, "metric": "pearson_de", "strategy": strategy}
        final = row_of(summary.final, **place)
        assert final["mean"] == pytest.approx(seeds[strategy].mean())
        assert final["sd"] == pytest.approx(np.std(seeds[strategy], ddof=1))
        assert (final["seeds"], final["cycle"], final["size"], final["tests"]) == (5, 3, 24, 25)
        count = len(seeds["random"])
        assert count == (5 if data == "a" else 4)
        expected = stats.ttest_rel(seeds[strategy][:count], seeds["random"]).confidence_interval(0.95)
        gap = row_of(summary.differences, **place)
        assert [gap[name] for name in ("seeds", "low", "high")] == pytest.approx([count, expected.low, expected.high])


def test_values_hold_every_metric_and_cycle() -> None:
    runs = complete_runs(made_results(seeds=2, cycles=2))
    assert len(runs.values()) == 3 * 2 * 2 * 4 and len(runs.final()) == 3 * 2 * 4
