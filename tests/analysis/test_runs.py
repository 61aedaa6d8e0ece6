"""Which runs are compared, and their means, against the rows themselves."""

import io

import numpy as np
import pandas as pd
import pytest

from perturb_jax.analysis.results import about, complete_runs
from perturb_jax.analysis.summary import summarise
from perturb_jax.analysis.tables import table_files
from perturb_jax.support.errors import InputError
from tests.made_results import made_results, row_of, without


def test_a_mean_leaves_out_what_is_undefined_and_counts_it() -> None:
    results = made_results(seeds=2, tests=3)
    metrics = results.metrics
    mine = (metrics["strategy"] == "graphreach") & (metrics["seed"] == 1) & (metrics["cycle"] == 2)
    rows = metrics.index[mine]
    metrics.loc[rows, "pearson_de"] = [0.2, np.nan, 0.6]
    metrics.loc[rows, "mse_de"] = np.nan
    means = complete_runs(results).means
    found = {
        metric: row_of(means, strategy="graphreach", seed=1, cycle=2, metric=metric)
        for metric in ("pearson_de", "mse_de", "mse")
    }
    assert [found["pearson_de"][name] for name in ("value", "tests", "undefined")] == [pytest.approx(0.4), 3, 1]
    assert np.isnan(found["mse_de"]["value"]) and found["mse_de"]["undefined"] == 3
    assert found["mse"]["value"] == pytest.approx(metrics.loc[rows, "mse"].mean())
    assert means["undefined"].sum() == 4
    notes = " ".join(summarise(results).notes)
    assert "pearson_de is undefined for 1 of 54 predictions" in notes and "mse_de is undefined for 3 of 54" in notes


def test_seeds_without_all_cycles_are_listed_and_left_out() -> None:
    results = without(made_results(seeds=4), strategy="graphreach", seed=2, cycle=3)
    results = without(results, strategy="uncertainty", seed=1)
    runs = complete_runs(results)
    assert runs.incomplete[["strategy", "seed", "missing"]].to_numpy().tolist() == [
        ["graphreach", 2, "3"],
        ["uncertainty", 1, "1, 2, 3"],
    ]
    seeds = runs.means.groupby("strategy")["seed"].unique().map(sorted).to_dict()
    assert seeds == {"random": [0, 1, 2, 3], "graphreach": [0, 1, 3], "uncertainty": [0, 2, 3]}
    assert about(runs) == (
        "Simulated outcomes, 3 to 4 seeds. Seeds without all cycles are left out: "
        "graphreach (adamson, gears-flax): 2; uncertainty (adamson, gears-flax): 1."
    )


def test_the_config_says_what_is_missing_of_an_experiment_that_is_not_finished() -> None:
    results = made_results(cycles=2, seeds=2)
    config = results.record["config"]
    config["seeds"], config["cycles"] = 3, 2
    config["predictors"] = {"gears-flax": {}, "control-mean": {}}
    config["strategies"] = {
        "uncertainty": {"predictors": ["gears-flax"]}, "random": {}, "graphreach": {}, "k-center": {},
    }  # fmt: skip
    runs = complete_runs(results)
    assert runs.strategies == ("uncertainty", "random", "graphreach")
    assert runs.incomplete["seed"].tolist() == [2, 2, 2]
    assert runs.absent == (
        ("adamson", "gears-flax", "k-center"), ("adamson", "control-mean", "random"),
        ("adamson", "control-mean", "graphreach"), ("adamson", "control-mean", "k-center"),
    )  # fmt: skip
    config["cycles"] = 3
    with pytest.raises(InputError, match="no run has all of its cycles yet"):
        complete_runs(results)


def test_a_strategy_is_model_based_where_it_selects_after_the_first_cycle() -> None:
    results = made_results(strategies=("random", "uncertainty", "graphreach", "typiclust"))
    assert complete_runs(results).model_based == {"uncertainty", "typiclust"}


@pytest.mark.parametrize(("simulated", "word"), [(True, "Simulated"), (False, "Measured")])
def test_what_is_simulated_is_called_so(simulated: bool, word: str) -> None:
    assert about(complete_runs(made_results(seeds=1, simulated=simulated))) == f"{word} outcomes, 1 seed."


def test_of_several_data_sets_the_simulated_ones_are_named() -> None:
    results = made_results(data=("made", "screen"), seeds=2, simulated=False)
    results.record["screens"] = {"made": {"simulated": True}, "screen": {"simulated": False}}
    runs = complete_runs(results)
    assert about(runs) == "Simulated outcomes of made, measured ones of others, 2 seeds."
    table = pd.read_csv(io.BytesIO(table_files(summarise(results), {})["table.csv"]))
    assert table.groupby("data")["simulated"].unique().map(list).to_dict() == {"made": [True], "screen": [False]}


def test_without_any_run_there_is_nothing_to_compare() -> None:
    results = made_results()
    with pytest.raises(InputError, match="at least one run"):
        complete_runs(results._replace(metrics=results.metrics.iloc[:0]))


def test_the_baseline_is_found_by_its_name_where_the_label_is_another() -> None:
    results = made_results(strategies=("chance", "graphreach"))
    with pytest.raises(InputError, match=r"no complete run of the strategy 'random'.* baseline: chance, graphreach"):
        summarise(results)
    assert summarise(results, "chance").baseline == "chance"
    results.record["config"]["strategies"] = {"chance": {"strategy": "random"}, "graphreach": {}}
    assert summarise(results).baseline == "chance"
