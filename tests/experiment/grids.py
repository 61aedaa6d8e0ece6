"""Small experiments, a strategy that reads a view, and doing everything one after the other, without dask."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perturb_jax.experiment.execution import execute
from perturb_jax.experiment.file import Experiment, NamedStrategy, Sources, experiment_of, find_sources
from perturb_jax.experiment.planner import Work, chains_of, walk
from perturb_jax.experiment.store import Store, write_json
from perturb_jax.strategies.strategy import Ask

SIMULATION = {"perturbations": 24, "genes": 60, "cells": 10}


def tables(**changes: Any) -> dict[str, Any]:
    """The tables of a file: two cycles of four with two baselines."""
    return {
        "name": "small", "cycles": 2, "batch": 4, "test": 4, "seeds": 2, "data": {"sim": {"simulation": SIMULATION}},
        "predictors": {"training-mean": {}, "graph-gp": {}}, "strategies": {"random": {}, "graphreach": {}},
    } | changes  # fmt: skip


@dataclass(frozen=True)
class Largest:
    """Picks the candidates with the largest norm of a part of the view; the first cycle's in the order given."""

    part: str = "embedding"

    def parts(self, cycle: int) -> tuple[str, ...]:
        return (self.part,) if cycle else ()

    def choose(self, ask: Ask) -> tuple[str, ...]:
        if ask.view is None:
            return ask.candidates[: ask.budget]
        values = np.asarray(ask.view.rows(self.part, ask.candidates), float)
        size = np.abs(values.reshape(len(values), -1)).sum(1)
        return tuple(ask.candidates[place] for place in np.argsort(-size, kind="stable")[: ask.budget])


def with_strategy(experiment: Experiment, label: str, strategy: Any) -> Experiment:
    """The experiment with a strategy that no registry knows."""
    named = NamedStrategy(strategy, tuple(experiment.predictors))
    return experiment._replace(strategies={**experiment.strategies, label: named})


def finish(experiment: Experiment, sources: Sources, root: Path) -> list[Work]:
    """Do all work of an experiment, in order; returns it."""
    known, done = Store(root), []
    for chain in chains_of(experiment):
        while wanted := walk(experiment, sources, chain, known).wanted:
            execute(wanted[0], root)
            done.append(wanted[0])
    return done


def finished(raw: Mapping[str, Any], root: Path) -> list[Work]:
    """Do an experiment, with the record that `read_results` needs."""
    experiment = experiment_of(raw)
    sources = find_sources(experiment, root)
    record = {"config": raw, "checksums": sources.checksums, "versions": {}}
    write_json(root / "experiment.json", record)
    return finish(experiment, sources, root)
