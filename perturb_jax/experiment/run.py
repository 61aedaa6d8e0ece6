"""An experiment from its file to its results: what there is to do, and doing it."""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from distributed import Client

from perturb_jax.evaluation.metrics import BUILT_IN, Metric
from perturb_jax.experiment.file import Experiment, read_experiment
from perturb_jax.experiment.schedule import Failure, Forecast, Grid, distinct_runs, trainings_done, work_off
from perturb_jax.experiment.sources import Sources, find_sources
from perturb_jax.experiment.store import EXPERIMENT, RUN, Store, locked, write_json
from perturb_jax.experiment.work import Training, Work, is_own, predictor_identity, strategy_identity
from perturb_jax.strategies.strategy import parts_of
from perturb_jax.support.files import versions

_REFRESH_SECONDS = 0.5


class Started(NamedTuple):
    """An experiment that was read, and where its results belong."""

    raw: dict[str, Any]
    experiment: Experiment
    sources: Sources
    root: Path

    def grid(self) -> Grid:
        """How far every chain is."""
        return Grid(self.experiment, self.sources, Store(self.root))


class Progress(NamedTuple):
    """How far an experiment is.

    Attributes:
        done: trainings that are there.
        total: all of them.
        seconds_left: the forecast; None while there is none.
    """

    done: int
    total: int
    seconds_left: float | None = None


@runtime_checkable
class Listener(Protocol):
    """What is told while an experiment runs."""

    def damaged(self, grid: Grid) -> None:
        """Results that are damaged, and are done again: `grid.store.damaged`."""

    def started(self, dashboard: str, progress: Progress) -> None:
        """The workers are there."""

    def failed(self, failure: Failure) -> None:
        """Some work failed."""

    def progressed(self, progress: Progress) -> None:
        """More is done; at most twice a second."""


def begin(file: Path, output: Path | None) -> Started:
    """Read the file of an experiment.

    Raises:
        InputError: what is wrong with it, or with a file that it names.
    """
    raw, experiment = read_experiment(file)
    root = file.parent / "results" / experiment.table.name if output is None else output
    return Started(raw, experiment, find_sources(experiment, file.parent), root.absolute())


def work(started: Started, cluster: Callable[[], AbstractContextManager[Client]], listener: Listener) -> Grid:
    """Do everything that is left.

    Args:
        started: the experiment.
        cluster: starts the workers.
        listener: is told how far it is.

    Returns:
        How far every chain is in the end, and what failed: `Grid.failures`.

    Raises:
        InputError: another command works in that directory; the scheduler went away.
    """
    with locked(started.root):
        Store(started.root).clear_staging()
        write_json(started.root / EXPERIMENT, record_of(started))
        grid = started.grid()
        listener.damaged(grid)
        if grid.wanted(grid.walks):
            with cluster() as client:
                _work_off(grid, client, listener)
        return grid


def record_of(started: Started) -> dict[str, Any]:
    """What is stored beside the results, by which they are read: plain values.

    Of what a user's own files define, it has what results are found and read by, so that these files are not needed.
    """
    record = {"config": started.raw, "checksums": started.sources.checksums, "versions": versions()}
    experiment, cycles = started.experiment, range(started.experiment.table.cycles)
    predictors = {
        label: predictor_identity(*named) for label, named in experiment.predictors.items() if is_own(named.predictor)
    }
    strategies = {
        label: {
            "identity": strategy_identity(named.strategy),
            "parts": [list(parts_of(named.strategy, cycle)) for cycle in cycles],
        }
        for label, named in experiment.strategies.items()
        if is_own(named.strategy)
    }
    own = {"predictors": predictors, "strategies": strategies}
    metrics = {metric.name: about_metric(metric) for metric in experiment.metrics if metric.name not in BUILT_IN}
    return record | ({"own": own} if predictors or strategies else {}) | ({"metrics": metrics} if metrics else {})


def about_metric(metric: Metric) -> dict[str, Any]:
    """What tables and figures need to know of a metric."""
    names = ("label", "smaller_is_better", "over", "unit")
    return {name: getattr(metric, name) for name in names}


def progress_of(grid: Grid, seconds_left: float | None = None) -> Progress:
    """How far an experiment is."""
    done = sum(map(trainings_done, grid.walks.values()))
    return Progress(done, len(grid.walks) * grid.experiment.table.cycles, seconds_left)


def counts(works: Iterable[Work]) -> dict[str, int]:
    """How many there are of each kind."""
    kinds = [one.kind for one in works]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def _work_off(grid: Grid, client: Client, listener: Listener) -> None:
    forecast = Forecast(grid.experiment.table.cycles)
    listener.started(client.dashboard_link, progress_of(grid))
    told_at = time.monotonic()

    def tell(done: Work | None, failure: Failure | None) -> None:
        nonlocal told_at
        if failure is not None:
            listener.failed(failure)
        elif isinstance(done, Training):
            forecast.finished(done, grid.store.record(done, RUN)["seconds"])
        if time.monotonic() > told_at + _REFRESH_SECONDS:
            show()
            told_at = time.monotonic()

    def show() -> None:
        left = forecast.left(grid.walks, sum(client.nthreads().values()), grid.failures)
        listener.progressed(progress_of(grid, left))

    work_off(grid, client, tell)
    show()


__all__ = ["Listener", "Progress", "Started", "begin", "counts", "distinct_runs", "progress_of", "record_of", "work"]
