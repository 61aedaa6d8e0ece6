"""Curves over the cycles of an experiment: what is learned, and how much a selection depends on its seed."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from perturb_jax.analysis.experiment_tables import Summary
from perturb_jax.analysis.strategy_looks import families, looks, offsets

WORDS = {"mse_de": "MSE over DE genes", "pearson_de": "Pearson over DE genes"}
STABILITY_WORDS = {"unique": "different ones over seeds", "jaccard": "Jaccard index of two seeds"}
_SIZE = "perturbations selected"
_TICKS = 6


def draw_learning(figure: Figure, summary: Summary, predictor: str, metric: str) -> None:
    """The paper's Figures 4 and 5: a column per data set, one-shot strategies above model-based ones, with bands."""
    own = _part(summary.curves, predictor, metric)
    for axes, part, names in _panels(figure, summary, own):
        styles = looks(summary.runs, summary.baseline)
        for name in (summary.baseline, *names):
            curve = part[part["strategy"] == name]
            shade = 0.22 if name == summary.baseline else 0.10
            axes.fill_between(
                curve["size"], curve["low"], curve["high"], color=styles[name]["color"], alpha=shade, linewidth=0
            )
            axes.plot(curve["size"], curve["mean"], **styles[name])
        axes.set_ylabel(WORDS[metric])


def draw_differences(figure: Figure, summary: Summary, predictor: str, metric: str) -> None:
    """The same less the baseline with the same seed: 95 % intervals, beside each other."""
    own = _part(summary.difference_curves, predictor, metric)
    for axes, part, names in _panels(figure, summary, own):
        styles = looks(summary.runs, summary.baseline)
        axes.axhline(0, **{**styles[summary.baseline], "label": f"{summary.baseline} (0)"})
        for name, offset in _beside(np.sort(part["size"].unique()), names):
            curve = part[part["strategy"] == name]
            axes.errorbar(
                curve["size"] + offset, curve["mean"], curve["high"] - curve["mean"], elinewidth=1.1,
                **{**styles[name], "linewidth": 1.0},
            )  # fmt: skip
        axes.set_ylabel(f"{WORDS[metric]}, less {summary.baseline}")


def draw_stability(figure: Figure, summary: Summary, predictor: str, measure: str) -> None:
    """The paper's Figure 2, or how far two seeds' selections agree: markers beside each other, since many coincide."""
    own = summary.stability[summary.stability["predictor"] == predictor]
    styles = looks(summary.runs, summary.baseline)
    for axes, part, names in _panels(figure, summary, own):
        sizes = np.array(sorted(part["size"].unique()))
        if measure == "unique":
            for seeds, what in (
                (1, "all seeds agree"),
                (part["seeds"].max(), f"no two of {part['seeds'].max()} agree"),
            ):
                axes.plot(sizes, seeds * sizes, color="#BBBBBB", linewidth=0.9, dashes=(1, seeds), label=what)
        else:
            axes.set_ylim(-0.04, 1.04)
        for name, offset in _beside(sizes, [summary.baseline, *names]):
            curve = part[part["strategy"] == name]
            axes.plot(curve["size"] + offset, curve[measure], **{**styles[name], "linewidth": 1.2})
        axes.set_ylabel(STABILITY_WORDS[measure])


def _beside(sizes: np.ndarray, names: Sequence[str]) -> Iterator[tuple[str, float]]:
    step = float(np.diff(sizes).min()) if len(sizes) > 1 else 1.0
    yield from zip(names, offsets(len(names), 0.55 * step / max(len(names), 1)), strict=True)


def _part(table: pd.DataFrame, predictor: str, metric: str) -> pd.DataFrame:
    return table[(table["predictor"] == predictor) & (table["metric"] == metric)]


def _panels(figure: Figure, summary: Summary, own: pd.DataFrame) -> Iterator[tuple[Axes, pd.DataFrame, list[str]]]:
    """Axes, their data set's rows and their family; a legend follows at the right of each family's row."""
    groups = families(summary.runs, summary.baseline, set(own["strategy"])) or {"": ()}
    data = list(own["data"].unique())
    grid = figure.subplots(len(groups), len(data), squeeze=False, sharex="col", sharey="col")
    for row, (family, names) in zip(grid, groups.items(), strict=True):
        for axes, name in zip(row, data, strict=True):
            axes.set_title(f"{name}, {family}" if family else name)
            yield axes, own[own["data"] == name], list(names)
        row[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=9, handlelength=3.2)
    for axes, name in zip(grid[-1], data, strict=True):
        axes.set_xlabel(_SIZE)
        sizes = own.loc[own["data"] == name, "size"].unique()
        if len(sizes) <= _TICKS:
            axes.set_xticks(np.sort(sizes))
    for axes in grid[:, 1:].flat:
        axes.set_ylabel("")
