"""The command that runs an experiment."""

import sys
import time
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturb_jax.cli.flags import Block, Quiet, output_flag, with_flags
from perturb_jax.cli.printing import err, out, print_lines
from perturb_jax.support.errors import InputError
from perturb_jax.support.extras import require
from perturb_jax.support.options import Options, option

if TYPE_CHECKING:
    from distributed import Client

    from perturb_jax.experiment.run import Failure, Grid, Progress, Started

OUT_HELP = "Directory for the results; what is there already is kept and used."
OUT_DEFAULT = "results/NAME beside the file"


@dataclass(frozen=True)
class Workers(Options):
    """Where the work is done."""

    workers: int | None = option(
        None, "Processes of this machine; its cores are divided among them.", at_least=1, shown="one per core"
    )
    memory: str | None = option(None, "Of each process, such as 4GB.", shown="an equal part of the machine's")
    scheduler: str | None = option(None, "Use a dask scheduler at this address.")
    slurm: Path | None = option(None, "Use Slurm: a TOML file with jobs, cores, memory, queue, ...")

    def client(self) -> AbstractContextManager["Client"]:
        """The workers, which start with the context."""
        from dask.system import CPU_COUNT

        from perturb_jax.experiment.clusters import existing_scheduler, local_cluster, read_slurm, slurm_jobs

        if self.scheduler is not None:
            return existing_scheduler(self.scheduler)
        if self.slurm is not None:
            return slurm_jobs(read_slurm(self.slurm))
        return local_cluster(self.workers or CPU_COUNT, self.memory or "auto")


@with_flags
def run(
    file: Annotated[Path, typer.Argument(help="The experiment, a TOML file.")],
    cluster: Annotated[Workers, Block("Workers")],
    output: Annotated[Path | None, output_flag("--out", OUT_HELP, metavar="<path>", show_default=OUT_DEFAULT)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is to do, and do nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment: every strategy, cycle after cycle, with every predictor and seed.

    Each training is a directory that is written whole or not at all. Interrupted or killed, the same command continues;
    damaged directories are named and redone. Exit code 1: some work failed, and is tried again by the same command.
    """
    require("experiments", "distributed", "pyarrow", "pydantic", "sklearn")
    from perturb_jax.experiment.run import begin, work

    if sum(given is not None for given in (cluster.workers or cluster.memory, cluster.scheduler, cluster.slurm)) > 1:
        raise InputError("workers, memory, scheduler, slurm: expected one kind of workers, got several")
    started = begin(file, output)
    if dry_run:
        _describe(started)
        return
    code = 0
    try:
        with _Printing(quiet) as listener:
            grid = work(started, cluster.client, listener)
        code = _conclude(grid, quiet)
    except KeyboardInterrupt:
        print_lines(err, "perturb-jax: interrupted; the same command continues")
        code = 130
    sys.stdout.flush()
    if code:
        raise typer.Exit(code)


def _describe(started: "Started") -> None:
    """Say what there is to do."""
    from perturb_jax.experiment.run import distinct_runs, progress_of

    grid = started.grid()
    _name_damaged(grid)
    table, progress = started.experiment.table, progress_of(grid)
    finished, known = distinct_runs(grid.walks.values())
    kinds = Counter(work.kind for work in grid.wanted(grid.walks))
    to_do = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "nothing"
    print_lines(
        out,
        f"{table.name}: {len(table.data)} data sets, {len(table.predictors)} predictors, {len(table.strategies)} "
        f"strategies, {len(table.seeds)} seeds, {table.cycles} cycles of {table.batch}: {progress.total} trainings at "
        "most (equal ones are done once)",
        f"there: {progress.done} of {progress.total}, from {finished} runs; to do next: {to_do}",
        f"runs that are known so far: {known}; results: {started.root}",
    )


def _conclude(grid: "Grid", quiet: bool) -> int:
    """Say what came of it; the exit code."""
    from perturb_jax.experiment.run import distinct_runs, progress_of

    progress = progress_of(grid)
    if not quiet:
        runs, _ = distinct_runs(grid.walks.values())
        print_lines(
            out, f"{progress.done} of {progress.total} trainings are there, from {runs} runs: {grid.store.root}"
        )
    if not grid.failures:
        return 0
    print_lines(
        err,
        f"perturb-jax: {len(grid.failures)} failed, {progress.total - progress.done} trainings are missing; reasons "
        f"are in {grid.store.root / 'failures'}; the same command tries again",
    )
    return 1


class _Printing:
    """Tells of an experiment while it runs: a `Listener`, with a bar on standard error unless quiet."""

    def __init__(self, quiet: bool):
        from rich import progress as shown  # not needed by any other command

        columns = (shown.BarColumn(), shown.MofNCompleteColumn(), shown.TimeElapsedColumn(), "{task.fields[left]}")
        self.quiet, self.bar = quiet, shown.Progress("{task.description}", *columns, console=err, disable=quiet)
        self._task: shown.TaskID | None = None

    def __enter__(self) -> "_Printing":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def damaged(self, grid: "Grid") -> None:
        _name_damaged(grid)

    def started(self, dashboard: str, progress: "Progress") -> None:
        if not self.quiet:
            print_lines(err, f"dashboard: {dashboard}")
        self.bar.start()
        self._task = self.bar.add_task("trainings", total=progress.total, completed=progress.done, left="")

    def failed(self, failure: "Failure") -> None:
        work, chains = failure.work, failure.chains
        where = "; ".join("/".join(map(str, chain)) for chain in chains[:3])
        more = f" and {len(chains) - 3} more" if len(chains) > 3 else ""
        print_lines(err, f"failed: {work.kind} {work.digest[:12]} ({where}{more}): {failure.reason}")

    def progressed(self, progress: "Progress") -> None:
        if self._task is not None:
            left = "" if progress.seconds_left is None else f"{_clock(progress.seconds_left)} left"
            self.bar.update(self._task, completed=progress.done, left=left)


def _name_damaged(grid: "Grid") -> None:
    for directory, wrong in grid.store.damaged.items():
        print_lines(err, f"damaged: {directory}: {wrong}; it is done again")


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(seconds)) if seconds < 86_400 else f"{seconds / 86_400:.1f} days"
