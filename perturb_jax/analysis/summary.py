"""The numbers of an experiment's tables: at the last cycle, over the cycles, in seconds."""

from typing import NamedTuple, cast

import pandas as pd

from perturb_jax.analysis.results import Results
from perturb_jax.analysis.runs import PLACE, Runs, about, complete_runs, label_of
from perturb_jax.analysis.statistics import (
    STABILITY,
    areas,
    curves,
    difference_curves,
    differences,
    estimates,
    left_out,
    mean_ranks,
    selection_times,
    setbacks,
    stability,
    verdicts,
)
from perturb_jax.support.errors import InputError

BASELINE = "random"
_ROW = [*PLACE, "metric", "strategy"]


class Summary(NamedTuple):
    """An experiment in numbers; every frame is tidy, in the order of the config.

    Attributes:
        runs: what was summarised.
        baseline: the strategy that others are compared with.
        final: at the last cycle: data, predictor, metric, strategy, cycle, size, `ESTIMATE`, tests, undefined, rank,
            rank_seeds.
        differences: to the baseline at the last cycle, paired by seed: data, predictor, metric, strategy, `ESTIMATE`,
            verdict.
        curves: see `curves`.
        difference_curves: see `difference_curves`.
        areas: under the learning curves: data, predictor, metric, strategy, `ESTIMATE`, then less the baseline's:
            difference, low_difference, high_difference, verdict, then the columns of `setbacks`.
        times: see `selection_times`.
        costs: where the time went: see `Results`.
        predictors: each predictor less the first at the same strategy, cycle and seed, mean of a seed's pairs: data,
            predictor, metric, pairs, `ESTIMATE`, verdict.
        stability: see `stability`; empty where `notes` says why.
        notes: what the numbers cannot say, in sentences; the first is `about`.
    """

    runs: Runs
    baseline: str
    final: pd.DataFrame
    differences: pd.DataFrame
    curves: pd.DataFrame
    difference_curves: pd.DataFrame
    areas: pd.DataFrame
    times: pd.DataFrame
    costs: pd.DataFrame
    predictors: pd.DataFrame
    stability: pd.DataFrame
    notes: tuple[str, ...]


def summarise(results: Results, baseline: str = BASELINE) -> Summary:
    """All numbers of the tables and figures, from the rows of every test perturbation.

    Args:
        results: what the runs stored.
        baseline: label or name of the strategy that the others are compared with.

    Raises:
        InputError: no run has all of its cycles; no strategy of the baseline's name among those that have.
    """
    runs = complete_runs(results)
    label = label_of(results, runs, baseline)
    if label is None:
        raise InputError(
            f"no complete run of the strategy {baseline!r}, to which the others are compared; choose another "
            f"baseline: {', '.join(runs.strategies)}"
        )
    baseline = label
    compared = estimates(differences(runs.final(), baseline))
    why = left_out(runs)
    return Summary(
        runs=runs,
        baseline=baseline,
        final=_final(runs),
        differences=runs.in_order(compared.assign(verdict=verdicts(compared, runs.errors)).reset_index()),
        curves=curves(runs),
        difference_curves=difference_curves(runs, baseline),
        areas=_areas(runs, baseline),
        times=selection_times(results, runs),
        costs=results.costs,
        predictors=_predictors(runs),
        stability=pd.DataFrame(columns=STABILITY) if why else stability(results, runs),
        notes=(about(runs), *_cautions(runs, int(compared["low"].notna().sum())), *([why] if why else [])),
    )


def _final(runs: Runs) -> pd.DataFrame:
    values = runs.final()
    table = estimates(values).join(mean_ranks(values, runs.errors)).reset_index()
    last = runs.means[runs.means["cycle"] == runs.means.groupby("data")["cycle"].transform("max")]
    grouped = last.groupby(_ROW)
    counts = pd.DataFrame({"cycle": grouped["cycle"].max(), "size": grouped["size"].mean()})
    counts = counts.join(grouped[["tests", "undefined"]].sum())
    return runs.in_order(table.merge(counts.reset_index(), on=_ROW))


def _areas(runs: Runs, baseline: str) -> pd.DataFrame:
    values = areas(runs)
    found = estimates(values)
    compared = estimates(differences(values, baseline)) if len(values) else found
    less = compared[["mean", "low", "high"]].set_axis(["difference", "low_difference", "high_difference"], axis=1)
    table = found.join(less.assign(verdict=verdicts(compared, runs.errors))).join(setbacks(runs)).reset_index()
    return runs.in_order(table.assign(verdict=table["verdict"].fillna("")))


def _predictors(runs: Runs) -> pd.DataFrame:
    by_predictor = runs.values().unstack("predictor")
    first = runs.predictors[0]
    less = by_predictor.sub(by_predictor[first], axis=0).drop(columns=first).rename_axis(columns="predictor")
    pairs = cast("pd.Series[float]", less.stack(future_stack=True)).dropna().groupby([*PLACE, "metric", "seed"])
    found = estimates(pairs.mean())
    counts = pairs.size().groupby([*PLACE, "metric"]).sum().rename("pairs")
    return runs.in_order(found.join(counts).assign(verdict=verdicts(found, runs.errors)).reset_index())


def _cautions(runs: Runs, intervals: int) -> list[str]:
    lost = runs.means[runs.means["undefined"] > 0].groupby("metric")["undefined"].sum()
    every = runs.means.groupby("metric")["tests"].sum()
    found = [
        f"{metric} is undefined for {count:,} of {every[str(metric)]:,} predictions, left out of the means (table.csv "
        "counts them by strategy)."
        for metric, count in lost.items()
    ]
    found += [
        f"{metric} is missing for {count:,} trainings, which were stored before it was among the metrics."
        for metric, count in runs.unmeasured
    ]
    if {"data", "split"} <= runs.fixed:
        found.append(
            "Data and split are the same for all seeds: intervals are about selection and training with this test set, "
            "not about other test sets or screens."
        )
    elif "data" in runs.fixed or len(runs.simulated) < len(runs.data):
        found.append("The seeds' splits share perturbations, so that intervals are somewhat too narrow.")
    if intervals:
        chance = f"about {0.05 * intervals:.0f} would exclude 0 by chance alone"
        found.append(f"{intervals:,} differences at the last cycle have an interval (all metrics); {chance}.")
    return found
