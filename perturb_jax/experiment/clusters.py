"""Where the work is done: processes of this machine, a scheduler that is there already, or jobs of Slurm."""

import logging
import os
import signal
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, WorkerPlugin
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from perturb_jax.experiment.file import Count, first_error
from perturb_jax.support.errors import InputError


class SlurmTable(BaseModel):
    """What a file says of Slurm: how many jobs, and what each asks for, by the names of dask-jobqueue's `SLURMCluster`.

    Attributes:
        jobs: how many.
        cores: of a job.
        processes: workers of a job, each with its share of the cores.
        memory: of a job, such as "16GB".
        queue: the partition.
        walltime: such as "04:00:00".
        account: to charge.
        interface: of the network, such as "ib0".
        job_extra_directives: further lines "#SBATCH ...", such as "--gres=gpu:1".
        job_script_prologue: commands before a worker starts.
        python: of the nodes; None: the one that runs this.
        local_directory: of a node, for scratch files.
        log_directory: for the jobs' output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs: Count
    cores: Count
    processes: Count = 1
    memory: str
    queue: str | None = None
    walltime: str | None = None
    account: str | None = None
    interface: str | None = None
    job_extra_directives: tuple[str, ...] = ()
    job_script_prologue: tuple[str, ...] = ()
    python: str | None = None
    local_directory: str | None = None
    log_directory: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> "SlurmTable":
        if self.processes > self.cores:
            raise ValueError(f"processes: expected at most as many as cores, {self.cores}, got {self.processes}")
        return self


def read_slurm(path: Path) -> SlurmTable:
    """What a file says of Slurm.

    Raises:
        InputError: a file that cannot be read, is no TOML, or has a field that is missing, unknown or wrong.
    """
    try:
        return SlurmTable.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"slurm: expected a readable TOML file, got {path} ({error})") from None
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from None


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
    """Processes of this machine, one thread each for tasks and an equal share of the cores for what a task computes.

    Args:
        workers: how many.
        memory: of each: "4GB", or "auto": an equal share of the machine's. A worker that exceeds it is started anew,
            and its run is tried again.
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
    """A scheduler that was started by others; its workers need this package and the same directory.

    Raises:
        InputError: none answers there.
    """
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"scheduler: expected the address of a dask scheduler, got {address!r} ({error})") from None
    with client:
        yield client


def slurm_cluster(table: SlurmTable) -> Any:
    """A cluster of Slurm jobs, none of which is submitted yet.

    Raises:
        InputError: dask-jobqueue is not installed.
    """
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise InputError("slurm: needs dask-jobqueue; pip install 'perturb-jax[cluster]'") from None
    given = {name: value for name, value in table.model_dump().items() if value not in (None, ()) and name != "jobs"}
    given |= {"job_cpu": table.cores, "cores": table.processes}  # one task at a time in each, which computes with more
    exports = thread_variables(max(1, table.cores // table.processes))
    prologue = [f'export {name}="{value}"' for name, value in exports.items()]
    given["job_script_prologue"] = [*prologue, *table.job_script_prologue]
    given["job_extra_directives"] = list(table.job_extra_directives)
    return SLURMCluster(**given)


@contextmanager
def slurm_jobs(table: SlurmTable) -> Iterator[Client]:
    """The workers of Slurm jobs."""
    with slurm_cluster(table) as cluster, Client(cluster, set_as_default=False) as client:
        cluster.scale(jobs=table.jobs)
        yield client
