"""The command that runs an experiment."""

import sys
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from perturb_jax.cli.blocks import OUTPUT, Quiet
from perturb_jax.cli.flags import with_flags
from perturb_jax.cli.printing import print_line
from perturb_jax.support.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

WORKERS = "Workers"
out, err = Console(), Console(stderr=True)


@with_flags
def run(
    file: Annotated[Path, typer.Argument(help="The experiment, a TOML file.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="<path>",
            help="Directory for the results; what is there already is kept and used.",
            show_default="results/NAME beside the file",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes of this machine; its cores are shared out among them.",
            show_default="one per core",
            min=1,
            rich_help_panel=WORKERS,
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Of each process, such as 4GB.",
            show_default="an equal share of the machine's",
            rich_help_panel=WORKERS,
        ),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Use a dask scheduler at this address.", rich_help_panel=WORKERS)
    ] = None,
    slurm: Annotated[
        Path | None,
        typer.Option(help="Use Slurm: a TOML file with jobs, cores, memory, queue, ...", rich_help_panel=WORKERS),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is to do, and do nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment: every strategy, cycle after cycle, with every predictor and seed.

    Each training is a directory that is written whole or not at all. Interrupted or killed, the same command continues;
    damaged directories are named and redone. Exit code 1: some work failed, and is tried again by the same command.
    """
    require_extra()
    from perturb_jax.experiment.command import begin, describe, work

    if sum(given is not None for given in (workers or memory, scheduler, slurm)) > 1:
        raise InputError("workers, memory, scheduler, slurm: expected one kind of workers, got several")
    started = begin(file, output)
    if dry_run:
        describe(started, out, err)
        return
    try:
        code = work(started, lambda: _client(workers, memory, scheduler, slurm), out, err, quiet)
    except KeyboardInterrupt:
        print_line(err, "perturb-jax: interrupted; the same command continues")
        code = 130
    sys.stdout.flush()
    if code:
        raise typer.Exit(code)


def require_extra() -> None:
    """Refuse to go on without what only experiments need.

    Raises:
        InputError: it is not installed.
    """
    missing = [name for name in ("distributed", "pyarrow", "pydantic", "sklearn") if find_spec(name) is None]
    if missing:
        raise InputError(f"experiments need {', '.join(missing)}; pip install 'perturb-jax[experiment]'")


def _client(
    workers: int | None, memory: str | None, scheduler: str | None, slurm: Path | None
) -> AbstractContextManager["Client"]:
    from dask.system import CPU_COUNT

    from perturb_jax.experiment.clusters import existing_scheduler, local_cluster, read_slurm, slurm_jobs

    if scheduler is not None:
        return existing_scheduler(scheduler)
    if slurm is not None:
        return slurm_jobs(read_slurm(slurm))
    return local_cluster(workers or CPU_COUNT, memory or "auto")
