"""Numbers over seeds: intervals, differences, ranks, curves, stability, times, by hand and by other libraries."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.spatial.distance import jaccard
from sklearn.metrics import auc

from perturb_jax.analysis.results import Results, complete_runs
from perturb_jax.analysis.summary import (
    areas,
    curves,
    differences,
    estimates,
    left_out,
    mean_ranks,
    selection_times,
    setbacks,
    stability,
    summarise,
    verdicts,
)
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


def with_curve(strategy: str, values: list[list[float]]) -> Results:
    """Results in which a strategy's MSE follows these curves [seeds, cycles], in every test perturbation."""
    results = made_results(seeds=len(values), cycles=len(values[0]))
    rows = results.metrics["strategy"] == strategy
    places = zip(results.metrics.loc[rows, "seed"], results.metrics.loc[rows, "cycle"], strict=True)
    results.metrics.loc[rows, "mse_de"] = [values[seed][cycle - 1] for seed, cycle in places]
    return results


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 10).map(lambda value: round(value, 4)), min_size=2, max_size=6))
def test_an_area_is_the_trapezoids_over_the_range_of_sizes(values: list[float]) -> None:
    found = areas(complete_runs(with_curve("graphreach", [values])))
    sizes = 8 * np.arange(1, len(values) + 1)
    assert row_of(found.reset_index(), metric="mse_de", strategy="graphreach")["value"] == pytest.approx(
        auc(sizes, values) / (sizes[-1] - sizes[0])
    )


def test_setbacks_are_counted_by_seed_and_of_the_mean_curve() -> None:
    results = with_curve("graphreach", [[4, 3, 3, 2], [4, 5, 6, 1], [4, 3.5, 3.6, 3.0]])
    found = setbacks(complete_runs(results)).reset_index()
    row = row_of(found, metric="mse_de", strategy="graphreach")
    assert (row["steps"], row["worse"]) == (3, 1.0)  # 0, 2 and 1 of 3 steps
    assert [row["worse_share"], row["seeds_with_worse"]] == pytest.approx([3 / 9, 2 / 3])
    assert row["worse_of_mean"] == 1  # 4, 3.83, 4.2, 2
    correlation = row_of(found, metric="pearson_de", strategy="random")
    rows = results.metrics[results.metrics["strategy"] == "random"]
    wide = rows.groupby(["seed", "cycle"])["pearson_de"].mean().unstack().to_numpy()
    assert correlation["worse"] == pytest.approx((np.diff(wide) < 0).sum(1).mean())


def test_differences_of_areas_are_paired_by_seed() -> None:
    results = made_results(seeds=6)
    summary = summarise(results)
    wide = areas(summary.runs).xs("mse_de", level="metric").unstack("strategy")
    one, other = wide["uncertainty"].to_numpy(float), wide["random"].to_numpy(float)
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    row = row_of(summary.areas, metric="mse_de", strategy="uncertainty")
    assert row["mean"] == pytest.approx(one.mean())
    found = [row[name] for name in ("difference", "low_difference", "high_difference")]
    assert found == pytest.approx([(one - other).mean(), expected.low, expected.high])


def test_curves_have_the_interval_of_the_mean_at_each_size() -> None:
    results = made_results(seeds=5)
    runs, rows = complete_runs(results), results.metrics
    at = rows[(rows["strategy"] == "graphreach") & (rows["cycle"] == 2)].groupby("seed")["mse_de"].mean()
    low, high = stats.t.interval(0.95, 4, at.mean(), stats.sem(at))
    found = row_of(curves(runs), metric="mse_de", strategy="graphreach", cycle=2)
    assert [found[name] for name in ("size", "mean", "low", "high")] == pytest.approx([16, at.mean(), low, high])
    base = rows[(rows["strategy"] == "random") & (rows["cycle"] == 2)].groupby("seed")["mse_de"].mean()
    gaps = curves(runs, "random")
    gap = row_of(gaps, metric="mse_de", strategy="graphreach", cycle=2)
    assert gap["mean"] == pytest.approx((at - base).mean())
    assert set(gaps["strategy"]) == {"graphreach", "uncertainty"}


def test_one_cycle_has_no_area() -> None:
    summary = summarise(made_results(cycles=1))
    assert len(summary.areas) == 0 and len(summary.final) == 12


def test_unique_perturbations_and_agreement_of_the_first_five_complete_seeds() -> None:
    results = without(made_results(seeds=7), strategy="random", seed=1)
    found = stability(results, complete_runs(results))
    picks = results.selections
    pool = sorted(picks["perturbation"].unique())
    for strategy, seeds in (("random", [0, 2, 3, 4, 5]), ("uncertainty", [0, 1, 2, 3, 4])):
        for cycle in (1, 2, 3):
            own = picks[(picks["strategy"] == strategy) & (picks["cycle"] <= cycle)]
            flags = [np.isin(pool, own.loc[own["seed"] == seed, "perturbation"]) for seed in seeds]
            agree = [1 - jaccard(one, other) for one, other in combinations(flags, 2)]
            row = row_of(found, strategy=strategy, cycle=cycle)
            assert (row["size"], row["seeds"], row["unique"]) == (8 * cycle, 5, np.any(flags, 0).sum())
            assert row["jaccard"] == pytest.approx(np.mean(agree))
    same = found[found["strategy"] == "graphreach"]
    assert (same["unique"] == same["size"]).all() and (same["jaccard"] == 1).all()


@pytest.mark.parametrize(
    ("fixed", "seeds", "why"),
    [((), 3, "data and split"), (("data",), 3, "seeds differ also in split"), (("data", "split"), 1, "no strategy has"),
     (("data", "split", "selection"), 3, "selections have the same seed"), (("data", "split", "training"), 3, None)],
)  # fmt: skip
def test_it_is_told_why_it_is_left_out(fixed: tuple[str, ...], seeds: int, why: str | None) -> None:
    reason = left_out(complete_runs(made_results(fixed=fixed, seeds=seeds)))
    assert reason is None if why is None else reason is not None and why in reason


def test_a_choice_costs_its_own_time_and_that_of_the_predictor_it_reads() -> None:
    results = made_results(cycles=3, seeds=2)
    rows = [
        (strategy, seed, cycle, what, seconds * (1 + seed))
        for seed in (0, 1)
        for strategy, cycle, what, seconds in [
            ("graphreach", 1, "selection", 0.5), *[("graphreach", cycle, "training", 100.0) for cycle in (1, 2, 3)],
            *[("graphreach", cycle, "view", 7.0) for cycle in (1, 2, 3)],
            ("uncertainty", 1, "selection", 0.1), ("uncertainty", 2, "selection", 10.0),
            ("uncertainty", 3, "selection", 20.0), ("uncertainty", 1, "training", 1.0),
            ("uncertainty", 2, "training", 2.0), ("uncertainty", 3, "training", 1000.0),
            ("uncertainty", 1, "view", 0.25), ("uncertainty", 2, "view", 0.5), ("uncertainty", 3, "view", 500.0),
        ]
    ]  # fmt: skip
    times = pd.DataFrame(rows, columns=["strategy", "seed", "cycle", "what", "seconds"])
    results = results._replace(times=times.assign(data="adamson", predictor="gears-flax"))
    found = selection_times(results, complete_runs(results))
    parts = ["seeds", "selection", "view", "training", "total", "selection_ratio", "total_ratio"]
    reach, uncertainty = (row_of(found, strategy=name) for name in ("graphreach", "uncertainty"))
    assert [reach[part] for part in parts] == [2, 0.75, 0, 0, 0.75, 1, 1]  # medians of two seeds
    expected = [2, 30.1 * 1.5, 0.75 * 1.5, 3 * 1.5, 33.85 * 1.5, 30.1 / 0.5, 33.85 / 0.5]
    assert [uncertainty[part] for part in parts] == pytest.approx(expected)


def test_without_graphreach_there_is_no_ratio_and_another_label_is_understood() -> None:
    results = made_results(strategies=("random", "reach", "typiclust"))
    found = selection_times(results, complete_runs(results))
    assert found["selection_ratio"].isna().all() and (found["total"] > 0).all()
    results.record["config"]["strategies"] = {"random": {}, "reach": {"strategy": "graphreach"}, "typiclust": {}}
    found = selection_times(results, complete_runs(results))
    reach = row_of(found, strategy="reach")
    assert reach["total_ratio"] == 1
    np.testing.assert_allclose(found["selection_ratio"], found["selection"] / reach["selection"])
