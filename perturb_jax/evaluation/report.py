"""A trial as files: metrics, predictions, the split, the record that makes it traceable, a picture, parameters."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from perturb_jax.evaluation.trial import Trial, measured_outside
from perturb_jax.graph.knowledge_graph import KnowledgeGraph, graph_record
from perturb_jax.predictors.predictor import Fitted
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError
from perturb_jax.support.figures import DEGREE, SELECTION, canvas
from perturb_jax.support.provenance import checksums, versions

FILES = ("metrics.csv", "predictions.h5ad", "split.json", "train.json", "predictions.png")
MODEL_FILE = "model.npz"
"""Written beside `FILES` where the predictor has parameters."""


def trial_record(
    screen: Screen,
    graph: KnowledgeGraph,
    trial: Trial,
    inputs: Mapping[str, Path | None],
    missing: Mapping[str, str],
    settings: Mapping[str, object] = {},
) -> dict[str, Any]:
    """Everything that made the trial, and what came of it: plain values for JSON.

    Args:
        screen: the outcomes.
        graph: the knowledge graph.
        trial: what was done.
        inputs: the files that were read, by the argument that named them.
        missing: perturbations of genes that the graph lacks, with the reason; others may have been left out before.
        settings: others than the predictor's.
    """
    configuration = {field.name: getattr(trial.predictor, field.name) for field in fields(trial.predictor)}  # type: ignore[arg-type]
    return {
        "settings": {**_plain_table(configuration), **settings},
        "screen": {
            "perturbations": len(screen),
            "genes": len(screen.readouts),
            "cells": int(screen.cell_counts.sum()),
            "control cells": screen.control_count,
            "read": _plain(screen.settings),
            "dropped": dict(screen.how.dropped) | dict(missing),
            "caution": screen.caution,
            "genes not in the graph": len(measured_outside(screen, graph)),
        },
        "graph": graph_record(graph),
        "inputs": checksums(inputs),
        "versions": versions(),
        "perturbations": {part: len(getattr(trial.split, part)) for part in ("train", "validation", "test")},
        "history": _history(trial.fitted),
        "result": json.loads(trial.summary().to_json(orient="index")),
    }


def trial_files(screen: Screen, trial: Trial, record: Mapping[str, Any]) -> dict[str, bytes]:
    """The contents of the files."""
    return {
        "metrics.csv": trial.metrics.to_csv(lineterminator="\n").encode(),
        "predictions.h5ad": _predictions(screen, trial),
        "split.json": (json.dumps(asdict(trial.split), indent=1) + "\n").encode(),
        "train.json": (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode(),
        "predictions.png": trial_picture(screen, trial),
    } | _model(trial.fitted)


def _plain_table(values: Mapping[str, object]) -> dict[str, object]:
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(getattr(value, "__name__", value))


def _history(fitted: Fitted) -> dict[str, Any]:
    """What a predictor says of its training: errors by epoch, or what it found."""
    if fitted.history is not None:
        return {name: np.asarray(value).tolist() for name, value in fitted.history._asdict().items()}
    return _plain_table(fitted.report)


def _model(fitted: Fitted) -> dict[str, bytes]:
    """The predictor's parameters as an .npz file, which `numpy.load` reads without pickle."""
    parameters: dict[str, Any] = fitted.parameters()
    if not parameters:
        return {}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, MODEL_FILE)
        np.savez(path, **parameters)
        return {MODEL_FILE: path.read_bytes()}


def _predictions(screen: Screen, trial: Trial) -> bytes:
    names = trial.split.test
    layers = {"observed": screen.effects[screen.index(names)].astype(np.float32)}
    with suppress(InputError):  # where the predictor has none
        layers["uncertainty"] = trial.fitted.uncertainties(names).astype(np.float32)
    table = anndata.AnnData(
        X=trial.effects.astype(np.float32),
        obs=pd.DataFrame(index=pd.Index(names, name="perturbation", dtype=object)),
        var=pd.DataFrame(index=pd.Index(screen.readouts, dtype=object)),
        layers=layers,
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "predictions.h5ad")
        table.write_h5ad(path)
        return path.read_bytes()


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
                np.sqrt(screen.variance[row, genes]),
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
