"""All figures of an experiment: curves over its cycles, strategies beside each other at its end, seconds."""

import io
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from perturb_jax.analysis.results import Runs
from perturb_jax.analysis.summary import Summary
from perturb_jax.analysis.tables import decimals, number, part_of
from perturb_jax.support.figures import RANDOM, canvas


class Picture(NamedTuple):
    """A figure to be drawn: the name of its files, what it shows, inches, and what draws the summary into it."""

    name: str
    title: str
    size: tuple[float, float]
    draw: Callable[..., None]
    arguments: tuple[str, ...] = ()


def figure_names(summary: Summary) -> list[str]:
    """The files that `figure_files` makes."""
    return [f"{picture.name}.{kind}" for picture in _pictures(summary) for kind in ("png", "pdf")]


def figure_files(summary: Summary) -> dict[str, bytes]:
    """Learning curves, differences, stability, areas, gains by predictor and seconds, as far as there are numbers."""
    files: dict[str, bytes] = {}
    for picture in _pictures(summary):
        vector = io.BytesIO()
        with canvas(f"{summary.notes[0]} {picture.title}", picture.size) as (figure, output):
            picture.draw(figure, summary, *picture.arguments)
            with mpl.rc_context({"pdf.fonttype": 42}):
                figure.savefig(vector, format="pdf", metadata={"CreationDate": None})
        files |= {f"{picture.name}.png": output.getvalue(), f"{picture.name}.pdf": vector.getvalue()}
    return files


def _pictures(summary: Summary) -> Iterator[Picture]:
    runs, baseline = summary.runs, summary.baseline
    across, strategies, predictors = len(runs.data), len(runs.strategies), len(runs.predictors)
    better = {metric: "less is better" if metric in runs.errors else "more is better" for metric in runs.shown}
    for predictor, slug in _slugs(runs.predictors).items():
        there = set(summary.curves.loc[summary.curves["predictor"] == predictor, "strategy"])
        size = (3.1 * across + 3.0, 2.5 * max(len(families(runs, baseline, there)), 1) + 1.0)
        for metric in runs.shown if summary.curves["cycle"].nunique() > 1 else ():
            of = (predictor, metric)
            words = f"{runs.metric(metric).words} of test perturbations ({better[metric]})"
            title = f"{predictor}: {words}; mean over seeds, 95 % band."
            yield Picture(f"learning_{metric}_{slug}", title, size, draw_learning, of)
            title = f"{predictor}: difference to {baseline} with the same seed ({better[metric]}); 95 % intervals."
            if (summary.difference_curves["predictor"] == predictor).any():
                yield Picture(f"differences_{metric}_{slug}", title, size, draw_differences, of)
        title = f"{predictor}: what different seeds select, all cycles so far together."
        for measure in STABILITY_WORDS if (summary.stability["predictor"] == predictor).any() else ():
            yield Picture(f"stability_{measure}_{slug}", title, size, draw_stability, (predictor, measure))
        title = f"{predictor}: seconds to choose the perturbations of all cycles, median over seeds."
        size = (2.6 * across + 3.4, 0.3 * strategies + 1.8)
        yield Picture(f"times_{slug}", title, size, draw_times, (predictor,))
    for metric in runs.shown if len(summary.differences) else ():
        if predictors > 1:
            title = (
                f"{runs.metric(metric).words} after the last cycle, less {baseline}'s with the same seed. Blue is "
                "better, red worse; bold: the 95 % interval excludes 0. Colours are scaled by data set."
            )
            size = (max(2.6, 0.85 * predictors) * across + 3.0, 0.34 * strategies + 2.0)
            yield Picture(f"predictors_{metric}", title, size, draw_predictors, (metric,))
        if len(summary.areas):
            title = (
                f"Area under the learning curve (its mean height; {better[metric]}), less {baseline}'s with the same "
                "seed; 95 % intervals."
            )
            size = (2.8 * across + 3.2, (0.16 + 0.09 * predictors) * strategies + 2.0)
            yield Picture(f"areas_{metric}", title, size, draw_areas, (metric,))
    if len(summary.costs):
        title = "Where the time went: seconds of the workers, each training and selection counted once."
        yield Picture("costs", title, (7.5, 0.4 * predictors + 1.9), draw_costs)


def _slugs(labels: Sequence[str]) -> dict[str, str]:
    """A part of a file's name for each label; those that would be the same get a number."""
    found: dict[str, str] = {}
    for label in labels:
        slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "predictor"
        found[label] = slug if slug not in found.values() else f"{slug}-{len(found) + 1}"
    return found


_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


def families(runs: Runs, baseline: str, among: Collection[str] | None = None) -> dict[str, tuple[str, ...]]:
    """One-shot and model-based strategies, each without the baseline, and only those `among`; no empty family."""
    others = [name for name in runs.strategies if name != baseline and (among is None or name in among)]
    found = {
        "one-shot": tuple(name for name in others if name not in runs.model_based),
        "model-based": tuple(name for name in others if name in runs.model_based),
    }
    return {family: names for family, names in found.items() if names}


def line_styles(runs: Runs, baseline: str) -> dict[str, dict[str, Any]]:
    """Line properties by strategy: colour and marker distinguish strategies of a family, dashes the families."""
    found: dict[str, dict[str, Any]] = {
        baseline: {"color": RANDOM, "linestyle": ":", "marker": "", "linewidth": 2.2, "label": baseline}
    }
    for family, names in families(runs, baseline).items():
        dashes = "-" if family == "one-shot" else (0, (5, 2))
        for name, color, marker in zip(names, cycle(_COLORS), cycle(_MARKERS), strict=False):
            style = {"color": color, "marker": marker, "linestyle": dashes, "linewidth": 1.6, "markersize": 4.5}
            found[name] = style | {"label": name}
    return found


def offsets(count: int, width: float) -> Sequence[float]:
    """Positions beside each other, around 0."""
    return [width * (number - (count - 1) / 2) for number in range(count)]


STABILITY_WORDS = {"unique": "different ones over seeds", "jaccard": "Jaccard index of two seeds"}
_TICKS = 6


def draw_learning(figure: Figure, summary: Summary, predictor: str, metric: str) -> None:
    """The paper's Figures 4 and 5: a column per data set, one-shot strategies above model-based ones, with bands."""
    own = part_of(summary.curves, predictor, metric)
    for axes, part, names in _panels(figure, summary, own):
        styles = line_styles(summary.runs, summary.baseline)
        for name in (summary.baseline, *names):
            curve = part[part["strategy"] == name]
            shade = 0.22 if name == summary.baseline else 0.10
            axes.fill_between(
                curve["size"], curve["low"], curve["high"], color=styles[name]["color"], alpha=shade, linewidth=0
            )
            axes.plot(curve["size"], curve["mean"], **styles[name])
        axes.set_ylabel(summary.runs.metric(metric).words)


def draw_differences(figure: Figure, summary: Summary, predictor: str, metric: str) -> None:
    """The same less the baseline with the same seed: 95 % intervals, beside each other."""
    own = part_of(summary.difference_curves, predictor, metric)
    for axes, part, names in _panels(figure, summary, own):
        styles = line_styles(summary.runs, summary.baseline)
        axes.axhline(0, **{**styles[summary.baseline], "label": f"{summary.baseline} (0)"})
        for name, offset in _beside(np.sort(part["size"].unique()), names):
            curve = part[part["strategy"] == name]
            axes.errorbar(
                curve["size"] + offset, curve["mean"], curve["high"] - curve["mean"], elinewidth=1.1,
                **{**styles[name], "linewidth": 1.0},
            )  # fmt: skip
        axes.set_ylabel(f"{summary.runs.metric(metric).words}, less {summary.baseline}")


def draw_stability(figure: Figure, summary: Summary, predictor: str, measure: str) -> None:
    """The paper's Figure 2, or how far two seeds' selections agree: markers beside each other, since many coincide."""
    own = summary.stability[summary.stability["predictor"] == predictor]
    styles = line_styles(summary.runs, summary.baseline)
    for axes, part, names in _panels(figure, summary, own):
        sizes = np.array(sorted(part["size"].unique()))
        if measure == "unique":
            most = part["seeds"].max()
            for seeds, what in ((1, "all seeds agree"), (most, f"no two of {most} agree")):
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
        axes.set_xlabel("perturbations selected")
        sizes = own.loc[own["data"] == name, "size"].unique()
        if len(sizes) <= _TICKS:
            axes.set_xticks(np.sort(sizes))
    for axes in grid[:, 1:].flat:
        axes.set_ylabel("")


_PREDICTOR_STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#000000", "v"))
_PARTS = {
    "training": "#0072B2", "loading": "#999999", "evaluation": "#009E73", "view": "#CC79A7", "storing": "#E69F00",
    "choosing": "#D55E00",
}  # fmt: skip


def draw_predictors(figure: Figure, summary: Summary, metric: str) -> None:
    """Strategies x predictors: the difference to the baseline at the last cycle, blue better, bold apart from 0."""
    own = summary.differences[summary.differences["metric"] == metric]
    predictors = list(summary.runs.predictors)
    sign = -1 if summary.runs.metric(metric).smaller_is_better else 1
    for axes, rows, names in _by_data(figure, summary, own):
        part = rows.set_index(["strategy", "predictor"])
        means = part["mean"].unstack().reindex(index=names, columns=predictors).to_numpy(float)
        limit = float(np.nanmax(np.abs(means), initial=0)) or 1.0
        axes.imshow(sign * means, cmap="RdBu", vmin=-1.7 * limit, vmax=1.7 * limit, aspect="auto")
        digits = decimals(((part["high"] - part["low"]) / 2).to_numpy(), part["mean"].to_numpy())
        for (row, column), mean in np.ndenumerate(means):
            text = number(mean, digits, signed=True)
            distinct = bool(text) and part.loc[(names[row], predictors[column]), "verdict"] != ""
            weight = "bold" if distinct else "normal"
            axes.text(column, row, text, ha="center", va="center", fontsize=9, fontweight=weight)
        axes.set_xticks(range(len(predictors)), predictors, rotation=25, ha="right", rotation_mode="anchor")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)


def draw_areas(figure: Figure, summary: Summary, metric: str) -> None:
    """The difference to the baseline of the area under the learning curve, with 95 % intervals, by predictor."""
    own = summary.areas[(summary.areas["metric"] == metric) & (summary.areas["strategy"] != summary.baseline)]
    there = set(own["predictor"])
    predictors = [name for name in summary.runs.predictors if name in there]
    shifts = offsets(len(predictors), min(0.22, 0.8 / len(predictors)))
    for axes, rows, names in _by_data(figure, summary, own):
        axes.axvline(0, color="#999999", linewidth=1)
        for predictor, shift, (color, marker) in zip(predictors, shifts, cycle(_PREDICTOR_STYLES), strict=False):
            part = rows[rows["predictor"] == predictor].set_index("strategy").reindex(names)
            axes.errorbar(
                part["difference"], np.arange(len(names)) + shift, xerr=part["high_difference"] - part["difference"],
                fmt=marker, color=color, markersize=4.5, elinewidth=1.2, label=predictor,
            )  # fmt: skip
        axes.set_xlabel(f"{summary.runs.metric(metric).words}, less {summary.baseline}")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="y", color="#EEEEEE")
    columns = max(1, int(figure.get_figwidth() / 2.0))
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=columns, fontsize=9)


def draw_times(figure: Figure, summary: Summary, predictor: str) -> None:
    """Seconds to choose the perturbations of all cycles, alone and with what comes before a choice."""
    own = summary.times[summary.times["predictor"] == predictor]
    styles = line_styles(summary.runs, summary.baseline)
    for axes, rows, names in _by_data(figure, summary, own, sharex=True):
        part = rows.set_index("strategy").reindex(names)
        heights = np.arange(len(names))
        colors: Any = [styles[strategy]["color"] for strategy in names]
        axes.hlines(heights, part["selection"], part["total"], color=colors, linewidth=1.5)
        axes.scatter(part["total"], heights, s=46, facecolor="white", edgecolor=colors, zorder=3)
        axes.scatter(part["selection"], heights, s=30, color=colors, zorder=4)
        axes.set(xscale="log", xlabel="seconds")
        axes.grid(axis="x", color="#EEEEEE")
    handles = [
        figure.axes[0].scatter([], [], s=30, color="#555555"),
        figure.axes[0].scatter([], [], s=46, facecolor="white", edgecolor="#555555"),
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
    for row, name in enumerate(names):
        text = f"  {left[row]:.1f} min, {counts.get(name, 0):,} trainings"
        axes.text(left[row], row, text, va="center", fontsize=9)
    axes.set(xlabel="minutes, all workers together", xlim=(0, 1.35 * max(left.max(initial=0), 1e-9)))
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=len(wide.columns), fontsize=9)


def _by_data(
    figure: Figure, summary: Summary, own: pd.DataFrame, sharex: bool = False
) -> Iterator[tuple[Axes, pd.DataFrame, list[str]]]:
    """Axes beside each other, the rows of the data set of each, and the strategies, which stand at their left."""
    there = set(own["strategy"])
    names = [name for name in summary.runs.strategies if name in there]
    data = list(own["data"].unique())
    grid = figure.subplots(1, len(data), squeeze=False, sharey=True, sharex=sharex)[0]
    for axes, name in zip(grid, data, strict=True):
        axes.set_title(name)
        axes.set_axisbelow(True)
        yield axes, own[own["data"] == name], names
    grid[0].set_yticks(range(len(names)), names)
    grid[0].set_ylim(len(names) - 0.5, -0.5)
