"""Strategies beside each other at the end of an experiment: gains by predictor, areas, seconds."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from perturb_jax.analysis.curve_figures import WORDS
from perturb_jax.analysis.experiment_tables import Summary
from perturb_jax.analysis.run_means import smaller_is_better
from perturb_jax.analysis.strategy_looks import looks, offsets
from perturb_jax.analysis.text_tables import decimals, number

_PREDICTOR_LOOKS = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#000000", "v"))
_PARTS = {
    "training": "#0072B2", "loading": "#999999", "evaluation": "#009E73", "view": "#CC79A7", "storing": "#E69F00",
    "choosing": "#D55E00",
}  # fmt: skip


def draw_predictors(figure: Figure, summary: Summary, metric: str) -> None:
    """Strategies x predictors: the difference to the baseline at the last cycle, blue better, bold apart from 0."""
    own = summary.differences[summary.differences["metric"] == metric]
    names, predictors = _strategies(summary, own), list(summary.runs.predictors)
    data = list(own["data"].unique())
    sign = -1 if smaller_is_better(metric) else 1
    grid = figure.subplots(1, len(data), squeeze=False)[0]
    for axes, name in zip(grid, data, strict=True):
        part = own[own["data"] == name].set_index(["strategy", "predictor"])
        means = part["mean"].unstack().reindex(index=names, columns=predictors)
        limit = float(np.nanmax(np.abs(means.to_numpy()), initial=0)) or 1.0
        axes.imshow(sign * means.to_numpy(float), cmap="RdBu", vmin=-1.7 * limit, vmax=1.7 * limit, aspect="auto")
        digits = decimals(((part["high"] - part["low"]) / 2).to_numpy(), part["mean"].to_numpy())
        for row, strategy in enumerate(names):
            for column, predictor in enumerate(predictors):
                text = number(float(means.loc[strategy, predictor]), digits, signed=True)
                told = bool(text) and part.loc[(strategy, predictor), "verdict"] != ""
                weight = "bold" if told else "normal"
                axes.text(column, row, text, ha="center", va="center", fontsize=9, fontweight=weight)
        axes.set_title(name)
        axes.set_xticks(range(len(predictors)), predictors, rotation=25, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names if axes is grid[0] else [""] * len(names))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)


def draw_areas(figure: Figure, summary: Summary, metric: str) -> None:
    """The difference to the baseline of the area under the learning curve, with 95 % intervals, by predictor."""
    own = summary.areas[(summary.areas["metric"] == metric) & (summary.areas["strategy"] != summary.baseline)]
    names, data = _strategies(summary, own), list(own["data"].unique())
    grid = figure.subplots(1, len(data), squeeze=False, sharey=True)[0]
    there = set(own["predictor"])
    predictors = [name for name in summary.runs.predictors if name in there]
    shifts = offsets(len(predictors), min(0.22, 0.8 / len(predictors)))
    for axes, name in zip(grid, data, strict=True):
        axes.axvline(0, color="#999999", linewidth=1)
        for place, (predictor, shift) in enumerate(zip(predictors, shifts, strict=True)):
            part = own[(own["data"] == name) & (own["predictor"] == predictor)].set_index("strategy").reindex(names)
            color, marker = _PREDICTOR_LOOKS[place % len(_PREDICTOR_LOOKS)]
            axes.errorbar(
                part["difference"], np.arange(len(names)) + shift, xerr=part["high_difference"] - part["difference"],
                fmt=marker, color=color, markersize=4.5, elinewidth=1.2, label=predictor,
            )  # fmt: skip
        axes.set(title=name, xlabel=f"{WORDS[metric]}, less {summary.baseline}")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="y", color="#EEEEEE")
        axes.set_axisbelow(True)
    grid[0].set_yticks(range(len(names)), names)
    grid[0].set_ylim(len(names) - 0.5, -0.5)
    columns = max(1, int(figure.get_figwidth() / 2.0))
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns, fontsize=9)


def draw_times(figure: Figure, summary: Summary, predictor: str) -> None:
    """Seconds to choose the perturbations of all cycles, alone and with what comes before a choice."""
    own = summary.times[summary.times["predictor"] == predictor]
    there = set(own["strategy"])
    names = [name for name in summary.runs.strategies if name in there]
    data = list(own["data"].unique())
    styles = looks(summary.runs, summary.baseline)
    grid = figure.subplots(1, len(data), squeeze=False, sharey=True, sharex=True)[0]
    for axes, name in zip(grid, data, strict=True):
        part = own[own["data"] == name].set_index("strategy").reindex(names)
        places = np.arange(len(names))
        colors: Any = [styles[strategy]["color"] for strategy in names]
        axes.hlines(places, part["selection"], part["total"], color=colors, linewidth=1.5)
        axes.scatter(part["total"], places, s=46, facecolor="white", edgecolor=colors, zorder=3)
        axes.scatter(part["selection"], places, s=30, color=colors, zorder=4)
        axes.set(title=name, xscale="log", xlabel="seconds")
        axes.grid(axis="x", color="#EEEEEE")
        axes.set_axisbelow(True)
    grid[0].set_yticks(range(len(names)), names)
    grid[0].set_ylim(len(names) - 0.5, -0.5)
    handles = [
        grid[0].scatter([], [], s=30, color="#555555"),
        grid[0].scatter([], [], s=46, facecolor="white", edgecolor="#555555"),
    ]
    words = ["choosing", "with embedding, and the training before it"]
    figure.legend(handles, words, loc="outside lower center", ncols=2, fontsize=9)


def draw_costs(figure: Figure, summary: Summary) -> None:
    """Minutes of all runs and selections by predictor, stacked by part; how many runs stands at the end."""
    wide = summary.costs.pivot_table(index="predictor", columns="part", values="seconds", aggfunc="sum", fill_value=0.0)
    names = [name for name in summary.runs.predictors if name in wide.index]
    wide = wide.reindex(names)[[part for part in _PARTS if part in wide]] / 60
    counts = summary.costs[summary.costs["part"] == "training"].set_index("predictor")["count"]
    axes = figure.subplots()
    left = np.zeros(len(names))
    for part in wide:
        axes.barh(names, wide[part], left=left, color=_PARTS[str(part)], label=part)
        left += wide[part].to_numpy()
    for place, name in enumerate(names):
        text = f"  {left[place]:.1f} min, {counts.get(name, 0):,} trainings"
        axes.text(left[place], place, text, va="center", fontsize=9)
    axes.set(xlabel="minutes, all workers together", xlim=(0, 1.35 * max(left.max(initial=0), 1e-9)))
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=len(wide.columns), fontsize=9)


def _strategies(summary: Summary, own: pd.DataFrame) -> list[str]:
    there = set(own["strategy"])
    return [name for name in summary.runs.strategies if name in there]
