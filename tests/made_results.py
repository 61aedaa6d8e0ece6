"""Results of an experiment that was never run: a random grid whose numbers look like learning curves."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from perturb_jax.analysis.results import Results

MODEL_BASED = ("uncertainty", "acs-fw", "typiclust", "graphreach-2 then typiclust")


def made_results(
    data: Sequence[str] = ("adamson",),
    predictors: Sequence[str] = ("gears-flax",),
    strategies: Sequence[str] = ("random", "graphreach", "uncertainty"),
    cycles: int = 3,
    seeds: int = 4,
    tests: int = 5,
    batch: int = 8,
    fixed: Sequence[str] = ("data", "split"),
    simulated: bool = True,
    seed: int = 0,
) -> Results:
    """A row for each test perturbation, pick and step of every run."""
    rng = np.random.default_rng(seed)
    pool = np.array([f"GENE{i}" for i in range(2 * batch * cycles)])
    metrics, picks, times = [], [], []
    skills = dict(zip(strategies, rng.normal(0, 0.02, len(strategies)), strict=True))
    shift = dict(zip(product(data, range(seeds)), rng.normal(0, 0.02, (len(data) * seeds)), strict=True))
    for name, predictor, strategy, run in product(data, predictors, strategies, range(seeds)):
        place: dict[str, Any] = {"data": name, "predictor": predictor, "strategy": strategy, "seed": run}
        same = strategy in ("graphreach", "k-center", "graphdesign", "maxspec", "top-degree")
        order = np.random.default_rng(0 if same else run).permutation(pool)
        if strategy in MODEL_BASED:  # the first cycle depends on the seed
            order = np.array(list(dict.fromkeys([*order[:batch], *np.random.default_rng(1).permutation(pool)])))
        own = rng.normal(0, 0.006)
        for cycle in range(1, cycles + 1):
            at: dict[str, Any] = place | {"cycle": cycle}
            level = 0.15 + 0.12 / cycle + shift[name, run] + own + skills[strategy] * (1 - 1 / (cycle + 0.1))
            error = np.abs(level + rng.normal(0, 0.02, tests))
            measured = {"mse_de": error, "pearson_de": 0.7 - error, "mse": error / 9, "pearson": 1 - error / 9}
            frame = pd.DataFrame(measured)
            metrics.append(frame.assign(**at, size=batch * cycle, perturbation=[f"TEST{i}" for i in range(tests)]))
            ranks = np.arange(batch * (cycle - 1), batch * cycle)
            picks.append(pd.DataFrame({"rank": ranks + 1, "perturbation": order[ranks]}).assign(**at))
            steps = {"training": rng.uniform(8, 12), "view": rng.uniform(0.1, 0.3)}
            if strategy in MODEL_BASED or cycle == 1:
                steps["selection"] = rng.uniform(0.001, 0.003) * (400 if strategy in MODEL_BASED else 1)
            times.append(pd.DataFrame({"what": list(steps), "seconds": list(steps.values())}).assign(**at))
    record: dict[str, Any] = {
        "config": {"fixed": list(fixed), "cycles": cycles, "seeds": seeds, "strategies": list(strategies)},
        "simulated": simulated,
    }
    frames = [pd.concat(rows, ignore_index=True) for rows in (metrics, picks, times)]
    parts = {"choosing": 0.5, "training": 60.0, "view": 2.0}
    rows = [(name, part, seeds, seconds) for name in predictors for part, seconds in parts.items()]
    costs = pd.DataFrame(rows, columns=["predictor", "part", "count", "seconds"])
    return Results(frames[0], frames[1], frames[2], costs, record)


def row_of(frame: pd.DataFrame, **where: object) -> dict[str, Any]:
    """The one row of a frame with these values."""
    (row,) = frame[np.all([frame[column] == value for column, value in where.items()], axis=0)].to_dict("records")
    return {str(name): value for name, value in row.items()}


def without(results: Results, **where: object) -> Results:
    """The results less the rows of some runs or cycles."""

    def rest(frame: pd.DataFrame) -> pd.DataFrame:
        gone = np.all([frame[column] == value for column, value in where.items()], axis=0)
        return frame[~gone].reset_index(drop=True)

    return results._replace(metrics=rest(results.metrics))
