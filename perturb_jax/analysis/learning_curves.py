"""Learning curves: over the cycles, in one number, and where they turn for the worse."""

import numpy as np
import pandas as pd

from perturb_jax.analysis.run_means import PLACE, Runs, smaller_is_better
from perturb_jax.analysis.seed_statistics import differences, estimates

CURVE = [*PLACE, "metric", "strategy"]


def curves(runs: Runs) -> pd.DataFrame:
    """By cycle: mean over seeds with its 95 % interval, and the same of the difference to a baseline.

    Returns:
        Columns data, predictor, metric, strategy, cycle, size, and `ESTIMATE`.
    """
    return _with_sizes(runs, estimates(runs.values()))


def difference_curves(runs: Runs, baseline: str) -> pd.DataFrame:
    """By cycle: the mean over seeds of the difference to the baseline of the same seed; columns as of `curves`."""
    return _with_sizes(runs, estimates(differences(runs.values(), baseline)))


def areas(runs: Runs) -> "pd.Series[float]":
    """The area under each run's learning curve over sizes, by the trapezoid rule, divided by the range of sizes.

    It is in the metric's unit: the mean height of the curve. Indexed by place, metric, strategy and seed; empty where
    there is one cycle.
    """
    found = {key: _area(own) for key, own in _each_curve(runs) if len(own) > 1}
    index = pd.MultiIndex.from_tuples(list(found), names=[*CURVE, "seed"]) if found else _no_rows([*CURVE, "seed"])
    return pd.Series(list(found.values()), index, dtype=float, name="value")


def setbacks(runs: Runs) -> pd.DataFrame:
    """How often a curve got worse from one cycle to the next: an error rose, a correlation fell.

    Returns:
        By place, metric and strategy: `steps` (cycles less one), `worse` (mean number of them over seeds),
        `worse_share` (of all steps of all seeds), `seeds_with_worse` (the share of seeds with any), `worse_of_mean` (of
        the mean curve over seeds). A step with an undefined end is none.
    """
    rows = {}
    for key, own in runs.means.groupby(CURVE, sort=False):
        wide = own.pivot(index="seed", columns="cycle", values="value")
        if wide.shape[1] < 2:
            continue
        sign = 1 if smaller_is_better(str(key[2])) else -1
        steps = sign * np.diff(wide.to_numpy(), axis=1)
        worse, of_mean = steps > 0, sign * np.diff(wide.mean().to_numpy()) > 0
        share = worse.sum() / max(np.isfinite(steps).sum(), 1)
        rows[key] = (steps.shape[1], worse.sum(1).mean(), share, worse.any(1).mean(), int(of_mean.sum()))
    columns = ["steps", "worse", "worse_share", "seeds_with_worse", "worse_of_mean"]
    index = pd.MultiIndex.from_tuples(list(rows), names=CURVE) if rows else _no_rows(CURVE)
    return pd.DataFrame(list(rows.values()), index, columns)


def _each_curve(runs: Runs) -> "list[tuple[tuple[object, ...], pd.DataFrame]]":
    order = [*CURVE, "seed"]
    return [(tuple(key), own.sort_values("cycle")) for key, own in runs.means.groupby(order, sort=False)]


def _area(curve: pd.DataFrame) -> float:
    sizes, values = curve["size"].to_numpy(float), curve["value"].to_numpy(float)
    return float(np.trapezoid(values, sizes) / (sizes[-1] - sizes[0]))


def _no_rows(names: list[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([[] for _ in names], names=names)


def _with_sizes(runs: Runs, found: pd.DataFrame) -> pd.DataFrame:
    sizes = runs.means.groupby([*PLACE, "cycle"])["size"].mean().reset_index()
    return runs.in_order(found.reset_index().merge(sizes, on=[*PLACE, "cycle"]))
