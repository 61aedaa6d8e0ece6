"""All figures of an experiment: curves over its cycles, strategies beside each other at its end, seconds."""

import io
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from perturb_jax.analysis.results import Runs
from perturb_jax.analysis.summary import Summary
from perturb_jax.analysis.tables import decimals, number
from perturb_jax.support.figures import RANDOM, canvas


class Picture(NamedTuple):
    """A figure to be drawn.

    Attributes:
        name: of its files, without the ending.
        title: what it shows; what every caption says goes before it.
        size: in inches.
        draw: draws into a figure.
    """

    name: str
    title: str
    size: tuple[float, float]
    draw: Callable[[Figure], None]


def figure_names(summary: Summary) -> list[str]:
    """The files that `figure_files` makes."""
    return [f"{picture.name}.{kind}" for picture in _pictures(summary) for kind in ("png", "pdf")]


def figure_files(summary: Summary) -> dict[str, bytes]:
    """Learning curves, differences, stability, areas, gains by predictor and seconds, as far as there are numbers."""
    files: dict[str, bytes] = {}
    for picture in _pictures(summary):
        vector = io.BytesIO()
        with canvas(f"{summary.notes[0]} {picture.title}", picture.size) as (figure, output):
            picture.draw(figure)
            with mpl.rc_context({"pdf.fonttype": 42}):
                figure.savefig(vector, format="pdf", metadata={"CreationDate": None})
        files |= {f"{picture.name}.png": output.getvalue(), f"{picture.name}.pdf": vector.getvalue()}
    return files


def _pictures(summary: Summary) -> Iterator[Picture]:
    for predictor, slug in _slugs(summary.runs.predictors).items():
        yield from _of_predictor(summary, predictor, slug)
    yield from _of_all_predictors(summary)


def _of_predictor(summary: Summary, predictor: str, slug: str) -> Iterator[Picture]:
    runs, baseline = summary.runs, summary.baseline
    there = set(summary.curves.loc[summary.curves["predictor"] == predictor, "strategy"])
    groups, across = families(runs, baseline, there), len(runs.data)
    size = (3.1 * across + 3.0, 2.5 * max(len(groups), 1) + 1.0)
    if summary.curves["cycle"].nunique() > 1:
        for metric in summary.runs.shown:
            words, better = runs.metric(metric).words, _better(summary, metric)
            title = f"{predictor}: {words} of test perturbations ({better}); mean over seeds, 95 % band."
            draw = partial(draw_learning, summary=summary, predictor=predictor, metric=metric)
            yield Picture(f"learning_{metric}_{slug}", title, size, draw)
            title = f"{predictor}: difference to {baseline} with the same seed ({better}); 95 % intervals."
            draw = partial(draw_differences, summary=summary, predictor=predictor, metric=metric)
            if (summary.difference_curves["predictor"] == predictor).any():
                yield Picture(f"differences_{metric}_{slug}", title, size, draw)
    if (summary.stability["predictor"] == predictor).any():
        title = f"{predictor}: what different seeds select, all cycles so far together."
        for measure in STABILITY_WORDS:
            draw = partial(draw_stability, summary=summary, predictor=predictor, measure=measure)
            yield Picture(f"stability_{measure}_{slug}", title, size, draw)
    title = f"{predictor}: seconds to choose the perturbations of all cycles, median over seeds."
    size = (2.6 * across + 3.4, 0.3 * len(runs.strategies) + 1.8)
    yield Picture(f"times_{slug}", title, size, partial(draw_times, summary=summary, predictor=predictor))


def _of_all_predictors(summary: Summary) -> Iterator[Picture]:
    runs, baseline = summary.runs, summary.baseline
    across, strategies, predictors = len(runs.data), len(runs.strategies), len(runs.predictors)
    for metric in summary.runs.shown if len(summary.differences) else ():
        if predictors > 1:
            title = (
                f"{runs.metric(metric).words} after the last cycle, less {baseline}'s with the same seed. Blue is "
                "better, red worse; bold: the 95 % interval excludes 0. Colours are scaled by data set."
            )
            size = (max(2.6, 0.85 * predictors) * across + 3.0, 0.34 * strategies + 2.0)
            yield Picture(f"predictors_{metric}", title, size, partial(draw_predictors, summary=summary, metric=metric))
        if len(summary.areas):
            title = (
                f"Area under the learning curve (its mean height; {_better(summary, metric)}), less {baseline}'s with "
                "the same seed; 95 % intervals."
            )
            size = (2.8 * across + 3.2, (0.16 + 0.09 * predictors) * strategies + 2.0)
            yield Picture(f"areas_{metric}", title, size, partial(draw_areas, summary=summary, metric=metric))
    if len(summary.costs):
        title = "Where the time went: seconds of the workers, each training and selection counted once."
        yield Picture("costs", title, (7.5, 0.4 * predictors + 1.9), partial(draw_costs, summary=summary))


def _better(summary: Summary, metric: str) -> str:
    return "less is better" if summary.runs.metric(metric).smaller_is_better else "more is better"


def _slugs(labels: Sequence[str]) -> dict[str, str]:
    """A part of a file's name for each label; a number tells apart those that would be the same."""
    found: dict[str, str] = {}
    for label in labels:
        slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "predictor"
        found[label] = slug if slug not in found.values() else f"{slug}-{len(found) + 1}"
    return found


_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


def families(runs: Runs, baseline: str, among: Collection[str] | None = None) -> dict[str, tuple[str, ...]]:
    """One-shot and model-based strategies, each without the baseline; a family without strategies is left out.

    `among`: the only ones that count; None: all do.
    """
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
        for place, name in enumerate(names):
            found[name] = {
                "color": _COLORS[place % len(_COLORS)],
                "marker": _MARKERS[place % len(_MARKERS)],
                "linestyle": "-" if family == "one-shot" else (0, (5, 2)),
                "linewidth": 1.6,
                "markersize": 4.5,
                "label": name,
            }
    return found


def offsets(count: int, width: float) -> Sequence[float]:
    """Positions beside each other, around 0."""
    return [width * (place - (count - 1) / 2) for place in range(count)]


STABILITY_WORDS = {"unique": "different ones over seeds", "jaccard": "Jaccard index of two seeds"}
_SIZE = "perturbations selected"
_TICKS = 6


def draw_learning(figure: Figure, summary: Summary, predictor: str, metric: str) -> None:
    """The paper's Figures 4 and 5: a column per data set, one-shot strategies above model-based ones, with bands."""
    own = _part(summary.curves, predictor, metric)
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
    own = _part(summary.difference_curves, predictor, metric)
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


_PREDICTOR_STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#000000", "v"))
_PARTS = {
    "training": "#0072B2", "loading": "#999999", "evaluation": "#009E73", "view": "#CC79A7", "storing": "#E69F00",
    "choosing": "#D55E00",
}  # fmt: skip


def draw_predictors(figure: Figure, summary: Summary, metric: str) -> None:
    """Strategies x predictors: the difference to the baseline at the last cycle, blue better, bold apart from 0."""
    own = summary.differences[summary.differences["metric"] == metric]
    names, predictors = _strategies(summary, own), list(summary.runs.predictors)
    data = list(own["data"].unique())
    sign = -1 if summary.runs.metric(metric).smaller_is_better else 1
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
                distinct = bool(text) and part.loc[(strategy, predictor), "verdict"] != ""
                weight = "bold" if distinct else "normal"
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
            color, marker = _PREDICTOR_STYLES[place % len(_PREDICTOR_STYLES)]
            axes.errorbar(
                part["difference"], np.arange(len(names)) + shift, xerr=part["high_difference"] - part["difference"],
                fmt=marker, color=color, markersize=4.5, elinewidth=1.2, label=predictor,
            )  # fmt: skip
        axes.set(title=name, xlabel=f"{summary.runs.metric(metric).words}, less {summary.baseline}")
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
    styles = line_styles(summary.runs, summary.baseline)
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
