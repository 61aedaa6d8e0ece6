"""From the rows of every seed to paired differences with intervals. Reads, and stores nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student

GO, GO_TWO, TERMS, OTHER = "ridge go k=1", "ridge go k=2", "smooth go jaccard", "ridge other"
MEASURES = {
    "gene_auroc": "AUROC within gene",
    "gene_auroc_pair": "the same, centred per perturbation",
    "gene_auroc_strength": "the same, strength alone",
    "gene_ap_lift": "average precision within gene, lift",
    "pooled_auroc": "AUROC overall",
    "pooled_ap": "average precision overall",
    "brier": "Brier score (less is better)",
}
RESAMPLES = 2000


class Estimate(NamedTuple):
    """A mean over seeds and the half width of its 95 per cent t-interval."""

    mean: float
    half: float
    seeds: int

    def __str__(self) -> str:
        mark = "**" if abs(self.mean) > self.half else ""
        return f"{mark}{self.mean:+.3f}{mark} ± {self.half:.3f}"


def read(directory: Path) -> pd.DataFrame:
    """Every row of skill.csv.gz."""
    return pd.read_csv(directory / "skill.csv.gz")


def per_seed(table: pd.DataFrame, study: str, measure: str) -> pd.Series:
    """A measure by (predictor, arm, budget, seed), averaged over the draws of an arm within a seed."""
    own = table[table["study"] == study]
    return own.groupby(["predictor", "arm", "budget", "seed"])[measure].mean()


def estimate(values: np.ndarray) -> Estimate:
    """Mean and interval over seeds."""
    count = len(values)
    if count < 2:
        return Estimate(float(np.mean(values)) if count else np.nan, np.nan, count)
    half = student.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count)
    return Estimate(float(values.mean()), float(half), count)


def difference(
    values: pd.Series,
    predictor: str,
    arm: str,
    budget: int,
    against: str = "random",
    reference: pd.Series | None = None,
) -> Estimate:
    """Paired over seeds: an arm less another, at one budget, on the seeds that both have."""
    reference = values if reference is None else reference
    one, other = _seeds(values, predictor, arm, budget), _seeds(reference, predictor, against, budget)
    return estimate((one - other).dropna().to_numpy())


def cautious(found: Estimate, test_share: float = 0.3) -> Estimate:
    """The interval for splits that share perturbations: variance / seeds + variance x test / rest.

    Nadeau and Bengio 2003, doi:10.1023/A:1024068626366.
    """
    widen = np.sqrt(1 + found.seeds * test_share / (1 - test_share))
    return found._replace(half=found.half * widen)


def level(values: pd.Series, predictor: str, arm: str, budget: int) -> Estimate:
    """An arm's mean itself."""
    return estimate(_seeds(values, predictor, arm, budget).to_numpy())


def arms_of(table: pd.DataFrame, study: str) -> list[str]:
    """The arms in the order of the rows, Random left out."""
    return [arm for arm in table.loc[table["study"] == study, "arm"].unique() if arm != "random"]


def budgets_of(table: pd.DataFrame, study: str = "main") -> list[int]:
    """The budgets of all arms, Random's finer ones left out."""
    own = table[(table["study"] == study) & (table["arm"] != "random")]
    return sorted(int(budget) for budget in own["budget"].unique())


def predictors_of(table: pd.DataFrame, wanted: Sequence[str]) -> list[str]:
    """Those of some predictors that the table has."""
    present = set(table["predictor"])
    return [name for name in wanted if name in present]


class Equivalent(NamedTuple):
    """How many random experiments reach what `designed` chosen ones do; infinite: more than were tried."""

    designed: int
    random: float
    low: float
    high: float


def equivalent(values: pd.Series, predictor: str, arm: str, budget: int) -> Equivalent:
    """Where Random's mean curve, linear in the logarithm of the budget, reaches an arm's mean; seeds are resampled."""
    curve = values.loc[predictor, "random"].unstack("seed").sort_index()
    own = _seeds(values, predictor, arm, budget)
    seeds = own.index.intersection(curve.columns)
    curves, skill = curve[seeds].to_numpy(), own[seeds].to_numpy()
    counts = np.log(curve.index.to_numpy(float))
    draws = np.random.default_rng(0).integers(len(seeds), size=(RESAMPLES, len(seeds)))
    samples = [_reaches(counts, curves[:, draw].mean(1), skill[draw].mean()) for draw in draws]
    low, high = np.quantile(samples, [0.025, 0.975], method="nearest")
    return Equivalent(budget, _reaches(counts, curves.mean(1), skill.mean()), float(low), float(high))


def show_count(value: float, largest: int) -> str:
    """A number of experiments, or that it is outside of what was tried."""
    return (
        f"more than {largest}" if np.isinf(value) and value > 0 else "fewer than 50" if value < 50 else f"{value:.0f}"
    )


def _reaches(counts: np.ndarray, curve: np.ndarray, skill: float) -> float:
    rising = np.maximum.accumulate(curve)
    if skill > rising[-1]:
        return np.inf
    if skill < rising[0]:
        return 0.0
    return float(np.exp(np.interp(skill, rising, counts)))


def _seeds(values: pd.Series, predictor: str, arm: str, budget: int) -> pd.Series:
    try:
        return values.loc[predictor, arm, budget]
    except KeyError:
        return pd.Series(dtype=float)
