"""Handing out work to a scheduler that is there already: chains that wait for runs, and those that fail."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster

import perturb_jax as pj
import perturb_jax.cli.run as run_command
from perturb_jax.experiment.clusters import existing_scheduler
from perturb_jax.experiment.file import NamedPredictor, experiment_of, find_sources
from perturb_jax.experiment.planner import Chain, Training
from perturb_jax.experiment.run import Failure, Grid, distinct_runs, trainings_done, work_off
from perturb_jax.experiment.store import Store
from perturb_jax.screen.screen import Screen
from perturb_jax.strategies.baselines import Random
from perturb_jax.strategies.registry import Hybrid
from perturb_jax.support.errors import InputError
from tests.experiment.grids import Largest, finish, tables, with_strategy


@dataclass(frozen=True)
class Broken:
    """A predictor that cannot learn from many perturbations."""

    name: str = "broken"

    def fit(self, screen: Screen, *others: Any) -> None:
        raise ZeroDivisionError(f"{len(screen)} perturbations\nin {len(others)} other things")


def test_chains_wait_for_runs_and_end_where_one_fails(tmp_path: Path) -> None:
    raw = tables(cycles=3, seeds=1, predictors={"graph-gp": {}}, strategies={"random": {}})
    experiment = experiment_of(raw)
    experiment.predictors["broken"] = NamedPredictor("broken", Broken())  # type: ignore[arg-type]
    for label, part in (("far", "embedding"), ("unsure", "log_variance")):
        experiment = with_strategy(experiment, label, Hybrid(Random(), 1, Largest(part)))
    sources = find_sources(experiment, tmp_path)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=":0"
        ) as cluster,
        existing_scheduler(cluster.scheduler_address) as client,
    ):  # fmt: skip
        grid = Grid(experiment, sources, Store(tmp_path / "dask"))
        ended = list(work_off(grid, client))
    ends = {(chain.predictor, chain.strategy): trainings_done(found) for chain, found in grid.walks.items()}
    assert ends == {("graph-gp", "random"): 3, ("graph-gp", "far"): 3, ("graph-gp", "unsure"): 3, ("broken", "far"): 0,
                    ("broken", "unsure"): 0}  # fmt: skip
    works = [one.work if isinstance(one, Failure) else one for one in ended]
    assert len(set(works)) == len(works)
    assert sum(isinstance(work, Training) for work in works) == 3 + 2 + 2 + 1, "the first cycle's are one"
    assert distinct_runs(grid.walks.values()) == (7, 8)
    (failure,) = [one for one in ended if isinstance(one, Failure)]
    assert failure.reason == "ZeroDivisionError: 24 perturbations in 4 other things"
    assert {chain.strategy for chain in failure.chains} == {"far", "unsure"}
    (path,) = (tmp_path / "dask" / "failures").iterdir()
    record = json.loads(path.read_text())
    assert 'raise ZeroDivisionError(f"{len(screen)} perturbations' in record["traceback"]
    assert record["chains"][0] == Chain("sim", "broken", failure.chains[0].strategy, 0)._asdict()
    del experiment.predictors["broken"]
    for label in ("far", "unsure"):
        experiment.strategies[label] = experiment.strategies[label]._replace(predictors=("graph-gp",))
    finish(experiment, sources, tmp_path / "alone")
    alone = Grid(experiment, sources, Store(tmp_path / "alone"))
    for chain, found in alone.walks.items():
        assert found == grid.walks[chain], "the same picks and the same runs as one after the other"


def test_what_only_experiments_need_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"experiments: distributed missing in this installation; pip install '?dist"):
        run_command.run(
            file=Path("x"), workers=None, memory=None, scheduler=None, slurm=None, output=None, dry_run=True, quiet=True
        )


def test_repetitions_become_whole_one_after_the_other(tmp_path: Path) -> None:
    experiment = experiment_of(tables(seeds=[5, 2]))
    grid = Grid(experiment, find_sources(experiment, tmp_path), Store(tmp_path / "runs"))
    first, second = (set(grid.wanted([chain for chain in grid.walks if chain.seed == seed]).items()) for seed in (5, 2))
    assert not first & second and first | second == set(grid.wanted(grid.walks).items())
    assert min(urgency for _, urgency in first) > max(urgency for _, urgency in second)


FILE = """
name = "one"
cycles = 1
batch = 4
test = 4
seeds = 1
[data.sim]
simulation = { perturbations = 24, genes = 60, cells = 10 }
[predictors.training-mean]
[strategies.random]
"""


def test_an_experiment_is_run_from_python_and_failures_are_said_in_the_end(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("class Wrong:\n    def choose(self, ask):\n        return []\n")
    (tmp_path / "one.toml").write_text(FILE + '[strategies.wrong]\nstrategy = "wrong.py:Wrong"\n')
    with pytest.raises(InputError, match=r"1 failed .*expected 4 different candidates.*; the same call tries again"):
        pj.run_experiment(tmp_path / "one.toml", workers=1)
    (tmp_path / "one.toml").write_text(FILE)
    root = pj.run_experiment(tmp_path / "one.toml")  # all that is wanted is there: no worker is started
    assert root == tmp_path / "results" / "one"
    results = pj.read_results(root)
    assert len(results.metrics) == 4 and len(results.selections) == 4
