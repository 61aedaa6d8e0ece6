"""An experiment from its file to its results: what is possible is handed out, then what has become possible."""

import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from distributed import Client, Future, as_completed

from perturb_jax.evaluation.metrics import BUILT_IN
from perturb_jax.experiment.execution import execute
from perturb_jax.experiment.file import Experiment, Sources, find_sources, read_experiment
from perturb_jax.experiment.planner import Chain, Training, Walk, Work, chains_of, own_identities, walk
from perturb_jax.experiment.store import EXPERIMENT, FAILURES, RUN, Store, locked, write_json
from perturb_jax.support.checks import listed
from perturb_jax.support.errors import InputError, OutputError
from perturb_jax.support.files import versions

_REFRESH_SECONDS = 0.5


class Failure(NamedTuple):
    """Work that failed, the chains that wait for it and end here, and the reason in a line."""

    work: Work
    chains: tuple[Chain, ...]
    reason: str


class Grid:
    """All chains of an experiment, how far each is, and what failed, by digest."""

    def __init__(self, experiment: Experiment, sources: Sources, store: Store):
        self.experiment, self.sources, self.store = experiment, sources, store
        self.walks: dict[Chain, Walk] = {}
        self.failures: dict[str, Failure] = {}
        self._waiting: dict[str, dict[Chain, None]] = defaultdict(dict)
        for chain in chains_of(experiment):
            self._look(chain)

    def wanted(self, chains: Iterable[Chain]) -> dict[Work, int]:
        """Work that some chains need next, with its urgency.

        Higher in an earlier repetition, so that an experiment that is stopped has whole ones; within a repetition
        where more cycles have to wait for it.
        """
        table = self.experiment.table
        urgency: dict[Work, int] = {}
        for chain in chains:
            found = self.walks[chain]
            left = table.cycles - len(found.cycles)
            own = left - (table.cycles + 1) * table.seeds.index(chain.seed)
            for work in found.wanted:
                if work.digest not in self.failures:
                    urgency[work] = max(own, urgency.get(work, own))
        return urgency

    def finished(self, work: Work) -> list[Chain]:
        """Look again at the chains that waited for some work; returns them."""
        self.store.wrote(work)
        chains = list(self._waiting.pop(work.digest, ()))
        for chain in chains:
            self._look(chain)
        return chains

    def failed(self, work: Work, error: BaseException, trace: Any) -> Failure:
        """Write down why some work failed."""
        chains = tuple(self._waiting.pop(work.digest, ()))
        reason = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, InputError):
            reason = f"{type(error).__name__}: {reason}"
        failure = Failure(work, chains, reason)
        self.failures[work.digest] = failure
        text = "".join(traceback.format_exception(type(error), error, trace))
        labels = [chain._asdict() for chain in chains]
        record = {
            "kind": work.kind, "digest": work.digest, "reason": reason, "chains": labels, "traceback": text,
            "work": work.identity(), "versions": versions(),
        }  # fmt: skip
        write_json(self.store.root / FAILURES / f"{work.digest}.json", record)
        return failure

    def _look(self, chain: Chain) -> None:
        found = walk(self.experiment, self.sources, chain, self.store)
        self.walks[chain] = found
        for work in found.wanted:
            self._waiting[work.digest][chain] = None


def work_off(grid: Grid, client: Client) -> Iterator[Work | Failure]:
    """Do everything that can be done, on a dask cluster whose workers see the experiment's directory.

    Yields what is done, and what failed. Refuses to go on where the scheduler went away, or results cannot be written.
    """
    futures: dict[Future, Work] = {}
    submitted: set[Work] = set()
    queue = as_completed(loop=client.loop)

    def submit(chains: Iterable[Chain]) -> None:
        for work, urgency in grid.wanted(chains).items():
            if work not in submitted:
                submitted.add(work)
                future = client.submit(
                    execute, work, grid.store.root, key=f"{work.kind}-{work.digest}", priority=urgency, pure=False
                )
                futures[future] = work
                queue.add(future)

    submit(list(grid.walks))
    for future in queue:
        work = futures.pop(future)
        if future.status == "cancelled":
            raise InputError("the scheduler went away; the same command continues")
        if future.status == "error":
            error = future.exception()
            if isinstance(error, OutputError):  # nor can the reason be written then, or anything else
                raise OutputError(f"{error}; then the same command continues")
            yield grid.failed(work, error, future.traceback())
        else:
            submit(grid.finished(work))
            yield work
        future.release()


def trainings_done(walk: Walk) -> int:
    """Cycles of a chain whose run is finished."""
    return sum(cycle.done for cycle in walk.cycles)


def distinct_runs(walks: Iterable[Walk]) -> tuple[int, int]:
    """Different runs that are known so far: finished, and all."""
    known = _known(walks)
    return sum(known.values()), len(known)


def _known(walks: Iterable[Walk]) -> dict[Training, bool]:
    return {cycle.training: cycle.done for walk in walks for cycle in walk.cycles}


class Forecast:
    """Time left of an experiment whose chains have so many cycles."""

    def __init__(self, cycles: int):
        self.cycles = cycles
        self._seconds: dict[tuple[str, int], list[float]] = defaultdict(list)

    def finished(self, work: Training, seconds: Mapping[str, float]) -> None:
        """Take note of what a run took."""
        self._seconds[work.predictor.name, len(work.selected)].append(sum(seconds.values()))

    def left(self, walks: Mapping[Chain, Walk], workers: int, failed: Container[str]) -> float | None:
        """Seconds left: of the runs that are known exactly, of later ones as often as runs were shared so far.

        None while no run of some predictor that is left to do has finished.
        """
        known = _known(walks.values())
        cycles = sum(len(found.cycles) for found in walks.values())
        going_on = [found for found in walks.values() if not any(work.digest in failed for work in found.wanted)]
        later = sum(self.cycles - len(found.cycles) for found in going_on)
        times = [self._expected(work.predictor.name, len(work.selected)) for work, done in known.items() if not done]
        if not self._seconds or None in times or not workers:
            return None
        mean = sum(map(sum, self._seconds.values())) / sum(map(len, self._seconds.values()))
        distinct = len(known) / cycles if cycles else 1.0
        return (sum(time for time in times if time is not None) + later * distinct * mean) / workers

    def _expected(self, predictor: str, size: int) -> float | None:
        """The mean of that predictor's runs of that size, else of any size."""
        of_any = (one for (name, _), took in self._seconds.items() if name == predictor for one in took)
        every = self._seconds.get((predictor, size)) or list(of_any)
        return sum(every) / len(every) if every else None


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
    """How far an experiment is: trainings that are there, all of them, the forecast where there is one."""

    done: int
    total: int
    seconds_left: float | None = None


@runtime_checkable
class Listener(Protocol):
    """What hears of an experiment while it runs."""

    def damaged(self, grid: Grid) -> None:
        """Results that are damaged, and are done again: `grid.store.damaged`."""

    def started(self, dashboard: str, progress: Progress) -> None:
        """The workers are there."""

    def failed(self, failure: Failure) -> None:
        """Some work failed."""

    def progressed(self, progress: Progress) -> None:
        """More is done; at most twice a second."""


class _Silent(Listener):
    """Says nothing."""


def run_experiment(
    file: str | Path, output: str | Path | None = None, workers: int | None = None, memory: str = "auto"
) -> Path:
    """Run an experiment on this machine, as `perturb-jax run` does; results that are there already are used.

    Args:
        file: the experiment, a TOML file.
        output: directory for the results; None: results/NAME beside the file.
        workers: processes, which divide the cores among them; None: one per core.
        memory: of each process, such as "4GB"; "auto": an equal part of the machine's.

    Returns:
        The directory of the results, for `read_results`.

    Raises:
        InputError: a file that cannot be used; another process that works in that directory; after all that can be done
            is done, work that failed, with the reasons. The same call tries that again.
    """
    from dask.system import CPU_COUNT

    from perturb_jax.experiment.clusters import local_cluster

    started = begin(Path(file), None if output is None else Path(output))
    silent = _Silent()  # type: ignore[abstract]  # the empty methods of the protocol are what it needs
    grid = work(started, lambda: local_cluster(workers or CPU_COUNT, memory), silent)
    if grid.failures:
        reasons = listed([failure.reason for failure in grid.failures.values()], "; ")
        raise InputError(f"{file}: {len(grid.failures)} failed ({reasons}); the same call tries again")
    return started.root


def begin(file: Path, output: Path | None) -> Started:
    """Read the file of an experiment; refuses what is wrong with it, or with a file that it names."""
    raw, experiment = read_experiment(file)
    root = file.parent / "results" / experiment.table.name if output is None else output
    return Started(raw, experiment, find_sources(experiment, file.parent), root.absolute())


def work(started: Started, cluster: Callable[[], AbstractContextManager[Client]], listener: Listener) -> Grid:
    """Do everything that is left, with the workers that `cluster` starts.

    Returns how far every chain is in the end, and what failed: `Grid.failures`.
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
    own = own_identities(started.experiment)
    words = ("label", "smaller_is_better", "over", "unit")
    metrics = {
        metric.name: {name: getattr(metric, name) for name in words}
        for metric in started.experiment.metrics
        if metric.name not in BUILT_IN
    }
    return record | ({"own": own} if own else {}) | ({"metrics": metrics} if metrics else {})


def progress_of(grid: Grid, seconds_left: float | None = None) -> Progress:
    """How far an experiment is."""
    done = sum(map(trainings_done, grid.walks.values()))
    return Progress(done, len(grid.walks) * grid.experiment.table.cycles, seconds_left)


def _work_off(grid: Grid, client: Client, listener: Listener) -> None:
    forecast = Forecast(grid.experiment.table.cycles)
    listener.started(client.dashboard_link, progress_of(grid))
    shown_at = time.monotonic()

    def show() -> None:
        left = forecast.left(grid.walks, sum(client.nthreads().values()), grid.failures)
        listener.progressed(progress_of(grid, left))

    for done in work_off(grid, client):
        if isinstance(done, Failure):
            listener.failed(done)
        elif isinstance(done, Training):
            forecast.finished(done, grid.store.record(done, RUN)["seconds"])
        if time.monotonic() > shown_at + _REFRESH_SECONDS:
            show()
            shown_at = time.monotonic()
    show()
