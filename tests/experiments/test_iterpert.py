"""Published learning curves, made up here, and simulated ones: tables against SciPy's tests, and what is refused."""

import gzip
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.experiment.grids import SIMULATION, finished

FOLDER = Path(__file__).parents[2] / "experiments" / "iterpert"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("published")


def write(path: Path, published: ModuleType, rounds: int = 6) -> dict[str, dict[str, list[float]]]:
    """Curves at random of all runs; Random has five."""
    chance = np.random.default_rng(0)
    stored = {}
    for strategy, form in published.NAMES.items():
        for run in list(published.RUNS)[: 5 if strategy == published.RANDOM else 10]:
            curves = {metric: chance.uniform(1, 2, rounds).tolist() for metric in published.METRICS}
            stored[published._PREFIX + form.format(run)] = curves
    stored["another_run1_Random_diff_effect"] = {metric: [9.0] for metric in published.METRICS}
    with gzip.open(path, "wt") as file:
        json.dump(stored, file)
    return stored


def test_runs_are_read_by_name(published: ModuleType, tmp_path: Path) -> None:
    stored = write(tmp_path / "metrics.json.gz", published)
    values = published.read_published(tmp_path / "metrics.json.gz")
    assert len(values) == 6 * len(published.METRICS) * (5 + 10 * (len(published.NAMES) - 1))
    name = "GEARS_100_5_100_256_1_rt_simple_loss_v2_ess_1k_fix_eval_run7_ACS-FW_cross_gene_out"
    assert values[published.MAIN, "ACS-FW", 3, 7] == stored[name][published.MAIN][2]
    write(tmp_path / "short.json.gz", published, rounds=5)
    with pytest.raises(ValueError, match="expected runs of 6 rounds"):
        published.read_published(tmp_path / "short.json.gz")


def test_unpaired_intervals_are_welchs(published: ModuleType) -> None:
    chance = np.random.default_rng(1)
    ours, base = chance.normal(1, 1, 10), chance.normal(0, 2, 5)
    index = [("ours", run) for run in range(10)] + [("base", run) for run in range(5)]
    values = pd.Series([*ours, *base], pd.MultiIndex.from_tuples(index, names=["strategy", "seed"]))
    found = published.unpaired(values, "base").loc["ours"]
    one, other = ours.var(ddof=1) / 10, base.var(ddof=1) / 5
    freedom = (one + other) ** 2 / (one**2 / 9 + other**2 / 4)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(one + other)
    middle = ours.mean() - base.mean()
    assert found.to_numpy() == pytest.approx([middle, middle - half, middle + half])


def test_tables_and_figure(published: ModuleType, tmp_path: Path) -> None:
    stored = write(tmp_path / "metrics.json.gz", published)
    raw = {
        "name": "small", "cycles": 2, "batch": 4, "test": 4, "seeds": 3, "data": {"sim": {"simulation": SIMULATION}},
        "predictors": {"graph-gp": {}}, "strategies": {"random": {}, "typiclust": {}, "graphreach": {}},
    }  # fmt: skip
    finished(raw, tmp_path / "grid")
    common = [sys.executable, str(FOLDER / "curves.py"), str(tmp_path / "metrics.json.gz")]
    alone = subprocess.run([*common, "--out", str(tmp_path / "alone")], capture_output=True, text=True, check=True)
    assert "SIMULATED" not in alone.stdout
    both = [*common, "--out", str(tmp_path / "both"), "--simulated", str(tmp_path / "grid")]
    done = subprocess.run(both, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| TypiClust | SIMULATED |" in done.stdout
    assert {path.name for path in (tmp_path / "both").iterdir()} == {"published.csv", "tables.md", "curves.png"}

    last = {
        name: np.array([stored[published._PREFIX + published.NAMES[name].format(run)][published.MAIN][-1]
                        for run in range(1, 6)])
        for name in ("TypiClust", "Random")
    }  # fmt: skip
    low, high = stats.ttest_rel(last["TypiClust"], last["Random"]).confidence_interval()
    middle = (last["TypiClust"] - last["Random"]).mean()
    assert f"{middle:+.4f} [{low:+.4f}, {high:+.4f}]" in alone.stdout

    refused = subprocess.run([*both, "--predictor", "none"], capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "expected simulated data of sim and a predictor of graph-gp" in refused.stderr


def test_trainings_are_counted_as_they_are_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The estimate's stand-in finds as many distinct trainings as an experiment does."""
    from perturb_jax.experiment.file import experiment_of
    from perturb_jax.experiment.planner import Training

    monkeypatch.syspath_prepend(str(FOLDER.parent))
    estimate = importlib.import_module("estimate")
    raw = {
        "name": "small", "cycles": 3, "batch": 4, "test": 4, "seeds": 2, "data": {"sim": {"simulation": SIMULATION}},
        "predictors": {"graph-gp": {}}, "strategies": {"random": {}, "typiclust": {}, "uncertainty": {}},
    }  # fmt: skip
    done = {work for work in finished(raw, tmp_path) if isinstance(work, Training)}
    counted, every = estimate.trainings(experiment_of(raw), SIMULATION["perturbations"])
    assert every == 18 and len(counted) == len(done) == 14
