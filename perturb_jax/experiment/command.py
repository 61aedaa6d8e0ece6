"""What `perturb-jax run` does, and how it tells of it."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from distributed import Client
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from perturb_jax.analysis.results import EXPERIMENT
from perturb_jax.cli.printing import print_line
from perturb_jax.experiment.carry_out import RUN
from perturb_jax.experiment.config import Experiment, read_experiment
from perturb_jax.experiment.forecast import Forecast
from perturb_jax.experiment.schedule import Failure, Grid, distinct_runs, trainings_done, work_off
from perturb_jax.experiment.sources import Sources, find_sources
from perturb_jax.experiment.store import Store, locked, write_json
from perturb_jax.experiment.work import Training, Work
from perturb_jax.support.provenance import versions

_REFRESH_SECONDS = 0.5


class Started(NamedTuple):
    """An experiment that was read, and where its results belong."""

    raw: dict[str, Any]
    experiment: Experiment
    sources: Sources
    root: Path


def begin(file: Path, output: Path | None) -> Started:
    """Read the file of an experiment.

    Raises:
        InputError: what is wrong with it, or with a file that it names.
    """
    raw, experiment = read_experiment(file)
    root = file.parent / "results" / experiment.table.name if output is None else output
    return Started(raw, experiment, find_sources(experiment, file.parent), root.absolute())


def describe(started: Started, out: Console, err: Console) -> None:
    """Say what there is to do."""
    grid = Grid(started.experiment, started.sources, Store(started.root))
    _name_damaged(grid, err)
    table = started.experiment.table
    total, done = len(grid.walks) * table.cycles, sum(map(trainings_done, grid.walks.values()))
    finished, known = distinct_runs(grid.walks.values())
    print_line(
        out,
        f"{table.name}: {len(table.data)} data sets, {len(table.predictors)} predictors, {len(table.strategies)} "
        f"strategies, {len(table.seeds)} seeds, {table.cycles} cycles of {table.batch}: {total} trainings at most "
        "(equal ones are done once)",
    )
    print_line(out, f"there: {done} of {total}, from {finished} runs; to do next: {_counts(grid)}")
    print_line(out, f"runs that are known so far: {known}; results: {started.root}")


def _counts(grid: Grid) -> str:
    kinds = [work.kind for work in grid.wanted(grid.walks)]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)) or "nothing"


def work(
    started: Started, cluster: Callable[[], AbstractContextManager[Client]], out: Console, err: Console, quiet: bool
) -> int:
    """Do everything that is left, and say how far it is.

    Args:
        started: the experiment.
        cluster: starts the workers.
        out: for what came of it.
        err: for progress, warnings and failures.
        quiet: only warnings and failures.

    Returns:
        The exit code: 1 where something failed.

    Raises:
        InputError: another command works in that directory.
    """
    with locked(started.root):
        store = Store(started.root)
        store.clear_staging()
        record = {"config": started.raw, "checksums": started.sources.checksums, "versions": versions()}
        write_json(started.root / EXPERIMENT, record)
        grid = Grid(started.experiment, started.sources, store)
        _name_damaged(grid, err)
        if grid.wanted(grid.walks):
            with cluster() as client:
                _work_off(started, grid, client, err, quiet)
        return _conclude(started, grid, out, err, quiet)


def _work_off(started: Started, grid: Grid, client: Client, err: Console, quiet: bool) -> None:
    total = len(grid.walks) * started.experiment.table.cycles
    forecast = Forecast(started.experiment.table.cycles)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )  # fmt: skip
    if not quiet:
        print_line(err, f"dashboard: {client.dashboard_link}")
    with Progress(*columns, console=err, disable=quiet) as bar:
        done = sum(map(trainings_done, grid.walks.values()))
        task = bar.add_task("trainings", total=total, completed=done, left="")

        def tell(work: Work | None, failure: Failure | None) -> None:
            if failure is not None:
                _name_failure(failure, bar.console)
            elif isinstance(work, Training):
                forecast.finished(work, grid.store.record(work, RUN)["seconds"])
            if time.monotonic() > shown[0] + _REFRESH_SECONDS:
                show()
                shown[0] = time.monotonic()

        def show() -> None:
            left = forecast.left(grid.walks, sum(client.nthreads().values()), grid.failures)
            done = sum(map(trainings_done, grid.walks.values()))
            bar.update(task, completed=done, left="" if left is None else f"{_clock(left)} left")

        shown = [time.monotonic()]
        work_off(grid, client, tell)
        show()


def _conclude(started: Started, grid: Grid, out: Console, err: Console, quiet: bool) -> int:
    total = len(grid.walks) * started.experiment.table.cycles
    done = sum(map(trainings_done, grid.walks.values()))
    if not quiet:
        runs, _ = distinct_runs(grid.walks.values())
        print_line(out, f"{done} of {total} trainings are there, from {runs} runs: {started.root}")
    if not grid.failures:
        return 0
    print_line(
        err,
        f"perturb-jax: {len(grid.failures)} failed, {total - done} trainings are missing; reasons are in "
        f"{grid.store.root / 'failures'}; the same command tries again",
    )
    return 1


def _name_damaged(grid: Grid, err: Console) -> None:
    for place, wrong in grid.store.damaged.items():
        print_line(err, f"damaged: {place}: {wrong}; it is done again")


def _name_failure(failure: Failure, err: Console) -> None:
    work, chains = failure.work, failure.chains
    where = "; ".join("/".join(map(str, chain)) for chain in chains[:3])
    more = f" and {len(chains) - 3} more" if len(chains) > 3 else ""
    print_line(err, f"failed: {work.kind} {work.digest[:12]} ({where}{more}): {failure.reason}")


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(seconds)) if seconds < 86_400 else f"{seconds / 86_400:.1f} days"
