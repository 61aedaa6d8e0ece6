"""Numbers that differ over seeds: their mean with its interval, paired differences, ranks."""

import numpy as np
import pandas as pd
from scipy.stats import t as student

from perturb_jax.analysis.run_means import smaller_is_better

ESTIMATE = ["seeds", "mean", "sd", "low", "high"]


def estimates(values: "pd.Series[float]") -> pd.DataFrame:
    """Mean over seeds, standard deviation and the 95 % t interval of the mean: columns `ESTIMATE`.

    mean ± t(0.975, n - 1) sd / sqrt(n), with the sample's standard deviation (n - 1).

    Args:
        values: indexed by "seed" and what else tells them apart; NaN is left out, and not counted in `seeds`.

    Returns:
        A row for each of the others; sd and interval are NaN where there is one seed.

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


def differences(values: "pd.Series[float]", baseline: str) -> "pd.Series[float]":
    """Each strategy less the baseline with the same seed, where both are there."""
    wide = values.unstack("strategy")
    paired = wide.sub(wide[baseline], axis=0).drop(columns=baseline)
    stacked: pd.Series[float] = paired.stack(future_stack=True)  # type: ignore[assignment]
    return stacked.dropna().rename("value")


def verdicts(found: pd.DataFrame) -> "pd.Series[str]":
    """Whether differences are "better" or "worse" than 0, or "": the interval does not exclude it.

    Args:
        found: `estimates` of differences, indexed by "metric" among others.
    """
    errors = found.index.get_level_values("metric").map(smaller_is_better).to_numpy(bool)
    lower, higher = (found["high"] < 0).to_numpy(), (found["low"] > 0).to_numpy()
    better, worse = np.where(errors, lower, higher), np.where(errors, higher, lower)
    return pd.Series(np.select([better, worse], ["better", "worse"], ""), found.index, name="verdict")


def mean_ranks(values: "pd.Series[float]") -> pd.DataFrame:
    """The mean rank over seeds, 1 the best, ties sharing their mean, and over how many seeds.

    Only seeds that every strategy has are ranked: among fewer competitors ranks are smaller.

    Args:
        values: indexed by data, predictor, metric, strategy, seed.
    """
    found = []
    for _, own in values.groupby(level=["data", "predictor", "metric"], sort=False):
        metric = own.index.get_level_values("metric")[0]
        wide = own.unstack("strategy").dropna(axis="columns", how="all").dropna()
        ranks = wide.rank(axis="columns", ascending=smaller_is_better(metric)).stack(future_stack=True)
        found.append(ranks.groupby(level=["data", "predictor", "metric", "strategy"]).agg(["mean", "count"]))
    return pd.concat(found).set_axis(["rank", "rank_seeds"], axis="columns")
