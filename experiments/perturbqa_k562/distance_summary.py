"""Whether the distance of a test perturbation from the picks explains how well it is predicted."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from summary import Estimate, estimate

GAINS = {"sum_go": "ridge go k=1", "sum_other": "ridge other"}
Markdown = Callable[[Sequence[str], Sequence[Sequence[object]]], str]


def with_fifths(far: pd.DataFrame) -> pd.DataFrame:
    """Fifths of the remaining variance over the test perturbations of all arms of a seed and budget, 1 the nearest."""
    ranks = far.groupby(["seed", "budget"])["variance"].rank(pct=True, method="average")
    return far.assign(fifth=np.ceil(5 * ranks).clip(1, 5).astype(int))


def gains_of(far: pd.DataFrame) -> dict[str, str]:
    """The columns of predictors' errors that the table has, with the predictors' names."""
    return {column: name for column, name in GAINS.items() if column in far}


def explained(rows: pd.DataFrame, column: str) -> Estimate:
    """1 - squared error / squared error of the base rates, each summed within a seed; mean over seeds."""
    sums = rows.groupby("seed")[[column, "sum_base"]].sum()
    return estimate((1 - sums[column] / sums["sum_base"]).to_numpy())


def by_fifth(far: pd.DataFrame, markdown: Markdown) -> str:
    """A row per budget and fifth: distances, the share of the error explained, and how many of an arm's lie in it."""
    gains, arms = gains_of(far), list(far["arm"].unique())
    rows = []
    for (budget, fifth), own in with_fifths(far).groupby(["budget", "fifth"]):
        every = far[far["budget"] == budget]["arm"].value_counts()
        shares = own["arm"].value_counts().reindex(arms, fill_value=0) / every.reindex(arms)
        rows.append(
            [budget, fifth, f"{own['variance'].mean():.2f}", f"{own['nearest'].mean():.2f}"]
            + [_percent(explained(own, column)) for column in gains]
            + [f"{100 * share:.0f} %" for share in shares]
        )
    header = ["picks", "fifth", "remaining variance", "similarity of nearest pick"]
    header += [f"error explained, {name}" for name in gains.values()] + [f"share of test, {arm}" for arm in arms]
    return markdown(header, rows)


def correlations(far: pd.DataFrame, markdown: Markdown) -> str:
    """Spearman correlation within a seed between distance and the fall of squared error below the base rates'."""
    rows = []
    for (arm, budget), own in far.groupby(["arm", "budget"], sort=False):
        for column, name in gains_of(far).items():
            cells = [_correlation(own, measure, column) for measure in ("variance", "nearest")]
            rows.append([arm, budget, name, *(str(cell) for cell in cells)])
    return markdown(["chosen by", "picks", "predictor", "with remaining variance", "with nearest similarity"], rows)


def _correlation(rows: pd.DataFrame, measure: str, column: str) -> Estimate:
    fall = (rows["sum_base"] - rows[column]) / rows["pairs"]
    each = []
    for _, part in pd.DataFrame({"seed": rows["seed"], "x": rows[measure], "y": fall}).groupby("seed"):
        if part["x"].nunique() > 1 and part["y"].nunique() > 1:
            each.append(spearmanr(part["x"], part["y"]).statistic)
    return estimate(np.array(each))


def _percent(found: Estimate) -> str:
    return f"{100 * found.mean:+.1f} % ± {100 * found.half:.1f}"
