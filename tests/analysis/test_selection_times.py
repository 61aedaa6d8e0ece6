"""What counts as the time of a choice."""

import numpy as np
import pandas as pd
import pytest

from perturb_jax.analysis.results import complete_runs
from perturb_jax.analysis.summary import selection_times
from tests.made_results import made_results, row_of


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
