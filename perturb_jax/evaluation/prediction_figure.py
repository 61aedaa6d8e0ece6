"""Predicted against observed change of the most changed genes, as the field draws it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from perturb_jax.support.figures import DEGREE, SELECTION, canvas


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
        axes = figure.subplots(rows, columns, squeeze=False)
        for place in axes.flat[len(panels) :]:
            place.set_visible(False)
        for place, panel in zip(axes.flat, panels, strict=False):
            positions = np.arange(len(panel.genes))
            place.axhline(0, color="#999999", linewidth=0.8, zorder=0)
            if panel.observed is not None:
                drawn = place.boxplot(
                    panel.observed, positions=positions, widths=0.6, whis=(5, 95), showfliers=False, patch_artist=True,
                    boxprops={"facecolor": "#CFE3F1", "edgecolor": SELECTION}, medianprops={"color": SELECTION},
                    whiskerprops={"color": SELECTION}, capprops={"color": SELECTION},
                )["boxes"][0]  # fmt: skip
                what = "cells: quartiles, 5 to 95 %"
            else:
                drawn = place.errorbar(
                    positions, panel.mean, panel.deviation, fmt="o", color=SELECTION, markersize=4, elinewidth=1
                )
                what = "cells: mean and standard deviation"
            dots = place.scatter(positions, panel.predicted, color=DEGREE, marker="D", s=26, zorder=3)
            place.set_xticks(positions, panel.genes, rotation=90, fontsize=8)
            place.set(title=f"{panel.perturbation}   {scores.get(panel.perturbation, '')}", ylabel="change to control")
            place.set_xlim(-0.7, len(panel.genes) - 0.3)
        figure.legend([drawn, dots], [what, "predicted"], loc="outside lower center", ncols=2, fontsize=9)
    return output.getvalue()
