"""Predicted against observed change of the most changed genes, as the field draws it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from perturb_jax.evaluation.trial import Trial
from perturb_jax.screen.screen import Screen
from perturb_jax.support.figures import DEGREE, SELECTION, canvas

_PANELS = 4


class Panel(NamedTuple):
    """One perturbation.

    Attributes:
        perturbation: its name.
        genes: the differentially expressed genes, the most changed first.
        predicted: their predicted change.
        observed: their change in every cell [cells, genes], or None where there are no cells.
        mean: their mean change.
        deviation: standard deviation of expression among the cells.
    """

    perturbation: str
    genes: Sequence[str]
    predicted: Float[np.ndarray, " de"]
    observed: Float[np.ndarray, "cells de"] | None
    mean: Float[np.ndarray, " de"]
    deviation: Float[np.ndarray, " de"]


def trial_picture(screen: Screen, trial: Trial) -> bytes:
    """Predicted against observed change of the DE genes, for the first test perturbations, as a PNG."""
    names = tuple(screen.perturbations[row] for row in screen.index(trial.split.test[:_PANELS]))
    cells = _cells_of(screen, names)
    panels, scores = [], {}
    for number, name in enumerate(names):
        row = screen.index((name,))[0]
        genes = screen.de_genes[row]
        panels.append(
            Panel(
                name,
                [screen.readouts[gene] for gene in genes],
                trial.effects[number, genes],
                None if cells is None else cells[name][:, genes] - screen.control_mean[genes][None, :],
                screen.effects[row, genes],
                np.sqrt(screen.perturbed.variance[row, genes]),
            )
        )
        scores[name] = _scores(trial.metrics.iloc[number].to_dict())
    title = f"{trial.predictor.name}: {len(screen.de_genes[0])} most changed genes of test perturbations"
    return prediction_figure(title, panels, scores)


def _scores(measured: Mapping[Any, float]) -> str:
    words = {"mse_de": "MSE {:.3f}", "pearson_de": "Pearson {:.2f}"}
    return ", ".join(text.format(measured[name]) for name, text in words.items() if name in measured)


def _cells_of(screen: Screen, names: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """Expression in the cells of some perturbations; None for a screen of moments only."""
    if screen.source is None or not screen.source.is_file():
        return None
    from perturb_jax.screen.cells import read_cells  # reads the file again

    cells = read_cells(screen, names)
    return {name: cells.expression[np.flatnonzero(cells.conditions == name)].toarray() for name in names}


def prediction_figure(title: str, panels: Sequence[Panel], scores: Mapping[str, str]) -> bytes:
    """A panel per perturbation: boxes of the cells' change in each gene, and the prediction, as a PNG.

    Boxes span the quartiles, whiskers the 5th to the 95th percentile of cells. Without cells the box is replaced by the
    mean and one standard deviation, and the legend says so.

    Args:
        title: above all panels.
        panels: the perturbations.
        scores: what to write beside each one's name.
    """
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with canvas(title, (6.2 * columns, 3.0 * rows + 0.8)) as (figure, output):
        draw_predictions(figure, panels, scores, rows, columns)
    return output.getvalue()


def draw_predictions(
    figure: Figure, panels: Sequence[Panel], scores: Mapping[str, str], rows: int, columns: int
) -> None:
    """The panels of `prediction_figure`."""
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        positions = np.arange(len(panel.genes))
        axes.axhline(0, color="#999999", linewidth=0.8, zorder=0)
        if panel.observed is not None:
            drawn = axes.boxplot(
                panel.observed, positions=positions, widths=0.6, whis=(5, 95), showfliers=False, patch_artist=True,
                boxprops={"facecolor": "#CFE3F1", "edgecolor": SELECTION}, medianprops={"color": SELECTION},
                whiskerprops={"color": SELECTION}, capprops={"color": SELECTION},
            )["boxes"][0]  # fmt: skip
            what = "cells: quartiles, 5 to 95 %"
        else:
            drawn = axes.errorbar(
                positions, panel.mean, panel.deviation, fmt="o", color=SELECTION, markersize=4, elinewidth=1
            )
            what = "cells: mean and standard deviation"
        dots = axes.scatter(positions, panel.predicted, color=DEGREE, marker="D", s=26, zorder=3)
        axes.set_xticks(positions, panel.genes, rotation=90, fontsize=8)
        axes.set(title=f"{panel.perturbation}   {scores.get(panel.perturbation, '')}", ylabel="change to control")
        axes.set_xlim(-0.7, len(panel.genes) - 0.3)
    figure.legend([drawn, dots], [what, "predicted"], loc="outside lower center", ncols=2, fontsize=9)
