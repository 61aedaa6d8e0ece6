"""A trial as files: metrics, predictions, the split, the record that makes it traceable, a picture, parameters."""

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd

from perturb_jax.evaluation.trial import Trial, measured_outside
from perturb_jax.graph.knowledge_graph import KnowledgeGraph, graph_record
from perturb_jax.predictors.predictor import history_of
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError
from perturb_jax.support.figures import DEGREE, SELECTION, canvas
from perturb_jax.support.files import checksums, json_bytes, versions

FILES = ("metrics.csv", "predictions.h5ad", "split.json", "train.json", "predictions.png")
_PANELS = 4
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

    `inputs` are the files that were read, by the argument that named them; `missing` perturbations of genes that the
    graph lacks, with the reason (others may have been left out before); `settings` others than the predictor's.
    """
    history, report = history_of(trial.fitted)
    configuration = {one.name: getattr(trial.predictor, one.name) for one in fields(trial.predictor)}  # type: ignore[arg-type]
    return {
        "settings": {**_plain(configuration), **settings},
        "screen": {
            "perturbations": len(screen),
            "genes": len(screen.readouts),
            "cells": int(screen.cell_counts.sum()),
            "control cells": int(screen.control.cells),
            "read": _plain(screen.settings),
            "dropped": dict(screen.settings.get("dropped", {})) | dict(missing),
            "caution": screen.caution,
            "genes not in the graph": len(measured_outside(screen, graph)),
        },
        "graph": graph_record(graph),
        "inputs": checksums(inputs),
        "versions": versions(),
        "perturbations": {part: len(getattr(trial.split, part)) for part in ("train", "validation", "test")},
        "history": _plain(report) | ({} if history is None else history.to_dict("list")),
        "result": json.loads(trial.summary().to_json(orient="index")),
    }


def trial_files(screen: Screen, trial: Trial, record: Mapping[str, Any]) -> dict[str, bytes]:
    """The contents of the files; parameters as an .npz file, which `numpy.load` reads without pickle."""
    files = {
        "metrics.csv": trial.metrics.to_csv(lineterminator="\n").encode(),
        "predictions.h5ad": _predictions(screen, trial),
        "split.json": json_bytes(asdict(trial.split), indent=1),
        "train.json": json_bytes(record),
        "predictions.png": trial_picture(screen, trial),
    }
    parameters: dict[str, Any] = trial.fitted.parameters()
    if parameters:
        buffer = io.BytesIO()
        np.savez(buffer, **parameters)
        files[MODEL_FILE] = buffer.getvalue()
    return files


def _plain(values: Mapping[str, object]) -> dict[str, Any]:
    """Values as JSON has them; what it cannot hold by its name."""
    return json.loads(json.dumps(dict(values), default=lambda value: str(getattr(value, "__name__", value))))


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
    written = io.BytesIO()
    with h5py.File(written, "w") as file:
        anndata.io.write_elem(file, "/", table)
    return written.getvalue()


def trial_picture(screen: Screen, trial: Trial) -> bytes:
    """Predicted against observed change of the DE genes, for the first test perturbations, as a PNG.

    Boxes span the quartiles of the cells, whiskers the 5th to the 95th percentile. Without cells the box is replaced by
    the mean and one standard deviation, and the legend says so.
    """
    rows = screen.index(trial.split.test[:_PANELS])
    names = tuple(screen.perturbations[row] for row in rows)
    cells = _cells_of(screen, names)
    title = f"{trial.predictor.name}: {len(screen.de_genes[0])} most changed genes of test perturbations"
    across = min(2, len(names))
    down = -(-len(names) // across)
    with canvas(title, (6.2 * across, 3.0 * down + 0.8)) as (figure, output):
        grid = figure.subplots(down, across, squeeze=False)
        for axes in grid.flat[len(names) :]:
            axes.set_visible(False)
        for number, (axes, row, name) in enumerate(zip(grid.flat, rows, names, strict=False)):
            genes = screen.de_genes[row]
            positions = np.arange(len(genes))
            axes.axhline(0, color="#999999", linewidth=0.8, zorder=0)
            if cells is not None:
                drawn = axes.boxplot(
                    cells[name][:, genes] - screen.control_mean[genes], positions=positions, widths=0.6, whis=(5, 95),
                    showfliers=False, patch_artist=True, boxprops={"facecolor": "#CFE3F1", "edgecolor": SELECTION},
                    medianprops={"color": SELECTION}, whiskerprops={"color": SELECTION}, capprops={"color": SELECTION},
                )["boxes"][0]  # fmt: skip
                what = "cells: quartiles, 5 to 95 %"
            else:
                change, deviation = screen.effects[row, genes], np.sqrt(screen.perturbed.variance[row, genes])
                drawn = axes.errorbar(
                    positions, change, deviation, fmt="o", color=SELECTION, markersize=4, elinewidth=1
                )
                what = "cells: mean and standard deviation"
            dots = axes.scatter(positions, trial.effects[number, genes], color=DEGREE, marker="D", s=26, zorder=3)
            axes.set_xticks(positions, [screen.readouts[gene] for gene in genes], rotation=90, fontsize=8)
            words = {"mse_de": "MSE {:.3f}", "pearson_de": "Pearson {:.2f}"}
            scores = [text.format(trial.metrics[of].iloc[number]) for of, text in words.items() if of in trial.metrics]
            axes.set(title=f"{name}   {', '.join(scores)}", ylabel="change to control", xlim=(-0.7, len(genes) - 0.3))
        figure.legend([drawn, dots], [what, "predicted"], loc="outside lower center", ncols=2, fontsize=9)
    return output.getvalue()


def _cells_of(screen: Screen, names: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """Expression in the cells of some perturbations; None for a screen of moments only."""
    if screen.source is None or not screen.source.is_file():
        return None
    from perturb_jax.screen.cells import read_cells  # reads the file again

    cells = read_cells(screen, names)
    return {name: cells.expression[np.flatnonzero(cells.conditions == name)].toarray() for name in names}
