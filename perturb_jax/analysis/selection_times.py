"""How long a strategy takes to choose, with and without what it needs before it can."""

import pandas as pd

from perturb_jax.analysis.results import Results
from perturb_jax.analysis.run_means import PLACE, RUN, Runs, label_of

FAST = "graphreach"
"""The strategy that times are compared with: the paper calls it about 500 times faster than TypiClust."""

TIMES = [*PLACE, "strategy", "seeds", "selection", "view", "training", "total", "selection_ratio", "total_ratio"]


def selection_times(results: Results, runs: Runs) -> pd.DataFrame:
    """Seconds to choose the perturbations of all cycles: medians over the complete seeds.

    `selection` is choosing, given its inputs. A strategy that selects in a cycle after the first reads a view of the
    predictor of the cycle before: `view` is computing it, `training` is fitting that predictor. `total` is all three,
    so that it is `selection` for a strategy that reads the graph alone. The ratios are to those of `FAST`; NaN where it
    is not among the strategies.

    Returns:
        Columns `TIMES`.
    """
    complete = pd.MultiIndex.from_frame(runs.means[RUN].drop_duplicates())
    times = results.times[pd.MultiIndex.from_frame(results.times[RUN]).isin(complete)]
    kinds = {what: own.groupby([*RUN, "cycle"])["seconds"].sum() for what, own in times.groupby("what")}
    selection = kinds["selection"]
    read = _cycle_before(selection[selection.index.get_level_values("cycle") > 1])
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


def _cycle_before(selection: "pd.Series[float]") -> pd.MultiIndex:
    keys = selection.index.to_frame(index=False)
    return pd.MultiIndex.from_frame(keys.assign(cycle=keys["cycle"] - 1))
