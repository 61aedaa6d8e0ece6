"""The learning curves that IterPert's authors published, as numbers by strategy, run and round.

The file holds what their notebook read from their log (github.com/Genentech/iterative-perturb-seq, Apache-2.0): by name
of the run seven metrics, a value for each of six rounds. A name says all settings: GEARS, 100 perturbations a round,
5 rounds after the first of 100, the seed of NumPy (1 in all), then which features a strategy read, the number of the
run, which is the seed of PyTorch, and the strategy.
"""

import gzip
import json
from pathlib import Path

import pandas as pd
from scipy import stats

LABELLED = (100, 200, 300, 400, 500, 600)
"""Perturbations that were labelled in each round."""
RANDOM, PRIOR = "Random", "IterPert (prior data)"
MAIN = "test_round_mse_top20_de_non_dropout"
METRICS = {
    MAIN: ("MSE, top 20 DE genes", True),
    "test_round_mse_non_dropout": ("MSE, all genes", True),
    "test_round_mse_4_top20_de_non_dropout": ("loss, top 20", True),
    "test_round_mse_4_non_dropout": ("loss, all", True),
    "test_round_pearson_delta_top20_de_non_dropout": ("Pearson of change, top 20", False),
    "test_round_pearson_delta": ("Pearson of change, all", False),
    "test_round_frac_opposite_direction_top20_non_dropout": ("wrong direction, top 20", True),
}
"""Their names of metrics: ours, and whether less is better."""
_PREFIX = "GEARS_100_5_100_256_1_rt_simple_loss_v2_ess_1k_fix_eval"
_KERNEL = ("ACS-FW", "BADGE", "BALD", "BatchBALD", "Core-Set", "LCMD")
NAMES = {
    RANDOM: "_add_ctrl_run{}_Random_diff_effect",
    **{name: f"_run{{}}_{name}_cross_gene_out" for name in _KERNEL},
    "KMeans": "_add_ctrl_run{}_diff_effect_KMeansSampling",
    "TypiClust": "_add_ctrl_run{}_diff_effect_TypiClust",
    PRIOR: "_priormean_new_max_run{}_Core-Set_diff_effect",
}
"""Which of several settings of a strategy: those of the authors' Figure 4, by the commands in their reproduce_repo.

Random is there once with those, so its five runs with another name are taken: it reads no features.
"""
RUNS = range(1, 11)


def read_published(path: Path) -> pd.Series:
    """Values indexed by metric, strategy, cycle (from 1) and seed (the run).

    Raises:
        ValueError: a run that has not all rounds.
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        stored = json.load(file)
    rows = []
    for strategy, form in NAMES.items():
        for run in RUNS:
            for metric, values in stored.get(_PREFIX + form.format(run), {}).items():
                rows += [(metric, strategy, cycle, run, value) for cycle, value in enumerate(values, 1)]
    table = pd.DataFrame(rows, columns=["metric", "strategy", "cycle", "seed", "value"])
    rounds = table.groupby(["metric", "strategy", "seed"]).size()
    if table.empty or (rounds != len(LABELLED)).any():
        raise ValueError(f"{path}: expected runs of {len(LABELLED)} rounds, found {sorted(set(rounds))}")
    return table.set_index(["metric", "strategy", "cycle", "seed"])["value"]


def unpaired(values: pd.Series, baseline: str) -> pd.DataFrame:
    """Difference of means to the baseline with Welch's 95 % interval: mean, low, high by strategy.

    Args:
        values: indexed by strategy and seed.
        baseline: which strategy.
    """
    base = values.xs(baseline, level="strategy").to_numpy()
    rows = {}
    for strategy, own in values.groupby(level="strategy", sort=False):
        if strategy != baseline:
            interval = stats.ttest_ind(own.to_numpy(), base, equal_var=False).confidence_interval()
            rows[strategy] = (own.mean() - base.mean(), interval.low, interval.high)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high"])
