"""Figures from what run.py stored. They only read.

python experiments/perturbqa_k562/plots.py --results experiments/perturbqa_k562/results
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from distance_summary import explained, gains_of, with_fifths
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from summary import (
    GO,
    OTHER,
    TERMS,
    arms_of,
    budgets_of,
    difference,
    equivalent,
    level,
    per_seed,
    predictors_of,
    read,
    show_count,
)

MEASURE = "gene_auroc"
TITLES = {
    GO: "predicted from the GO graph\n(ridge on GEARS' operator, k = 1)",
    TERMS: "predicted from GO terms\n(smoothing, Jaccard)",
    OTHER: "predicted without GO\n(ridge on pathways, domains, papers)",
}
# Okabe and Ito's colours, which colour-blind readers can tell apart; markers and dashes for print in grey.
LOOKS: dict[str, dict[str, Any]] = {
    "design variance": {"color": "#0072B2", "marker": "o", "linewidth": 2.4},
    "design facility": {"color": "#009E73", "marker": "s", "linestyle": "--"},
    "design soft": {"color": "#E69F00", "marker": "v", "linestyle": "-."},
    "design information": {"color": "#CC79A7", "marker": "D", "linestyle": ":"},
    "graphreach in k=1": {"color": "#D55E00", "marker": "^", "linestyle": "--"},
    "k-center": {"color": "#000000", "marker": "x", "linestyle": ":"},
}
GREY = "#7F7F7F"
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "savefig.dpi": 160,
}


def learning_curves(table: pd.DataFrame) -> Figure:
    """Difference to Random against the number of training perturbations."""
    values, budgets = per_seed(table, "main", MEASURE), np.array(budgets_of(table))
    figure, panels = _panels(table, (GO, TERMS, OTHER), (11.5, 4.6), sharey=True)
    for name, axes in panels.items():
        axes.axhline(0, color=GREY, linewidth=1)
        axes.annotate("random", (budgets[-1], 0), xytext=(0, 3), textcoords="offset points", ha="right", color=GREY)
        for arm, look in LOOKS.items():
            found = [difference(values, name, arm, budget) for budget in budgets]
            means, halves = np.array([f.mean for f in found]), np.array([f.half for f in found])
            axes.plot(budgets, means, label=arm, markersize=5, **look)
            axes.fill_between(budgets, means - halves, means + halves, color=look["color"], alpha=0.13, linewidth=0)
        _budget_axis(axes, budgets)
        axes.set_title(TITLES[name])
    next(iter(panels.values())).set_ylabel("AUROC within gene, less random's")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=9)
    return figure


def equivalence(table: pd.DataFrame) -> Figure:
    """Random's curve, and where it reaches what designed experiments do."""
    values, budget = per_seed(table, "main", MEASURE), 100 if 100 in budgets_of(table) else budgets_of(table)[0]
    at = np.array(sorted(table.loc[table["arm"] == "random", "budget"].unique()))
    figure, panels = _panels(table, (GO, TERMS, OTHER), (11.5, 4.8), sharey=True)
    highest = 0.5
    for name, axes in panels.items():
        found = [level(values, name, "random", count) for count in at]
        means, halves = np.array([f.mean for f in found]), np.array([f.half for f in found])
        axes.fill_between(at, means - halves, means + halves, color=GREY, alpha=0.25, linewidth=0)
        axes.plot(at, means, color=GREY, linewidth=2, label="random (mean and 95 % interval)")
        for arm in ("design variance", "design facility", "graphreach in k=1"):
            look, skill = LOOKS[arm], level(values, name, arm, budget).mean
            count = equivalent(values, name, arm, budget).random
            if budget < count < np.inf:
                axes.plot([budget, count, count], [skill, skill, 0], color=look["color"], linestyle=":", linewidth=1.5)
            axes.plot([budget], [skill], color=look["color"], marker=look["marker"], markersize=8, linestyle="none",
                      label=f"{budget} by {arm}")  # fmt: skip
            axes.annotate(
                f"= {show_count(count, at[-1])} random", (max(budget, min(count, at[-1])), skill), xytext=(7, -4),
                textcoords="offset points", fontsize=9, bbox={"color": "white", "pad": 1},
            )  # fmt: skip
        highest = max(highest, float((means + halves).max()))
        _budget_axis(axes, at)
        axes.set_title(TITLES[name])
    next(iter(panels.values())).set(ylabel="AUROC within gene", ylim=(0.5, highest + 0.005))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    return figure


def every_arm(table: pd.DataFrame) -> Figure:
    """All arms at one budget, with intervals."""
    values, budget = per_seed(table, "main", MEASURE), 100 if 100 in budgets_of(table) else budgets_of(table)[0]
    first = predictors_of(table, (GO,))[0]
    arms = sorted(arms_of(table, "main"), key=lambda arm: difference(values, first, arm, budget).mean)
    figure, panels = _panels(table, (GO, TERMS, OTHER), (11.5, 5.2), sharey=True, sharex=True)
    for name, axes in panels.items():
        _forest(axes, [difference(values, name, arm, budget) for arm in arms])
        axes.set(title=TITLES[name], xlabel=f"AUROC within gene, less random's, {budget} picks")
    next(iter(panels.values())).set_yticks(range(len(arms)), arms)
    return figure


def sensitivity(table: pd.DataFrame) -> Figure:
    """Variants of the variance design, less the default."""
    values, budgets = per_seed(table, "sensitivity", MEASURE), budgets_of(table, "sensitivity")
    arms = [arm for arm in arms_of(table, "sensitivity") if arm.startswith("variance ")][::-1]
    shown = [budget for budget in (100, 400) if budget in budgets] or budgets[:1]
    figure, panels = _panels(table, (GO, TERMS, OTHER), (11.5, 5.6), sharey=True, sharex=True)
    for name, axes in panels.items():
        for place, budget in enumerate(shown):
            look = {"color": ("#0072B2", "#D55E00")[place], "marker": "os"[place], "label": f"{budget} picks"}
            found = [difference(values, name, arm, budget, "variance") for arm in arms]
            _forest(axes, found, 0.17 * (1 if place == 0 else -1), **look)
        axes.set(title=TITLES[name], xlabel="AUROC within gene, less the default's")
    next(iter(panels.values())).set_yticks(range(len(arms)), [arm.removeprefix("variance ") for arm in arms])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    return figure


def distance(far: pd.DataFrame) -> Figure:
    """Error explained against the remaining variance of the test perturbations."""
    fifths, gains = with_fifths(far), gains_of(far)
    figure = _figure((8.5, 4.2))
    panels = figure.subplots(1, max(len(gains), 1), sharey=True, squeeze=False)[0]
    looks = [{"color": "#0072B2", "marker": "o"}, {"color": "#D55E00", "marker": "s", "linestyle": "--"}]
    for axes, (column, name) in zip(panels, gains.items(), strict=True):
        for look, (budget, own) in zip(looks, fifths.groupby("budget"), strict=False):
            parts = [part for _, part in own.groupby("fifth")]
            found = [explained(part, column) for part in parts]
            axes.errorbar(
                [part["variance"].mean() for part in parts], [100 * f.mean for f in found],
                [100 * f.half for f in found], capsize=3, label=f"{budget} picks", **look,
            )  # fmt: skip
        axes.axhline(0, color=GREY, linewidth=1)
        axes.set(title=TITLES[name], xlabel="remaining posterior variance, mean of a fifth", xlim=(None, 1.02))
    panels[0].set_ylabel("squared error explained, %")
    panels[0].legend()
    return figure


def _forest(axes: Axes, found: list[Any], shift: float = 0.0, **look: Any) -> None:
    look = {"color": "#0072B2", "marker": "o"} | look
    places = np.arange(len(found)) + shift
    axes.axvline(0, color=GREY, linewidth=1)
    axes.errorbar(
        [f.mean for f in found],
        places,
        xerr=[f.half for f in found],
        linestyle="none",
        capsize=2.5,
        markersize=5,
        **look,
    )
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.6)


def _budget_axis(axes: Axes, budgets: np.ndarray) -> None:
    ticks = [count for count in (50, 100, 200, 400, 800) if budgets[0] <= count <= budgets[-1]] or list(budgets)
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("training perturbations")


def _figure(size: tuple[float, float]) -> Figure:
    figure = Figure(size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _panels(
    table: pd.DataFrame, wanted: tuple[str, ...], size: tuple[float, float], **options: bool
) -> tuple[Figure, dict[str, Axes]]:
    names = predictors_of(table, wanted)
    figure = _figure(size)
    return figure, dict(zip(names, figure.subplots(1, len(names), squeeze=False, **options)[0], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    table, far = read(options.results), pd.read_csv(options.results / "distance.csv.gz")
    with mpl.rc_context(STYLE):
        figures = {make.__name__: make(table) for make in (learning_curves, equivalence, every_arm, sensitivity)}
        for name, figure in (figures | {"distance": distance(far)}).items():
            figure.savefig(options.results / f"{name}.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
