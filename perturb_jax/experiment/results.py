"""The results of an experiment as tidy tables."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from perturb_jax.errors import InputError


class Results(NamedTuple):
    """What the finished runs of an experiment stored.

    Attributes:
        metrics: a row per test perturbation of each run and cycle: data, predictor, strategy, seed, cycle (from 1),
            size (perturbations selected so far), perturbation, and the columns of `evaluate`.
        selections: a row per pick: data, predictor, strategy, seed, cycle, rank (from 1, over all cycles),
            perturbation.
        times: data, predictor, strategy, seed, cycle, what ("selection", "training" or "view"), seconds.
        record: plain values: the config, versions, simulated.
    """

    metrics: pd.DataFrame
    selections: pd.DataFrame
    times: pd.DataFrame
    record: dict[str, Any]


def read_results(directory: Path) -> Results:
    """The results in a directory.

    Raises:
        InputError: a directory without results.
    """
    tables = [directory / f"{name}.parquet" for name in ("metrics", "selections", "times")]
    record = directory / "record.json"
    if not all(path.is_file() for path in (*tables, record)):
        raise InputError(f"{directory}: expected the results of `perturb-jax run`, found none; run it first")
    metrics, selections, times = map(pd.read_parquet, tables)
    return Results(metrics, selections, times, json.loads(record.read_text()))
