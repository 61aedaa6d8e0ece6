"""Tables for people, from what the other scripts stored; with --readme also into the marked places of a text.

    python experiments/hop_depth/findings.py

A place is everything between `<!-- table NAME -->` and `<!-- end -->`. Intervals are half a 95 % t-interval over seeds,
paired; bold where they exclude 0.
"""

import argparse
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).parents[1] / "perturbqa_k562"))

from grid import DIRECTIONS, HOPS, STRATEGIES
from layout import cell, markdown, store
from summary import Estimate, cautious, estimate

HERE = Path(__file__).parent
MEASURE, MOST = "gene_auroc", 100
PREDICTORS = ("ridge go k=1", "ridge go k=2", "smooth go jaccard", "ridge other")


def real_values(results: Path) -> pd.DataFrame:
    """AUROC within a gene: a row per predictor, budget and seed, a column per arm (Random: the mean of its draws)."""
    table = pd.read_csv(results / "skill.csv.gz")
    return table.groupby(["predictor", "budget", "seed", "arm"])[MEASURE].mean().unstack("arm")


def simulated_values(results: Path) -> pd.DataFrame:
    """Top-20 MSE: a row per data set, predictor, size and seed, a column per strategy; NaN: not run yet."""
    table = pd.read_csv(results / "simulated.csv.gz")
    own = table[table["metric"] == "mse_de"]
    return own.set_index(["data", "predictor", "size", "seed", "strategy"])["value"].unstack("strategy")


def difference(values: pd.DataFrame, one: str, other: str) -> Estimate:
    """Paired over the seeds that have both."""
    if not {one, other} <= {*values.columns}:
        return Estimate(np.nan, np.nan, 0)
    return estimate((values[one] - values[other]).dropna().to_numpy())


def grid_table(values: pd.DataFrame, other: str = "random") -> str:
    """A row per strategy and direction, a column per k: the difference to another arm."""
    rows = []
    for strategy, direction in product(STRATEGIES, DIRECTIONS):
        name = f"{strategy} {direction}"
        rows.append([name, *(cell(difference(values, f"{name} k={k}", other)) for k in HOPS)])
    return markdown(["strategy, direction", *(f"k = {k}" for k in HOPS)], rows)


def real_tables(results: Path) -> str:
    """Every predictor at every budget."""
    values = real_values(results)
    seeds = values.index.get_level_values("seed").nunique()
    parts = [f"Real outcomes (PerturbQA, K562), {seeds} seeds: AUROC within gene less random choice's; more is better."]
    for predictor, budget in product(PREDICTORS, sorted(values.index.unique("budget"))):
        if predictor in values.index.unique("predictor"):
            own = values.loc[predictor, budget]
            parts += [f"### {predictor}, {budget} picks (random: {own['random'].mean():.3f})", grid_table(own)]
    return "\n\n".join(parts)


def simulated_tables(results: Path) -> str:
    """Every data set and predictor at every budget."""
    values = simulated_values(results)
    parts = ["Simulated outcomes: top-20 MSE less random choice's; less is better."]
    for (data, predictor, size), own in values.groupby(level=[0, 1, 2]):
        runs, seeds = int(own.notna().sum().sum()), own.index.get_level_values("seed").nunique()
        title = f"### {data}, {predictor}, {size} picks"
        parts += [
            f"{title} (random: {own['random'].mean():.3f}; {runs} of {own.size} runs, {seeds} seeds)",
            grid_table(own),
        ]
    return "\n\n".join(parts)


def against_default(results: Path) -> str:
    """GraphDesign and GraphReach with other settings less their own k=1, "in", on real outcomes."""
    values = real_values(results)
    predictors = [name for name in PREDICTORS if name in values.index.unique("predictor")]
    rows = []
    for strategy, direction, k in product(STRATEGIES, DIRECTIONS, HOPS):
        arm, default = f"{strategy} {direction} k={k}", f"{strategy} in k=1"
        if arm != default and arm in values.columns:
            budget = max(values.index.unique("budget"))
            own = [difference(values.loc[name, budget], arm, default) for name in predictors]
            rows.append([arm, *map(cell, own), *(str(cautious(own[0])) for _ in predictors[:1])])
    return markdown(["setting", *predictors, f"{predictors[0]}, cautious"], rows)


def reach_table(results: Path) -> str:
    """How much one pick and all reach, and after how many picks everything reachable is covered."""
    rows = []
    for row in pd.read_csv(results / "reach.csv").astype({"picks_to_cover": "Int64"}).itertuples():
        share = f"{row.mean_reach:,.0f} ({row.mean_reach / row.nodes:.1%})"
        cover = "never" if pd.isna(row.picks_to_cover) else f"{row.picks_to_cover} of {row.candidates:,}"
        rows.append([row.list, row.direction, row.k, share, f"{row.reachable:,} of {row.nodes:,}", cover])
    return markdown(["candidates", "direction", "k", "one reaches (mean)", "all reach", "picks until covered"], rows)


def overlap_table(results: Path) -> str:
    """Jaccard index of selections with their own k=1, same direction, and between directions at the same k."""
    table = pd.read_csv(results / "overlap.csv")
    found = {(row.list, row.one, row.other): row.jaccard for row in table.itertuples()}
    rows = []
    for pool, strategy, k in product(table["list"].unique(), STRATEGIES, HOPS):
        pairs = [(f"{strategy} {d} k=1", f"{strategy} {d} k={k}") for d in DIRECTIONS]
        pairs += [(f"{strategy} in k={k}", f"{strategy} {d} k={k}") for d in DIRECTIONS[1:]]
        values = [found.get((pool, *pair)) for pair in pairs]
        rows.append([pool, strategy, k, *("" if value is None else f"{value:.2f}" for value in values)])
    with_first = [f"{d}: with k = 1" for d in DIRECTIONS]
    return markdown(["candidates", "strategy", "k", *with_first, "in with out", "in with both"], rows)


def main_table(results: Path) -> str:
    """The two predictors that decide, at the largest budget."""
    values = real_values(results).dropna(how="all")
    names = [name for name in ("ridge go k=2", "ridge other") if name in values.index.unique("predictor")]
    parts = []
    for name in names:
        own = values.loc[name, MOST if MOST in values.index.unique("budget") else min(values.index.unique("budget"))]
        parts += [f"Predicted by {name} (random: {own['random'].mean():.3f}, {len(own)} seeds):", grid_table(own)]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--readme", type=Path, help="a text whose marked places are filled")
    options = parser.parse_args()
    makers = {
        "skill.csv.gz": {"main": main_table, "real": real_tables, "default": against_default},
        "simulated.csv.gz": {"simulated": simulated_tables},
        "reach.csv": {"reach": reach_table},
        "overlap.csv": {"overlap": overlap_table},
    }
    tables = {
        name: make(options.results)
        for source, own in makers.items()
        if (options.results / source).exists()
        for name, make in own.items()
    }
    store(tables, options.results, options.readme)


if __name__ == "__main__":
    main()
