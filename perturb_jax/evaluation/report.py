"""A trial as files: metrics, predictions, the split, the record that makes it traceable, a picture, parameters."""

import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd

from perturb_jax.evaluation.figure import trial_picture
from perturb_jax.evaluation.trial import Trial, measured_outside
from perturb_jax.graph.knowledge_graph import KnowledgeGraph, graph_record
from perturb_jax.predictors.predictor import Fitted
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import checksums, versions

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
