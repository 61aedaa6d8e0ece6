"""`perturb-jax run` as a user runs it, killed as a machine or a cluster kills it."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psutil  # type: ignore[import-untyped]
import pytest

from perturb_jax.analysis.results import Results, read_results
from tests.cli.test_cli import Result, run
from tests.experiment.grids import finished

GRID = """
name = "grid"
cycles = 3
batch = 4
test = 4
seeds = 4
[data.sim]
simulation = { perturbations = 24, genes = 60, cells = 10 }
[predictors.training-mean]
[predictors.graph-gp]
[strategies.random]
[strategies.graphreach]
[strategies.k-center]
"""
RUNS = 4 * 2 * 3 * 3


def command(directory: Path, *options: str, workers: int = 2) -> list[str]:
    code = "from perturb_jax.cli.app import run; run()"
    where = ["run", str(directory / "grid.toml"), "--out", str(directory / "out"), "--workers", str(workers)]
    return [sys.executable, "-c", code, *where, *options]


@contextmanager
def started(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a process group of its own, none of which survives."""
    process = subprocess.Popen(command(directory), start_new_session=True, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        for one in (process.pid, *_group(process.pid)):
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.communicate()


def _group(leader: int) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader:
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for_runs(directory: Path, count: int) -> None:
    """Until so many runs are there."""
    deadline = time.monotonic() + 1200
    while len(list(directory.glob("out/runs/*"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def stamps(directory: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every file of the results."""
    files = [path for kind in ("data", "selections", "runs") for path in directory.glob(f"out/{kind}/*/*")]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def again(directory: Path, *options: str, workers: int = 2) -> subprocess.CompletedProcess[str]:
    line = command(directory, *options, workers=workers)
    quickly = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # which cost more than a few steps win by them
    return subprocess.run(line, env=quickly, capture_output=True, text=True, check=False)


def assert_equal(one: Results, other: Results) -> None:
    """Bit for bit, but for the times."""
    for part in ("metrics", "selections"):
        pd.testing.assert_frame_equal(getattr(one, part), getattr(other, part), check_exact=True)
    labels = ["data", "predictor", "strategy", "seed", "cycle", "what"]
    pd.testing.assert_frame_equal(one.times[labels], other.times[labels])


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What one process finds, without interruption and without dask."""
    root = tmp_path_factory.mktemp("expected")
    finished(tomllib.loads(GRID), root)
    return read_results(root)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[int, int]]]:
    """A directory after `kill -9` of everything in the middle, and what was in it."""
    directory = tmp_path_factory.mktemp("killed")
    (directory / "grid.toml").write_text(GRID)
    with started(directory) as process:
        wait_for_runs(directory, 10)
        group = _group(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert len(group) >= 3, "the command and two workers"
    before = stamps(directory)
    assert 10 <= len(list(directory.glob("out/runs/*"))) < RUNS
    deadline = time.monotonic() + 1200
    while any(alive(pid) for pid in group):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return directory, before


def test_after_kill_9_of_everything_the_same_command_continues(
    killed: tuple[Path, dict[str, tuple[int, int]]], expected: Results
) -> None:
    directory, before = killed
    planned = again(directory, "--dry-run")
    assert f"{RUNS} trainings at most" in planned.stdout
    assert stamps(directory) == before
    result = again(directory)
    assert result.returncode == 0, result.stderr
    assert f"{RUNS} of {RUNS} trainings are there" in result.stdout
    assert "dashboard: http" in result.stderr
    after = stamps(directory)
    assert {path: after[path] for path in before} == before, "what was finished is as it was"
    assert not (directory / "out" / "staging").exists() or not list((directory / "out" / "staging").iterdir())
    assert_equal(read_results(directory / "out"), expected)


def test_damaged_runs_are_named_and_done_again_and_nothing_else_is(
    killed: tuple[Path, dict[str, tuple[int, int]]], expected: Results
) -> None:
    directory, _ = killed
    assert again(directory, "--quiet").returncode == 0
    before = stamps(directory)
    truncated, missing = sorted((directory / "out" / "runs").iterdir())[:2]
    whole = (truncated / "metrics.parquet").read_bytes()
    (truncated / "metrics.parquet").write_bytes(whole[: len(whole) // 2])
    (missing / "view.npz").unlink()
    result = again(directory, "--quiet")
    assert result.returncode == 0
    assert result.stdout == ""
    assert f"damaged: {truncated}: metrics.parquet has changed since it was written; it is done again" in result.stderr
    assert f"damaged: {missing}: view.npz is missing" in result.stderr
    after = stamps(directory)
    changed = {str(Path(path).parent) for path in after if after[path] != before[path]}
    assert changed == {str(truncated), str(missing)}
    assert_equal(read_results(directory / "out"), expected)


def test_kill_9_of_a_worker_loses_nothing(tmp_path: Path, expected: Results) -> None:
    (tmp_path / "grid.toml").write_text(GRID)
    with started(tmp_path) as process:
        wait_for_runs(tmp_path, 10)
        workers = [
            child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        assert len(workers) == 2
        workers[0].kill()
        _, err = process.communicate(timeout=1200)
        assert process.returncode == 0, err
    assert_equal(read_results(tmp_path / "out"), expected)


FAILING = """
name = "failing"
cycles = 2
batch = 2
test = 4
seeds = 1
[data.sim]
simulation = { perturbations = 24, genes = 60, cells = 10, moments = "expected" }
[predictors.training-mean]
[predictors.graph-gp]
[predictors.gears-reference]
[strategies.random]
[strategies.late]
strategy = "random"
predictors = ["training-mean", "diverges"]
[predictors.diverges]
predictor = "gears-flax"
learning_rate = 1e30
steps = 4
evaluate_every = 1
hidden_size = 4
"""


def failures(directory: Path) -> list[str]:
    records = [json.loads(path.read_text()) for path in (directory / "out" / "failures").iterdir()]
    assert all("Traceback" in record["traceback"] for record in records)
    return sorted(record["reason"] for record in records)


def test_what_fails_is_recorded_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    flax = FAILING.index("[predictors.diverges]")
    (tmp_path / "grid.toml").write_text(FAILING[:flax].replace(', "diverges"', ""))
    for _ in range(2):  # the second time all that failed is tried again
        result = again(tmp_path, workers=1)
        assert result.returncode == 1
        reasons = failures(tmp_path)
        assert len(reasons) == 3
        assert sum("expected moments have no cells to learn from" in reason for reason in reasons) == 2
        assert sum("GraphGP" in reason or "graph GP" in reason or "at least" in reason for reason in reasons) == 1
        assert "3 failed, 3 trainings are missing" in result.stderr
        assert "(sim/gears-reference/random/0): expected moments" in result.stderr
        assert "5 of 8 trainings are there, from 3 runs" in result.stdout


def test_a_training_that_diverges_is_recorded(tmp_path: Path) -> None:
    text = FAILING.replace("cycles = 2", "cycles = 1").replace(
        "[predictors.graph-gp]\n[predictors.gears-reference]\n", ""
    )
    (tmp_path / "grid.toml").write_text(text)
    result = again(tmp_path, workers=1)
    assert result.returncode == 1
    (reason,) = failures(tmp_path)
    assert reason.startswith("FloatingPointError: gears_flax: the loss is NaN or infinite, training diverged")
    assert "(sim/diverges/random/0; sim/diverges/late/0): FloatingPointError" in result.stderr
    assert "2 of 4 trainings are there, from 1 runs" in result.stdout


BAD = {
    "field": (GRID.replace("cycles = 3", "cycles = 0"), "bad.toml: cycles: expected greater than or equal to 1, got 0"),
    "file": (
        GRID.replace("simulation = {", 'screen = "none.h5ad" #'),
        "data.sim.screen: expected a file, found none at",
    ),
    "data set": (
        GRID.replace("simulation = {", 'dataset = "adamson" #'),
        "data.sim.dataset: adamson is not in the cache",
    ),
    "no toml": ("= 3", "bad.toml: expected a readable TOML file"),
}


def test_bad_files_are_one_line_and_exit_code_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERTURB_JAX_CACHE", str(tmp_path / "cache"))
    for number, (text, _) in enumerate(BAD.values()):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "bad.toml").write_text(text)
    commands = [["run", f"{number}/bad.toml"] for number in range(len(BAD))]
    (tmp_path / "grid.toml").write_text(GRID)
    commands += [["run", "grid.toml", "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], ["run", "none.toml"]]
    expected = [message for _, message in BAD.values()] + ["expected one kind of workers, got several", "none.toml"]
    for message, result in zip(expected, run(tmp_path, *commands), strict=True):
        check_refusal(result, message)
    assert not (tmp_path / "results").exists()


def check_refusal(result: Result, message: str) -> None:
    assert result.code == 2, result
    assert message in result.err
    assert result.err.startswith("perturb-jax: error: ")
    assert result.err.count("\n") == 1


def test_other_commands_do_not_load_what_only_experiments_need() -> None:
    code = "import sys, perturb_jax.cli.app as cli; cli.command_line()"
    code += "; print(sorted({'distributed', 'dask', 'pydantic'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_control_c_ends_with_130(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(GRID)
    with started(tmp_path) as process:
        wait_for_runs(tmp_path, 5)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=1200)
        assert process.returncode == 130, err
        assert "interrupted; the same command continues" in err
        assert "Traceback" not in err
