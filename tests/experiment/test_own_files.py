"""A strategy, a predictor, a metric in a file of one's own: in an experiment, by workers, and read afterwards."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perturb_jax.analysis.results import complete_runs, read_results
from perturb_jax.experiment.clusters import local_cluster
from perturb_jax.experiment.run import begin, work
from perturb_jax.support.errors import InputError

OWN = '''
from dataclasses import dataclass

import numpy as np

import perturb_jax as pj


@dataclass(frozen=True)
class LeastConnected(pj.Options):
    """Those that fewest genes read."""

    skip: int = pj.option(0, "How many of the least connected ones are passed over.", at_least=0)
    most: bool = pj.option(False, "The most connected ones instead.")

    def choose(self, ask):
        graph = ask.graph
        readers = np.bincount(np.asarray(graph.senders), minlength=graph.num_nodes)
        ranked = sorted(ask.candidates, key=lambda name: (readers[graph.names.position[name]], name), reverse=self.most)
        return ranked[self.skip : self.skip + ask.budget]


@dataclass(frozen=True)
class Scaled(pj.Options):
    """The mean effect of training, scaled."""

    factor: float = pj.option(1.0, "What the mean is multiplied with.", above=0)
    name: str = "scaled mean"

    def fit(self, screen, graph, train, validation, key):
        return Mean(self.factor * screen.effects[screen.index(tuple(train))].mean(0))


class Mean(pj.Fitted):
    def __init__(self, effect):
        self.effect = effect

    def effects(self, perturbations):
        return np.tile(self.effect, (len(perturbations), 1))


def largest(measured):
    return np.abs(measured.predicted - measured.truth).max(1)


LARGEST = pj.Metric("largest_error", "largest error", True, largest, over="all genes")
'''
FILE = """
name = "own"
cycles = 1
batch = 4
test = 4
seeds = 2
metrics = ["mse_de", "own.py:LARGEST"]
[data.sim.simulation]
perturbations = 16
genes = 40
cells = 8
[predictors.half]
predictor = "own.py:Scaled"
factor = 0.5
[strategies.random]
[strategies.least]
strategy = "own.py:LeastConnected"
skip = 1
"""


class Silent:
    """Hears how far it is, and keeps what failed."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def damaged(self, grid: Any) -> None:
        pass

    def started(self, dashboard: str, progress: Any) -> None:
        pass

    def failed(self, failure: Any) -> None:
        self.failures.append(failure.reason)

    def progressed(self, progress: Any) -> None:
        pass


def test_they_work_in_worker_processes_and_results_are_read_without_the_file(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "own.toml").write_text(FILE)
    listener = Silent()
    grid = work(begin(tmp_path / "own.toml", None), lambda: local_cluster(1, "auto"), listener)
    assert not listener.failures and not grid.failures
    (tmp_path / "own.py").unlink()
    results = read_results(tmp_path / "results" / "own")
    assert results.record["trainings"] == {"there": 4, "all": 4, "runs": 4}
    picks = results.selections[results.selections["strategy"] == "least"]
    assert len(picks) == 2 * 4 and picks.groupby("seed")["perturbation"].nunique().tolist() == [4, 4]
    measured = [name for name in results.metrics if name in ("mse_de", "largest_error", "mse")]
    assert measured == ["mse_de", "largest_error"] and results.unmeasured.empty
    assert (results.metrics["largest_error"] ** 2 >= results.metrics["mse_de"] * 0.2).all()
    runs = complete_runs(results)
    assert runs.shown == ["mse_de", "largest_error"] and runs.errors == {"mse_de", "largest_error"}
    assert runs.metric("largest_error").words == "largest error over all genes"


def test_a_metric_that_stored_runs_lack_is_missing_there(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    file = tmp_path / "own.toml"
    file.write_text(FILE.replace(', "own.py:LARGEST"', ""))
    work(begin(file, None), lambda: local_cluster(1, "auto"), Silent())
    file.write_text(FILE)
    grid = work(begin(file, None), lambda: pytest.fail("nothing is left to do"), Silent())
    assert not grid.wanted(grid.walks)
    results = read_results(tmp_path / "results" / "own")
    assert results.metrics["largest_error"].isna().all() and results.metrics["mse_de"].notna().all()
    assert set(results.unmeasured["metric"]) == {"largest_error"} and len(results.unmeasured) == 4
    assert complete_runs(results).unmeasured == (("largest_error", 4),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (("factor = 0.5", "factor = 0"), r"predictors\.half\.factor: expected a finite number above 0, got 0"),
        (("skip = 1", "skip = -1"), r"strategies\.least\.skip: expected a whole number of at least 0, got -1"),
        (("own.py:Scaled", "own.py:Scale"), r"predictors\.half\.predictor: .*own\.py defines no 'Scale'"),
        (("own.py:LARGEST", "own.py:largest"), "metrics: .*expected a Metric with its function"),
        (("own.py:LARGEST", "none.py:X"), r"metrics: .*none\.py cannot be read"),
    ],
)
def test_what_is_wrong_in_them_is_named_by_its_key(tmp_path: Path, text: tuple[str, str], message: str) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "own.toml").write_text(FILE.replace(*text))
    with pytest.raises(InputError, match=message):
        begin(tmp_path / "own.toml", None)


def test_a_worker_loads_nothing_that_speaks_to_a_terminal() -> None:
    code = "import sys, perturb_jax.experiment.execution; print([m for m in ('typer', 'rich') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
