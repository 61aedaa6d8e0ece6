"""An experiment in numbers over seeds: estimates, paired differences, ranks, learning curves, stability, seconds."""

from collections.abc import Collection
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student

from perturb_jax.analysis.results import PLACE, RUN, Results, Runs, about, complete_runs, label_of
from perturb_jax.support.errors import InputError

ESTIMATE = ["seeds", "mean", "sd", "low", "high"]
CURVE = [*PLACE, "metric", "strategy"]


def estimates(values: "pd.Series[float]") -> pd.DataFrame:
    """Mean over seeds, standard deviation and the 95 % t interval of the mean: columns `ESTIMATE`.

    mean ± t(0.975, n - 1) sd / sqrt(n), with the sample's standard deviation (n - 1). A row for each value of the other
    levels of the index; NaN is left out, and not counted in `seeds`; sd and interval are NaN where there is one seed.

    Examples:
        >>> index = pd.MultiIndex.from_product([["a"], [0, 1, 2]], names=["strategy", "seed"])
        >>> estimates(pd.Series([1.0, 2.0, 3.0], index)).loc["a"].round(3).tolist()
        [3.0, 2.0, 1.0, -0.484, 4.484]
    """
    levels = [name for name in values.index.names if name != "seed"]
    table = values.groupby(level=levels, sort=False).agg(["count", "mean", "std"])
    table.columns = pd.Index(["seeds", "mean", "sd"])
    several = table["seeds"].where(table["seeds"] > 1)
    half = student.ppf(0.975, several - 1) * table["sd"] / np.sqrt(several)
    return table.assign(low=table["mean"] - half, high=table["mean"] + half)


def differences(values: "pd.Series[float]", baseline: str, among: str = "strategy") -> "pd.Series[float]":
    """Each strategy, or what else is compared, less the baseline with the same seed, where both are there."""
    wide = values.unstack(among)
    paired = wide.sub(wide[baseline], axis=0).drop(columns=baseline)
    stacked: pd.Series[float] = paired.stack(future_stack=True)  # type: ignore[assignment]
    return stacked.dropna().rename("value")


def verdicts(found: pd.DataFrame, errors: Collection[str]) -> "pd.Series[str]":
    """Whether `estimates` of differences are "better" or "worse" than 0, or "": the interval does not exclude it."""
    smaller = found.index.get_level_values("metric").isin(list(errors))
    lower, higher = (found["high"] < 0).to_numpy(), (found["low"] > 0).to_numpy()
    better, worse = np.where(smaller, lower, higher), np.where(smaller, higher, lower)
    return pd.Series(np.select([better, worse], ["better", "worse"], ""), found.index, name="verdict")


def mean_ranks(values: "pd.Series[float]", errors: Collection[str]) -> pd.DataFrame:
    """The mean rank over seeds, 1 the best, ties sharing their mean, and over how many seeds.

    Only seeds that every strategy has are ranked: among fewer competitors ranks are smaller.
    """
    found = []
    for _, own in values.groupby(level=[*PLACE, "metric"], sort=False):
        metric = own.index.get_level_values("metric")[0]
        wide = own.unstack("strategy").dropna(axis="columns", how="all").dropna()
        ranks = wide.rank(axis="columns", ascending=metric in errors).stack(future_stack=True)
        found.append(ranks.groupby(level=CURVE).agg(["mean", "count"]))
    return pd.concat(found).set_axis(["rank", "rank_seeds"], axis="columns")


def curves(runs: Runs, less: str | None = None) -> pd.DataFrame:
    """By cycle: mean over seeds with its 95 % interval; columns `CURVE`, cycle, size, and `ESTIMATE`.

    Of the metrics or, where `less` names a baseline, of their differences to its with the same seed.
    """
    values = runs.values() if less is None else differences(runs.values(), less)
    sizes = runs.means.groupby([*PLACE, "cycle"])["size"].mean().reset_index()
    return runs.in_order(estimates(values).reset_index().merge(sizes, on=[*PLACE, "cycle"]))


def areas(runs: Runs) -> "pd.Series[float]":
    """The area under each run's learning curve over sizes, by the trapezoid rule, divided by the range of sizes.

    It is in the metric's unit: the mean height of the curve. Indexed by `CURVE` and seed; empty where there is one
    cycle.
    """
    cycles = runs.means.groupby("data")["cycle"].nunique()
    rows = []
    for key, own in runs.means.groupby([*CURVE, "seed"], sort=False):
        if len(own) == cycles[str(key[0])] > 1:
            sizes, values = own.sort_values("cycle")[["size", "value"]].to_numpy(float).T
            rows.append((*key, float(np.trapezoid(values, sizes) / (sizes[-1] - sizes[0]))))
    return pd.DataFrame(rows, columns=[*CURVE, "seed", "value"]).set_index([*CURVE, "seed"])["value"].astype(float)


def setbacks(runs: Runs) -> pd.DataFrame:
    """How often a curve got worse from one cycle to the next: an error rose, a correlation fell.

    Indexed by `CURVE`: `steps` (cycles less one), `worse` (mean number of them over seeds), `worse_share` (the fraction
    of all steps of all seeds), `seeds_with_worse` (the fraction of seeds with any), `worse_of_mean` (of the mean curve
    over seeds). A step with an undefined end is none.
    """
    rows = []
    for key, own in runs.means.groupby(CURVE, sort=False):
        wide = own.pivot(index="seed", columns="cycle", values="value")
        if wide.shape[1] < 2:
            continue
        sign = 1 if runs.metric(str(key[2])).smaller_is_better else -1
        steps = sign * np.diff(wide.to_numpy(), axis=1)
        worse, of_mean = steps > 0, sign * np.diff(wide.mean().to_numpy()) > 0
        fraction = worse.sum() / max(np.isfinite(steps).sum(), 1)
        rows.append((*key, steps.shape[1], worse.sum(1).mean(), fraction, worse.any(1).mean(), int(of_mean.sum())))
    columns = ["steps", "worse", "worse_share", "seeds_with_worse", "worse_of_mean"]
    return pd.DataFrame(rows, columns=[*CURVE, *columns]).set_index(CURVE)


INITIALISATIONS = 5
"""Seeds that are compared, as in the paper's Figure 2."""

STABILITY = [*PLACE, "strategy", "cycle", "size", "seeds", "unique", "jaccard"]


def left_out(runs: Runs) -> str | None:
    """Why nothing can be said of the stability of selections; None where something can."""
    differing = [part for part in ("data", "split") if part not in runs.fixed]
    if differing:
        return (
            "Sensitivity to initialisation is left out: seeds differ also in "
            f"{' and '.join(differing)} (put {', '.join(differing)} into `fixed` of the config)."
        )
    if "selection" in runs.fixed:
        return "Sensitivity to initialisation is left out: selections have the same seed in all of them."
    if runs.means.groupby([*PLACE, "strategy"])["seed"].nunique().max() < 2:
        return "Sensitivity to initialisation is left out: no strategy has two complete seeds."
    return None


def stability(results: Results, runs: Runs) -> pd.DataFrame:
    """What the first five seeds select together, and how far any two of them agree, by cycle.

    Everything selected up to and including a cycle counts. `unique` is the number of different perturbations over the
    seeds: `size` if all agree, `seeds` x `size` if none does; `jaccard` is that index, mean over pairs of seeds.
    Both are bounded by the pool: selections that exhaust it agree.

    Source: Panagopoulos et al. (arXiv 2503.14571), Figure 2, which draws `unique` against `size`. Columns `STABILITY`;
    strategies with one complete seed are not in it.
    """
    picks = _of_complete(results.selections, runs)
    rows: list[tuple[object, ...]] = []
    for key, own in picks.groupby([*PLACE, "strategy"], sort=False):
        seeds = sorted(own["seed"].unique())[:INITIALISATIONS]
        if len(seeds) < 2:
            continue
        for cycle in sorted(own["cycle"].unique()):
            until = own[own["cycle"] <= cycle]
            sets = [set(until.loc[until["seed"] == seed, "perturbation"]) for seed in seeds]
            agreement = [len(one & other) / len(one | other) for one, other in combinations(sets, 2)]
            size = float(np.mean([len(one) for one in sets]))
            rows.append((*key, cycle, size, len(seeds), len(set().union(*sets)), float(np.mean(agreement))))
    return runs.in_order(pd.DataFrame(rows, columns=STABILITY))


FAST = "graphreach"
"""The strategy that times are compared with: the paper calls it about 500 times faster than TypiClust."""

TIMES = [*PLACE, "strategy", "seeds", "selection", "view", "training", "total", "selection_ratio", "total_ratio"]


def selection_times(results: Results, runs: Runs) -> pd.DataFrame:
    """Seconds to choose the perturbations of all cycles: medians over the complete seeds.

    `selection` is choosing, given its inputs. A strategy that selects in a cycle after the first reads a view of the
    predictor of the cycle before: `view` is computing it, `training` is fitting that predictor. `total` is all three,
    so that it is `selection` for a strategy that reads the graph alone. The ratios are to those of `FAST`; NaN where it
    is not among the strategies. Columns `TIMES`.
    """
    times = _of_complete(results.times, runs)
    kinds = {what: own.groupby([*RUN, "cycle"])["seconds"].sum() for what, own in times.groupby("what")}
    selection = kinds["selection"]
    later = selection.index.to_frame(index=False).query("cycle > 1")
    read = pd.MultiIndex.from_frame(later.assign(cycle=later["cycle"] - 1))
    parts = {"selection": selection}
    for what in ("view", "training"):
        parts[what] = kinds[what][kinds[what].index.isin(read)] if what in kinds else selection.iloc[:0]
    table = pd.DataFrame({what: own.groupby(level=RUN).sum() for what, own in parts.items()}).fillna(0.0)
    table["total"] = table.sum(axis="columns")
    grouped = table.groupby(level=[*PLACE, "strategy"])
    found = grouped.median().assign(seeds=grouped.size())
    fast = label_of(results, runs, FAST)
    for column in ("selection", "total"):
        wide = found[column].unstack("strategy")
        ratios = wide.div(wide[fast] if fast in wide else float("nan"), axis="index").stack(future_stack=True)
        found[f"{column}_ratio"] = ratios
    return runs.in_order(found.reset_index()[TIMES])


def _of_complete(table: pd.DataFrame, runs: Runs) -> pd.DataFrame:
    complete = pd.MultiIndex.from_frame(runs.means[RUN].drop_duplicates())
    return table[pd.MultiIndex.from_frame(table[RUN]).isin(complete)]


BASELINE = "random"


class Summary(NamedTuple):
    """An experiment in numbers; every frame is tidy, in the order of the config.

    The frames that are not listed are those of `curves`, `selection_times`, `stability` and `Results`.

    Attributes:
        runs: what was summarised.
        baseline: the strategy that others are compared with.
        final: at the last cycle: data, predictor, metric, strategy, cycle, size, `ESTIMATE`, tests, undefined, rank,
            rank_seeds.
        differences: to the baseline at the last cycle, paired by seed: data, predictor, metric, strategy, `ESTIMATE`,
            verdict.
        areas: under the learning curves: data, predictor, metric, strategy, `ESTIMATE`, then less the baseline's:
            difference, low_difference, high_difference, verdict, then the columns of `setbacks`.
        predictors: each predictor less the first at the same strategy, cycle and seed, mean of a seed's pairs: data,
            predictor, metric, pairs, `ESTIMATE`, verdict.
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

    `baseline` is the label or the name of the strategy that the others are compared with.
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
        difference_curves=curves(runs, baseline),
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
    counts = last.groupby(CURVE).agg({"cycle": "max", "size": "mean", "tests": "sum", "undefined": "sum"})
    return runs.in_order(table.merge(counts.reset_index(), on=CURVE))


def _areas(runs: Runs, baseline: str) -> pd.DataFrame:
    values = areas(runs)
    found = estimates(values)
    compared = estimates(differences(values, baseline)) if len(values) else found
    less = compared[["mean", "low", "high"]].set_axis(["difference", "low_difference", "high_difference"], axis=1)
    table = found.join(less.assign(verdict=verdicts(compared, runs.errors))).join(setbacks(runs)).reset_index()
    return runs.in_order(table.assign(verdict=table["verdict"].fillna("")))


def _predictors(runs: Runs) -> pd.DataFrame:
    pairs = differences(runs.values(), runs.predictors[0], "predictor").groupby([*PLACE, "metric", "seed"])
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
