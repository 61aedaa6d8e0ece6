"""Where work is done: what Slurm is told, threads that do not fight, the time that is left."""

from pathlib import Path

import pytest

from perturb_jax.experiment import clusters
from perturb_jax.experiment.clusters import SlurmTable, existing_scheduler, read_slurm, slurm_cluster, thread_variables
from perturb_jax.experiment.file import Sources, experiment_of
from perturb_jax.experiment.planner import Chain, Walk, chains_of, walk
from perturb_jax.experiment.run import Forecast
from perturb_jax.support.errors import InputError
from tests.experiment.grids import tables
from tests.experiment.test_planner import Pretended

SLURM = """
jobs = 20
cores = 8
processes = 4
memory = "32GB"
queue = "short"
walltime = "04:00:00"
account = "lab"
job_extra_directives = ["--gres=gpu:1"]
job_script_prologue = ["module load cuda"]
"""


def test_the_job_script_asks_for_what_the_file_says(tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "slurm.toml").write_text(SLURM)
    with slurm_cluster(read_slurm(tmp_path / "slurm.toml")) as cluster:
        script = cluster.job_script()
        assert len(cluster.workers) == 0
    lines = script.splitlines()
    asked = ("-p short", "-A lab", "--cpus-per-task=8", "--mem=30G", "-t 04:00:00", "--gres=gpu:1")
    assert {f"#SBATCH {option}" for option in asked} <= set(lines), script
    assert lines.index('export OMP_NUM_THREADS="2"') < lines.index("module load cuda")
    worker = lines[-1]
    assert "--nworkers 4" in worker
    assert "--nthreads 1" in worker, "one task at a time: the cores are for what a task computes"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SLURM.replace("jobs = 20", "jobs = 0"), "slurm.toml: jobs: expected a whole number of at least 1, got 0"),
        (SLURM.replace("cores = 8", ""), "slurm.toml: cores: expected a value, got none"),
        (SLURM + "gpus = 1", "slurm.toml: gpus: no such setting; expected one of jobs, cores"),
        ("=", "slurm.toml: expected a readable TOML file"),
    ],
)
def test_a_wrong_file_for_slurm_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "slurm.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_slurm(tmp_path / "slurm.toml")
    assert message in str(caught.value)


def test_more_processes_than_cores_are_refused() -> None:
    with pytest.raises(ValueError, match="processes: expected at most as many as cores, 2, got 3"):
        SlurmTable(jobs=1, cores=2, processes=3, memory="1GB")


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x")
    assert thread_variables(1)["XLA_FLAGS"] == "--xla_dump_to=x --xla_cpu_multi_thread_eigen=false"
    assert thread_variables(4)["XLA_FLAGS"] == "--xla_dump_to=x"
    assert thread_variables(4)["OMP_NUM_THREADS"] == thread_variables(4)["NPROC"] == "4"
    monkeypatch.delenv("XLA_FLAGS")
    assert "XLA_FLAGS" not in thread_variables(4)


def test_an_address_where_no_scheduler_answers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "PATIENCE", "1s")
    with pytest.raises(InputError, match="scheduler: expected the address of a dask scheduler, got 'nowhere:x'"):
        existing_scheduler("nowhere:x").__enter__()


def test_the_time_left_is_that_of_the_runs_left() -> None:
    """Two seeds, of which one is done: by predictor, what one seed's runs took, divided among the workers."""
    experiment = experiment_of(tables(strategies={"random": {}, "k-center": {}}, fixed=["data"]))
    sources, known = Sources({"sim": {}}, {}), Pretended()
    forecast = Forecast(experiment.table.cycles)
    walks: dict[Chain, Walk] = {}
    assert forecast.left(walks, 2, ()) is None
    took = {"training-mean": 1.0, "graph-gp": 10.0}
    for chain in chains_of(experiment):
        while before := {work.digest for work in walk(experiment, sources, chain, known).wanted if work.kind != "runs"}:
            known.done |= before
        found = walk(experiment, sources, chain, known)
        if chain.seed == 0:
            for work in {cycle.training for cycle in found.cycles if not cycle.done}:
                known.done.add(work.digest)
                forecast.finished(work, {"training": took[work.predictor.name], "view": 0.0})
        walks[chain] = walk(experiment, sources, chain, known)
    assert sum(cycle.done for found in walks.values() for cycle in found.cycles) == 8
    assert forecast.left(walks, 1, ()) == 2 * 1.0 + 2 * 10.0, "both strategies pick the same: each run is done once"
    assert forecast.left(walks, 2, ()) == 11.0
    unknown = walks | {Chain("sim", "graph-gp", "late", 1): Walk((), ())}
    later = forecast.left(unknown, 1, ())
    assert later is not None
    assert later == 22.0 + 2 * 0.5 * 5.5, "two more trainings, half of which are shared, of the mean time"
