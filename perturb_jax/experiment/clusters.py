"""Where the work is done: processes of this machine, a scheduler that is there already, or jobs of Slurm."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass
from pathlib import Path
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, WorkerPlugin

from perturb_jax.experiment.file import read_toml
from perturb_jax.support.errors import InputError, prefixed
from perturb_jax.support.extras import require
from perturb_jax.support.options import Options, made_from, option

PATIENCE = "60s"
"""How long to wait for a scheduler that is there already: busy ones answer late."""


@dataclass(frozen=True)
class SlurmTable(Options):
    """What a file says of Slurm: how many jobs, and what each needs, by the names of dask-jobqueue's `SLURMCluster`."""

    jobs: int = option(MISSING, "How many.", at_least=1)
    cores: int = option(MISSING, "Of a job.", at_least=1)
    memory: str = option(MISSING, 'Of a job, such as "16GB".')
    processes: int = option(1, "Workers of a job, which divide its cores among them.", at_least=1)
    queue: str | None = option(None, "The partition.")
    walltime: str | None = option(None, 'Such as "04:00:00".')
    account: str | None = option(None, "To charge.")
    interface: str | None = option(None, 'Of the network, such as "ib0".')
    job_extra_directives: tuple[str, ...] | None = option(None, 'Further lines "#SBATCH ...", such as "--gres=gpu:1".')
    job_script_prologue: tuple[str, ...] | None = option(None, "Commands before a worker starts.")
    python: str | None = option(None, "Of the nodes.", shown="the one that runs this")
    local_directory: str | None = option(None, "Of a node, for scratch files.")
    log_directory: str | None = option(None, "For the jobs' output.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.processes > self.cores:
            raise InputError(f"processes: expected at most as many as cores, {self.cores}, got {self.processes}")


def read_slurm(path: Path) -> SlurmTable:
    """What a file says of Slurm."""
    table = read_toml(path)
    with prefixed(f"{path}: "):
        return made_from(SlurmTable, table)


def thread_variables(threads: int) -> dict[str, str]:
    """The environment in which a worker computes with so many threads, whichever library does."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC")
    flags = os.environ.get("XLA_FLAGS", "")
    if threads == 1:
        flags = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    return dict.fromkeys(names, str(threads)) | ({"XLA_FLAGS": flags} if flags else {})


class IgnoreInterrupts(WorkerPlugin):  # type: ignore[misc]
    """Leaves ^C to the command, which then ends its workers."""

    def setup(self, worker: object) -> None:  # noqa: ARG002  (distributed's)
        """Called in the worker's main thread."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def local_cluster(workers: int, memory: str) -> Iterator[Client]:
    """Processes of this machine, one thread each for tasks; what a task computes has an equal part of the cores.

    `memory` is that of each: "4GB", or "auto", an equal part of the machine's. A worker that exceeds it is started
    anew, and its run is tried again.
    """
    settings = {
        # before the processes start, since numerical libraries read the variables when they are loaded
        "distributed.nanny.pre-spawn-environ": thread_variables(max(1, CPU_COUNT // workers)),
        "distributed.worker.daemon": True,
        "logging.distributed": "critical",
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, memory_limit=memory, dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        client.register_plugin(IgnoreInterrupts())
        yield client


@contextmanager
def existing_scheduler(address: str) -> Iterator[Client]:
    """A scheduler that was started by others; its workers need this package and the same directory."""
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"scheduler: expected the address of a dask scheduler, got {address!r} ({error})") from None
    with client:
        yield client


def slurm_cluster(table: SlurmTable) -> Any:
    """A cluster of Slurm jobs, none of which is submitted yet."""
    require("slurm", "dask_jobqueue")
    from dask_jobqueue import SLURMCluster

    given = {name: value for name, value in asdict(table).items() if value is not None and name != "jobs"}
    given |= {"job_cpu": table.cores, "cores": table.processes}  # one task at a time in each, which computes with more
    exports = thread_variables(max(1, table.cores // table.processes))
    prologue = [f'export {name}="{value}"' for name, value in exports.items()]
    given["job_script_prologue"] = [*prologue, *(table.job_script_prologue or ())]
    given["job_extra_directives"] = list(table.job_extra_directives or ())
    return SLURMCluster(**given)


@contextmanager
def slurm_jobs(table: SlurmTable) -> Iterator[Client]:
    """The workers of Slurm jobs."""
    with slurm_cluster(table) as cluster, Client(cluster, set_as_default=False) as client:
        cluster.scale(jobs=table.jobs)
        yield client
