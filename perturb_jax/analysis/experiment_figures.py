"""All figures of an experiment as files: PNG to look at, PDF to print."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from perturb_jax.analysis.comparison_figures import draw_areas, draw_costs, draw_predictors, draw_times
from perturb_jax.analysis.curve_figures import STABILITY_WORDS, WORDS, draw_differences, draw_learning, draw_stability
from perturb_jax.analysis.experiment_tables import Summary
from perturb_jax.analysis.run_means import smaller_is_better
from perturb_jax.analysis.strategy_looks import families
from perturb_jax.support.figures import canvas


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
        for metric in _metrics(summary):
            title = (
                f"{predictor}: {WORDS[metric]} of test perturbations ({_better(metric)}); mean over seeds, 95 % band."
            )
            draw = partial(draw_learning, summary=summary, predictor=predictor, metric=metric)
            yield Picture(f"learning_{metric}_{slug}", title, size, draw)
            title = f"{predictor}: difference to {baseline} with the same seed ({_better(metric)}); 95 % intervals."
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
    for metric in _metrics(summary) if len(summary.differences) else ():
        if predictors > 1:
            title = (
                f"{WORDS[metric]} after the last cycle, less {baseline}'s with the same seed. Blue is better, red "
                "worse; bold: the 95 % interval excludes 0. Colours are scaled by data set."
            )
            size = (max(2.6, 0.85 * predictors) * across + 3.0, 0.34 * strategies + 2.0)
            yield Picture(f"predictors_{metric}", title, size, partial(draw_predictors, summary=summary, metric=metric))
        if len(summary.areas):
            title = (
                f"Area under the learning curve (its mean height; {_better(metric)}), less {baseline}'s with the same "
                "seed; 95 % intervals."
            )
            size = (2.8 * across + 3.2, (0.16 + 0.09 * predictors) * strategies + 2.0)
            yield Picture(f"areas_{metric}", title, size, partial(draw_areas, summary=summary, metric=metric))
    if len(summary.costs):
        title = "Where the time went: seconds of the workers, each training and selection counted once."
        yield Picture("costs", title, (7.5, 0.4 * predictors + 1.9), partial(draw_costs, summary=summary))


def _metrics(summary: Summary) -> list[str]:
    return [metric for metric in WORDS if metric in summary.runs.metrics]


def _better(metric: str) -> str:
    return "less is better" if smaller_is_better(metric) else "more is better"


def _slugs(labels: Sequence[str]) -> dict[str, str]:
    """A part of a file's name for each label; a number tells apart those that would be the same."""
    found: dict[str, str] = {}
    for label in labels:
        slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "predictor"
        found[label] = slug if slug not in found.values() else f"{slug}-{len(found) + 1}"
    return found
