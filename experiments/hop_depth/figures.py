"""Figures from what outcomes.py, simulated.py and reached.py stored. They only read.

python experiments/hop_depth/figures.py
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from findings import difference, real_values, simulated_values
from grid import DIRECTIONS, HOPS, SETTINGS, STRATEGIES
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart; markers and dashes for print in grey.
LOOKS: dict[str, dict[str, Any]] = {
    "in": {"color": "#0072B2", "marker": "o"},
    "out": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "both": {"color": "#009E73", "marker": "^", "linestyle": ":"},
}
SHADES = ("#08306B", "#2171B5", "#6BAED6", "#BDD7E7")
GREY = "#7F7F7F"
NAMES = {"graphreach": "GraphReach", "maxspec": "MaxSpec", "graphdesign": "GraphDesign"}
STYLE: Any = {
    "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10.5,
    "axes.titlelocation": "left", "legend.frameon": False, "savefig.dpi": 150,
}  # fmt: skip


def saturation(results: Path) -> Figure:
    """What GraphReach has covered after each pick, until everything reachable is."""
    coverage, reach = pd.read_csv(results / "coverage.csv"), pd.read_csv(results / "reach.csv")
    lists = list(dict.fromkeys(coverage["list"]))
    figure = Figure(figsize=(10.5, 2.9 * len(lists) + 0.7), layout="constrained")
    panels = figure.subplots(len(lists), 3, sharey=True, squeeze=False)
    for row, name in zip(panels, lists, strict=True):
        for axes, direction in zip(row, DIRECTIONS, strict=True):
            for k, color in zip(HOPS, SHADES, strict=True):
                mine = (coverage["list"] == name) & (coverage["direction"] == direction) & (coverage["k"] == k)
                about = reach[(reach["list"] == name) & (reach["direction"] == direction) & (reach["k"] == k)].iloc[0]
                own = coverage[mine]
                axes.plot(own["pick"], own["covered"] / about["nodes"], color=color, linewidth=1.8, label=f"k = {k}")
                if not np.isnan(about["picks_to_cover"]):
                    axes.plot(own["pick"].iloc[-1:], own["covered"].iloc[-1:] / about["nodes"], "o", color=color)
            axes.set(xscale="log", ylim=(0, 1.05), title=f"{name}, {direction}")
        row[0].set_ylabel("share of the graph covered")
    for axes in panels[-1]:
        axes.set_xlabel("picks (dot: second layer begins)")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def real(results: Path) -> Figure:
    """Skill on real outcomes, less random choice's, against k."""
    values = real_values(results)
    names = [name for name in ("ridge go k=1", "ridge go k=2", "ridge other") if name in values.index.unique(0)]
    budget = max(values.index.unique("budget"))
    rows = [(f"{name}, {budget} picks", values.loc[name, budget]) for name in names]
    seeds = values.index.get_level_values("seed").nunique()
    return _against_k(rows, f"AUROC less random's ({seeds} seeds)", "higher is better")


def simulated(results: Path, gears: bool = False) -> Figure:
    """Error on simulated outcomes, less random choice's, against k: with the cheap predictors or with GEARS."""
    values = simulated_values(results)
    values = values[values.index.get_level_values("predictor").str.startswith("gears") == gears]
    largest = values[values.index.get_level_values("size") == max(values.index.unique("size"))].droplevel("size")
    rows = []
    for (data, predictor), own in largest.groupby(level=[0, 1]):
        rows.append((f"{predictor}; {data}", own.droplevel([0, 1])))
    counts = largest.groupby(level=[0, 1]).count().to_numpy()
    seeds = f"{counts.min()} to {counts.max()}" if counts.min() < counts.max() else f"{counts.max()}"
    return _against_k(rows, "top-20 MSE less random's", f"SIMULATED, {seeds} seeds; lower is better")


def overlap(results: Path, name: str) -> Figure:
    """The Jaccard index between all selections of the same size."""
    table = pd.read_csv(results / "overlap.csv")
    own = table[table["list"] == name]
    there = {*own["one"], *own["other"]}
    arms = [str(setting) for setting in SETTINGS if str(setting) in there]
    place = {arm: i for i, arm in enumerate(arms)}
    matrix = np.eye(len(arms))
    for row in own.itertuples():
        matrix[place[row.one], place[row.other]] = matrix[place[row.other], place[row.one]] = row.jaccard
    figure = Figure(figsize=(9.5, 8.2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="cividis", vmin=0, vmax=1)
    axes.set_xticks(range(len(arms)), arms, rotation=90, fontsize=7)
    axes.set_yticks(range(len(arms)), arms, fontsize=7)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{name}: Jaccard index of selections of {own['picks'].iloc[0]}")
    figure.colorbar(image, shrink=0.7)
    return figure


def _against_k(rows: Sequence[tuple[str, pd.DataFrame]], label: str, note: str) -> Figure:
    figure = Figure(figsize=(10.5, 2.7 * len(rows) + 0.7), layout="constrained")
    panels = figure.subplots(len(rows), 3, sharex=True, sharey="row", squeeze=False)
    for (title, values), line in zip(rows, panels, strict=True):
        for axes, strategy in zip(line, STRATEGIES, strict=True):
            _draw_directions(axes, values, strategy)
        line[0].set_title(f"{title}\n{NAMES[STRATEGIES[0]]}")
        for axes, strategy in zip(line[1:], STRATEGIES[1:], strict=True):
            axes.set_title(NAMES[strategy])
        line[0].set_ylabel(label)
    for axes in panels[-1]:
        axes.set(xlabel="hops k of the strategy", xticks=HOPS)
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, title=f"direction (bars: 95 % over seeds); {note}")
    return figure


def _draw_directions(axes: Axes, values: pd.DataFrame, strategy: str) -> None:
    axes.axhline(0, color=GREY, linewidth=1)
    for shift, (direction, look) in zip((-0.08, 0, 0.08), LOOKS.items(), strict=True):
        found = [difference(values, f"{strategy} {direction} k={k}", "random") for k in HOPS]
        means, halves = [one.mean for one in found], np.nan_to_num([one.half for one in found])
        axes.errorbar(np.array(HOPS) + shift, means, halves, label=direction, capsize=2, markersize=5, **look)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    mpl.rcParams.update(STYLE)
    makers = {
        "saturation": ("coverage.csv", saturation),
        "real": ("skill.csv.gz", real),
        "simulated": ("simulated.csv.gz", simulated),
        "simulated_gears": ("simulated.csv.gz", partial(simulated, gears=True)),
    }
    figures = {
        name: make(options.results) for name, (source, make) in makers.items() if (options.results / source).exists()
    }
    if (options.results / "overlap.csv").exists():
        pools = pd.read_csv(options.results / "overlap.csv")["list"].unique()
        names = ["overlap", *(f"overlap_{i}" for i in range(2, len(pools) + 1))]
        figures |= {file: overlap(options.results, pool) for file, pool in zip(names, pools, strict=True)}
    for name, figure in figures.items():
        FigureCanvasAgg(figure)
        figure.savefig(options.results / f"{name}.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
