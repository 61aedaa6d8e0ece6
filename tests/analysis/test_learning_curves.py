"""Curves, areas and setbacks, against scikit-learn's trapezoids and counts by hand."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats
from sklearn.metrics import auc

from perturb_jax.analysis.results import Results, complete_runs
from perturb_jax.analysis.summary import areas, curves, difference_curves, setbacks, summarise
from tests.made_results import made_results, row_of


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
    gaps = difference_curves(runs, "random")
    gap = row_of(gaps, metric="mse_de", strategy="graphreach", cycle=2)
    assert gap["mean"] == pytest.approx((at - base).mean())
    assert set(gaps["strategy"]) == {"graphreach", "uncertainty"}


def test_one_cycle_has_no_area() -> None:
    summary = summarise(made_results(cycles=1))
    assert len(summary.areas) == 0 and len(summary.final) == 12
