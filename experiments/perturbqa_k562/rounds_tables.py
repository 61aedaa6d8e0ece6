"""Tables and the figure of what rounds.py stored; with --readme also into the marked places of a text. Only reads.

python experiments/perturbqa_k562/rounds_tables.py --readme experiments/perturbqa_k562/README.md
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from layout import MEASURE, cell, markdown, store
from matplotlib.figure import Figure
from plots import GREY, STYLE, TITLES
from summary import arms_of, budgets_of, cautious, difference, level, per_seed

AREA = 0
"""Where the area under the learning curve stands among the budgets: the mean skill between first and last cycle."""
AT_CYCLES = (1, 3, 5)
ONCE = ("graphdesign", "graphreach", "maxspec")
LOOKS: dict[str, dict[str, Any]] = {
    "graphdesign": {"color": "#0072B2", "marker": "o", "linewidth": 2.4},
    "graphreach": {"color": "#D55E00", "marker": "^"},
    "maxspec": {"color": "#000000", "marker": "x"},
    "graphdesign, then uncertainty": {"color": "#56B4E9", "marker": "P", "linestyle": "--"},
    "graphreach, then typiclust": {"color": "#B07AA1", "marker": "X", "linestyle": "--"},
    "typiclust, embedding": {"color": "#009E73", "marker": "s", "linestyle": "--"},
    "typiclust, effect": {"color": "#009E73", "marker": "s", "linestyle": ":", "markerfacecolor": "white"},
    "acs-fw, features": {"color": "#E69F00", "marker": "D", "linestyle": "--"},
    "acs-fw, effect": {"color": "#E69F00", "marker": "D", "linestyle": ":", "markerfacecolor": "white"},
    "uncertainty, variance": {"color": "#CC79A7", "marker": "v", "linestyle": "--"},
    "uncertainty, entropy": {"color": "#CC79A7", "marker": "v", "linestyle": ":", "markerfacecolor": "white"},
}


def values_of(table: pd.DataFrame) -> pd.Series:
    """The main measure by (predictor, arm, budget, seed), and below budget `AREA` that of the area."""
    values = per_seed(table, "rounds", MEASURE)
    curves = values.unstack("budget")
    at = curves.columns.to_numpy(float)
    curves[AREA] = np.trapezoid(curves.to_numpy(), at, axis=1) / (at[-1] - at[0])
    return curves.stack(future_stack=True).dropna().reorder_levels(values.index.names).sort_index()


def places_of(table: pd.DataFrame) -> dict[str, int]:
    """What tables show, in words, and its place among the budgets."""
    budgets = budgets_of(table, "rounds")
    shown = {f"cycle {cycle}": budgets[cycle - 1] for cycle in AT_CYCLES if cycle <= len(budgets)}
    return shown | {"area": AREA}


def full_table(table: pd.DataFrame) -> str:
    """Every arm less Random and, of the area, less GraphDesign's one order; with every predictor."""
    values, places = values_of(table), places_of(table)
    rows = []
    for name in table["predictor"].unique():
        for arm in arms_of(table, "rounds"):
            found = [difference(values, name, arm, place) for place in places.values()]
            against = difference(values, name, arm, AREA, "graphdesign")
            own = [cell(f) for f in (*found, cautious(found[-1]))]
            rows.append([name, arm, *own, "" if arm == "graphdesign" else cell(against)])
        levels = [f"{level(values, name, 'random', place).mean:.3f}" for place in places.values()]
        rows.append([name, "random, the level itself", *levels, "", ""])
    header = ["predictor", "chosen by", *places, "area, cautious interval", "area less graphdesign's"]
    return markdown(header, rows)


def short_table(table: pd.DataFrame) -> str:
    """The last cycle and the area, less Random, the best arm first."""
    values, places = values_of(table), places_of(table)
    names = list(table["predictor"].unique())
    shown = [(words, places[words]) for words in list(places)[-2:]]
    arms = sorted(arms_of(table, "rounds"), key=lambda arm: -_mean_area(values, names, arm))
    rows = [
        [arm, *(cell(difference(values, name, arm, place)) for name in names for _, place in shown)] for arm in arms
    ]
    levels = [f"{level(values, name, 'random', place).mean:.3f}" for name in names for _, place in shown]
    rows.append(["random, the level itself", *levels])
    return markdown(["chosen by", *(f"{name}, {words}" for name in names for words, _ in shown)], rows)


def learning_curves(table: pd.DataFrame) -> Figure:
    """Difference to Random, cycle by cycle: above what asks the model from the second, below the others."""
    values, budgets = per_seed(table, "rounds", MEASURE), budgets_of(table, "rounds")
    cycles = np.arange(1, len(budgets) + 1)
    names = [name for name in TITLES if name in set(table["predictor"])]
    asking = [arm for arm in LOOKS if arm not in ONCE and "then" not in arm]
    others = [arm for arm in LOOKS if arm not in asking]
    figure = Figure((11.5, 7.8), layout="constrained")
    grid = figure.subplots(2, len(names), sharex=True, sharey=True, squeeze=False)
    for line, arms in zip(grid, (["graphdesign", *asking], others), strict=True):
        for name, axes in zip(names, line, strict=True):
            axes.axhline(0, color=GREY, linewidth=1)
            for arm in arms:
                found = [difference(values, name, arm, budget) for budget in budgets]
                means, halves = np.array([f.mean for f in found]), np.array([f.half for f in found])
                axes.plot(cycles, means, label=arm, markersize=5, **LOOKS[arm])
                color = LOOKS[arm]["color"]
                axes.fill_between(cycles, means - halves, means + halves, color=color, alpha=0.1, linewidth=0)
            axes.annotate("random", (cycles[-1], 0), xytext=(0, 3), textcoords="offset points", ha="right", color=GREY)
        line[0].set_ylabel("AUROC within gene, less random's")
    for name, top, bottom in zip(names, *grid, strict=True):
        top.set_title(TITLES[name])
        bottom.set_xticks(cycles, [f"{cycle}\n{budget}" for cycle, budget in zip(cycles, budgets, strict=True)])
        bottom.set_xlabel("cycle, perturbations measured")
    handles = {
        label: handle for axes in grid[:, 0] for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=9)
    return figure


def data_line(table: pd.DataFrame, record: dict[str, Any]) -> str:
    """What was run."""
    genes = table.groupby("seed")["genes_averaged"].first()
    return (
        f"{table['seed'].nunique()} seeds, {record['cycles']} cycles of {record['batch']} perturbations, "
        f"{record['draws']} draw{'s' * (record['draws'] > 1)} of Random per seed; "
        f"{genes.min()} to {genes.max()} genes averaged over, depending on the seed."
    )


def seconds_table(table: pd.DataFrame) -> str:
    """How long all cycles of an arm took to choose, its predictor's fits included."""
    taken = table.dropna(subset="seconds").groupby(["predictor", "arm"], sort=False)["seconds"].median().unstack(0)
    header = ["chosen by", *(f"seconds, {name}" for name in taken)]
    return markdown(header, [[arm, *(f"{value:.1f}" for value in row)] for arm, row in taken.iterrows()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--readme", type=Path, help="a text whose marked places are filled")
    options = parser.parse_args()
    table = pd.read_csv(options.results / "rounds.csv.gz")
    record = json.loads((options.results / "rounds.json").read_text())
    tables = {
        "rounds": short_table(table), "rounds_all": full_table(table), "rounds_data": data_line(table, record),
        "rounds_seconds": seconds_table(table),
    }  # fmt: skip
    store(tables, options.results, options.readme)
    with mpl.rc_context(STYLE):
        learning_curves(table).savefig(options.results / "rounds.png", metadata={"Software": None})


def _mean_area(values: pd.Series, names: list[str], arm: str) -> float:
    return float(np.mean([difference(values, name, arm, AREA).mean for name in names]))


if __name__ == "__main__":
    main()
